"""The same job through the control plane alone, as with curl: start, follow, fetch, explain, stop."""

import json

import httpx

from tests.acceptance.processes import AAA, Home, provider, serving, started


def follow(client: httpx.Client, round_id: str) -> list[tuple[int, str]]:
    """(id, kind) of every event, until the server ends the stream."""
    events, id = [], 0
    with client.stream("GET", f"/v1/rounds/{round_id}/events", timeout=120) as stream:
        for line in stream.iter_lines():
            if line.startswith("id:"):
                id = int(line[3:])
            elif line.startswith("event:"):
                events.append((id, line[6:].strip()))
    return events


def test_a_round_over_rest(home: Home) -> None:
    home.scenario("small", seeds=6, judging={"play": "logprob"})
    with provider(home) as base_url:
        home.cards(base_url)
        with started([AAA, "serve", "--port", "0"], home) as server:
            url = server.wait_for(r"http://127\.0\.0\.1:\d+").group(0)
            with httpx.Client(base_url=url, timeout=60) as client:
                made = client.post("/v1/rounds", json={"scenario": "small"})
                assert made.status_code == 202, made.text
                round_id = made.json()["id"]
                events = follow(client, round_id)
                assert [id for id, _ in events] == list(range(1, len(events) + 1))
                assert events[-1][1] == "round.completed"
                found = client.get(f"/v1/rounds/{round_id}").json()
                assert found["sessions"]["completed"] == 6
                assert found["turns"] == 30
                assert sum(found["verdicts"].values()) == 6
                assert client.get("/readyz").status_code == 200
                pairs = client.get(f"/v1/rounds/{round_id}/pairs?format=trl-dpo").text
                rows = [json.loads(line) for line in pairs.splitlines()]
                assert len(rows) == found["pairs"] > 0
                story = client.get(f"/v1/pairs/{rows[0]['id']}").json()
                assert story["chosen"]["text"] == rows[0]["chosen"][0]["content"]
                again = client.post(f"/v1/rounds/{round_id}/pause")
                assert again.status_code == 409
                assert again.headers["content-type"].startswith("application/problem+json")
            assert server.stop() == 0


def test_the_command_line_over_rest(home: Home) -> None:
    home.scenario("small", seeds=3, judging={"play": "logprob"})
    with provider(home) as base_url:
        home.cards(base_url)
        with serving(home) as url:
            made = json.loads(home.aaa("rounds", "start", "small", AAA_URL=url))
            home.aaa("watch", made["id"], "--no-tui", AAA_URL=url)
            items = json.loads(home.aaa("rounds", "ls", "--json", AAA_URL=url))["items"]
            assert [(i["id"], i["scenario"], i["status"]) for i in items] == [
                (made["id"], "small", "completed")
            ]
            rows = home.aaa("export", made["id"], "-o", "-", AAA_URL=url).splitlines()
            assert len(rows) == items[0]["pairs"]
    # the same home, without a server: reading commands open the database themselves
    assert json.loads(home.aaa("rounds", "ls", "--json"))["items"][0]["id"] == made["id"]
    assert home.export(made["id"]).decode().splitlines() == rows
    story = home.aaa("explain", json.loads(rows[0])["id"])
    assert "VERDICT by judging play 'logprob'" in story
