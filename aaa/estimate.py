"""What a scenario would ask and cost, found by rehearsing its plays: no model, no network, no money.

Upper bounds where they can be had: every reply as long as its limit allows, every revision preferred,
so that all rounds are played. Prompt tokens are counted at four bytes each. Left out: retries.
"""

import json
from collections import defaultdict
from collections.abc import Sequence

from aaa import plugins
from aaa.asking import Wish, request_of
from aaa.catalogue import Script
from aaa.models import price_of
from aaa.play import rehearse
from aaa.scenario import Price
from aaa.types import Call, ChoiceShape, JsonShape, Reply, Seed, Value

BYTES_PER_TOKEN = 4
SAMPLE = 200
"""Seeds rehearsed at most; more are counted in proportion."""


class Line(Value):
    """Calls of one kind: who says what, how often, at what size."""

    seat: str
    agent: str
    purpose: str
    calls: int
    prompt_tokens: int
    """About."""
    completion_tokens: int
    """At most."""
    cost_usd: float | None
    """At most; `None`: the model's price is unknown."""


class Estimate(Value):
    """What a round of a scenario comes to."""

    scenario: str
    sessions: int
    rehearsed: int
    """Sessions really rehearsed; the rest is in proportion."""
    lines: tuple[Line, ...]
    calls: int
    cost_usd: float | None
    """Sum of the known; `None` where none is known."""
    unpriced: tuple[str, ...]
    """Agents whose price is unknown."""


def estimate(script: Script, seeds: Sequence[Seed]) -> Estimate:
    """Rehearse up to `SAMPLE` seeds, evenly spread, and add up. Raises `PlayError`."""
    step = max(1, -(-len(seeds) // SAMPLE))
    sample = seeds[::step]
    scale = len(seeds) / len(sample)
    sizes: dict[tuple[str, str, str], list[tuple[int, int]]] = defaultdict(list)
    protocol = plugins.protocol(script.scenario.protocol.id)
    options = plugins.options_of(
        "protocol", protocol.id, protocol.options, script.scenario.protocol.options
    )
    for seed in sample:
        writer = _Writer(script)
        for turn in rehearse(protocol.play(seed, script.cast, options), writer).recorded.turns:
            call = turn.call
            if call.given is not None:
                continue
            sizes[call.seat, call.agent, call.purpose].append(writer.size(call))
    prices = {name: price_of(card) for name, card in script.cards.items()}
    lines = tuple(_line(key, of, scale, prices[key[1]]) for key, of in sizes.items())
    known = [line.cost_usd for line in lines if line.cost_usd is not None]
    return Estimate(
        scenario=script.scenario.name,
        sessions=len(seeds),
        rehearsed=len(sample),
        lines=lines,
        calls=sum(line.calls for line in lines),
        cost_usd=sum(known) if known else None,
        unpriced=tuple(name for name, price in prices.items() if price is None),
    )


def _line(
    key: tuple[str, str, str], sizes: list[tuple[int, int]], scale: float, price: Price | None
) -> Line:
    prompt = round(sum(size[0] for size in sizes) * scale)
    completion = round(sum(size[1] for size in sizes) * scale)
    return Line(
        seat=key[0],
        agent=key[1],
        purpose=key[2],
        calls=round(len(sizes) * scale),
        prompt_tokens=prompt,
        completion_tokens=completion,
        cost_usd=None if price is None else price.cost_usd(prompt, completion),
    )


class _Writer:
    """Makes up replies that lead to the most work: full length, and the newer answer always wins."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._written = 0

    def __call__(self, call: Call) -> Reply:
        if isinstance(call.shape, ChoiceShape):
            best = self._newest(call, len(call.shape.choices))
            lead = {c: -9.0 + 8.9 * (i == best) for i, c in enumerate(call.shape.choices)}
            return Reply(text=call.shape.choices[best], choice_logprobs=lead)
        if isinstance(call.shape, JsonShape):
            return Reply(text=json.dumps(self._fill(call, call.shape)))
        self._written += 1
        filler = "word " * (self.size(call)[1] * BYTES_PER_TOKEN // 5)
        return Reply(text=f"answer {self._written:06d} {filler}")

    def size(self, call: Call) -> tuple[int, int]:
        """(prompt tokens, completion tokens) of a call as it would be sent."""
        wish = Wish(round="", session=0, epoch=0, index=0, call=call, sampling_seed=0)
        request = request_of(self._script.cards[call.agent], wish)
        prompt = sum(len(m.content.encode()) + 16 for m in request.messages) // BYTES_PER_TOKEN
        if isinstance(call.shape, ChoiceShape):
            return prompt, 1
        return prompt, request.sampling.max_tokens or 1024

    def _newest(self, call: Call, of: int) -> int:
        """Which of the answers shown was written last: 0 is the one shown first."""
        text = call.messages[-1].content
        shown = [
            (number, text.find(f"answer {number:06d}"))
            for number in range(1, self._written + 1)
            if f"answer {number:06d}" in text
        ]
        if not shown:
            return 0
        newest = max(shown)[1]
        return min(sum(place < newest for _, place in shown), of - 1)

    def _fill(self, call: Call, shape: JsonShape) -> dict[str, object]:
        filled: dict[str, object] = {}
        for name, field in shape.fields.get("properties", {}).items():
            if "enum" in field:
                filled[name] = field["enum"][self._newest(call, len(field["enum"]))]
            else:
                kinds = {"integer": 5, "number": 5.0, "boolean": True, "array": [], "object": {}}
                filled[name] = kinds.get(field.get("type"), "made up")
        return filled
