"""What a course would ask and cost, stage by stage, found by rehearsing each of its plays.

Left out: training, which is not ours to price, and prompts that are evolved on the way: a play on
evolved seeds is counted on the stage's own.
"""

from aaa.curriculum.course import Prepared
from aaa.estimate import Estimate, estimate
from aaa.types import Value


class PlayEstimate(Value):
    """One play of one stage, or its gate."""

    stage: str
    part: str
    """The protocol, or `gate`."""
    estimate: Estimate


class StagedEstimate(Value):
    """A whole course."""

    scenario: str
    stages: int
    plays: tuple[PlayEstimate, ...]
    sessions: int
    calls: int
    cost_usd: float | None
    """Sum of the known; `None` where none is known."""
    unpriced: tuple[str, ...]


def staged_estimate(prepared: Prepared) -> StagedEstimate:
    """Rehearse every play. Raises `PlayError`."""
    scenario = prepared.script.scenario
    plays = tuple(
        PlayEstimate(
            stage=scenario.stages[step.stage].name,
            part="gate" if step.play is None else script.scenario.protocol.id,
            estimate=estimate(script, seeds),
        )
        for step, script, seeds in prepared.plays
    )
    known = [play.estimate.cost_usd for play in plays if play.estimate.cost_usd is not None]
    names = (name for play in plays for name in play.estimate.unpriced)
    return StagedEstimate(
        scenario=scenario.name,
        stages=len(scenario.stages),
        plays=plays,
        sessions=sum(play.estimate.sessions for play in plays),
        calls=sum(play.estimate.calls for play in plays),
        cost_usd=sum(known) if known else None,
        unpriced=tuple(dict.fromkeys(names)),
    )
