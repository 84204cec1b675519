"""Which verdicts are battles between players, and the ledger that ratings are computed from.

A win is a win. A tie is half a win each, and so is a flip: a judge who changes sides with the order could not
tell the answers apart, and to drop such comparisons would keep just those where players differ. Errors and
abstentions decide nothing. Nothing disappears: every verdict is counted as a battle or by why it
is none. Left out: reading them (`store/battles.py`), rating them (`ratings.py`).
"""

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from aaa.errors import InputError
from aaa.style import FEATURES, contrast
from aaa.types import Outcome, Side

EDGES = ("peer",)
"""Comparisons that rate players, unless told otherwise. A `revision` meets its own draft."""
SCORES: Mapping[Side | None, float] = {"a": 1.0, "b": 0.0, None: 0.5}


class Identity(NamedTuple):
    """What makes a player: a card of the same name may be edited between rounds."""

    agent: str
    generation: int
    model: str


def players(identities: Iterable[Identity]) -> dict[Identity, str]:
    """Identity -> the player's name: the agent's, told apart by generation and model where needed."""
    known = set(identities)
    named = {}
    for one in known:
        namesakes = [other for other in known - {one} if other.agent == one.agent]
        peers = [other for other in namesakes if other.generation == one.generation]
        name = f"{one.agent}@{one.generation}" if namesakes else one.agent
        named[one] = f"{name} ({one.model})" if peers else name
    return named


class Judged(NamedTuple):
    """A verdict as far as ratings care. A plain tuple, like `Battle`: there may be millions."""

    edge: str
    outcome: Outcome
    winner: Side | None
    a: str
    """The player whose answer is contestant a."""
    b: str
    seed: str
    tags: tuple[str, ...] = ()
    texts: tuple[str, str] | None = None
    """Both answers; `None` where style is not asked for."""


class Battle(NamedTuple):
    """A decided comparison between two players."""

    a: str
    b: str
    score: float
    """1: `a` won, 0: `b` won, 0.5: neither."""
    seed: str
    tags: tuple[str, ...] = ()
    style: tuple[float, ...] = ()
    """`style.contrast` of the two answers, as seen from `a`; empty where style is not asked for."""


def why_not(judged: Judged, edges: tuple[str, ...] = EDGES) -> str | None:
    """Why this verdict is no battle: its edge, its outcome, or one player only; `None` where it is one."""
    if judged.edge not in edges:
        return judged.edge
    if judged.a == judged.b:
        return "same player"
    return judged.outcome if judged.outcome in ("error", "abstain") else None


def battle(judged: Judged) -> Battle:
    """The battle that a verdict decided, for which `why_not` found nothing."""
    style = () if judged.texts is None else contrast(*judged.texts)
    return Battle(judged.a, judged.b, SCORES[judged.winner], judged.seed, judged.tags, style)


class Ledger:
    """Battles in columns, a million in about 64 MB; and what became of every verdict."""

    def __init__(self, battles: Iterable[Battle] = ()) -> None:
        self.players: dict[str, int] = {}
        """Player -> its number in `a` and `b`."""
        self.seeds: dict[str, int] = {}
        self.tags: dict[str, array[int]] = {}
        """Tag -> rows of its battles."""
        self.a, self.b, self.seed = array("q"), array("q"), array("q")
        self.score, self.style = array("d"), array("d")
        self.styled = True
        """Whether every battle knows its style."""
        self.outcomes: Counter[str] = Counter()
        """Verdicts that are battles, by outcome."""
        self.left_out: Counter[str] = Counter()
        """Verdicts that are none, by the reason."""
        for one in battles:
            self.add(one)

    def __len__(self) -> int:
        return len(self.score)

    def take(self, judged: Judged, edges: tuple[str, ...] = EDGES) -> None:
        """Count a verdict, and add the battle that it is, if it is one."""
        reason = why_not(judged, edges)
        if reason is not None:
            self.left_out[reason] += 1
            return
        self.outcomes[judged.outcome] += 1
        self.add(battle(judged))

    def add(self, battle: Battle) -> None:
        """Raises `InputError` for a battle that is none."""
        if battle.a == battle.b:
            raise InputError(f"player {battle.a!r} cannot battle itself")
        if battle.score not in (0, 0.5, 1):
            raise InputError(f"a battle's score is 0, 0.5 or 1, not {battle.score!r}")
        if len(battle.style) not in (0, len(FEATURES)):
            raise InputError(f"a battle's style is {', '.join(FEATURES)}, not {battle.style!r}")
        for tag in dict.fromkeys(battle.tags):
            self.tags.setdefault(tag, array("q")).append(len(self))
        self.a.append(self.players.setdefault(battle.a, len(self.players)))
        self.b.append(self.players.setdefault(battle.b, len(self.players)))
        self.seed.append(self.seeds.setdefault(battle.seed, len(self.seeds)))
        self.score.append(battle.score)
        self.style.extend(battle.style or (0.0,) * len(FEATURES))
        self.styled = self.styled and bool(battle.style)
