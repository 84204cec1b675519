"""The data card: what a person must know before training on a set, with the Hub's metadata on top.

Figures come from the audit; nothing is said that it does not hold. Left out: opinions.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from aaa.quality import GATES

SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
"""The Hub's classes of size: (below, name)."""
Configs = Mapping[str, Mapping[str, str]]
"""Config -> split -> path of its file, from the card's folder."""


def card(audit: Mapping[str, Any], configs: Configs, plots: Sequence[str]) -> str:
    """The card as Markdown."""
    return "---\n" + _metadata(audit, configs) + "---\n\n" + "\n".join(_text(audit, plots)) + "\n"


def _metadata(audit: Mapping[str, Any], configs: Configs) -> str:
    kept = audit["rows"]["kept"]
    size = next((name for below, name in SIZES if kept < below), "n>1M")
    found = {
        "pretty_name": ", ".join(sorted({one["scenario"]["name"] for one in audit["rounds"]})),
        "license": "other",
        "task_categories": ["text-generation", "reinforcement-learning"],
        "tags": ["preference", "synthetic", f"format:{audit['format']}"],
        "size_categories": [size],
        "configs": [
            {
                "config_name": name,
                "default": name == "pairs",
                "data_files": [{"split": split, "path": path} for split, path in files.items()],
            }
            for name, files in configs.items()
        ],
    }
    return yaml.safe_dump(found, sort_keys=False, allow_unicode=True)


def _text(audit: Mapping[str, Any], plots: Sequence[str]) -> Iterator[str]:
    rows, metrics = audit["rows"], audit["metrics"]
    yield f"# {', '.join(one['id'] for one in audit['rounds'])}"
    yield ""
    yield (
        f"{rows['kept']} preference pairs of {metrics.get('seeds', 0):g} seeds, of {rows['generated']} "
        f"verdicts. Format `{audit['format']}`. Answers and verdicts are by language models; no person has "
        "checked them."
    )
    yield from _table(
        "What became of every verdict", {"kept": rows["kept"], **_dropped(rows["dropped"])}
    )
    yield from _table("Figures", metrics)
    yield from _licences(audit)
    yield from _judges(audit)
    for name in ("agents", "tags", "edges", "judging"):
        yield from _table(name.capitalize(), audit[name])
    yield from ("", "## How it was made", "")
    for one in audit["rounds"]:
        scenario = one["scenario"]
        yield f"- round `{one['id']}`: scenario `{scenario['name']}`, protocol `{scenario['protocol']['id']}`"
    yield f"- selected by: `{audit['selection'] or 'everything'}`"
    versions = ", ".join(f"{name} {version}" for name, version in audit["versions"].items())
    yield f"- written by {versions}"
    yield ""
    yield "`audit.json` holds all of it, with the cards of the agents as they were, hashes and histograms."
    for plot in plots:
        yield f"\n![{plot}]({plot})"


def _dropped(counts: Mapping[str, int]) -> dict[str, Any]:
    """Reason -> how many, and where a gate took them what it takes."""
    return {
        name: f"{count}: {GATES[name].drops}" if name in GATES else count
        for name, count in counts.items()
    }


def _table(title: str, rows: Mapping[str, Any]) -> Iterator[str]:
    if rows:
        yield from ("", f"## {title}", "", "| | |", "|---|---|")
        yield from (f"| {_cell(name)} | {_figure(value)} |" for name, value in rows.items())


def _licences(audit: Mapping[str, Any]) -> Iterator[str]:
    found = {
        name: card["licence"] or "unknown"
        for one in audit["rounds"]
        for name, card in one["cards"].items()
        if name in audit["agents"]
    }
    yield from _table(
        "Licences of what the authors say, by their cards", dict(sorted(found.items()))
    )


def _judges(audit: Mapping[str, Any]) -> Iterator[str]:
    yield from _table("Judges: their ballots on these pairs", audit["judges"])
    measured = {name: found for name, found in audit["calibrations"].items() if found}
    yield from _table("What the judges were worth when they were measured", measured)


def _figure(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{_cell(name)} {_figure(one)}" for name, one in value.items())
    return f"{value:g}" if isinstance(value, float) else _cell(str(value))


def _cell(text: str) -> str:
    """Text that a user or a model wrote, harmless within a table."""
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())
