"""Joules of rounds and trainings, from counters that somebody read while they ran.

Linux shows RAPL's counters under `/sys/class/powercap`: microjoules of whole packages since some moment; they
wrap around. A counter says nothing of the past, so it must be read meanwhile: `python -m aaa.report.energy
FILE` does, until it is stopped. Left out: graphics cards. Whatever else the machine did is counted too.
"""

import json
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from aaa.errors import SetupError
from aaa.types import Value

POWERCAP = Path("/sys/class/powercap")
EVERY_S = 5.0
SLACK_S = 3 * EVERY_S
"""How far a reading may lie from the beginning or the end of what is measured."""


class Reading(Value):
    """All counters at one moment."""

    at: float
    """Seconds since 1970."""
    joules: Mapping[str, float]
    """Package -> its counter."""
    wraps: Mapping[str, float]
    """Package -> where its counter begins anew."""


def read(folder: Path = POWERCAP) -> Reading | None:
    """The counters now; `None` where there are none that this user may read."""
    joules, wraps = {}, {}
    for zone in sorted(
        folder.glob("intel-rapl:[0-9]")
    ):  # packages; what is in them has a second number
        try:
            joules[zone.name] = int((zone / "energy_uj").read_text()) / 1e6
            wraps[zone.name] = int((zone / "max_energy_range_uj").read_text()) / 1e6
        except (OSError, ValueError):
            continue
    return Reading(at=time.time(), joules=joules, wraps=wraps) if joules else None


def why_not(folder: Path = POWERCAP) -> str:
    """Why nothing can be read; empty where it can."""
    if read(folder) is not None:
        return ""
    if not list(folder.glob("intel-rapl:*")):
        return f"this machine shows no RAPL counters under {folder}"
    return f"the RAPL counters under {folder} may not be read by this user"


def readings(lines: Iterable[str]) -> list[Reading]:
    """What was read, in order of time; lines that are none are passed over."""
    found = []
    for line in lines:
        try:
            found.append(Reading.model_validate_json(line))
        except ValueError:
            continue
    return sorted(found, key=lambda one: one.at)


def between(found: Sequence[Reading], start: float, end: float) -> float | None:
    """Joules from one moment to the other; `None` where nobody read then."""
    inside = [one for one in found if start - SLACK_S <= one.at <= end + SLACK_S]
    if len(inside) < 2 or inside[0].at > start + SLACK_S or inside[-1].at < end - SLACK_S:
        return None
    used = 0.0
    for before, after in pairwise(inside):
        for name, now in after.joules.items():
            if name in before.joules:
                gap = now - before.joules[name]
                used += gap if gap >= 0 else gap + after.wraps.get(name, 0.0)
    return used


def moment(iso: str | None) -> float | None:
    """A moment of the API in seconds since 1970."""
    return None if iso is None else datetime.fromisoformat(iso).timestamp()


def main(path: Path) -> None:
    """Append a reading every few seconds, until stopped. Raises `SetupError`."""
    if why := why_not():
        raise SetupError(why)
    with path.open("a") as file:
        while (now := read()) is not None:
            file.write(json.dumps(now.model_dump(mode="json")) + "\n")
            file.flush()
            time.sleep(EVERY_S)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: python -m aaa.report.energy FILE")
    main(Path(sys.argv[1]))
