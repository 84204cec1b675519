"""Shared: a chat as one string, for formats that know no messages."""

from aaa.records import Chat


def as_text(chat: Chat) -> str:
    """A single message as it is, a longer chat with its roles; as `aaa.prompts.shown`."""
    if len(chat) == 1:
        return chat[0]["content"]
    return "\n\n".join(f"[{m['role']}]\n{m['content']}" for m in chat)
