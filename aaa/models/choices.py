"""From the alternatives of one token to the choices they mean. Shared by the adapters."""

import math
from collections.abc import Iterable
from typing import NamedTuple


class ChoiceOdds(NamedTuple):
    """How probable a model found each choice."""

    logprobs: dict[str, float]
    """Choice -> natural-log probability of all listed tokens that mean it; absent: none was listed."""
    floor: float | None
    """The lowest listed log-probability: an absent token has at most that. `None`: nothing listed."""


def read_choices(choices: tuple[str, ...], listed: Iterable[tuple[str, float]]) -> ChoiceOdds:
    """`listed`: token -> its log-probability, for the first generated token.

    A token means a choice when they are equal but for surrounding space and case: `" a"`, `"A"`.
    """
    by_meaning = {_meaning(choice): choice for choice in choices}
    found: dict[str, list[float]] = {}
    floor: float | None = None
    for token, logprob in listed:
        if math.isnan(logprob):
            continue
        floor = logprob if floor is None else min(floor, logprob)
        choice = by_meaning.get(_meaning(token))
        if choice is not None:
            found.setdefault(choice, []).append(logprob)
    return ChoiceOdds({choice: _log_sum(values) for choice, values in found.items()}, floor)


def _meaning(text: str) -> str:
    return text.strip().casefold()


def _log_sum(logprobs: list[float]) -> float:
    """log(sum(exp(x))), at most 0: probabilities that round above one are one."""
    top = max(logprobs)
    if top == -math.inf:
        return top
    return min(0.0, top + math.log(sum(math.exp(x - top) for x in logprobs)))
