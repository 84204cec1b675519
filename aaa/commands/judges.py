"""`aaa judges …`: measure judges on labelled pairs, and list what they were worth."""

import shlex
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from aaa.calibration import Report, shown
from aaa.catalogue import Catalogue, Script, open_catalogue
from aaa.client import Client
from aaa.commands.opening import (
    arguments,
    check_resumed,
    command_name,
    open_client,
    say,
    show,
    tell,
)
from aaa.commands.playing import play
from aaa.commands.run import tell_estimate
from aaa.commands.table import print_rows
from aaa.errors import InputError
from aaa.estimate import Estimate, estimate
from aaa.measuring import JudgeFigures
from aaa.preflight import check_prices, check_reach
from aaa.scenario import Scenario, Seeds
from aaa.seeds import load_seeds
from aaa.settings import Settings
from aaa.types import Seed
from aaa.yaml_files import override, parse


class Wanted(NamedTuple):
    """The arguments of `aaa judges calibrate`."""

    judges: tuple[str, ...]
    labels: str
    play: str
    overrides: dict[str, Any]
    budget_usd: float | None = None
    limit: int | None = None
    resume: str | None = None
    tui: bool = True
    as_json: bool = False


async def calibrate(settings: Settings, wanted: Wanted, *, dry_run: bool) -> int:
    """Play a round over the labelled pairs, then compute and keep the figures of every judge."""
    catalogue = open_catalogue(settings)
    scenario, script, seeds = prepared(catalogue, wanted)
    found = estimate(script, seeds)
    if dry_run:
        show(found.model_dump(mode="json")) if wanted.as_json else tell_estimate(found)
        check_prices(script)
        return 0
    check_prices(script)
    if settings.url is None and settings.ray_address is None:
        check_reach(script, settings)
    say(f"{found.sessions} labelled pairs, about {found.calls} calls, cost {cost_of(found)}")

    async def start(client: Client) -> str:
        if wanted.resume is not None:
            resumed = await client.round(wanted.resume)
            check_resumed(resumed, scenario["name"])
            return resumed["id"]
        return (await client.start_round(scenario))["id"]

    async def finish(client: Client, round_id: str) -> None:
        report = await client.calibrate(round_id)
        show(report) if wanted.as_json else _tell(Report.model_validate(report))

    tui = wanted.tui and not wanted.as_json
    return await play(settings, start, finish, again=partial(_again, wanted), tui=tui)


def cost_of(found: Estimate) -> str:
    """What it costs in words; no bound where somebody's price is unknown."""
    if found.cost_usd is None:
        return "unknown"
    if found.unpriced:
        unknown = ", ".join(found.unpriced)
        return f"at most ${found.cost_usd:.4f} without {unknown}, whose price is unknown"
    return f"at most ${found.cost_usd:.4f}"


def prepared(
    catalogue: Catalogue, wanted: Wanted
) -> tuple[dict[str, Any], Script, tuple[Seed, ...]]:
    """The calibration as a scenario that holds its pairs, checked whole. Raises `InputError`."""
    path = labels_file(wanted.labels, catalogue)
    rows = load_seeds(Seeds(file=path.name, limit=wanted.limit), path.parent)
    for seed in rows:
        if seed.comparison is None or seed.comparison.label is None:
            raise InputError(
                f"{path}: row {seed.id!r} is no labelled pair: it needs answer_a, answer_b and label "
                "(a, b or tie)"
            )
    bare = [
        seed.model_copy(update={"checker": None}) for seed in rows
    ]  # the judge alone is measured
    other = sorted(key for key in wanted.overrides if key.split(".")[0] != "judging")
    if other:
        raise InputError(f"--set {other[0]}: only keys below `judging` can be set here")
    plain: dict[str, Any] = {
        "name": "calibrate",
        "description": f"{', '.join(wanted.judges)} on the labelled pairs of {path.name}",
        "protocol": {"id": "given", "options": {"judges": "apart", "labels": path.name}},
        "seats": {"judge": list(wanted.judges)},
        "seeds": {"inline": [seed.model_dump(mode="json") for seed in bare]},
        "judging": {"play": wanted.play},
        "budget_usd": wanted.budget_usd,
    }
    plain = override(plain, wanted.overrides)
    script, seeds = catalogue.prepare(parse(Scenario, plain, "calibrate"), path.parent)
    return plain, script, seeds


def labels_file(labels: str, catalogue: Catalogue) -> Path:
    """The file as a path from here, else inside a scenario folder. Raises `InputError`."""
    places = [Path(labels), *(folder / labels for folder in catalogue.scenario_folders)]
    for place in places:
        if place.is_file():
            return place
    looked = ", ".join(str(place) for place in places)
    raise InputError(f"--labels {labels!r}: no such file; looked for {looked}")


def _again(wanted: Wanted, round_id: str) -> str:
    named = " ".join(f"--judge {judge}" for judge in wanted.judges)
    return (
        f"{command_name()} judges calibrate {named} --labels {shlex.quote(wanted.labels)} "
        f"--play {wanted.play}{arguments(wanted.overrides, limit=wanted.limit, resume=round_id)}"
    )


def _tell(report: Report) -> None:
    """Every figure of every judge in words, with its interval."""
    for one in report.calibrations:
        options = ", ".join(f"{k} {v}" for k, v in one.options.items())
        play_ = one.play + (f" ({options})" if options else "")
        tell(f"{one.judge}, judging by {play_}, on {one.figures.pairs} pairs of {one.labels}:")
        for name, value in lines(one.figures).items():
            tell(f"  {name:34} {value}")
    if report.panel is not None:
        tell(f"Together, on {report.panel.pairs} pairs:")
        for duo in report.panel.correlations:
            tell(f"  {f'{duo.judges[0]} and {duo.judges[1]} err together':34} {shown(duo.errors)}")
        tell(f"  {'effective votes':34} {shown(report.panel.effective_votes)}")
    say("In brackets: 99 % intervals. The figures are kept; `aaa judges ls` lists them.")


def lines(figures: JudgeFigures) -> dict[str, str]:
    """Name -> figure, for people; what the order cannot touch is said so."""
    alone = "none: answers are judged one at a time"
    first, second = figures.a_first, figures.b_first
    found = {
        "accuracy of decided pairs": shown(figures.verdict.accuracy),
        "coverage (pairs decided)": shown(figures.verdict.coverage),
    }
    if first is not None and second is not None:
        found |= {
            "accuracy, a shown first": shown(first.accuracy),
            "coverage, a shown first": shown(first.coverage),
            "accuracy, b shown first": shown(second.accuracy),
            "coverage, b shown first": shown(second.coverage),
        }
    found |= {
        "position flips": alone if first is None else shown(figures.flip_rate),
        "first shown preferred (fair: 0.5)": alone if first is None else shown(figures.first_rate),
        "length slope (fair: 0)": shown(figures.length_slope),
        "kappa, ties included": shown(figures.kappa),
        "kappa, decided pairs": shown(figures.kappa_decided),
        "ties": shown(figures.tie_rate),
        "unreadable": shown(figures.error_rate),
    }
    return found | ({"pairs not judged": str(figures.unjudged)} if figures.unjudged else {})


async def ls(settings: Settings, as_json: bool) -> int:
    """Every calibration on record or shipped, newest first for each judge."""
    async with open_client(settings) as client:
        rows = [
            row | {"judge": agent["name"]}
            for agent in await client.agents()
            for row in agent.get("calibrations", ())
        ]
    if as_json:
        show({"items": rows})
        return 0
    print_rows(
        (
            "judge",
            "play",
            "pairs",
            "labels",
            "accuracy",
            "coverage",
            "flips",
            "current",
            "measured",
        ),
        [_listed(row) for row in rows],
    )
    if not rows:
        say("No judge was calibrated yet; `aaa judges calibrate --help` says how.")
    return 0


def _listed(row: Mapping[str, Any]) -> dict[str, object]:
    one = row["calibration"]
    figures = JudgeFigures.model_validate(one["figures"])
    options = ",".join(f"{k}={v}" for k, v in one["options"].items())
    return {
        "judge": row["judge"],
        "play": one["play"] + (f" {options}" if options else ""),
        "pairs": figures.pairs,
        "labels": one["labels"],
        "accuracy": shown(figures.verdict.accuracy),
        "coverage": shown(figures.verdict.coverage),
        "flips": "no order" if figures.a_first is None else shown(figures.flip_rate),
        "current": row["current"],
        "measured": "shipped" if row["at"] is None else str(row["at"])[:10],
    }
