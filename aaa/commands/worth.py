"""What the judges of a round were worth when they were measured: a line each, honest as it is."""

from collections.abc import Mapping, Sequence
from typing import Any

from aaa.calibration import calibrating, judging_key, shown
from aaa.catalogue import Script
from aaa.client import Client
from aaa.commands.opening import command_name
from aaa.measuring import JudgeFigures


async def worth(client: Client, script: Script) -> list[str]:
    """A line for each judge: its accuracy, coverage and position flips, and on what they were measured."""
    judging = script.scenario.judging
    lines = []
    for judge in script.scenario.seats.get("judge", ()):
        key = judging_key(script.cards[judge], judging)
        known = (await client.agent(judge)).get("calibrations", ())
        same = [row for row in known if row["calibration"]["key"] == key]
        akin = [
            row
            for row in known
            if (row["calibration"]["play"], row["calibration"]["options"])
            == (judging.play, judging.options)
        ]
        if same or akin:
            lines.append(f"  judge {judge}: {_told((same or akin)[0], same=bool(same))}")
            lines += _beside((same or akin)[0], known)
        else:
            command = calibrating(judge, judging).replace("aaa", command_name(), 1)
            lines.append(f"  judge {judge}: never measured; {command}")
    return lines


def _beside(row: Mapping[str, Any], known: Sequence[Mapping[str, Any]]) -> list[str]:
    """How a judge that sees one answer at a time does when it sees both, where that was measured too."""
    if row["calibration"]["figures"]["flip_rate"] is not None:
        return []
    others = [JudgeFigures.model_validate(other["calibration"]["figures"]) for other in known]
    both = [figures for figures in others if figures.flip_rate is not None]
    return [
        f"    shown both answers at once, its preference flips with their order on "
        f"{shown(figures.flip_rate)} of pairs"
        for figures in both[:1]
    ]


def _told(row: Mapping[str, Any], *, same: bool) -> str:
    one = row["calibration"]
    figures = JudgeFigures.model_validate(one["figures"])
    flips = "none (it sees one answer at a time)"
    if figures.a_first is not None:
        flips = shown(figures.flip_rate)
    when = "as shipped" if row["at"] is None else f"on {str(row['at'])[:10]}"
    changed = "" if same else "; its card or the judging play has changed since"
    return (
        f"accuracy {shown(figures.verdict.accuracy)}, decides {shown(figures.verdict.coverage)}, "
        f"position flips {flips}; {figures.pairs} labelled pairs of {one['labels']}, measured "
        f"{when}{changed}"
    )
