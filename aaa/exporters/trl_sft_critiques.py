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
from aaa.records import chat
from aaa.transcripts import Transcript, pairs
from aaa.types import Messages, Turn

MADE_OF = "transcripts"
COLUMNS: Columns = {"id": str, "messages": CHAT}


def rows(transcript: Transcript) -> Iterator[Row]:
    """`{"id", "messages"}` for each critique that a winner was written with."""
    winners = [pair.chosen for pair in pairs(transcript)]
    for turn in transcript.recorded.turns:
        whole = turn.call.purpose == "critique" and turn.reply.finish_reason != "length"
        if whole and turn.text.strip() and any(_had(winner, turn) for winner in winners):
            asked = chat(turn.call.messages)
            content = [turn.index, turn.call.agent, asked, turn.text]
            id = row_id("c", transcript.seed.id, content)
            yield {"id": id, "messages": [*asked, *answer(turn.text)]}


def _had(winner: Turn, critique: Turn) -> bool:
    """Whether the winner was written with that critique in view, and it is about the answer that was revised.

    Others' critiques come in a message of the user, one's own stands in the chat as it was said.
    """
    if winner.index < critique.index:
        return False
    said, chat = critique.text.strip(), winner.call.messages
    own = winner.call.agent == critique.call.agent
    for place, message in enumerate(chat):
        theirs = message.role == "user" or (own and message.role == "assistant")
        if theirs and said in message.content:
            return _is_about(critique, chat[:place])
    return False


def _is_about(critique: Turn, before: Messages) -> bool:
    """Whether the last answer before the critique was before the critic's eyes; true where there is none."""
    revised = next((m.content for m in reversed(before) if m.role == "assistant"), "")
    return any(revised.strip() in m.content for m in critique.call.messages)
