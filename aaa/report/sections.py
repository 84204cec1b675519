"""A report's sections, one after the other: which figures are told, in which words."""

from collections.abc import Iterator, Sequence

from aaa.board import Board, win_matrix
from aaa.report import costs
from aaa.report.answers import KIND
from aaa.report.changes import Change, Said
from aaa.report.document import Block, Document, Heading, Picture, Quote, Table, Text
from aaa.report.findings import Findings
from aaa.report.lengths import Drift
from aaa.report.numbers import amount, differences, end, share, shares, signed
from aaa.report.scores import Difference
from aaa.resampling import Figure

MOST_LOST = 30
"""Lost tasks whose answers are shown; of the others the ids."""
SETS = {"taught": "taught", "seen": "seen template", "unseen": "unseen template", None: ""}


def document(found: Findings, pictures: Sequence[str]) -> Document:
    """The report, with those of the pictures that were drawn."""
    parts = (
        _summary, _pass_rates, _gates, _ratings, _training, _lengths, _lost, _examples, _cost, _basis,
    )  # fmt: skip
    blocks = [block for part in parts for block in part(found)]
    kept = [one for one in blocks if not isinstance(one, Picture) or one.name in pictures]
    return Document(title=f"Report on {', '.join(found.asked)}", blocks=tuple(kept))


def _summary(found: Findings) -> Iterator[Block]:
    for gap in found.differences:
        if gap.after == found.after and not gap.part.startswith(KIND):
            yield Text(text=_told(gap))
    for note in found.notes:
        yield Text(text=note)


def _told(gap: Difference) -> str:
    """A difference in a sentence or two."""
    decided = "" if gap.decided_rate is None else f", and {gap.decided_rate:.1%} of those decided"
    return (
        f"{gap.after} against {gap.before} on {gap.points.of} seeds, {gap.part}: {signed(gap.points.value)} "
        f"({differences(gap.points)}) points of pass rate, {_verdict(gap.points)}. Better on {gap.gained}, "
        f"worse on {gap.lost}, the same on {gap.same}: it wins {share(gap.win_rate)}, ties as half{decided}."
    )


def _verdict(points: Figure) -> str:
    if points.low is None or points.high is None:
        return "nothing to tell"
    if points.low > 0:
        return "better (the interval is above 0)"
    return "worse (the interval is below 0)" if points.high < 0 else "undecided (it holds 0)"


def _pass_rates(found: Findings) -> Iterator[Block]:
    if not found.rates:
        return
    yield Heading(level=2, text="Pass rates")
    yield Text(
        text="Share of seeds whose answer passes its checker, with intervals at 95 % by drawing seeds again; "
        "for unseen templates whole templates are drawn."
    )
    yield Picture(name="pass_rates", about="Pass rates by agent and part of the seeds")
    yield Table(
        columns=("seeds", "agent", "pass rate", "interval", "of"),
        rows=tuple(
            (one.part, one.agent, share(one.share.value), shares(one.share), str(one.share.of))
            for one in found.rates
        ),
    )
    if not found.differences:
        return
    yield Heading(level=3, text=f"Differences from {found.before}")
    yield Text(
        text="On the seeds that both answered, in points of pass rate; the same seeds are drawn for both."
    )
    yield Picture(name="differences", about=f"Differences of pass rates from {found.before}")
    yield Table(
        columns=(
            "seeds",
            "agent",
            "points",
            "interval",
            "better",
            "worse",
            "same",
            "wins",
            "of decided",
        ),
        rows=tuple(
            (
                one.part,
                one.after,
                signed(one.points.value),
                differences(one.points),
                str(one.gained),
                str(one.lost),
                str(one.same),
                share(one.win_rate),
                share(one.decided_rate),
            )
            for one in found.differences
        ),
    )


def _gates(found: Findings) -> Iterator[Block]:
    if not found.gates:
        return
    yield Heading(level=2, text="Gates")
    yield Table(
        columns=("stage", "student", "parent", "seeds", "wins", "ties", "losses", "let in", "why"),
        rows=tuple(
            (
                *(one.stage, one.student, one.parent, str(one.seeds)),
                *(str(one.wins), str(one.ties), str(one.losses)),
                *("yes" if one.admitted else "no", one.why),
            )
            for one in found.gates
        ),
    )


def _ratings(found: Findings) -> Iterator[Block]:
    if found.ratings is None or not found.ratings.boards:
        return
    board = found.ratings.boards[0]
    yield Heading(level=2, text="Ratings")
    yield Text(
        text=f"Bradley-Terry over {board.battles} battles on {board.seeds} seeds, intervals at 95 %; "
        "400 points are odds of 10 to 1."
    )
    yield Picture(name="ratings", about="Ratings with intervals")
    yield Table(
        columns=("place", "agent", "rating", "interval", "wins", "ties", "losses"),
        rows=tuple(
            (
                *(str(one.place), one.player, f"{one.rating:.0f}"),
                f"{end(one.low)} to {end(one.high)}",
                *(str(one.wins), str(one.ties), str(one.losses)),
            )
            for one in board.ratings
        ),
    )
    yield Heading(level=3, text="Win matrix")
    yield Text(text="Wins of the row's agent over the column's, ties as half.")
    yield _matrix(board)
    for note in board.notes:
        yield Text(text=note)


def _matrix(board: Board) -> Table:
    names = [one.player for one in board.ratings]
    rows = win_matrix(board)
    return Table(
        columns=("", *names),
        rows=tuple(
            (str(row["player"]), *(str(row.get(name, "")) for name in names)) for row in rows
        ),
    )


def _training(found: Findings) -> Iterator[Block]:
    if not found.trainings:
        return
    yield Heading(level=2, text="Training")
    yield Picture(name="training", about="Loss, reward margin and accuracy by step")
    names = sorted({name for one in found.trainings for name in one.curves})
    yield Table(
        columns=("generation", "method", "rows", "seconds", *(f"last {name}" for name in names)),
        rows=tuple(
            (
                *(one.agent, one.method or "", "" if one.rows is None else str(one.rows)),
                amount(one.seconds),
                *(
                    f"{one.curves[name][-1].value:.4g}" if name in one.curves else ""
                    for name in names
                ),
            )
            for one in found.trainings
        ),
    )
    for one in found.trainings:
        if one.absent:
            yield Text(text=f"{one.agent}: {one.absent}.")


def _lengths(found: Findings) -> Iterator[Block]:
    if not found.lengths:
        return
    yield Heading(level=2, text="Length")
    for gap in found.drifts:
        if gap.words.value is not None:
            yield Text(text=f"{gap.after} against {gap.before}: {_drift(gap)}")
    yield Picture(name="lengths", about="Mean words of an answer by agent")
    yield Table(
        columns=("agent", "answers", "mean words", "median words", "mean tokens", "cut off"),
        rows=tuple(
            (
                *(one.agent, str(one.answers), f"{one.mean_words:.1f}", f"{one.median_words:g}"),
                "unknown" if one.mean_tokens is None else f"{one.mean_tokens:.1f}",
                share(one.cut_share),
            )
            for one in found.lengths
        ),
    )


def _drift(gap: Drift) -> str:
    ratio = "" if gap.ratio is None else f", {gap.ratio:.2f} times as long"
    won = (
        ""
        if gap.ratio_gained is None
        else f" ({gap.ratio_gained:.2f} times on the seeds it gained)"
    )
    return (
        f"{gap.words.value:+.1f} words ({gap.words.low:+.1f} to {gap.words.high:+.1f}) on {gap.words.of} "
        f"seeds{ratio}{won}; longer on {gap.longer}, shorter on {gap.shorter}."
    )


def _lost(found: Findings) -> Iterator[Block]:
    if found.before is None or not found.differences:
        return
    yield Heading(level=2, text="What was lost")
    if not found.lost:
        yield Text(text=f"No seed on which {found.after} passes less often than {found.before}.")
        return
    yield Text(
        text=f"{len(found.lost)} seeds on which {found.after} passes less often than {found.before}."
    )
    by: dict[str, int] = {}
    for one in found.lost:
        by[one.template or "no template"] = by.get(one.template or "no template", 0) + 1
    rows = sorted(by.items(), key=lambda item: (-item[1], item[0]))
    yield Table(columns=("template", "lost"), rows=tuple((name, str(n)) for name, n in rows))
    for one in found.lost[:MOST_LOST]:
        yield from _change(found, one)
    rest = [one.seed for one in found.lost[MOST_LOST:]]
    if rest:
        yield Quote(label=f"{len(rest)} more", text=", ".join(rest))


def _examples(found: Findings) -> Iterator[Block]:
    if not found.examples:
        return
    yield Heading(level=2, text="Before and after")
    yield Text(
        text=f"{len(found.examples)} held-out seeds, drawn by lot with --seed {found.random_seed}; nobody "
        "picked them."
    )
    for one in found.examples:
        yield from _change(found, one)


def _change(found: Findings, one: Change) -> Iterator[Block]:
    about = [word for word in (one.kind, one.template, SETS[one.set]) if word]
    yield Heading(level=3, text=one.seed)
    yield Quote(label=f"Seed{' (' + ', '.join(about) + ')' if about else ''}", text=one.prompt)
    yield _said(str(found.before), one.before)
    yield _said(str(found.after), one.after)


def _said(agent: str, said: Said) -> Quote:
    passed = {True: "passes", False: "fails", None: "not checked"}[said.passed]
    why = f": {said.why}" if said.why and not said.passed else ""
    return Quote(label=f"{agent}, session {said.session}: {passed}{why}", text=said.text)


def _cost(found: Findings) -> Iterator[Block]:
    if not found.costs:
        return
    yield Heading(level=2, text="Cost")
    every = (*found.costs, costs.total(found.costs))
    yield Table(
        columns=("what", "kind", "seconds", "calls", "tokens", "dollars", "joules"),
        rows=tuple(
            (
                *(one.what, one.kind, amount(one.seconds), amount(one.calls)),
                amount(one.tokens),
                "" if one.usd is None else f"{one.usd:.4f}",
                amount(one.joules),
            )
            for one in every
        ),
    )
    if found.energy:
        yield Text(text=found.energy)


def _basis(found: Findings) -> Iterator[Block]:
    yield Heading(level=2, text="What this rests on")
    yield Table(
        columns=("round", "scenario", "status", "use", "sessions"),
        rows=tuple(
            (one.id, one.scenario, one.status, one.use, f"{one.completed} of {one.sessions}")
            for one in found.rounds
        ),
    )
    if found.players:
        yield Table(
            columns=("agent", "line", "generation", "answers", "model"),
            rows=tuple(
                (one.agent, one.line, str(one.generation), str(one.answers), one.model)
                for one in found.players
            ),
        )
