"""A stage's verdicts as files that a trainer reads, and the account of what became of each.

Every verdict of the rounds that count is kept or dropped for a reason, kind by kind; rows are those of the
exporters. Left out: which rounds count (the conductor knows), and other trainers' formats (`aaa export`).
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from aaa import data_rules
from aaa.data_rules import Selected
from aaa.exporters import exporter, line
from aaa.records import records
from aaa.scenario import DataRule, Kind
from aaa.transcripts import Transcript
from aaa.types import Value

FORMATS: Mapping[Kind, str] = {"sft": "trl-sft", "dpo": "trl-dpo", "rm": "trl-reward"}
"""Kind of data -> the format its rows have."""

SFT_EDGES = ("peer", "gap")
"""Where somebody else's answer may be what the student should have said."""


class Account(Value):
    """What became of the verdicts of one kind of data: `kept` and all of `dropped` add up to `verdicts`."""

    kind: Kind
    file: str
    verdicts: int
    kept: int
    dropped: dict[str, int]
    sha256: str
    """Of the file."""


class _Sink(Protocol):
    def write(self, data: bytes, /) -> int: ...


class Writer:
    """Writes the rows of one kind as transcripts come by."""

    def __init__(self, kind: Kind, rule: DataRule, targets: Sequence[str], sink: _Sink) -> None:
        """`targets`: the student, under each name that it had in these rounds."""
        self._kind, self._rule, self._targets, self._sink = kind, rule, tuple(targets), sink
        self._hash = hashlib.sha256()
        self._kept = self._verdicts = 0
        self._dropped: Counter[str] = Counter()

    def take(self, transcript: Transcript) -> None:
        """Write what the rule takes of a session, and count the rest."""
        selected = self._select(transcript)
        own = {record["id"]: record for record in records(transcript)} if selected.kept else {}
        for pair in selected.kept:
            for row in exporter(FORMATS[self._kind]).rows(own[pair.id]):
                text = line(row)
                self._sink.write(text)
                self._hash.update(text)
        self._kept += len(selected.kept)
        self._dropped.update({str(reason): n for reason, n in selected.dropped.items()})
        self._verdicts += len(transcript.recorded.verdicts)

    def _select(self, transcript: Transcript) -> Selected:
        there = tuple(dict.fromkeys(v.edge for v in transcript.recorded.verdicts))
        edges = self._rule.edges or (SFT_EDGES if self._kind == "sft" else there)
        fought = {t.call.agent for t in transcript.recorded.turns}
        target = next((name for name in self._targets if name in fought), self._targets[0])
        if self._kind == "sft":
            return data_rules.sft(transcript, target, self._rule.gap, edges=edges)
        if self._kind == "dpo":
            return data_rules.dpo(transcript, target, self._rule.gap, edges=edges)
        return data_rules.reward(transcript, edges=edges)

    def account(self, file: str) -> Account:
        return Account(
            kind=self._kind,
            file=file,
            verdicts=self._verdicts,
            kept=self._kept,
            dropped=dict(sorted(self._dropped.items())),
            sha256=self._hash.hexdigest(),
        )


def paths(folder: Path) -> dict[str, Path]:
    """Kind of data -> its file in a stage's folder."""
    return {kind: folder / f"{kind}.jsonl" for kind in ("sft", "dpo", "rm")}
