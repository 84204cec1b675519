"""What a course would ask and cost, stage by stage, found by rehearsing each of its plays.

Prompts that a stage evolves are counted as if none were dropped, each as long as the seed that it comes from.
Left out: training, which is not ours to price.
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
    plays: list[PlayEstimate] = []
    evolved = [0] * len(scenario.stages)
    for step, script, seeds in prepared.plays:
        stage = scenario.stages[step.stage]
        on = "slice" if step.play is None else stage.plays[step.play].seeds
        of_slice = 0 if on == "evolved" else len(seeds)
        of_evolved = evolved[step.stage] if on in ("evolved", "both") else 0
        found = estimate(script, seeds).times((of_slice + of_evolved) / len(seeds))
        evolved[step.stage] += found.evolved
        part = "gate" if step.play is None else script.scenario.protocol.id
        plays.append(PlayEstimate(stage=stage.name, part=part, estimate=found))
    known = [play.estimate.cost_usd for play in plays if play.estimate.cost_usd is not None]
    names = (name for play in plays for name in play.estimate.unpriced)
    return StagedEstimate(
        scenario=scenario.name,
        stages=len(scenario.stages),
        plays=tuple(plays),
        sessions=sum(play.estimate.sessions for play in plays),
        calls=sum(play.estimate.calls for play in plays),
        cost_usd=sum(known) if known else None,
        unpriced=tuple(dict.fromkeys(names)),
    )
