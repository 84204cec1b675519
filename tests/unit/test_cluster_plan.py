"""What to start and stop, decided without Ray."""

from aaa.cluster.plan import IDLE_S, Desired, Kind, plan, seat_name
from aaa.scenario import AgentCard

CARD = AgentCard(name="anna", model="openai/x", family="birch")
SEAT = seat_name(CARD)
WANTED = Desired(seats={SEAT: CARD}, runners=2)


def told(
    running: dict[str, Kind], desired: Desired = WANTED, idle: dict[str, float] | None = None
) -> list[str]:
    actions = plan(desired, running, idle or {}, now=1000.0)
    return [f"{a.do} {a.name}" for a in actions]


def test_everything_is_started_seats_first() -> None:
    assert told({}) == [f"start {SEAT}", "start runner-0", "start runner-1"]


def test_nothing_to_do_when_all_runs() -> None:
    assert told({SEAT: "seat", "runner-0": "runner", "runner-1": "runner"}) == []


def test_only_what_died_is_started() -> None:
    assert told({SEAT: "seat", "runner-1": "runner"}) == ["start runner-0"]


def test_runners_too_many_are_stopped() -> None:
    running: dict[str, Kind] = {SEAT: "seat", "runner-0": "runner", "runner-1": "runner"}
    assert told(running, Desired(seats={SEAT: CARD}, runners=1)) == ["stop runner-1"]


def test_an_idle_seat_is_kept_for_a_while() -> None:
    none = Desired(seats={}, runners=0)
    assert told({SEAT: "seat"}, none, {SEAT: 1000.0 - IDLE_S + 1}) == []
    assert told({SEAT: "seat"}, none, {SEAT: 1000.0 - IDLE_S}) == [f"stop {SEAT}"]


def test_a_changed_card_is_another_seat() -> None:
    other = CARD.model_copy(update={"persona": "pirate"})
    assert seat_name(other) != SEAT
