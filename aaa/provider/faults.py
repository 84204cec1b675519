"""What goes wrong at the stub, as values: when a rule holds, how long answers take, what is limited.

A rule's chance is drawn from the seed, the request's key and the number of the attempt: which requests
fail does not depend on the order in which they arrive. The text form is in `grammar.py`, what each
fault looks like on the wire in `delivery.py`.
"""

import math
from fnmatch import fnmatchcase
from statistics import NormalDist
from typing import Literal, NamedTuple, get_args

from pydantic import Field

from aaa.provider.words import unit
from aaa.types import Value

FaultName = Literal[
    "401",  # wrong key
    "404",  # no such model
    "429",  # too many requests
    "500",
    "502",  # an HTML page, as a proxy in front would send it
    "503",
    "overflow",  # 400: longer than the model's context
    "filter",  # 400: refused by the content filter
    "hang",  # no answer, ever
    "drop",  # connection closed before the first byte
    "cut",  # connection closed in the middle of the body
    "truncated",  # 200, well-formed HTTP, half of the JSON
    "empty",  # 200 with no choices
    "error_200",  # 200 with an error object
    "html",  # 200 with a web page
    "drip",  # the right answer, slowly
    "length",  # the right answer cut short, finish_reason "length"
]
FAULT_NAMES: tuple[str, ...] = get_args(FaultName)

AT_ONCE = frozenset({"401", "404", "429", "500", "502", "503", "overflow", "filter", "drop"})
"""Faults that do not wait for the latency: no model was asked."""


class RetryAfter(Value):
    """What a rejection asks for."""

    form: Literal["none", "seconds", "date"] = "none"
    s: float = Field(0.0, ge=0)


class Latency(Value):
    """How long an answer takes."""

    kind: Literal["fixed", "uniform", "lognormal"]
    a: float = Field(ge=0)
    """The time, the least, or the median; in seconds."""
    b: float = 0.0
    """The greatest in seconds (uniform), or sigma of the logarithm (lognormal)."""
    model: str | None = None

    def draw_s(self, chance: float) -> float:
        """Seconds for a chance in [0, 1)."""
        if self.kind == "fixed":
            return self.a
        if self.kind == "uniform":
            return self.a + chance * (self.b - self.a)
        inside = min(max(chance, 1e-9), 1 - 1e-9)
        return self.a * math.exp(self.b * NormalDist().inv_cdf(inside))


class Rule(Value):
    """One fault and when it strikes: every condition must hold."""

    fault: FaultName
    share: float = Field(1.0, ge=0, le=1)
    """Probability."""
    first: int | None = None
    """Only the first so many attempts of each distinct request."""
    after: int = 0
    """Not the first so many requests overall."""
    between: tuple[float, float] | None = None
    """Only in these seconds after the start (or the last reset)."""
    model: str | None = None
    """Pattern for the model's name; `None` is every model."""
    retry_after: RetryAfter = RetryAfter()
    over_s: float = 2.0
    """Drip: from the first byte to the last."""


class Limit(Value):
    """What the provider allows each model; more is answered with 429."""

    kind: Literal["rpm", "concurrency"]
    allowed: int = Field(ge=1)
    burst: int | None = None
    """rpm: requests that may come at once; `None` is one second's worth."""
    model: str | None = None
    retry_after: RetryAfter | None = None
    """`None`: rpm tells the seconds until the next request is allowed, concurrency says 1."""


class Attempt(NamedTuple):
    """One request, as rules see it."""

    key: str
    attempt: int
    """1 for the first time that this key is seen."""
    n: int
    """1 for the first request of all."""
    since_start_s: float
    model: str


class Faults(Value):
    """Everything that goes wrong, in the order in which it was written: the first rule that holds wins."""

    rules: tuple[Rule, ...] = ()
    latencies: tuple[Latency, ...] = ()
    """The first that fits the model."""
    limits: tuple[Limit, ...] = ()

    def strike(self, attempt: Attempt, seed: int) -> Rule | None:
        """The rule that this attempt meets, or `None` where all goes well."""
        for place, rule in enumerate(self.rules):
            if _holds(rule, attempt) and _chance("rule", place, attempt, seed) < rule.share:
                return rule
        return None

    def latency_s(self, attempt: Attempt, seed: int) -> float:
        """How long the answer to this attempt takes, in seconds."""
        for place, latency in enumerate(self.latencies):
            if fits(latency.model, attempt.model):
                return latency.draw_s(_chance("latency", place, attempt, seed))
        return 0.0


def fits(pattern: str | None, model: str) -> bool:
    return pattern is None or fnmatchcase(model, pattern)


def _holds(rule: Rule, attempt: Attempt) -> bool:
    return (
        (rule.first is None or attempt.attempt <= rule.first)
        and attempt.n > rule.after
        and (rule.between is None or rule.between[0] <= attempt.since_start_s < rule.between[1])
        and fits(rule.model, attempt.model)
    )


def _chance(what: str, place: int, attempt: Attempt, seed: int) -> float:
    return unit(what, str(place), str(seed), attempt.key, str(attempt.attempt))
