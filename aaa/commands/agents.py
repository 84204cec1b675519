"""`aaa agents`: the cards in the catalogue, and whether the models behind them answer."""

import asyncio
import json
import os
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Literal

from aaa.catalogue import Catalogue, open_catalogue
from aaa.commands.opening import say, show
from aaa.commands.table import print_rows
from aaa.errors import AAAError, InputError, ModelError, SetupError
from aaa.models import Model, Request, open_model, price_of
from aaa.models.weights import locate
from aaa.scenario import AgentCard
from aaa.settings import Settings
from aaa.types import ChoiceShape, JsonShape, Message, Reply, Sampling, Value

AT_ONCE = 4
"""Models checked side by side."""
PATIENCE_S = 60.0
"""Longest wait for one of a check's calls, where the card is more patient."""


class Checked(Value):
    """What a check saw of one agent."""

    name: str
    model: str
    outcome: Literal["works", "fails", "skipped"]
    reason: str = ""
    """Why it fails or was skipped."""
    latency_s: float | None = None
    """Of one short answer, in seconds; a local model's includes loading its weights."""
    logprobs: bool | None = None
    """The model says how probable it finds given answers, as `logprob` judging needs; `None`: not asked."""
    json_schema: bool | None = None
    """The model kept to a JSON schema."""
    input_usd_per_mtok: float | None = None
    """`None`: unknown, so a round with a budget refuses this agent."""
    output_usd_per_mtok: float | None = None


def ls(settings: Settings, as_json: bool) -> None:
    """Every card: model, family, generation, price, and what it still needs."""
    catalogue = open_catalogue(settings)
    rows = [_listed(catalogue, name, settings) for name in catalogue.agents()]
    if as_json:
        show({"items": rows})
        return
    print_rows(
        ("name", "model", "family", "generation", "usd_per_mtok", "state"),
        [{**row, "usd_per_mtok": _price(row)} for row in rows],
    )


def check(settings: Settings, names: Sequence[str], as_json: bool) -> int:
    """Ask each agent three tiny questions; 0 if all that were asked for work, else 3.

    Without names: every card whose key is set or that needs none; the others are listed as skipped.
    Raises `NotFound` for a name without a card.
    """
    catalogue = open_catalogue(settings)
    cards = [catalogue.card(name) for name in names] or _all_cards(catalogue)
    absent = {card.name: reason for card in cards if (reason := _absent(card, settings))}
    asked = [card for card in cards if card.name not in absent]
    if asked:
        paid = [card.name for card in asked if _may_cost(card)]
        told = f"; these may cost a fraction of a cent: {', '.join(paid)}" if paid else ""
        say(f"asking {len(asked)} agent(s) three short questions each{told}")
    found = {result.name: result for result in asyncio.run(_check_all(asked, settings))}
    outcome: Literal["fails", "skipped"] = "fails" if names else "skipped"
    for card in cards:
        if card.name in absent:
            found[card.name] = _result(card, outcome, reason=absent[card.name])
    results = [found[card.name] for card in cards]
    _print_checked(results, as_json)
    return 3 if any(result.outcome == "fails" for result in results) else 0


async def check_one(card: AgentCard, model: Model) -> Checked:
    """Three calls: a word, a choice, an object. The first must succeed; the others show features.

    They are sampled as a round's would be: some models refuse what a card sets.
    """
    started = monotonic()
    try:
        await model.complete(_question(card, "Say hello in one word.", Sampling(max_tokens=16)))
    except ModelError as error:
        return _result(card, "fails", reason=f"{error.kind}: {error}")
    latency_s = round(monotonic() - started, 3)
    return _result(
        card,
        "works",
        latency_s=latency_s,
        logprobs=await _gives_logprobs(card, model),
        json_schema=await _keeps_to_schema(card, model),
    )


async def _check_all(cards: list[AgentCard], settings: Settings) -> list[Checked]:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(card: AgentCard) -> Checked:
        async with gate:
            patience = min(card.limits.timeout_s, PATIENCE_S)
            limits = card.limits.model_copy(update={"timeout_s": patience})
            card = card.model_copy(update={"limits": limits})
            try:
                model = open_model(card, settings)
            except AAAError as error:
                return _result(card, "fails", reason=str(error))
            try:
                return await check_one(card, model)
            finally:
                await model.close()

    return list(await asyncio.gather(*map(one, cards)))


async def _gives_logprobs(card: AgentCard, model: Model) -> bool:
    shape = ChoiceShape(choices=("Yes", "No"))
    question = _question(
        card, "Is water wet? Answer Yes or No.", Sampling(temperature=0, max_tokens=1), shape
    )
    reply = await _try(model, question)
    return reply is not None and reply.choice_logprobs is not None


async def _keeps_to_schema(card: AgentCard, model: Model) -> bool:
    fields = {
        "type": "object",
        "properties": {"colour": {"type": "string", "enum": ["red", "green"]}},
        "required": ["colour"],
        "additionalProperties": False,
    }
    question = _question(
        card,
        'Which colour is grass? Answer in JSON: {"colour": "red"} or {"colour": "green"}.',
        Sampling(temperature=0, max_tokens=64),
        JsonShape(name="colour", fields=fields),
    )
    reply = await _try(model, question)
    try:
        read = json.loads(reply.text) if reply else None
    except ValueError:
        return False
    return isinstance(read, dict) and read.get("colour") in ("red", "green") and len(read) == 1


async def _try(model: Model, question: Request) -> Reply | None:
    try:
        return await model.complete(question)
    except ModelError:
        return None


def _question(
    card: AgentCard, text: str, sampling: Sampling, shape: JsonShape | ChoiceShape | None = None
) -> Request:
    message = Message(role="user", content=text)
    sampling = sampling.over(card.sampling)
    return Request(messages=(message,), sampling=sampling, shape=shape, seed=0)


def _all_cards(catalogue: Catalogue) -> list[AgentCard]:
    return [catalogue.card(name) for name in catalogue.agents()]


def _absent(card: AgentCard, settings: Settings) -> str | None:
    """What has to be there before the model can be asked."""
    if variable := card.missing_key(os.environ):
        return f"set environment variable {variable}"
    if card.is_local:
        try:
            locate(card.model, settings.models)
        except SetupError as error:
            return str(error)
    return None


def _may_cost(card: AgentCard) -> bool:
    price = price_of(card)
    return price is None or price.cost_usd(1, 1) > 0


def _result(
    card: AgentCard,
    outcome: Literal["works", "fails", "skipped"],
    *,
    reason: str = "",
    latency_s: float | None = None,
    logprobs: bool | None = None,
    json_schema: bool | None = None,
) -> Checked:
    price = price_of(card)
    return Checked(
        name=card.name,
        model=card.model,
        outcome=outcome,
        reason=reason,
        latency_s=latency_s,
        logprobs=logprobs,
        json_schema=json_schema,
        input_usd_per_mtok=price.input_usd_per_mtok if price else None,
        output_usd_per_mtok=price.output_usd_per_mtok if price else None,
    )


def _listed(catalogue: Catalogue, name: str, settings: Settings) -> dict[str, object]:
    try:
        card = catalogue.card(name)
    except InputError as error:
        return {"name": name, "state": str(error)}
    price = price_of(card)
    return {
        "name": card.name,
        "model": card.model,
        "family": card.family,
        "generation": card.generation,
        "parent": card.parent,
        "input_usd_per_mtok": price.input_usd_per_mtok if price else None,
        "output_usd_per_mtok": price.output_usd_per_mtok if price else None,
        "licence": card.licence,
        "state": _absent(card, settings) or "ready",
    }


def _print_checked(results: list[Checked], as_json: bool) -> None:
    rows = [result.model_dump() for result in results]
    if as_json:
        show({"items": rows})
        return
    shown = [{**row, "usd_per_mtok": _price(row)} for row in rows]
    print_rows(
        ("name", "outcome", "latency_s", "logprobs", "json_schema", "usd_per_mtok", "reason"), shown
    )


def _price(row: Mapping[str, object]) -> str:
    into, out = row.get("input_usd_per_mtok"), row.get("output_usd_per_mtok")
    return "unknown" if into is None else "free" if into == out == 0 else f"{into:g} / {out:g}"
