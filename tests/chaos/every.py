"""All promises, in the order of `docs/reliability.md`."""

from tests.chaos import (
    backups,
    budgets,
    courses,
    events,
    failpoints,
    freezes,
    fuzz,
    hidden,
    kills,
    limits,
    outages,
    schema,
    stalled,
)

PROMISES = (
    failpoints.PROMISE,
    kills.PROMISE,
    outages.PROMISE,
    freezes.PROMISE,
    courses.PROMISE,
    hidden.PROMISE,
    limits.PROMISE,
    budgets.PROMISE,
    events.PROMISE,
    stalled.PROMISE,
    schema.PROMISE,
    backups.PROMISE,
    fuzz.PROMISE,
)
