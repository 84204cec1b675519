"""What becomes of each record: kept, or dropped for one reason, in one order that never changes.

First what is there twice (`double`), then selectors, then gates, then how many are wanted (`max_per_seed`,
`balance`, `n`). Records come in export order, so those of a seed stand together and nothing but the current
seed need be held. What is taken depends on the journal and the selection alone.
"""

from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Sequence
from contextlib import aclosing
from typing import NamedTuple

from aaa.corpus.contamination import Evaluations, Neighbours
from aaa.corpus.families import share_of
from aaa.corpus.gates import TESTS, Known
from aaa.corpus.near import Seen
from aaa.corpus.quota import ALL, Numbers, group_of
from aaa.corpus.selection import Reason, Selection, groups, tests
from aaa.quality import GATES
from aaa.records import Record

Chunks = AsyncGenerator[list[Record], None]
Source = Callable[[], Chunks]
"""Begins a new pass over the records, in export order."""
SINCE = "since"
"""Why a record is dropped that an earlier export has."""


class Sifted(NamedTuple):
    """What became of a record."""

    record: Record
    dropped: Reason | None
    """`None`: it is kept."""


class Around(NamedTuple):
    """What a sieve knows beside the records."""

    known: Known = Known()
    evaluations: Evaluations | None = None
    neighbours: Neighbours | None = None
    exported: Collection[str] = frozenset()
    """Ids of pairs that an earlier export has."""


class Sieve:
    """One pass. `taken`: group -> the largest number taken, of an earlier pass; `None`: take all."""

    def __init__(
        self,
        selection: Selection,
        around: Around,
        taken: dict[str, float] | None = None,
        *,
        doubles: bool = False,
    ) -> None:
        """`doubles`: take also a pair that an earlier verdict of its seed came to."""
        self._wanted = selection
        self._around = around
        self._limits = taken
        self._doubles = doubles
        self._tests = tests(selection)
        self._gates = [gate for name in GATES for gate in selection.gate if gate.name == name]
        near = next((g for g in self._gates if g.name == "near_duplicate"), None)
        self._seen = None if near is None else Seen(float(near.threshold))
        asks = {"test_share", "judges", "outcome", "gate"}  # they take nothing away by being there
        self._takes_all = not (
            self._tests or self._gates or around.exported or (selection.model_fields_set - asks)
        )
        self._seed = ""
        self._ids: set[str] = set()
        self._of_seed = 0

    def drops(self, record: Record) -> Reason | None:
        """Why not this record; `None`: it is taken."""
        if record["seed"]["id"] != self._seed:
            self._seed, self._ids, self._of_seed = record["seed"]["id"], set(), 0
        if record["id"] in self._ids and not self._doubles:
            return "double"
        self._ids.add(record["id"])
        if self._takes_all:
            return None
        if self._around.exported and record["id"] in self._around.exported:
            self._of_seed += 1  # it has its place, and what is near it is near a row that there is
            if self._seen is not None:
                self._seen.is_near(record)
            return SINCE
        for name, wants in self._tests.items():
            if not wants(record, self._wanted):
                return name
        return self._fails(record) or self._too_many(record)

    def _fails(self, record: Record) -> Reason | None:
        for name, threshold in self._gates:
            test = TESTS.get(name)
            if test is not None:
                failed = test(record, threshold, self._around.known)
            elif name == "contamination":
                against = self._around.evaluations
                failed = against is not None and against.holds(record)
            elif name == "paraphrase":
                near = self._around.neighbours
                failed = near is not None and near.holds(record)
            else:
                failed = self._seen is not None and self._seen.is_near(record)
            if failed:
                return name
        return None

    def _too_many(self, record: Record) -> Reason | None:
        most = self._wanted.max_per_seed
        if most is not None and self._of_seed >= most:
            return "max_per_seed"
        group = self.group(record)
        if group is None:
            return "balance"
        self._of_seed += 1  # also of one that is not drawn: the first pass counted it
        if self._limits is not None and share_of(record["id"]) > self._limits.get(group, -1.0):
            return "balance" if self._wanted.n is None else "n"
        return None

    def group(self, record: Record) -> str | None:
        """Of what is balanced; `None`: it has no value of it."""
        attribute = self._wanted.balance
        return ALL if attribute is None else group_of(groups(record, attribute))


async def limits(source: Source, selection: Selection, around: Around) -> dict[str, float] | None:
    """What a first pass finds: group -> the largest number that is taken; `None` where none is needed.

    Raises `InputError` where n cannot be had.
    """
    if not selection.needs_two_passes:
        return None
    numbers, sieve = Numbers(), Sieve(selection, around)
    async with aclosing(source()) as chunks:
        async for chunk in chunks:
            for record in chunk:
                if sieve.drops(record) is None:
                    numbers.add(sieve.group(record) or ALL, record["id"])
    return numbers.limits(selection.n)


async def sifted(source: Source, sieve: Sieve) -> AsyncGenerator[list[Sifted], None]:
    """Every record with what became of it, in export order, in lists that part no seed."""
    held: list[Sifted] = []
    async with aclosing(source()) as chunks:
        async for chunk in chunks:
            held += [Sifted(record, sieve.drops(record)) for record in chunk]
            place = _last_seed(held)
            if place:
                yield held[:place]
                held = held[place:]
    if held:
        yield held


def _last_seed(some: Sequence[Sifted]) -> int:
    """Where the records of the last seed begin."""
    place = len(some)
    while place and some[place - 1].record["seed"]["id"] == some[-1].record["seed"]["id"]:
        place -= 1
    return place


class Parted(NamedTuple):
    """Records that give rows, and those that an earlier export has."""

    kept: list[Record]
    before: list[Record]


def parted(some: Iterable[Sifted]) -> Parted:
    """Both of what came through a sieve."""
    found = Parted([], [])
    for record, dropped in some:
        if dropped is None:
            found.kept.append(record)
        elif dropped == SINCE:
            found.before.append(record)
    return found
