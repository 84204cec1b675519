"""The OpenAPI document's examples are right, and there are some for whatever is sent and answered."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from httpx_sse._decoders import SSEDecoder

from aaa.api.app import create_app
from aaa.api.description import describe
from aaa.api.examples import EXAMPLES, SENT
from aaa.scenario import Scenario
from aaa.settings import Settings
from aaa.store.database import Database
from aaa.yaml_files import parse
from tests.catalogues import small_catalogue

Json = dict[str, Any]
LONG = {
    *("Explanation", "RowStory", "Scenario", "ScriptShape"),
    *("aaa__board__Report", "aaa__calibration__Report"),
}
"""Schemas of answers that are shown elsewhere."""


@pytest.fixture
def described(tmp_path: Path) -> Json:
    database = Database("postgresql://nobody@127.0.0.1:9/none")
    return describe(create_app(Settings(), database, small_catalogue(tmp_path), token="t"))


def operations(described: Json) -> Iterator[tuple[str, Json]]:
    for path, methods in described["paths"].items():
        for method, told in methods.items():
            yield f"{method} {path}", told


def name_of(content: Json) -> str:
    """Of the schema of JSON that is sent or answered; empty where it has no name."""
    schema = content.get("application/json", {}).get("schema", {})
    return str(schema.get("$ref", "")).rpartition("/")[2]


def test_each_example_fits_its_schema(described: Json) -> None:
    schemas = described["components"]["schemas"]
    for name, examples in EXAMPLES.items():
        schema = {"$ref": f"#/components/schemas/{name}", "components": described["components"]}
        formats = jsonschema.FormatChecker()
        check = jsonschema.Draft202012Validator(schema, format_checker=formats)
        assert schemas[name]["examples"] == list(examples)
        for example in examples:
            assert [error.message for error in check.iter_errors(example)] == [], name
            assert set(example) <= set(schemas[name]["properties"]), name
    assert parse(Scenario, SENT, "example").name == "mine"


def test_what_is_sent_and_answered_has_an_example(described: Json) -> None:
    sent, answered = set(), set()
    for _, told in operations(described):
        if "requestBody" in told:
            sent.add(name_of(told["requestBody"]["content"]))
        for status, response in told["responses"].items():
            if status < "300" and (name := name_of(response.get("content", {}))):
                answered.add(name)
    assert sent <= set(EXAMPLES)
    assert answered - set(EXAMPLES) == LONG
    assert sent | answered >= set(EXAMPLES) - {
        *("SessionSummary", "Seed", "GateRow", "ScenarioRow", "Signals"),  # of pages, of a mapping
    }


def test_headers_are_described(described: Json) -> None:
    for operation, told in operations(described):
        responses = told["responses"]
        assert "WWW-Authenticate" in responses["401"]["headers"], operation
        retry = responses["429"]["headers"]["Retry-After"]
        assert (retry["required"], retry["schema"]["type"]) == (True, "integer")
        if "202" in responses:
            assert "Location" in responses["202"]["headers"], operation
            assert responses["202"]["content"]["application/json"]["schema"], operation
    assert sum("202" in told["responses"] for _, told in operations(described)) == 3


def test_frames_of_events_and_rows_of_pairs_are_shown(described: Json) -> None:
    round_ = described["paths"]["/v1/rounds/{round_id}/events"]["get"]["responses"]["200"]
    text = round_["content"]["text/event-stream"]["example"]
    decoder = SSEDecoder()
    found = [event for line in text.split("\n") if (event := decoder.decode(line)) is not None]
    told = [(event.id, event.event) for event in found if event.data]
    assert told == [("70", "call.started"), ("71", "round.completed")]
    assert all(json.loads(event.data)["at"] for event in found if event.data)
    assert text.startswith(": ")
    rows = described["paths"]["/v1/rounds/{round_id}/pairs"]["get"]["responses"]["200"]["content"]
    (row,) = rows["application/x-ndjson"]["example"].splitlines()
    assert set(json.loads(row)) == {"id", "prompt", "chosen", "rejected", "related_judges"}
