"""`trl-sft-critiques`: critiques that helped, as whole conversations, for TRL's SFTTrainer.

A critique helped where the answer that was written with it in view won against the one it is about: at
least a fifth of critiques are wrong (Critique Fine-Tuning, 2501.17703), and this is the cheapest sign that
one is not. Left out: critiques that were cut off, and those of plays that compare critiques themselves
(`critic`), whose winners are answers like any other (`trl-sft` with `--edge`).
"""

from collections.abc import Iterator

from aaa.exporters import Row
from aaa.exporters._columns import CHAT, Columns, answer
from aaa.exporters._ids import row_id
from aaa.transcripts import Transcript, pairs
from aaa.types import Turn

MADE_OF = "transcripts"
COLUMNS: Columns = {"id": str, "messages": CHAT}


def rows(transcript: Transcript) -> Iterator[Row]:
    """`{"id", "messages"}` for each critique that a winner was written with."""
    winners = [pair.chosen for pair in pairs(transcript)]
    for turn in transcript.recorded.turns:
        whole = turn.call.purpose == "critique" and turn.reply.finish_reason != "length"
        if whole and turn.text.strip() and any(_had(winner, turn) for winner in winners):
            asked = [{"role": m.role, "content": m.content} for m in turn.call.messages]
            content = [turn.index, turn.call.agent, asked, turn.text]
            id = row_id("c", transcript.seed.id, content)
            yield {"id": id, "messages": [*asked, *answer(turn.text)]}


def _had(winner: Turn, critique: Turn) -> bool:
    """Whether the winner's author was shown that critique."""
    said = critique.text.strip()
    later = winner.index > critique.index
    return later and any(said in m.content for m in winner.call.messages if m.role == "user")
