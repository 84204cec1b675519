"""Every error AAA raises on purpose: one class per boundary, one exit code per branch.

    AAAError                      exit 1
    ├── InputError                exit 2   what the user wrote: YAML, seeds, options, arguments
    │   └── NotFound              exit 2   a name that is not there; lists the names that are
    ├── SetupError                exit 3   what surrounds us: database, folders, ports, keys, weights
    │   └── StoreError            exit 3   the database went away while we used it
    ├── Conflict                  exit 4   legal request, wrong moment (resume a finished round)
    ├── PlayError                 exit 1   a play broke its contract
    │   ├── ReplayMismatch                 recorded turns do not fit the play that replays them
    │   └── PlayChanged                    the play's source is not the one the round began with
    ├── CheckError                exit 1   a checker could not tell; carries a `CheckErrorKind`
    └── ModelError                exit 1   a model call failed; carries a `FailureKind`

Foreign errors are translated where they enter, with their cause kept. Nothing here is retried:
`asking.py` alone decides that, from `ModelError.kind`.
"""

from typing import Literal, get_args

FailureKind = Literal[
    "unreachable",  # no connection: DNS, refused
    "dropped",  # the connection, or the generation, ended before a full answer; 502, 520
    "timeout",  # our own clock ran out, or a proxy's: 504, 522, 524
    "rate_limited",  # 429, unless it is the account
    "server",  # any other 5xx, or a 200 that holds an error
    "malformed",  # a body that is no completion: truncated JSON, no choices
    "auth",  # 401, 402, 403, no key, or an account without money
    "not_found",  # the provider does not know this model
    "invalid",  # the provider refuses this request
    "context_overflow",  # the prompt is longer than the model's window
    "content_filter",  # the provider refuses this content
]
"""Why a model call brought no answer."""

FAILURE_KINDS: tuple[str, ...] = get_args(FailureKind)

CheckErrorKind = Literal[
    "timeout",  # the checker ran past its own limit, and neither pass nor fail is known
    "too_large",  # the answer is larger than checkers read
    "unavailable",  # this machine cannot run untrusted code in safety
    "broken",  # the checker itself failed: its options, its tests, its process
]
"""Why an answer could not be checked. Never the same as an answer that failed its check."""

TRANSIENT: frozenset[FailureKind] = frozenset(
    {"unreachable", "dropped", "timeout", "rate_limited", "server", "malformed"}
)
"""Kinds that may be gone on the next attempt."""

MAYBE_BILLED: frozenset[FailureKind] = frozenset({"dropped", "timeout", "malformed"})
"""Kinds after which nobody can know whether the provider worked, and billed: the worst is assumed."""

OF_THE_ACCOUNT: frozenset[FailureKind] = frozenset({"auth", "not_found"})
"""Kinds that every request to this model will meet until a person mends something."""

OF_THE_REQUEST: frozenset[FailureKind] = frozenset(
    {"invalid", "context_overflow", "content_filter"}
)
"""Kinds that this very request will meet again: they are recorded as the turn's outcome."""


class AAAError(Exception):
    """Base of all: `str(error)` is one clear sentence for a person."""

    exit_code = 1


class InputError(AAAError):
    """What the user wrote is wrong; the message names the place, the value and the valid choices."""

    exit_code = 2


class NotFound(InputError):
    """A name that does not exist; the message lists those that do."""


class SetupError(AAAError):
    """Something around us is missing or broken; the message says what to do about it."""

    exit_code = 3


class StoreError(SetupError):
    """The database does not answer now; whatever was in its transaction did not happen, or all of it did."""


class Conflict(AAAError):
    """The request is fine but not in this state; the message names the legal ones."""

    exit_code = 4


class PlayError(AAAError):
    """A play broke its contract."""


class ReplayMismatch(PlayError):
    """The recorded turns do not fit the calls that the play makes now."""


class PlayChanged(PlayError):
    """The source of a play or its prompts differs from the one its round began with."""


class CheckError(AAAError):
    """An answer could not be checked: `kind` says why. It is no verdict about the answer."""

    def __init__(self, kind: CheckErrorKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class ModelError(AAAError):
    """A model call brought no answer.

    `kind` says why; `retry_after_s` is what the provider asked for, in seconds, or `None`.
    The message is already redacted: no key, no header, no URL query.
    """

    def __init__(
        self, kind: FailureKind, message: str, *, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.retry_after_s = retry_after_s

    def __reduce__(self) -> tuple[object, ...]:
        return (_model_error, (self.kind, str(self), self.retry_after_s))


def _model_error(kind: FailureKind, message: str, retry_after_s: float | None) -> ModelError:
    return ModelError(kind, message, retry_after_s=retry_after_s)
