"""What the judges of a round were worth when they were measured: a line each, honest as it is."""

from collections.abc import Mapping
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
        else:
            command = calibrating(judge, judging).replace("aaa", command_name(), 1)
            lines.append(f"  judge {judge}: never measured; {command}")
    return lines


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
