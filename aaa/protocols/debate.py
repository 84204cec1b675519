"""Debate: several agents answer, read each other's answers, answer again, and vote; its baseline beside it.

After Du et al. (2305.14325): rounds of reading and revising, then the answer that most give; mixing families
is what helps (2410.12853, 2502.08788). Debates often lose to self-consistency, the plain vote over as many
answers that saw no other, so that vote is taken at equal calls and logged beside it.

What comes out: a `Consensus` note for each of the two; and verdicts on the edge `consensus`, by vote or
confirmed by a judge: an answer that gives the consensus against one that does not, of one debater (its first
answer and its last) or of two (their last). Where there is no consensus, the note says so and there is
nothing to compare. Left out: questions whose answers cannot be compared by counting (essays), and roles for
the debaters (ChatEval).
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations, count, cycle
from typing import Literal

from pydantic import Field

from aaa.judges import compare
from aaa.play import Play, check_all, note, together, try_all
from aaa.prompts import prompts_beside
from aaa.protocols._answers import Form, Reading, Votes, final_answer, reading_of, votes_on
from aaa.protocols._battle import ask_most, refusal
from aaa.types import (
    Agent,
    Call,
    Cast,
    Check,
    Consensus,
    Message,
    Messages,
    Sampling,
    Seed,
    Turn,
    Value,
    Verdict,
)

PROMPTS = prompts_beside(__file__)
SEATS = {"student": "debates: answers, reads the others, answers again"}
OPTIONAL = {"judge": "confirms what the vote says, where `judge: true`"}
COMPARED = ("number", "choice")
"""Checkers that a consensus is held against: they look at its words, and always find the same."""


class Options(Value):
    rounds: int = Field(1, ge=1, le=10)
    """How often each debater reads the others and answers again, at most."""
    copies: int = Field(1, ge=1, le=8)
    """How many debaters each agent is; more than one for debates of a single model with itself."""
    form: Literal["auto", "number", "choice", "text"] = "auto"
    """How answers are compared; `auto`: by the seed's checker or reference, else as each answer looks."""
    final_line: bool = True
    """Ask for a last line with the answer alone. Pairs keep that request in their context."""
    until_agreed: bool = True
    """End the rounds when all debaters give the same answer."""
    baseline: bool = True
    """Take the vote of self-consistency, too, at equal calls."""
    judge: bool = False
    """Have each pair that the vote decides confirmed by the judge: a win needs both."""
    answer_tokens: int | None = Field(None, ge=1)
    """Longest answer; `None` leaves it to the agent's card."""


def CONTESTANTS(options: Options) -> tuple[str, ...]:  # noqa: N802 (the name that the contract gives)
    """Debaters are compared by a judge only where one is to confirm the votes."""
    return ("student",) if options.judge else ()


def lacks(options: Options, seats: Mapping[str, tuple[str, ...]]) -> str | None:
    """What does not fit, before a round."""
    if len(seats.get("student", ())) * options.copies < 2:
        return (
            "a debate needs two debaters: name a second agent in seat `student`, or set `copies: 2`"
        )
    if options.judge and not seats.get("judge"):
        return "`judge: true` needs somebody in seat `judge`"
    return None


def rehearsal(seed: Seed, cast: Cast, options: Options) -> Callable[[Call], str]:
    """Last lines with which a dry run does the most: all change their answer, half of them to one."""
    debaters, calls = len(cast["student"]) * options.copies, count()
    letters = reading_of(seed, None if options.form == "auto" else options.form)
    own = cycle(letters.letters[1:]) if letters.form == "choice" else map(str, count(1))

    def last_line(_: Call) -> str:
        round_, place = divmod(next(calls), debaters)
        at_the_end = round_ == options.rounds
        agrees = (debaters == 2 or place % 2 == 0) if at_the_end else debaters > 2 and place % 2
        agreed = letters.letters[0] if letters.form == "choice" else "0"
        return f"Answer: {agreed if agrees else next(own)}"

    return last_line


class Table(Value):
    """One session's question, as all debaters are asked it."""

    seed: Seed
    context: Messages
    reading: Reading

    def read(self, turn: Turn) -> str | None:
        """The answer that a turn gives, as it is compared."""
        cut_off = turn.reply.finish_reason == "length"
        return final_answer(turn.text, self.reading, cut_off=cut_off)


def play(seed: Seed, cast: Cast, options: Options) -> Play[None]:
    """Answers, rounds of reading and revising, the vote; its baseline; then pairs."""
    table = _table(seed, options)
    debaters = cast["student"] * options.copies
    firsts = yield from ask_most(_answer(agent, table, options) for agent in debaters)
    lines = [[first] for first in firsts]
    calls = len(lines) + (yield from _debate(table, lines, options))
    votes = yield from _vote(table, "debate", calls, [line[-1] for line in lines])
    if options.baseline:
        singles = yield from try_all(
            _answer(debaters[n % len(debaters)], table, options) for n in range(len(lines), calls)
        )
        yield from _vote(table, "self_consistency", calls, [*firsts, *singles])
    yield from together(
        _decide(table, cast, options, votes, a, b) for a, b in _candidates(table, votes, lines)
    )


def _candidates(table: Table, votes: Votes, lines: list[list[Turn]]) -> list[tuple[Turn, Turn]]:
    """Each two answers of which one gives the consensus: a debater's first and last, and the last of two."""
    if votes.answer is None:
        return []
    pairs = [(line[0], line[-1]) for line in lines if len(line) > 1]
    pairs += combinations([line[-1] for line in lines], 2)
    return [
        (a, b)
        for a, b in pairs
        if (table.read(a) == votes.answer) != (table.read(b) == votes.answer)
    ]


def _table(seed: Seed, options: Options) -> Table:
    form: Form | None = None if options.form == "auto" else options.form
    context = seed.prompt
    if options.final_line:
        asked = f"{context[-1].content}\n\n{PROMPTS.fill('final_line')}"
        context = (*context[:-1], Message(role=context[-1].role, content=asked))
    return Table(seed=seed, context=context, reading=reading_of(seed, form))


def _debate(table: Table, lines: list[list[Turn]], options: Options) -> Play[int]:
    """Rounds of reading and answering again; lines grow by what is said. How many calls it took."""
    calls = 0
    for _ in range(options.rounds):
        answers = {table.read(line[-1]) for line in lines if line[-1].failure is None}
        if options.until_agreed and len(answers) == 1 and None not in answers:
            break
        talking = [line for line in lines if line[-1].failure is None and _others(line, lines)]
        turns = yield from try_all(_again(line, lines, table, options) for line in talking)
        calls += len(turns)
        for line, turn in zip(talking, turns, strict=True):
            if turn.text.strip():  # who is refused, or says nothing, stays with the answer before
                line.append(turn)
    return calls


def _others(line: list[Turn], lines: list[list[Turn]]) -> list[str]:
    """What the others say now."""
    return [one[-1].text.strip() for one in lines if one is not line and one[-1].text.strip()]


def _answer(agent: Agent, table: Table, options: Options) -> Call:
    return Call(
        seat="student",
        agent=agent.name,
        purpose="answer",
        messages=table.context,
        sampling=Sampling(max_tokens=options.answer_tokens),
    )


def _again(line: list[Turn], lines: list[list[Turn]], table: Table, options: Options) -> Call:
    """The debater goes on in its own conversation; the others are numbered, not named."""
    others = "\n\n".join(
        PROMPTS.fill("other", number=str(number), answer=text)
        for number, text in enumerate(_others(line, lines), 1)
    )
    asked = PROMPTS.fill("revise", others=others, question=table.context[-1].content)
    own = line[-1].text if line[-1].text.strip() else PROMPTS.fill("nothing")
    return Call(
        seat="student",
        agent=line[0].call.agent,
        purpose="debate",
        messages=(
            *table.context,
            Message(role="assistant", content=own),
            Message(role="user", content=asked),
        ),
        sampling=Sampling(max_tokens=options.answer_tokens),
    )


def _vote(table: Table, method: str, calls: int, turns: Sequence[Turn]) -> Play[Votes]:
    """The vote over these turns, put on the record."""
    given = {turn.index: table.read(turn) for turn in turns}
    counted = [turn for turn in turns if given[turn.index] is not None]
    votes = votes_on(given.values())
    with_it = [turn for turn in counted if given[turn.index] == votes.answer]
    correct = yield from _correct(table, votes.answer, with_it)
    yield from note(
        Consensus(
            method=method,
            calls=calls,
            votes=votes.counts,
            answer=votes.answer,
            turns=tuple(turn.index for turn in counted),
            correct=correct,
        )
    )
    return votes


def _correct(table: Table, answer: str | None, turns: Sequence[Turn]) -> Play[bool | None]:
    """Whether the consensus is right: by the seed's checker, on the first text with it, or reference."""
    seed, checker = table.seed, table.seed.checker or {}
    if answer is None:
        return None
    if checker.get("kind") in COMPARED:
        checks = yield from check_all(checker, turns[:1])
        (found,) = checks.values()
        return found.passed if isinstance(found, Check) else None
    good = checker["value"] if checker.get("kind") == "exact" else seed.reference or ""
    texts = [good] if isinstance(good, str) else good
    known = {final_answer(text, table.reading) for text in texts} - {None}
    return answer in known if known else None


def _decide(
    table: Table, cast: Cast, options: Options, votes: Votes, a: Turn, b: Turn
) -> Play[None]:
    """The verdict on two answers: which of them gives the consensus; and what the judge says to it."""
    verdict = _by_vote(table, votes, a, b)
    if options.judge and verdict.outcome == "win":
        judged = yield from compare(cast, table.seed, a, b, edge="consensus", context=table.context)
        verdict = _confirmed(verdict, judged)
    yield from note(verdict)


def _by_vote(table: Table, votes: Votes, a: Turn, b: Turn) -> Verdict:
    """One of the two gives the consensus; the other gives another answer, or none that can be read."""
    side, other = ("a", b) if table.read(a) == votes.answer else ("b", a)
    given, told = table.read(other), f"votes: {votes.told()}"
    why = refusal(a, b)
    if why is None and given is None:
        why = f"unreadable: turn {other.index} gives nothing to compare; {told}"
    lead = votes.counts[votes.answer or ""] - votes.counts.get(given or "", 0)
    return Verdict(
        edge="consensus",
        context=table.context,
        a=a.index,
        b=b.index,
        outcome="abstain" if why else "win",
        winner=None if why else side,
        margin=None if why else float(lead),
        judging="vote",
        reason=why or told,
    )


def _confirmed(vote: Verdict, judged: Verdict) -> Verdict:
    """The judge's verdict where it names the vote's side; opposite sides are a `flip`, as with checkers."""
    if judged.outcome == "win" and judged.winner != vote.winner:
        reason = f"{vote.reason}; the judge prefers {judged.winner}, the vote {vote.winner}"
        change = {"outcome": "flip", "winner": None, "margin": None, "reason": reason}
    else:
        change = {"reason": "; ".join(filter(None, (judged.reason, vote.reason)))}
    return judged.model_copy(update=change)
