"""What a person types to find sessions: `outcome:flip seat:teacher tag:math some words`.

Pure. Left out: the search itself, which the API does.
"""

from aaa.errors import InputError
from aaa.states import SESSION_STATUS
from aaa.types import OUTCOMES

KEYS = ("status", "outcome", "seat", "tag")
_CHOICES = {"status": SESSION_STATUS, "outcome": OUTCOMES}


def read_filter(typed: str) -> dict[str, str]:
    """What `Client.sessions` takes: words with a known key as that, the rest as `text`.

    Raises `InputError` naming the choices.
    """
    found: dict[str, str] = {}
    words = []
    for word in typed.split():
        key, colon, value = word.partition(":")
        if not colon or key not in KEYS:
            words.append(word)
        elif not value:
            raise InputError(f"{key}: wants a value{_choices(key)}")
        elif value not in _CHOICES.get(key, (value,)):
            raise InputError(f"{key}:{value} is none{_choices(key)}")
        else:
            found[key] = value
    return found | ({"text": " ".join(words)} if words else {})


def _choices(key: str) -> str:
    return f"; there are {', '.join(_CHOICES[key])}" if key in _CHOICES else ""
