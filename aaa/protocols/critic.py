"""Critique data: a good answer is tampered with, critics criticise it, a judge who knows the flaw compares.

After CriticGPT (2407.00215), whose critics learnt from bugs that people had put into code, and Critique
Fine-Tuning (2501.17703), where noisy answers are criticised; that a model does the tampering, and that what
it did is held against rules first, is ours. Pairs come out on the edge `critique`, the won ones being
training data for critics; with `controls` also on `critique_control`, where nothing was tampered with and a
critique that invents a flaw loses. Left out: answers that were wrong by nature, which `co_teaching` has.
"""

import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from aaa.errors import PlayError
from aaa.judges import fence, salt_for
from aaa.judges._content import has_content
from aaa.judges._written import Written, closed, parsed
from aaa.play import Play, note, together, try_all
from aaa.prompts import prompts_beside, shown
from aaa.protocols._evolving import unmarked, words
from aaa.protocols._k_wise import rank_all
from aaa.protocols._strict import Heard, hear
from aaa.types import Agent, Call, Cast, Evolved, Message, Messages, Sampling, Seed, Turn, Value

PROMPTS = prompts_beside(__file__)
SEATS = {
    "student": "criticises the tampered answer; one alone does it twice",
    "tamperer": "puts one subtle mistake into a good answer; one of several is drawn",
    "judge": "knows the mistake and compares critiques blindly",
}
OPTIONAL = {
    "teacher": "writes the good answer where the seed has no reference; else the tamperer does"
}
CONTESTANTS = ("student",)

BLIND = ("logprob", "scores", "five_label", "meta")
"""Judging plays that do not show the reference to whoever decides, who then would not know the mistake."""
MUCH, MOST_CHANGED = 12, 0.5
"""More words than the first and more than that share of all may not change: it is then another answer."""


class Options(Value):
    tampered: int = Field(1, ge=1, le=8)
    """How many tampered versions of an answer are made, each with a mistake of its own."""
    critiques: int = Field(1, ge=1, le=8)
    """How many critiques each critic writes of a version; a critic who is alone writes at least two."""
    controls: bool = False
    """Have the answer criticised as it was, too: who finds a mistake in it loses."""
    answer_tokens: int | None = Field(None, ge=1)
    """Longest good answer, where one is written; `None` leaves it to the agent's card."""
    tamper_tokens: int | None = Field(None, ge=1)
    """Longest reply of the tamperer: the whole answer and what is wrong in it; `None`: as its card has it."""
    critique_tokens: int | None = Field(None, ge=1)
    """Longest critique; `None` leaves it to the agent's card."""


class Tampered(Written):
    """What a tamperer returns."""

    flaw: str = Field(min_length=1)
    tampered: str = Field(min_length=1)


SHAPE = closed("tampered", {"flaw": {"type": "string"}, "tampered": {"type": "string"}})


def play(seed: Seed, cast: Cast, options: Options) -> Play[None]:
    """A good answer, tampered versions of it, critiques of each, verdicts. Raises `PlayError`."""
    blind = _blind(cast.judging.play, cast.judging.options)
    if blind is not None:
        raise PlayError(
            f"judging play {blind} does not show its judge the reference, which names the "
            "mistake that critiques must find: take `pairwise`, `reference` or `rubric`"
        )
    chance = random.Random(f"critic/{seed.id}")
    tamperers = [chance.choice(cast["tamperer"]) for _ in range(options.tampered)]
    good = seed.reference
    if good is None:
        good = yield from _answered(seed, cast, options, tamperers[0])
    if good is None:
        return
    heard = yield from hear((_tampering(by, seed, good, options) for by in tamperers), _read)
    requests: list[tuple[Messages, str, str]] = []
    for number, one in enumerate(heard, 1):
        made = _noted(seed, good, one, number, [asked for asked, _, _ in requests])
        yield from note(made)
        if one.value is not None and not made.dropped:
            known = PROMPTS.fill("known", flaw=_sentence(one.value.flaw))
            requests.append((made.prompt, "critique", known))
    if options.controls:
        requests.append((request(seed, good), "critique_control", PROMPTS.fill("sound")))
    yield from together(_criticised(seed, cast, options, *asked) for asked in requests)


def _blind(play: str, options: Mapping[str, Any]) -> str | None:
    """The judging play, or the one inside it, that keeps the mistake from its judge; `None`: none does."""
    if play == "panel":
        return _blind(options.get("play", "pairwise"), options.get("options", {}))
    if play == "reference" and options.get("whose") == "own":
        return "'reference' with `whose: own`"
    return repr(play) if play in BLIND else None


def _answered(seed: Seed, cast: Cast, options: Options, tamperer: Agent) -> Play[str | None]:
    """A good answer by the teacher, or who else is there; where there is none, a note says why."""
    seat = "teacher" if cast["teacher"] else "tamperer"
    by = cast["teacher"][0] if cast["teacher"] else tamperer
    call = Call(
        seat=seat,
        agent=by.name,
        purpose="answer",
        messages=(Message(role="system", content=PROMPTS.fill("answer")), *seed.prompt),
        sampling=Sampling(max_tokens=options.answer_tokens),
    )
    (turn,) = yield from try_all((call,))
    code = _no_answer(turn)
    if not code:
        return turn.text.strip()
    yield from note(
        _evolved(seed, turn, 1, seed.prompt, code, "there is no good answer to tamper with")
    )
    return None


def _no_answer(turn: Turn) -> str:
    if turn.failure is not None:
        return "call_refused"
    if not has_content(turn.text):
        return "no_content"
    return "truncated" if turn.reply.finish_reason == "length" else ""


def _criticised(
    seed: Seed, cast: Cast, options: Options, asked: Messages, edge: str, known: str
) -> Play[None]:
    """Critiques of one answer, ranked by a judge to whom `known` is the reference."""
    critics = cast["student"]
    each = max(options.critiques, 2 if len(critics) == 1 else 1)
    turns = yield from try_all(
        _critique(critic, asked, options) for critic in critics for _ in range(each)
    )
    told = seed.model_copy(update={"reference": known, "checker": None})
    yield from rank_all(cast, told, turns, edge=edge, context=asked)


# What was tampered with, held against rules


def flaw_in(good: str, made: Tampered) -> tuple[str, str]:
    """(reason code, why) where a tampered answer is of no use; empty where it is."""
    found = (
        ("no_content", None if has_content(made.tampered) else "the tampered answer says nothing"),
        ("unchanged", unchanged(good, made.tampered)),
        ("rewritten", rewritten(good, made.tampered)),
        ("announced", announced(good, made.tampered)),
    )
    return next(((code, why) for code, why in found if why is not None), ("", ""))


def unchanged(good: str, tampered: str) -> str | None:
    """Word for word the same: there is nothing to find. Marks count, since code lives on them."""
    return "it is the good answer" if good.split() == tampered.split() else None


def rewritten(good: str, tampered: str) -> str | None:
    """So much has changed that it is another answer, with who knows how many mistakes."""
    before, after = Counter(words(good)), Counter(words(tampered))
    changed = max((before - after).total(), (after - before).total())
    share = changed / max(before.total(), after.total(), 1)
    if changed > MUCH and share > MOST_CHANGED:
        return f"{changed} words have changed"
    return None


def announced(good: str, tampered: str) -> str | None:
    """It points at the mistake that is to be found."""
    found = _POINTS.search(tampered)
    if found is None or found[0].casefold() in good.casefold():
        return None
    return f"it points at the mistake: {found[0]!r}"


_POINTS = re.compile(
    r"\b(?:flaw|tampered|(?:subtle|deliberate|intentional|inserted|introduced) (?:mistake|error))\b"
    r"|\b(?:mistake|error)s? (?:was|is|has been) (?:inserted|introduced|added)\b"
    r"|\((?:wrong|incorrect|mistake|error)\)",
    re.IGNORECASE,
)


def _noted(
    seed: Seed, good: str, heard: Heard[Tampered], number: int, known: Sequence[Messages]
) -> Evolved:
    """The request for critiques that a tampered answer makes, or why it makes none; `known`: those before."""
    made = heard.value
    if made is None:
        code = "unreadable" if heard.turn.failure is None else "call_refused"
        return _evolved(seed, heard.turn, number, seed.prompt, code, heard.why)
    asked = request(seed, made.tampered)
    code, why = flaw_in(good, made)
    if not code and asked in known:
        code, why = "repeated", "an earlier version is the same"
    return _evolved(seed, heard.turn, number, asked, code, why)


def _evolved(
    seed: Seed, turn: Turn, number: int, prompt: Messages, dropped: str, why: str
) -> Evolved:
    return Evolved(
        id=f"{seed.id}.t{number}",
        parent=seed.id,
        operation="tamper",
        turn=turn.index,
        prompt=prompt,
        dropped=dropped,
        why=why,
    )


# What is asked


def request(seed: Seed, answer: str) -> Messages:
    """The critique request: what critics answer, and what they are trained on."""
    text = PROMPTS.fill("request", question=shown(seed.prompt), answer=answer.strip())
    return (Message(role="user", content=text),)


def _critique(critic: Agent, asked: Messages, options: Options) -> Call:
    return Call(
        seat="student",
        agent=critic.name,
        purpose="critique",
        messages=asked,
        sampling=Sampling(max_tokens=options.critique_tokens),
    )


def _tampering(by: Agent, seed: Seed, good: str, options: Options) -> Call:
    question = shown(seed.prompt)
    mark = fence(salt_for(seed.id, question, good))
    return Call(
        seat="tamperer",
        agent=by.name,
        purpose="tampering",
        messages=(
            Message(role="system", content=PROMPTS.fill("tamperer")),
            Message(
                role="user",
                content=PROMPTS.fill("tamper", fence=mark, question=question, answer=good),
            ),
        ),
        sampling=Sampling(max_tokens=options.tamper_tokens),
        shape=SHAPE,
    )


def _read(turn: Turn) -> Tampered:
    read = parsed(turn, Tampered)
    return read.model_copy(update={"tampered": unmarked(read.tampered)})


def _sentence(text: str) -> str:
    text = text.strip()
    return text if text[-1:] in ".!?。" else f"{text}."


_GOOD = re.compile(r"^A good answer:\n<(\S+)>\n(.*)\n</\1>", re.MULTILINE | re.DOTALL)


def made_up(call: Call, number: int) -> str | None:
    """For a dry run: the good answer with a word more."""
    found = _GOOD.search(call.messages[-1].content) if call.purpose == "tampering" else None
    if found is None:
        return None
    return Tampered(flaw="made up", tampered=f"{found[2]} made{number}up").model_dump_json()
