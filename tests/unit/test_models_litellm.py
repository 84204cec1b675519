"""The parts of the LiteLLM adapter that need no LiteLLM: keys, arguments, reading an answer."""

from types import SimpleNamespace
from typing import Any

import pytest

from aaa.errors import ModelError
from aaa.models import Request, price_of
from aaa.models.litellm import _arguments, _cost, api_key, read_reply
from aaa.models.prices import price_in
from aaa.models.schemas import strict
from aaa.scenario import AgentCard, Price
from aaa.types import ChoiceShape, JsonShape, Message, Sampling

CARD = AgentCard(
    name="a", model="openai/m", api_base="http://h/v1", api_key_env="SOME_KEY", family="f"
)
ASKED = Request(
    messages=(Message(role="user", content="hi"),),
    sampling=Sampling(temperature=0.5, max_tokens=9, stop=("x",)),
    seed=2**40 + 5,
)
CLOSED = {
    "type": "object",
    "properties": {"a": {"type": "string"}},
    "required": ["a"],
    "additionalProperties": False,
}
OPEN = {"type": "object", "properties": {"a": {"type": "string"}}}


class Library:
    """What the adapter asks of LiteLLM beside completions."""

    def supports_response_schema(self, model: str) -> bool:
        return model == "provider/knows-schemas"

    def completion_cost(self, completion_response: object, model: str) -> float:
        if model != "provider/listed":
            raise ValueError("not mapped")
        return 0.25


def answer(**more: Any) -> Any:
    message = SimpleNamespace(content="hello", refusal=None)
    choice = SimpleNamespace(message=message, finish_reason="stop", logprobs=None)
    usage = SimpleNamespace(prompt_tokens=1_000_000, completion_tokens=500_000, cost=None)
    return SimpleNamespace(choices=[choice], usage=usage, model="served", id="r1", **more)


def test_a_missing_key_names_its_variable() -> None:
    with pytest.raises(ModelError, match="set environment variable SOME_KEY") as caught:
        api_key(CARD, {"SOME_KEY": "  "})
    assert caught.value.kind == "auth"


def test_a_key_is_taken_from_its_variable() -> None:
    assert api_key(CARD, {"SOME_KEY": "abc\n"}) == "abc"


def test_a_server_without_a_key_never_gets_another_providers() -> None:
    card = CARD.model_copy(update={"api_key_env": None})
    assert api_key(card, {"OPENAI_API_KEY": "secret"}) == "none"


def test_arguments_leave_no_retry_and_keep_the_seed_in_range() -> None:
    arguments = _arguments(CARD, ASKED, Library())
    assert arguments["num_retries"] == arguments["max_retries"] == 0
    assert arguments["seed"] == 5
    assert arguments["stop"] == ["x"]
    assert arguments["messages"] == [{"role": "user", "content": "hi"}]
    assert "top_p" not in arguments


def test_a_choice_asks_for_one_token_and_its_alternatives() -> None:
    asked = ASKED.model_copy(update={"shape": ChoiceShape(choices=("A", "B"))})
    arguments = _arguments(CARD, asked, Library())
    assert arguments["max_tokens"] == 1
    assert arguments["logprobs"] is True
    assert arguments["top_logprobs"] == 20


@pytest.mark.parametrize(
    ("model", "api_base", "sent"),
    [
        ("openai/own", "http://h/v1", "json_schema"),
        ("provider/knows-schemas", None, "json_schema"),
        ("provider/other", None, "json_object"),
    ],
)
def test_a_schema_is_sent_where_it_is_understood(
    model: str, api_base: str | None, sent: str
) -> None:
    card = CARD.model_copy(update={"model": model, "api_base": api_base})
    asked = ASKED.model_copy(update={"shape": JsonShape(name="s", fields=CLOSED)})
    assert _arguments(card, asked, Library())["response_format"]["type"] == sent


def test_strict_only_for_closed_schemas_with_all_properties_required() -> None:
    assert strict(CLOSED)
    assert not strict(OPEN)
    assert not strict({**CLOSED, "properties": {"a": OPEN}})
    assert not strict({**CLOSED, "required": []})


def test_an_answer_becomes_a_reply() -> None:
    reply = read_reply(CARD, ASKED, answer(), 0.5)
    assert reply.text == "hello"
    assert (reply.prompt_tokens, reply.completion_tokens) == (1_000_000, 500_000)
    assert (reply.cost_usd, reply.model, reply.request_id) == (0.5, "served", "r1")
    assert reply.choice_logprobs is None


def test_a_refusal_is_a_filtered_reply() -> None:
    given = answer()
    given.choices[0].message = SimpleNamespace(content=None, refusal="I will not")
    reply = read_reply(CARD, ASKED, given, None)
    assert (reply.text, reply.finish_reason) == ("I will not", "content_filter")


def test_no_choices_are_malformed() -> None:
    given = answer()
    given.choices = []
    with pytest.raises(ModelError) as caught:
        read_reply(CARD, ASKED, given, None)
    assert caught.value.kind == "malformed"


def test_zeros_that_stand_for_no_usage_are_unknown() -> None:
    given = answer()
    given.usage = SimpleNamespace(prompt_tokens=0, completion_tokens=0, cost=None)
    reply = read_reply(CARD, ASKED, given, None)
    assert (reply.prompt_tokens, reply.completion_tokens) == (None, None)
    assert _cost(Library(), CARD.model_copy(update={"api_base": None}), given) is None


def test_the_cost_is_the_cards_then_the_bills_then_the_tables() -> None:
    hosted = CARD.model_copy(update={"api_base": None, "model": "provider/listed"})
    price = Price(input_usd_per_mtok=1, output_usd_per_mtok=2)
    billed = answer()
    billed.usage.cost = 0.75
    assert _cost(Library(), hosted.model_copy(update={"price": price}), billed) == 2.0
    assert _cost(Library(), hosted, billed) == 0.75
    assert _cost(Library(), hosted, answer()) == 0.25
    assert _cost(Library(), hosted.model_copy(update={"model": "provider/new"}), answer()) is None
    assert _cost(Library(), CARD, answer()) is None


def test_prices_come_from_the_card_then_the_table() -> None:
    card = CARD.model_copy(update={"api_base": None, "model": "novita/microsoft/wizardlm-2-8x22b"})
    assert price_of(card) == Price(input_usd_per_mtok=0.62, output_usd_per_mtok=0.62)
    assert price_of(card.model_copy(update={"model": "nobody/knows"})) is None
    assert price_of(CARD) is None
    local = card.model_copy(update={"model": "local/smollm2-135m"})
    assert price_of(local) == Price(input_usd_per_mtok=0, output_usd_per_mtok=0)


def test_a_bare_name_in_the_table_counts_only_for_its_own_provider() -> None:
    entry = {"litellm_provider": "one", "input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6}
    table = {"m": entry, "tiers": {"litellm_provider": "one"}}
    assert price_in(table, "one/m") == Price(input_usd_per_mtok=1, output_usd_per_mtok=2)
    assert price_in(table, "two/m") is None
    assert price_in(table, "one/tiers") is None


def test_a_call_is_reserved_at_the_dearest_token_of_its_reply() -> None:
    entry = {"litellm_provider": "one", "input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6}
    table = {"one/m": entry | {"output_cost_per_reasoning_token": 4e-6}}
    assert price_in(table, "one/m") == Price(input_usd_per_mtok=1, output_usd_per_mtok=4)
    table = {"one/m": entry | {"output_cost_per_reasoning_token": 1e-6}}
    assert price_in(table, "one/m") == Price(input_usd_per_mtok=1, output_usd_per_mtok=2)


@pytest.mark.parametrize(
    "model",
    [
        "one/sonar",
        "two/one/sonar-pro",
        "one/m-search-preview",
        "one/o3-deep-research",
        "one/m-search-api",
    ],
)
def test_a_model_that_searches_unasked_has_no_price_by_the_token(model: str) -> None:
    entry = {"input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6}
    assert price_in({model: entry}, model) is None


def test_a_fee_for_each_request_is_no_price_by_the_token() -> None:
    entry = {"input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6}
    assert price_in({"one/m": entry | {"input_cost_per_request": 0.005}}, "one/m") is None


@pytest.mark.parametrize("model", ["one/m", "one/NousResearch/m"])
def test_a_fee_for_searches_that_nobody_asks_for_changes_no_price(model: str) -> None:
    fee = {"search_context_cost_per_query": {"search_context_size_medium": 0.01}}
    entry = {"input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6}
    assert price_in({model: entry | fee}, model) == Price(
        input_usd_per_mtok=1, output_usd_per_mtok=2
    )
