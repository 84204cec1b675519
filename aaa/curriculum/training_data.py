"""A stage's verdicts as files that a trainer reads, and the account of what became of each.

Every verdict of the rounds that count is kept or dropped for a reason, kind by kind. Left out: which
rounds count (the conductor knows), and the many formats of other trainers (`aaa export`).
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import orjson

from aaa import data_rules
from aaa.data_rules import Selected
from aaa.scenario import DataRule, Kind
from aaa.transcripts import Pair, Transcript
from aaa.types import Messages, Turn, Value

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
        for pair in selected.kept:
            line = orjson.dumps(row(self._kind, pair), option=orjson.OPT_APPEND_NEWLINE)
            self._sink.write(line)
            self._hash.update(line)
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


def row(kind: Kind, pair: Pair) -> dict[str, Any]:
    """A row as TRL's trainers read it: SFT messages, DPO explicit prompt, reward whole conversations."""
    prompt = _chat(pair.context)
    chosen, rejected = _answer(pair.chosen), _answer(pair.rejected)
    if kind == "sft":
        return {"id": pair.id, "messages": [*prompt, *chosen]}
    if kind == "dpo":
        return {"id": pair.id, "prompt": prompt, "chosen": chosen, "rejected": rejected}
    return {
        "id": pair.id,
        "chosen": [*prompt, *chosen],
        "rejected": [*prompt, *rejected],
        "margin": pair.verdict.margin,
    }


def _chat(messages: Messages) -> list[dict[str, str]]:
    return [{"role": m.role, "content": m.content} for m in messages]


def _answer(turn: Turn) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": turn.text}]


def paths(folder: Path) -> dict[str, Path]:
    """Kind of data -> its file in a stage's folder."""
    return {kind: folder / f"{kind}.jsonl" for kind in ("sft", "dpo", "rm")}
