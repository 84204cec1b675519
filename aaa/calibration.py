"""What a judge is worth: the nouns, read from sessions over labelled pairs; `measuring` does the sums.

A judge is measured as it would judge: through a judging play, in both orders, each judge alone. Pairs
that no judge was asked about (an empty answer, two equal ones) are left out. Left out: measuring
without labels, and correcting a win rate by a judge's known errors (2511.21140), which belongs to
whoever reports win rates.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from aaa import plugins
from aaa.catalogue import Script
from aaa.measuring import Judged, JudgeFigures, PanelFigures, measure, panel
from aaa.resampling import Figure
from aaa.scenario import AgentCard
from aaa.transcripts import Transcript
from aaa.types import Ballot, Judging, Required, Seed, Value, Verdict, fingerprint
from aaa.yaml_files import setting


class Calibration(Value):
    """A judge's figures, and exactly what they are figures of."""

    key: str
    """`judging_key` of what was measured: another key, other figures."""
    judge: str
    play: str
    options: dict[str, Any]
    labels: str
    """Name of the labelled set."""
    labels_hash: str
    round: str
    figures: JudgeFigures


class Report(Value):
    """What a round over labelled pairs says of its judges."""

    calibrations: tuple[Calibration, ...]
    panel: PanelFigures | None
    """`None` where one judge was measured."""


def calibrate(round: str, script: Script, transcripts: Iterable[Transcript]) -> Report:
    """Measure every judge of a round of protocol `given` on the pairs that have a label."""
    labelled = [t for t in transcripts if (c := t.seed.comparison) is not None and c.label]
    seen: dict[str, dict[str, Judged]] = {judge.name: {} for judge in script.cast["judge"]}
    for transcript in labelled:
        for judge, one in judged(transcript):
            seen.setdefault(judge, {})[transcript.seed.id] = one
    judging, options = script.scenario.judging, script.scenario.protocol.options
    own = {
        "play": judging.play,
        "options": judging.options,
        "labels": options.get("labels", ""),
        "labels_hash": labels_hash(t.seed for t in labelled),
        "round": round,
    }
    return Report(
        calibrations=tuple(
            Calibration(
                key=judging_key(script.cards[judge], judging),
                judge=judge,
                figures=measure(list(pairs.values()), unjudged=len(labelled) - len(pairs)),
                **own,
            )
            for judge, pairs in seen.items()
            if judge in script.cards
        ),
        panel=panel(seen),
    )


def shortfalls(required: Required, figures: JudgeFigures) -> list[str]:
    """In words, where a judge's figures are worse than required; a flip rate that cannot be is fine."""
    found = []
    accuracy, flips = figures.verdict.accuracy, figures.flip_rate
    if required.accuracy is not None and (accuracy.value or 0.0) < required.accuracy:
        found.append(f"accuracy {shown(accuracy)} is below {required.accuracy:g}")
    if required.flip_rate is not None and flips is not None:
        if flips.value is None:
            found.append("its flip rate is unknown, because no pair was read in both orders")
        elif flips.value > required.flip_rate:
            found.append(f"flip rate {shown(flips)} is above {required.flip_rate:g}")
    return found


def calibrating(judge: str, judging: Judging) -> str:
    """The command that measures this judge as that judging would use it."""
    options = (f" --set {setting(f'judging.options.{k}', v)}" for k, v in judging.options.items())
    return (
        f"aaa judges calibrate --judge {judge} --play {judging.play}{''.join(options)} "
        "--labels FILE.jsonl"
    )


def shown(figure: Figure | None) -> str:
    """A figure for people: `0.86 (0.71 to 0.94)`; `-` where there is none."""
    if figure is None or figure.value is None:
        return "-"
    return f"{figure.value:.2f} ({figure.low:.2f} to {figure.high:.2f})"


def judging_key(card: AgentCard, judging: Judging) -> str:
    """Hash of all that decides how this agent judges: model and how it is asked, play, options, source."""
    play = plugins.judging_play(judging.play)
    options = plugins.options_of("judging play", play.id, play.options, judging.options)
    asked = card.model_dump(mode="json", include={"model", "api_base", "persona", "sampling"})
    source = plugins.source_hash("judges", judging.play)
    return fingerprint([asked, judging.play, options.model_dump(mode="json"), source])


def labels_hash(seeds: Iterable[Seed]) -> str:
    """Hash of the labelled pairs, whatever their order and their ids."""
    told = {"prompt", "reference", "checker", "comparison"}
    hidden = {"comparison": {"a": {"finish_reason"}, "b": {"finish_reason"}}}
    return fingerprint(
        sorted(
            fingerprint(seed.model_dump(mode="json", include=told, exclude=hidden))
            for seed in seeds
        )
    )


def judged(transcript: Transcript) -> Iterator[tuple[str, Judged]]:
    """(judge, what it made of the session's labelled pair), for each judge that cast ballots alone."""
    known = transcript.seed.comparison
    if known is None or known.label is None:
        return
    a, b = len(known.a.text), len(known.b.text)
    for verdict in transcript.recorded.verdicts:
        judges = {ballot.judge for ballot in verdict.ballots}
        if len(judges) != 1 or verdict.outcome == "abstain":
            continue
        orders: dict[str, Ballot] = {ballot.order: ballot for ballot in verdict.ballots}
        yield (
            judges.pop(),
            Judged(
                prompt=fingerprint([m.model_dump() for m in verdict.context]),
                label=known.label,
                outcome=_outcome(verdict),
                ab=orders["ab"].prefers if "ab" in orders else None,
                ba=orders["ba"].prefers if "ba" in orders else None,
                ordered=bool(orders.keys() & {"ab", "ba"}),
                length=(a - b) / max(a + b, 1),
            ),
        )


def _outcome(verdict: Verdict) -> Any:
    return verdict.winner if verdict.outcome == "win" else verdict.outcome
