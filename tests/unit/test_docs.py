"""The documents hold what they say: every file is mapped, every link leads somewhere, examples work."""

import re
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from aaa.cli import cli
from aaa.exporters import FORMATS
from aaa.play import rehearse
from aaa.plugins import judging_play, names, protocol
from aaa.scenario import AgentCard, Scenario
from aaa.types import Agent, Cast, Message, Seed
from aaa.yaml_files import parse

ROOT = Path(__file__).parent.parent.parent
DOCS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
README = (ROOT / "README.md").read_text("utf-8")


def test_every_file_is_mapped_once() -> None:
    """`docs/architecture.md` has a row for each file of the package, and none for a file that is gone."""
    mapped = re.findall(r"^\| `(aaa/\S+\.py)` \|", ARCHITECTURE, re.MULTILINE)
    there = {str(path.relative_to(ROOT)) for path in (ROOT / "aaa").rglob("*.py")}
    assert sorted(mapped) == sorted(there)


def test_every_prompt_file_is_mentioned() -> None:
    assert all(f"`{path.name}`" in ARCHITECTURE for path in (ROOT / "aaa").rglob("*.md"))


def test_the_rooms_are_those_that_the_import_contract_names() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    layers = config["tool"]["importlinter"]["contracts"][0]["layers"]
    told = [" ".join(re.sub(r"  .*", "", line.strip()).split()) for line in _rooms().splitlines()]
    assert told == [layer.replace("aaa.", "") for layer in layers]


def _rooms() -> str:
    (block,) = re.findall(r"```\n( cli\n.*?)\n```", ARCHITECTURE, re.DOTALL)
    return str(block)


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    links = re.findall(r"(?<!!)\[[^\]]+\]\(([^)#:]+)\)", path.read_text("utf-8"))
    assert [link for link in links if not (path.parent / link).exists()] == []


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_commands_exist(path: Path) -> None:
    """Every `aaa …` of a code block is a command with these options."""
    for block in _blocks(path, ""):
        for line in block.replace("\\\n", " ").splitlines():
            found = re.match(r"(?:[A-Z_]+=\S+ )*aaa (.+)", line.strip())
            if found is not None:
                _check(found[1].split("#")[0].split())


def _check(words: list[str]) -> None:
    command: click.Command = cli
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        assert words[0] in command.commands, f"no command {words[0]!r} in {command.name!r}"
        command = command.commands[words.pop(0)]
    known = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
    options = [word for word in words if re.match(r"--?[a-z]", word)]
    assert set(options) <= known | {"--help", "--version"}, f"{command.name}: {options}"


def test_cards_and_scenarios_of_the_readme_are_valid() -> None:
    card, scenario = (yaml.safe_load(block) for block in _blocks(ROOT / "README.md", "yaml"))
    assert parse(AgentCard, card, "README.md").name == "my-student"
    assert parse(Scenario, scenario, "README.md").seats["student"] == ("my-student",)


def test_the_card_of_the_guide_is_valid() -> None:
    (block,) = _blocks(ROOT / "docs" / "protocols.md", "yaml")
    assert parse(AgentCard, yaml.safe_load(block), "protocols.md").parent == "my-student-g0"


def test_the_protocol_of_the_guide_plays() -> None:
    module, test = _blocks(ROOT / "docs" / "protocols.md", "python")
    names: dict[str, Any] = {
        "rehearse": rehearse,
        "seed": Seed(id="s", prompt=(Message(role="user", content="Is it?"),)),
        "cast": Cast(
            seats={
                "student": (Agent(name="one", family="birch"), Agent(name="two", family="oak")),
                "judge": (Agent(name="three", family="elm"),),
            }
        ),
    }
    exec(module, names)
    exec(test, names)


def test_every_judging_play_has_its_section() -> None:
    text = (ROOT / "docs" / "judging.md").read_text("utf-8")
    for name in names("judges"):
        assert f"\n### `{name}`\n" in text
        section = text.split(f"\n### `{name}`\n")[1].split("\n##")[0]
        options = judging_play(name).options.model_fields
        assert [option for option in options if f"`{option}`" not in section] == []


@pytest.mark.parametrize("id", [name for name in names("protocols") if name != "given"])
def test_every_protocol_has_its_page(id: str) -> None:
    """Its seats, its options and a worked transcript, and a link from the page on the method."""
    text = (ROOT / "docs" / "protocols" / f"{id}.md").read_text("utf-8")
    played = protocol(id)
    for name in (*played.seats, *played.optional, *played.options.model_fields):
        assert f"`{name}`" in text, f"{id}.md does not tell of {name!r}"
    last = text.split("\n## ")[-1]
    assert re.match(r"(?:From a round|A session|A transcript)\n", last)
    assert len(last) > 400
    assert f"(protocols/{id}.md)" in (ROOT / "docs" / "method.md").read_text("utf-8")


def test_formats_and_exit_codes_are_told() -> None:
    told = (ROOT / "docs" / "export.md").read_text("utf-8")
    assert all(f"\n| `{format}` |" in told for format in FORMATS)
    codes = re.findall(r"^  (\d+) ", cli.epilog or "", re.MULTILINE)
    assert codes
    assert all(f"| {code} |" in README for code in codes)


def test_every_variable_that_is_read_is_told() -> None:
    settings = (ROOT / "aaa" / "settings.py").read_text("utf-8")
    names = set(re.findall(r'": "([A-Z_]+)"', settings))
    assert names
    assert all(f"`{name}`" in README for name in names)


def _blocks(path: Path, language: str) -> list[str]:
    return re.findall(
        rf"^```{language}\n(.*?)^```", path.read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
