"""Elimination rules, one by one: what each finds, and what it leaves alone."""

import pytest

from aaa.protocols import _evolving as rules
from aaa.protocols._evolving import Bounds, flaw_by_answers, flaw_of, language, words
from aaa.types import Call, Failure, FinishReason, Message, Reply, Turn
from tests.classroom import turn, user

PARENT = "How do bees find their way home to the hive?"
DEEPER = "How do bees find their way home to the hive on a cloudy day, and what if it is moved?"
LONG = " ".join(f"word{n}" for n in range(200))


def said(text: str, finish_reason: FinishReason = "stop") -> Turn:
    reply = Reply(text=text, finish_reason=finish_reason)
    return turn(0, text).model_copy(update={"reply": reply})


def refused() -> Turn:
    failure = Failure(kind="content_filter", message="not this")
    return turn(0, "").model_copy(update={"failure": failure})


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (DEEPER, None),
        (f'"{DEEPER}"', None),
        ("", "empty"),
        ("?! …", "empty"),
        ("I'm sorry, I cannot rewrite that.", "refusal"),
        ("As an AI, I do not find bees.", "refusal"),
        ("Unfortunately that goes too far.", "refusal"),
        (f"#Rewritten Prompt#: {DEEPER}", "leaked_template"),
        (f"{DEEPER} This is the rewritten prompt.", "leaked_template"),
        (f"{DEEPER}\n</text-0123456789>", "leaked_template"),
        (f"{DEEPER} Add 10 to 20 words.", "leaked_template"),
        (f"Sure! {DEEPER}", "meta_talk"),
        (f"Here is a harder question about bees:\n{DEEPER}", "meta_talk"),
        (f"Question: {DEEPER}", "meta_talk"),
        (f"I have made it harder. {DEEPER}", "meta_talk"),
        (f"{DEEPER}\n\nNote: this one asks about clouds.", "meta_talk"),
        (PARENT, "no_gain"),
        ("how do bees find their way home, to the hive", "no_gain"),
        ("How do bees find their own way home to the hive?", "no_gain"),
        ("Way home", "too_short"),
        ("How do wasps live?", "too_short"),
        (f"{PARENT} {LONG}", "too_long"),
        ("Wie finden die Bienen an einem Tag ohne Sonne zurück und was ist das?", "language_changed"),
        ("蜜蜂在没有太阳的日子里怎样找到回家的路？请说明原因。", "language_changed"),
    ],
)  # fmt: skip
def test_the_first_rule_that_finds_something_names_the_code(text: str, code: str | None) -> None:
    flaw = flaw_of(said(text), PARENT, {"s": PARENT}, True, Bounds())
    assert (flaw and flaw.code) == code
    assert flaw is None or flaw.why


def test_what_was_cut_off_or_refused_is_none() -> None:
    for answer, code in ((said(DEEPER, "length"), "truncated"), (refused(), "call_refused")):
        flaw = flaw_of(answer, PARENT, {}, True, Bounds())
        assert flaw is not None
        assert flaw.code == code


@pytest.mark.parametrize(
    "phrase",
    ["the rewritten prompt", "Sure! Write it.", "Question: why?", "I am sorry for you", "as an AI"],
)
def test_words_that_the_parent_holds_are_its_own(phrase: str) -> None:
    parent = f"{phrase} {PARENT}"
    assert flaw_of(said(f"{phrase} {DEEPER}"), parent, {"s": parent}, True, Bounds()) is None


def test_a_prompt_that_is_there_already_is_no_gain_even_if_it_is_not_the_parent() -> None:
    flaw = flaw_of(said(PARENT), DEEPER, {"s": PARENT, "s.e1": DEEPER}, False, Bounds())
    assert flaw is not None
    assert flaw == ("no_gain", "it is (nearly) the same as s")


def test_three_words_are_news_and_two_are_not() -> None:
    assert rules.no_gain(f"{PARENT} In winter", {"s": PARENT})
    assert rules.no_gain(f"{PARENT} In deep winter", {"s": PARENT}) is None


def test_only_a_step_in_depth_may_not_lose_half() -> None:
    short = "How do wasps live?"
    assert rules.too_short(short, PARENT, True, Bounds())
    assert rules.too_short(short, PARENT, False, Bounds()) is None
    assert rules.too_short("Go on", PARENT, False, Bounds())
    assert rules.too_short("Why not?", "Why?", False, Bounds()) is None


def test_bounds_are_the_callers() -> None:
    assert rules.too_long(DEEPER, PARENT, Bounds(most_added=10)) is None
    assert rules.too_long(DEEPER, PARENT, Bounds(most_added=9))
    with pytest.raises(ValueError, match="from few to many"):
        Bounds(words=(20, 10))


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("Why is the sky blue, and what does it look like from the moon?", "en"),
        ("Warum ist der Himmel blau und wie sieht er von dem Mond aus?", "de"),
        ("Pourquoi le ciel est bleu et comment est la lune dans les nuages ?", "fr"),
        ("¿Por qué el cielo es azul y cómo es una noche en la luna?", "es"),
        ("为什么天空是蓝色的？", "zh"),
        ("空はなぜ青いのですか。", "ja"),
        ("하늘은 왜 파란가요?", "ko"),
        ("لماذا السماء زرقاء؟", "ar"),
        ("आसमान नीला क्यों है?", "hi"),
        ("Почему небо голубое?", "ru"),
        ("Kwa nini anga ni ya bluu na jua la jioni ni la rangi gani?", "sw"),
        ("print(x)", None),
        ("12 + 30 = ?", None),
        ("", None),
        ("Read this code:\n```\nfor the in of and to is:\n```", None),
    ],
)
def test_languages(text: str, known: str | None) -> None:
    assert language(text) == known


def test_an_unknown_language_changes_nothing() -> None:
    assert rules.language_changed("print(x)", PARENT) is None
    assert rules.language_changed(PARENT, "12 + 30") is None


def test_words_are_characters_where_no_spaces_are_written() -> None:
    assert words("天空is蓝") == ["天", "空", "is", "蓝"]
    assert words("It's “blue”, he said.") == ["it", "s", "blue", "he", "said"]


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("By the sun and by landmarks.", None),
        ("4", None),
        ("I am sorry, I do not know.", "refusal"),
        ("Sorry about the length. " + LONG, None),
        ("…", "no_content"),
        ("Answer:", "no_content"),
        ("it is what it is", "no_content"),
        ("", "no_content"),
    ],
)
def test_answers(answer: str, code: str | None) -> None:
    flaw = flaw_by_answers([said(answer)])
    assert (flaw and flaw.code) == code


def test_one_answer_is_enough_and_no_student_is_no_flaw() -> None:
    assert flaw_by_answers([]) is None
    assert flaw_by_answers([said("I am sorry."), said("By the sun.")]) is None
    both = flaw_by_answers([refused(), said("…")])
    assert both is not None
    assert both.code == "call_refused"


def test_sorry_needs_fewer_than_eighty_words() -> None:
    filler = " ".join(["word"] * 78)
    assert rules.apologises(f"sorry {filler}")
    assert rules.apologises(f"sorry {filler} word") is None


def test_a_new_subject_keeps_the_system_message_alone() -> None:
    chat = (
        Message(role="system", content="Be brief."),
        Message(role="user", content="Hello"),
        Message(role="assistant", content="Hi"),
        Message(role="user", content="Why?"),
    )
    assert rules.reworded(chat, "Why not?", "deepen") == (
        *chat[:3], Message(role="user", content="Why not?"),
    )  # fmt: skip
    assert rules.reworded(chat, "When?", "breadth") == (chat[0], *user("When?"))


def test_quotation_marks_around_the_whole_go() -> None:
    assert rules.cleaned(' "Why?" ') == "Why?"
    assert rules.cleaned("“Why?”") == "Why?"
    assert rules.cleaned('"Why" and "how"') == '"Why" and "how"'
    assert rules.cleaned('"') == '"'
    assert rules.cleaned("<text-23836fd262> Why? </text-23836fd262>") == "Why?"
    assert rules.cleaned("<text-23836fd262> Why? </text-0000000000>").startswith("<text")


def test_a_copy_of_the_instruction_is_found_wherever_it_stands() -> None:
    told = "Do it by adding one more requirement that the answer must meet."
    asked = f"A task:\n<text-012345>\n{PARENT}\n</text-012345>\n\n{told}"
    call = Call(seat="evolver", agent="e", purpose="evolution", messages=user(asked))
    for text, code in (
        (f"{PARENT} Adding one more requirement that the answer must", "leaked_template"),
        (f"{PARENT} One more requirement that the answer", None),
        (DEEPER, None),
    ):
        made = Turn(index=0, call=call, reply=Reply(text=text))
        flaw = flaw_of(made, PARENT, {"s": PARENT}, True, Bounds())
        assert (flaw and flaw.code) == code
    parent = f"{PARENT} {told}"
    assert rules.copied(f"{DEEPER} {told}", parent, told) is None


def test_a_call_of_the_rules_is_any_turn() -> None:
    call = Call(seat="evolver", agent="e", purpose="evolution", messages=user("q"))
    made = Turn(index=3, call=call, reply=Reply(text=DEEPER))
    assert flaw_of(made, PARENT, {"s": PARENT}, True, Bounds()) is None
