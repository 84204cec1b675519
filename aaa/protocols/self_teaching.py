"""Self-teaching: a student makes its own data; it evolves the prompt, answers, criticises and revises itself.

A blind judge says whether a revision got better. With gold answers the seed's reference is chosen over what
the student itself wrote, by rule. After WizardLM-2's self-teaching, which was not specified; answering,
feedback and refinement by one model are Self-Refine's (2303.17651), gold against one's own answer is SPIN's
(2401.01335), evolving the prompt is Evol-Instruct's (2304.12244). Left out: other teachers (`co_teaching`),
scoring oneself (`self_reward`), evolving for its own sake (`evol_instruct`).
"""

import random
from collections.abc import Mapping

from pydantic import Field

from aaa.checkers.exact import normalised
from aaa.errors import PlayError
from aaa.judges import compare, unfit
from aaa.play import Play, note, together, try_all
from aaa.prompts import prompts_beside
from aaa.protocols._moves import Urge, answer_call, concluded, judged, self_revision
from aaa.protocols.given import AUTHORS
from aaa.types import (
    Agent,
    Call,
    Cast,
    Evolved,
    Message,
    Outcome,
    Reply,
    Seed,
    Side,
    Turn,
    Value,
    Verdict,
    fingerprint,
)

PROMPTS = prompts_beside(__file__)
SEATS = {"student": "evolves the prompt, answers, criticises and revises itself"}
OPTIONAL = {"judge": "compares answers blindly; with `rounds: 0` nobody is needed"}
REFERENCE = Agent(name="seed:reference", family="seed:reference")
"""Who wrote a gold answer: no card can be called that, so it is never rated."""
OPERATIONS = ("constrain", "deepen", "concretize", "reason", "broaden")
LEAKS = ("done with words alone", "at most twenty words", "only the task", "gives to an assistant")
"""Words of the prompt that has the task evolved: they belong to no task."""


class Options(Value):
    evolve: bool = False
    """Have each student first make a new prompt out of the seed's, and teach itself on that."""
    rounds: int = Field(1, ge=0, le=10)
    """How often an answer is criticised and revised, at most; it ends when a revision does not win."""
    gold: bool = False
    """Choose the seed's reference over the student's first answer; every seed needs one."""
    answer_tokens: int | None = Field(None, ge=1)
    """Longest draft or revision; `None` leaves it to the agent's card."""
    critique_tokens: int | None = Field(None, ge=1)
    """Longest critique; `None` leaves it to the agent's card."""
    evolve_tokens: int | None = Field(None, ge=1)
    """Longest evolved prompt; `None` leaves it to the agent's card."""


def _contestants(options: Options) -> tuple[str, ...]:
    """Whose answers a judge compares: gold against one's own is no judge's business."""
    return ("student",) if options.rounds else ()


CONTESTANTS = _contestants


def lacks(options: Options, seats: Mapping[str, tuple[str, ...]]) -> str | None:
    """Nothing to compare, nobody to compare it, or a gold answer to another prompt than is answered."""
    if not options.rounds and not options.gold:
        return "option 'rounds' is 0 and 'gold' is off: there is nothing to compare"
    if options.rounds and not seats.get("judge"):
        return f"option 'rounds' is {options.rounds}, but nobody holds seat 'judge'"
    if options.gold and options.evolve:
        return (
            "options 'gold' and 'evolve' exclude each other: a gold answer is an answer to the "
            "prompt that it was written for"
        )
    return None


def play(seed: Seed, cast: Cast, options: Options) -> Play[None]:
    """Every student by itself, side by side.

    Raises `PlayError` for a seed without the reference that `gold` needs, `CallRefused` where a
    provider's refusals left nothing.
    """
    if options.gold and seed.reference is None:
        raise PlayError(f"seed {seed.id!r} has no `reference`: option 'gold' needs one")
    yield from concluded(_session(seed, cast, options))


def _session(seed: Seed, cast: Cast, options: Options) -> Play[None]:
    tasks = yield from together(_task(one, seed, options) for one in cast["student"])
    drafts = [
        answer_call(student.name, task.prompt, options.answer_tokens, purpose="draft")
        for student, task in zip(cast["student"], tasks, strict=True)
    ]
    gold = [_gold(seed)] if options.gold else []
    turns = yield from try_all([*gold, *drafts])
    known = zip(tasks, turns[len(gold) :], strict=True)
    there = [(task, draft) for task, draft in known if draft.failure is None]
    rules = [_against_gold(task, cast, turns[0], draft) for task, draft in there if gold]
    yield from together(rules)
    yield from together(_improve(task, cast, options, draft) for task, draft in there)


def _improve(task: Seed, cast: Cast, options: Options, draft: Turn) -> Play[None]:
    """Critique and revision by whoever wrote it, for as long as the judge prefers what is new."""
    question = task.prompt[-1].content
    urge = Urge(
        critique=PROMPTS.fill("critique"),
        revise=PROMPTS.fill("revise", question=question),
        anew=PROMPTS.fill("anew", question=question),
        answer_tokens=options.answer_tokens,
        critique_tokens=options.critique_tokens,
    )
    answer = draft
    for _ in range(options.rounds):
        revised = yield from self_revision(task.prompt, answer, urge)
        if revised.failure is not None:
            return
        verdict = yield from judged(cast, task, answer, revised, edge="revision")
        if verdict.chosen != revised.index:
            return
        answer = revised


def _against_gold(seed: Seed, cast: Cast, gold: Turn, draft: Turn) -> Play[Verdict]:
    """The reference over the student's own answer, by rule; where the scenario checks, by its checker."""
    outcome, reason = _by_rule(seed, cast, gold, draft)
    if outcome == "win" and seed.checker is not None and cast.judging.checker != "off":
        verdict = yield from _by_checker(seed, cast, gold, draft)
    else:
        winner: Side | None = "a" if outcome == "win" else None
        verdict = Verdict(
            edge="gold",
            context=seed.prompt,
            a=gold.index,
            b=draft.index,
            outcome=outcome,
            winner=winner,
            judging="gold",
            reason=reason,
        )
    yield from note(verdict)
    return verdict


def _by_rule(seed: Seed, cast: Cast, gold: Turn, draft: Turn) -> tuple[Outcome, str]:
    why = unfit(draft, seed, seed.prompt, cast.judging)
    if why is not None:
        code = "no_content" if why == "has no content" else "suspect_text"
        return "abstain", f"{code}: answer b {why}"
    if normalised(draft.text) == normalised(gold.text):
        return "tie", "the answer equals the reference"
    return "win", "the reference is chosen by rule"


def _by_checker(seed: Seed, cast: Cast, gold: Turn, draft: Turn) -> Play[Verdict]:
    """An answer that passes is as right as the reference; a reference that fails says nothing."""
    judging = cast.judging.model_copy(update={"checker": "decides"})
    seats = {**cast.seats, AUTHORS: (REFERENCE,)}
    checked = cast.model_copy(update={"judging": judging, "seats": seats})
    verdict = yield from compare(checked, seed, gold, draft, edge="gold")
    if verdict.winner != "b":
        return verdict
    reason = f"the reference fails its own checker: {verdict.reason}"
    return verdict.model_copy(
        update={"outcome": "error", "winner": None, "margin": None, "reason": reason}
    )


def _task(student: Agent, seed: Seed, options: Options) -> Play[Seed]:
    """What the student answers: the seed, or what it made of it where that is fit."""
    if not options.evolve:
        return seed
    operation = random.Random(f"self_teaching/{student.name}/{seed.id}").choice(OPERATIONS)
    how = PROMPTS.fill(operation)
    text = PROMPTS.fill("evolve", task=seed.prompt[-1].content, how=how)
    asked = (Message(role="user", content=text),)
    (turn,) = yield from try_all(
        [answer_call(student.name, asked, options.evolve_tokens, purpose="evolution")]
    )
    if turn.failure is not None:
        return seed
    evolved = _evolved(seed, operation, turn)
    yield from note(evolved)
    if evolved.dropped:
        return seed
    return seed.model_copy(
        update={
            "id": evolved.id,
            "prompt": evolved.prompt,
            "parent": seed.id,
            "operation": operation,
            "reference": None,
            "checker": None,
        }
    )


def _evolved(seed: Seed, operation: str, turn: Turn) -> Evolved:
    prompt = (*seed.prompt[:-1], Message(role="user", content=turn.text.strip()))
    dropped, why = _fault(seed, turn)
    return Evolved(
        id=f"{seed.id}-{operation}-{fingerprint([m.content for m in prompt])[:12]}",
        parent=seed.id,
        operation=operation,
        turn=turn.index,
        prompt=prompt,
        dropped=dropped,
        why=why,
    )


def _fault(seed: Seed, turn: Turn) -> tuple[str, str]:
    """(reason code, in words) why what was written is no new task; empty where it is one."""
    text = turn.text.casefold()
    if not any(character.isalnum() for character in text):
        return "no_content", "it says nothing"
    if turn.reply.finish_reason == "length":
        return "cut_off", "it was cut off at its longest length"
    if normalised(text) == normalised(seed.prompt[-1].content):
        return "unchanged", "it is the task that it was made from"
    leak = next((words for words in LEAKS if words in text), None)
    return ("", "") if leak is None else ("leak", f"it holds words of our prompt: {leak!r}")


def _gold(seed: Seed) -> Call:
    return Call(
        seat=AUTHORS,
        agent=REFERENCE.name,
        purpose="given",
        messages=seed.prompt,
        given=Reply(text=seed.reference or "", cost_usd=0.0),
    )
