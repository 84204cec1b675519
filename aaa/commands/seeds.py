"""`aaa seeds …`: describe a set of seeds, and draw from it."""

from pathlib import Path
from typing import Any

import orjson

from aaa.catalogue import open_catalogue
from aaa.commands.opening import open_client, say, show, show_rows, tell
from aaa.commands.plot import check_path
from aaa.commands.plot_seeds import write_plot
from aaa.commands.rounds import is_file
from aaa.commands.table import print_rows
from aaa.curriculum.analysis import Analysis, Signals
from aaa.curriculum.analysis import analyse as describe
from aaa.curriculum.clusters import clusters
from aaa.curriculum.sampling import draw, shifts
from aaa.embedding import embed
from aaa.errors import InputError, SetupError
from aaa.prompts import shown
from aaa.scenario import Seeds
from aaa.seeds import load_seeds
from aaa.settings import Settings
from aaa.types import Seed

FILES = (".jsonl", ".csv", ".parquet")
SHOWN = 12
"""Values of an attribute, and groups of duplicates, that are listed; the rest is summed up."""


async def analyse(
    settings: Settings,
    source: str,
    rounds: tuple[str, ...],
    plot: Path | None,
    as_json: bool,
    into: int | None = None,
) -> int:
    """Print how the seeds are distributed; draw it where a path is given.

    `into`: how many clusters, 0 for as many as is usual, `None` for none. Raises `InputError`, `SetupError`.
    """
    if plot is not None:
        check_path(plot)
    seeds = load(settings, source)
    found = describe(seeds, await _signals(settings, rounds) if rounds else None)
    if into is not None:
        texts = {seed.id: shown(seed.prompt) for seed in seeds}
        grouped = clusters(texts, embed(list(texts.values())), into or None)
        found = found.model_copy(update={"clusters": grouped})
    if plot is not None:
        write_plot(found, plot)
        say(f"drawn in {plot}")
    if as_json:
        show(found.model_dump(mode="json"))
    else:
        _tell(found)
    return 0


def load(settings: Settings, source: str) -> tuple[Seed, ...]:
    """The seeds of a seeds file or of a scenario, all of them. Raises `InputError`."""
    if source.endswith(FILES):
        path = Path(source)
        return load_seeds(Seeds(file=path.name), path.parent)
    folders = (Path(source).resolve().parent,) if is_file(source) else ()
    name = Path(source).stem if folders else source
    scenario, folder = open_catalogue(settings, *folders).scenario(name, {"seeds.limit": None})
    return load_seeds(scenario.seeds, folder)


async def _signals(settings: Settings, rounds: tuple[str, ...]) -> dict[str, Signals]:
    """What these rounds say of their seeds; the later one named counts."""
    found: dict[str, Signals] = {}
    async with open_client(settings) as client:
        for round_id in rounds:
            told = await client.signals(round_id)
            found |= {id: Signals.model_validate(one) for id, one in told.items()}
    return found


def _tell(found: Analysis) -> None:
    tell(
        f"{found.seeds} seeds, {found.verifiable} with a checker or a reference, "
        f"{found.evolved} evolved from others"
    )
    told = ", ".join(f"{p} %: {n}" for p, n in found.lengths.items())
    tell(f"characters of the prompt by percentile: {told}")
    tell(f"messages in the prompt: {_counts(found.turns)}")
    for signal in ("difficulty", "disagreement"):
        if (bands := getattr(found, signal)) is not None:
            tell(f"{signal}: {_counts(bands)}")
    tell()
    print_rows(("attribute", "value", "seeds", "share"), _rows(found))
    tell()
    spare = sum(len(group) - 1 for group in found.duplicates)
    tell(f"nearly the same as another: {spare} seeds in {len(found.duplicates)} groups")
    for group in found.duplicates[:SHOWN]:
        tell(f"  {' '.join(group)}")
    if found.clusters is not None:
        tell()
        rows = [
            one.model_dump() | {"share": f"{one.share:.1%}", "words": " ".join(one.words)}
            for one in found.clusters
        ]
        print_rows(("words", "middle", "seeds", "share"), rows)


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in counts.items())


def _rows(found: Analysis) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for one in found.attributes:
        listed = [v.model_dump() | {"share": f"{v.share:.1%}"} for v in one.values[:SHOWN]]
        more = len(one.values) - SHOWN
        if more > 0:
            listed.append({"value": f"{more} more", "seeds": None, "share": None})
        if one.without:
            share = f"{one.without / found.seeds:.1%}"
            listed.append({"value": "(none)", "seeds": one.without, "share": share})
        rows += [row | {"attribute": one.name} for row in listed]
    return rows


def sample(
    settings: Settings,
    source: str,
    size: int,
    weights: tuple[str, ...],
    random_seed: int,
    output: str,
) -> int:
    """Write the drawn seeds, and tell how they differ from their source. Raises `InputError`."""
    seeds = load(settings, source)
    drawn = draw(seeds, size, random_seed, dict(_weight(text) for text in weights))
    rows = [orjson.dumps(_row(seed), option=orjson.OPT_APPEND_NEWLINE) for seed in drawn]
    if output == "-":
        show_rows(rows)
        say(f"{len(drawn)} of {len(seeds)} seeds")
        return 0
    if not output.endswith(".jsonl"):
        raise InputError(
            f"{output!r}: seeds are written as .jsonl; give such a name, or - for stdout"
        )
    try:
        Path(output).write_bytes(b"".join(rows))
    except OSError as error:
        raise SetupError(f"{output!r} cannot be written: {error.strerror}") from error
    table = [
        row.model_dump()
        | {"source_share": f"{row.source_share:.1%}", "sample_share": f"{row.sample_share:.1%}"}
        for row in shifts(seeds, drawn)
    ]
    print_rows(("attribute", "value", "source", "sample", "source_share", "sample_share"), table)
    say(f"{len(drawn)} of {len(seeds)} seeds in {output}")
    return 0


def _weight(text: str) -> tuple[str, float]:
    """`tag=2.5`; the last equals sign counts, since a tag may hold one."""
    tag, equals, number = text.rpartition("=")
    try:
        if equals and tag:
            return tag, float(number)
    except ValueError:
        pass
    raise InputError(f"--weight {text!r}: expected TAG=NUMBER, such as topic:code=2")


def _row(seed: Seed) -> dict[str, Any]:
    """The seed as a row of a seeds file."""
    return seed.model_dump(mode="json", exclude_defaults=True)
