"""Quality gates: what is planted is found, at its planted count; what is well is left alone."""

import random

import pytest

from aaa.corpus import wording
from aaa.corpus.contamination import Evaluations, Neighbours
from aaa.corpus.gates import TESTS, Known
from aaa.corpus.selection import parse
from aaa.corpus.sieve import Around
from aaa.errors import InputError
from aaa.quality import GATES, OF_STANDARD, check_where
from aaa.records import Record
from tests.records import CHOSEN, REJECTED, fate, made, said

GERMAN = "Der Himmel ist blau, weil die Luft das kurze Licht mit der Zeit nicht hält."
TRAIN = "Say: a TRAIN leaves the old station, at nine and meets another one on the long bridge!"
PLANTED = {
    "empty": lambda n: made(n, rejected=" \n"),
    "identical": lambda n: made(n, chosen=f"{REJECTED}\n", rejected=REJECTED),
    "similar": lambda n: made(n, chosen=CHOSEN * 3 + "Yes.", rejected=CHOSEN * 3 + "No."),
    "length_ratio": lambda n: made(n, chosen=CHOSEN * 8),
    "truncated": lambda n: made(n, rejected=said(REJECTED, finish_reason="length")),
    "refusal": lambda n: made(n, chosen="I'm sorry, but I can't help with the sky, nor with the sea."),
    "identity": lambda n: made(n, chosen="As an AI language model, I see no sky, and no sea at all."),
    "language": lambda n: made(n, chosen=GERMAN),
    "too_long": lambda n: made(n, chosen=CHOSEN * 2, rejected=REJECTED * 2, asked="Why? " * 60),
    "pii": lambda n: made(n, chosen=f"{CHOSEN} Write to jo.bloggs@example.org for more."),
    "licence": lambda n: made(n, chosen=said(CHOSEN, "closed")),
}  # fmt: skip
THRESHOLDS = {"too_long": "=400", "licence": "=apache-2.0|MIT"}
KNOWN = Known({("r1", "pupil"): "Apache-2.0", ("r1", "closed"): "all rights reserved"})


@pytest.mark.parametrize("name", PLANTED)
async def test_what_is_planted_is_found_and_nothing_else(name: str) -> None:
    """Thirty records, seven of them bad: seven are dropped, for that reason."""
    bad = set(random.Random(name).sample(range(30), 7))
    records = [PLANTED[name](n) if n in bad else made(n) for n in range(30)]
    told = await fate(records, ("gate", name + THRESHOLDS.get(name, "")), around=Around(KNOWN))
    assert {int(id[1:]) for id, why in told.items() if why == name} == bad
    assert {why for why in told.values() if why is not None} == {name}


async def test_every_reason_is_counted_once_and_all_add_up() -> None:
    kinds = list(PLANTED)
    records = [PLANTED[kinds[n % len(kinds)]](n) for n in range(44)] + [
        made(n) for n in range(44, 60)
    ]
    gates = [("gate", name + THRESHOLDS.get(name, "")) for name in PLANTED]
    told = await fate(records, *gates, around=Around(KNOWN))
    assert len(told) == 60
    assert sum(why is None for why in told.values()) == 16
    assert all(list(told.values()).count(name) == 4 for name in PLANTED)


async def test_near_duplicate_rows_leave_the_first() -> None:
    """Five rows that differ in a word or two from an earlier one, among ninety that do not."""
    words = "air light wave sea sun cloud mirror noon dusk river stone glass wind rain snow leaf".split()
    chance = random.Random(7)

    def text() -> str:
        return " ".join(chance.choice(words) + str(chance.randrange(100)) for _ in range(60))

    records = [made(n, chosen=text(), rejected=text()) for n in range(90)]
    for n, copied in enumerate((3, 17, 40, 41, 88)):
        first = records[copied]
        near = first["chosen"]["text"] + f" And {n}."
        records.append(made(100 + n, chosen=near, rejected=first["rejected"]["text"]))
    told = await fate(records, ("gate", "near_duplicate"))
    assert [id for id, why in told.items() if why] == [f"p{100 + n}" for n in range(5)]
    more = records[0]["chosen"]["text"] + " and one more end."
    records = [records[0], made(1, chosen=more, rejected=records[0]["rejected"]["text"])]
    assert list((await fate(records, ("gate", "near_duplicate=1"))).values()) == [None, None]
    told = await fate(records, ("gate", "near_duplicate=0.8"))
    assert list(told.values()) == [None, "near_duplicate"]


def evaluated(n: int) -> Evaluations:
    return Evaluations(
        [
            "A train leaves the old station at nine and meets another one on the long bridge at ten; "
            "how far apart were they when they left?",
            "What is the capital of Burkina Faso?",
            "Name it.",
        ],
        n,
    )


async def test_contamination_is_found_by_runs_of_words() -> None:
    """In the question, in an answer, without case and marks, whole where the evaluation is short."""
    held = {
        1: made(1, asked=TRAIN),
        2: made(2, chosen="It is said: what is the capital of Burkina Faso? I know."),
        3: made(3, asked="A train leaves the old station at nine. How far?"),
        4: made(4, asked="Name it. Now."),
    }  # fmt: skip
    records = [made(0), *held.values()]
    told = await fate(
        records, ("gate", "contamination=13"), around=Around(evaluations=evaluated(13))
    )
    assert [id for id, why in told.items() if why] == ["p1", "p2"]
    told = await fate(records, ("gate", "contamination=8"), around=Around(evaluations=evaluated(8)))
    assert [id for id, why in told.items() if why] == ["p1", "p2", "p3"]


async def test_a_paraphrase_is_found_by_its_embedding() -> None:
    """The same problem in other words; another of the same template is left alone."""
    sold = "Natalia sold clips to 48 of her friends in April, and then half as many in May. How many in all?"
    near = Neighbours([sold, "What is the capital of Burkina Faso?", "Name it."], 0.75)
    records = [
        made(0, asked="In April Natalia sold 48 clips to friends, half as many in May. How many in all?"),
        made(1, asked="Which flour makes the best sourdough bread?"),
        made(2, asked="A car drives 48 km in an hour. How far does it come in half an hour?"),
        made(3, asked="Name it."),
    ]  # fmt: skip
    told = await fate(records, ("gate", "paraphrase"), around=Around(neighbours=near))
    assert [id for id, why in told.items() if why] == ["p0"]
    strict = Around(neighbours=Neighbours([sold], 0.999))
    assert set((await fate(records, ("gate", "paraphrase"), around=strict)).values()) == {None}


def test_contamination_needs_something_to_hold_against() -> None:
    for name in ("contamination", "paraphrase"):
        gates = parse([("gate", name)]).gate
        with pytest.raises(InputError, match="needs evaluation files"):
            check_where(gates, evaluations=False)
        check_where(gates, evaluations=True)


async def test_an_unknown_licence_is_none_that_is_allowed() -> None:
    told = await fate([made(0)], ("gate", "licence=mit"), around=Around(Known({})))
    assert told == {"p0": "licence"}


def test_of_a_gate_that_is_named_twice_the_last_one_holds() -> None:
    given = parse([("gate", "length_ratio=2"), ("gate", "standard"), ("gate", "length_ratio=5")])
    assert [gate.threshold for gate in given.gate if gate.name == "length_ratio"] == ["5"]
    assert parse([("gate", "none")]).gate == ()


def test_standard_is_what_needs_nothing_more() -> None:
    names = [gate.name for gate in parse([("gate", "standard")]).gate]
    assert names == list(OF_STANDARD)
    assert set(OF_STANDARD) < set(GATES)


REFUSALS = [
    "I'm sorry, but I can't help with that.",
    "I cannot provide instructions for this.",
    "I am unable to assist with this request.",
    "I must decline.",
    "Es tut mir leid, aber ich kann dabei nicht helfen.",
    "Je suis désolé, mais je ne peux pas répondre.",
    "Lo siento, pero no puedo ayudar con eso.",
    "很抱歉，我无法回答这个问题。",
]
ANSWERS = [
    "I can't help but admire the sea.",
    "To say sorry, write: we are sorry for the delay.",
    "She said she could not provide more bread.",
    "The sky is blue.",
    "Sorry to hear that! Try to restart it first.",
]


@pytest.mark.parametrize("text", REFUSALS)
def test_refusals(text: str) -> None:
    assert wording.refuses(text)


@pytest.mark.parametrize("text", ANSWERS)
def test_what_is_no_refusal(text: str) -> None:
    assert not wording.refuses(text)


@pytest.mark.parametrize(
    ("text", "leaks"),
    [
        ("As an AI, I have no body.", True),
        ("I'm ChatGPT, happy to help.", True),
        ("I was trained by OpenAI on much text.", True),
        ("Als KI habe ich keine Meinung.", True),
        ("My training data ends in 2023.", True),
        ("Android was developed by Google.", False),
        ("Claude Monet painted water lilies.", False),
        ("A language model predicts words.", False),
    ],
)
def test_identity(text: str, leaks: bool) -> None:
    assert wording.says_who_it_is(text) is leaks


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("mail jo@example.org", True),
        ("call +44 20 7946 0958 now", True),
        ("call (555) 010-9999", True),
        ("card 4111 1111 1111 1111", True),
        ("order 4111 1111 1111 1112", False),
        ("IBAN GB82 WEST 1234 5698 7654 32", True),
        ("host 192.0.2.7 is up", True),
        ("version 1.2.3", False),
        ("in 1995 and 2024, 3.14159 and 1,000,000", False),
        ("pi is 3.14159265358979", False),
        ("@home at 10:30", False),
    ],
)
def test_personal(text: str, held: bool) -> None:
    assert wording.personal(text) is held


@pytest.mark.parametrize(
    ("question", "answer", "different"),
    [
        ("Why is the sky blue at noon?", GERMAN, False),
        ("Why is the sky of the earth blue, and not red?", GERMAN, True),
        ("Почему небо голубое днём и красное вечером?", "Because the air of the earth scatters light.", True),
        ("为什么天空是蓝色的？", "因为空气散射短波的光。", False),
        ("なぜ空は青いのですか。", "空気が光を散らすからです。", False),
        ("为什么天空是蓝色的？", "Because the air of the earth scatters light.", True),
        ("Write hello world, and say what it does in the end.", "```python\nprint('hello')\n```", False),
        ("What is 17 * 23?", "391", False),
    ],
)  # fmt: skip
def test_languages(question: str, answer: str, different: bool) -> None:
    assert wording.differs(question, answer) is different


def test_a_record_that_is_well_passes_every_gate() -> None:
    good: Record = made(0)
    for name, fails in TESTS.items():
        threshold = THRESHOLDS.get(name, f"={GATES[name].default}")[1:]
        assert not fails(good, threshold, KNOWN), name
