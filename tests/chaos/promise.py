"""What a promise's test is: a function whose arguments are sizes, an outcome that holds or not, and a command
line over both. The promises in words, with the figures of the full sizes, are in `docs/reliability.md`.
"""

import argparse
import inspect
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

Size = int | float


class Outcome(Protocol):
    """A named tuple of figures."""

    @property
    def holds(self) -> bool: ...

    def _asdict(self) -> dict[str, Any]: ...


class Promise(NamedTuple):
    """One promise and its proof."""

    id: str
    says: str
    prove: Callable[..., Outcome]
    """Its keyword arguments are sizes, their defaults the full size."""
    small: Mapping[str, Size]
    """Sizes for the suite."""

    @property
    def sizes(self) -> dict[str, Size]:
        """Argument -> its full size."""
        return {n: p.default for n, p in inspect.signature(self.prove).parameters.items()}


class Proof(NamedTuple):
    """A promise put to the test."""

    promise: Promise
    sizes: Mapping[str, Size]
    outcome: Outcome
    took_s: float

    def told(self) -> dict[str, Any]:
        """The same as JSON values."""
        figures = {"holds": self.outcome.holds, **self.outcome._asdict()}
        return {
            "promise": self.promise.id,
            "sizes": dict(self.sizes),
            **figures,
            "took_s": round(self.took_s, 1),
        }

    def row(self) -> str:
        """The same as a row of a Markdown table."""
        told = " ".join(f"{n}={_brief(v)}" for n, v in self.outcome._asdict().items())
        sizes = " ".join(f"{n}={v:g}" for n, v in self.sizes.items())
        holds = "holds" if self.outcome.holds else "BROKEN"
        cells = (self.promise.id, self.promise.says, sizes, told, holds, f"{self.took_s:.0f} s")
        return f"| {' | '.join(cells)} |"


HEAD = "| id | promise | size | figures | | took |\n|---|---|---|---|---|---|"


def prove(promise: Promise, sizes: Mapping[str, Size]) -> Proof:
    """Put it to the test, at its full size but for `sizes`."""
    given = {**promise.sizes, **sizes}
    began = time.monotonic()
    outcome = promise.prove(**given)
    return Proof(promise, given, outcome, time.monotonic() - began)


def main(promise: Promise, arguments: Sequence[str] | None = None) -> int:
    """Prove one promise with sizes from the command line; exit code 0 when it held."""
    parser = argparse.ArgumentParser(description=f"{promise.id}: {promise.says}")
    add_sizes(parser, promise.sizes)
    given = {n: v for n, v in vars(parser.parse_args(arguments)).items() if v is not None}
    proof = prove(promise, given)
    print(json.dumps(proof.told(), indent=2))
    return 0 if proof.outcome.holds else 1


def add_sizes(parser: argparse.ArgumentParser, sizes: Mapping[str, Size]) -> None:
    """An option for each size."""
    for name, size in sizes.items():
        parser.add_argument(
            f"--{name.replace('_', '-')}", type=type(size), default=None, help=f"default {size:g}"
        )


def tell(*words: object) -> None:
    """A line of progress, for people."""
    print(*words, file=sys.stderr, flush=True)


def _brief(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
