"""What a scenario would ask and cost, found by rehearsing its plays: no model, no network, no money.

Upper bounds where they can be had: every reply as long as its limit allows, every revision preferred,
so that all rounds are played. Prompt tokens are counted at four bytes each. Left out: retries, and what is
asked again because a judge's reply could not be read.
"""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from math import ceil
from typing import Any

from aaa import plugins
from aaa.asking import Wish, longest_reply, request_of
from aaa.catalogue import Script
from aaa.models import price_of
from aaa.play import rehearse
from aaa.protocols.auto_evol import METHOD
from aaa.scenario import Price
from aaa.types import Call, ChoiceShape, Evolved, JsonShape, Reply, Seed, Value

BYTES_PER_TOKEN = 4
SAMPLE = 200
"""Seeds rehearsed at most; more are counted in proportion."""
_QUESTION = re.compile(r"^Question:\n<(\S+)>\n.*?\n</\1>", re.MULTILINE | re.DOTALL)


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
    evolved: int = 0
    """New prompts that it makes, if none of them is dropped."""

    def times(self, factor: float) -> "Estimate":
        """The same on so many times as many seeds."""
        lines = tuple(
            line.model_copy(
                update={
                    "calls": ceil(line.calls * factor),
                    "prompt_tokens": ceil(line.prompt_tokens * factor),
                    "completion_tokens": ceil(line.completion_tokens * factor),
                    "cost_usd": None if line.cost_usd is None else line.cost_usd * factor,
                }
            )
            for line in self.lines
        )
        changed = {
            "sessions": ceil(self.sessions * factor),
            "lines": lines,
            "calls": sum(line.calls for line in lines),
            "cost_usd": None if self.cost_usd is None else self.cost_usd * factor,
            "evolved": ceil(self.evolved * factor),
        }
        return self.model_copy(update=changed)


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
    evolved = 0
    for seed in sample:
        ending = protocol.rehearsal and protocol.rehearsal(seed, script.cast, options)
        writer = _Writer(script, protocol.made_up, ending)
        recorded = rehearse(protocol.play(seed, script.cast, options), writer).recorded
        evolved += sum(isinstance(n, Evolved) and n.operation != METHOD for n in recorded.notes)
        for turn in recorded.turns:
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
        evolved=round(evolved * scale),
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
    """Makes up replies that lead to the most work: full length, and the newer answer always wins.

    A judge's replies follow from where the newest answer stands; a control (`Judging.control`) is won by
    nobody.
    """

    def __init__(
        self,
        script: Script,
        by_rule: Callable[[Call, int], str | None] | None,
        ending: Callable[[Call], str] | None,
    ) -> None:
        self._script = script
        self._by_rule, self._ending = by_rule, ending
        self._written = self._made_up = 0
        self._judges_own: set[int] = set()
        self._alone: dict[str, int] = {}

    def __call__(self, call: Call) -> Reply:
        if isinstance(call.shape, ChoiceShape):
            first = self._share(call)
            second = 0.5 if len(self._shown(call)) < 2 else 1 - first
            logprobs = (-0.1 - 99 * (1 - first), -0.1 - 99 * (1 - second))
            return Reply(
                text="", choice_logprobs=dict(zip(call.shape.choices, logprobs, strict=True))
            )
        said = self._by_rule and self._by_rule(call, self._written)
        if said is not None:
            self._written += 1
            return Reply(text=said)
        if isinstance(call.shape, JsonShape):
            return Reply(text=json.dumps(self._fill(call.shape.fields, self._share(call), [])))
        self._written += 1
        if call.seat == "judge":
            self._judges_own.add(self._written)
        filler = "word " * (self.size(call)[1] * BYTES_PER_TOKEN // 5)
        end = f"\n{self._ending(call)}" if self._ending else ""
        return Reply(text=f"answer {self._written:06d} {filler}{end}")

    def size(self, call: Call) -> tuple[int, int]:
        """(prompt tokens, completion tokens) of a call as it would be sent."""
        wish = Wish(round="", session=0, epoch=0, index=0, call=call, sampling_seed=0)
        request = request_of(self._script.cards[call.agent], wish)
        prompt = sum(len(m.content.encode()) + 16 for m in request.messages) // BYTES_PER_TOKEN
        return prompt, longest_reply(request)

    def _shown(self, call: Call) -> list[int]:
        """Numbers of the answers in what a judge is shown, in the order in which they stand there.

        The question may hold made-up words too, where a model wrote a part of it.
        """
        found = re.findall(r"answer (\d{6}) ", _QUESTION.sub("", call.messages[-1].content))
        numbers = [int(number) for number in found]
        return list(dict.fromkeys(n for n in numbers if n not in self._judges_own))

    def _share(self, call: Call) -> float:
        """1 where the answer shown first is to win, else 0.

        An answer that is judged alone is followed by its rival: the newer of the two wins.
        """
        shown = self._shown(call)
        if call.purpose == "control" or not shown:
            return 1.0
        if len(shown) == 1:
            rival = self._alone.pop(call.agent, None)
            if rival is None:
                self._alone[call.agent] = shown[0]
            return 0.0 if rival is None or rival > shown[0] else 1.0
        return 1.0 if shown[0] == max(shown) else 0.0

    def _fill(self, schema: dict[str, Any], share: float, given: list[str]) -> object:
        """A value for the schema; `given`: names of the objects in which a score was given before."""
        if "enum" in schema:
            ends = [one for one in schema["enum"] if one not in ("tie", "none")]
            return ends[0] if share == 1 else ends[-1]
        kind = str(schema.get("type"))
        if kind == "object":
            scored: list[str] = []
            inner = schema.get("properties", {})
            return {name: self._fill(field, share, scored) for name, field in inner.items()}
        if kind in ("integer", "number"):
            given.append(kind)
            least, most = schema.get("minimum", 1), schema.get("maximum", 5)
            return most if (share == 1) == (len(given) == 1) else least
        if kind == "array":
            inner = schema.get("items", {"type": "string"})
            return [self._fill(inner, share, []) for _ in range(schema.get("maxItems", 1))]
        self._made_up += 1  # no two replies are the same: who compares them has something to ask
        return True if kind == "boolean" else f"made up {self._made_up}"
