"""A round with OpenTelemetry configured as users do: seats and runners tell one trace a session."""

import json

from tests.acceptance.processes import Home, provider
from tests.helpers.otlp import collector


def test_a_round_is_told_to_a_collector(home: Home) -> None:
    with provider(home, "500=first:1") as base, collector() as kept:
        home.cards(base)
        home.scenario("small", 3, judging={"play": "pairwise"})
        home.aaa("run", "small", "--no-tui", OTEL_EXPORTER_OTLP_ENDPOINT=kept.url)
        sessions = kept.named("session")
        assert len(sessions) == 3
        assert len({span.trace for span in kept.spans}) == 3
        parents = {span.id for span in sessions}
        assert {span.parent for span in kept.named("chat")} == parents
        seats = {span.attributes["aaa.seat"] for span in kept.named("chat")}
        assert seats == {"student", "teacher", "judge"}
        failed = [span.attributes["error.type"] for span in kept.named("chat") if span.failed]
        (round_,) = json.loads(home.aaa("rounds", "ls", "--json"))["items"]
    assert failed == ["server"] * round_["turns"]  # the first of each request
    assert len(kept.named("chat")) == round_["calls"] == 2 * round_["turns"]
    assert b"What is 0 plus 0" not in b"".join(kept.bodies)
