"""The next generation of a student as an agent card: its parent's, but for how the model is reached."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from aaa.catalogue import GENERATIONS, Catalogue
from aaa.corpus.files import whole
from aaa.errors import InputError
from aaa.scenario import AgentCard
from aaa.yaml_files import parse


def root_of(catalogue: Catalogue, agent: str) -> str:
    """The agent at the head of the line: the first that has no parent among the cards. Raises `NotFound`."""
    seen = {agent}
    card = catalogue.card(agent)
    while card.parent is not None and card.parent not in seen and card.parent in catalogue.agents():
        seen.add(card.parent)
        card = catalogue.card(card.parent)
    return card.name


def next_number(cards: Iterable[AgentCard], student: str) -> int:
    """One more than the highest generation among the student's own cards, `student-gN`."""
    own = (c for c in cards if c.name == student or c.name.startswith(f"{student}-g"))
    return max((card.generation for card in own), default=0) + 1


def child(parent: AgentCard, student: str, number: int, told: Mapping[str, Any]) -> AgentCard:
    """The card of generation `number`. `told`: what differs, `model` at least. Raises `InputError`."""
    plain = parent.model_dump(mode="json")
    plain |= {"name": f"{student}-g{number}", "parent": parent.name, "generation": number, **told}
    return parse(AgentCard, plain, f"generation {number} of {student!r}")


def write_card(home: Path, card: AgentCard) -> Path:
    """Put the card where every command finds it; another card of that name is not overwritten."""
    path = home / GENERATIONS / f"{card.name}.yaml"
    text = yaml.safe_dump(card.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    if path.exists() and path.read_text("utf-8") != text:
        raise InputError(f"{path}: there is another card of that name; move it away first")
    with whole(path) as draft:
        draft.write_text(text, "utf-8")
    return path
