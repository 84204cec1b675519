"""`aaa explain ID`: the whole story of one pair, or of another exported row, as a person reads it."""

import json
import textwrap
from collections.abc import Mapping
from typing import Any

from aaa.clean import clean
from aaa.commands.opening import open_client, show, tell
from aaa.errors import NotFound
from aaa.settings import Settings
from aaa.types import CHECKER

Story = dict[str, Any]


async def explain(settings: Settings, id: str, as_json: bool) -> int:
    """Print why a pair is what it is, or where another row came from. Raises `NotFound`."""
    async with open_client(settings) as client:
        try:
            story, in_words = await client.explain(id), told
        except NotFound:
            story, in_words = await client.explain_row(id), told_of_row
            if story["pair"] is not None:
                story, in_words = await client.explain(story["pair"]), told
    if as_json:
        show(story)
    else:
        tell("\n".join(in_words(story)))
    return 0


def told_of_row(story: Story) -> list[str]:
    """The story of a row that is no pair: what it says, then how it came about, then what it took."""
    return [
        f"Row {story['id']} of format {story['format']!r}: session {story['session']} of round "
        f"{story['round']} (scenario {story['scenario']}, protocol {story['protocol']})",
        *_seed(story),
        *_row(story),
        "",
        "THE SESSION, turn by turn",
        *(line for turn in story["turns"] for line in _turn(turn)),
        *_considered(story, "WHAT WAS COMPARED"),
        *_cost(story),
    ]


def _row(story: Story) -> list[str]:
    """Its columns; a whole session is told below."""
    lines = ["", "THE ROW"]
    for name, value in story["row"].items():
        if name not in ("id", "turns", "seed"):
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            lines += _indented(f"{name}: {text}")
    return lines


def told(story: Story) -> list[str]:
    """The story in lines: verdict first, then how it came about, then what it took."""
    return [
        f"Pair {story['id']}: a {story['edge']!r} comparison in session {story['session']} of round "
        f"{story['round']} (scenario {story['scenario']}, protocol {story['protocol']})",
        *_seed(story),
        *_answer("CHOSEN", story["chosen"]),
        *_answer("REJECTED", story["rejected"]),
        *_verdict(story),
        "",
        "THE SESSION, turn by turn",
        *(line for turn in story["turns"] for line in _turn(turn)),
        *_considered(story, "WHAT ELSE WAS COMPARED"),
        *_cost(story),
        *_elsewhere(story),
    ]


def _seed(story: Story) -> list[str]:
    seed = story["seed"]
    tags = f" [{', '.join(seed['tags'])}]" if seed.get("tags") else ""
    lines = ["", f"SEED {clean(seed['id'])}{tags}"]
    for message in seed["prompt"]:
        lines += _indented(f"{message['role']}: {message['content']}")
    if story["evolved_from"]:
        lines += _indented(f"evolved from {' from '.join(story['evolved_from'])}")
    if seed.get("reference"):
        lines += _indented(f"reference: {seed['reference']}")
    return lines


def _answer(title: str, turn: Story) -> list[str]:
    return [
        "",
        f"{title}: turn {turn['index']}, {turn['purpose']} by {turn['agent']} "
        f"(served as {clean(turn['model'])})",
        *_indented(turn["text"]),
    ]


def _verdict(story: Story) -> list[str]:
    verdict = story["verdict"]
    margin = "" if story["margin"] is None else f", margin {story['margin']:.3f}"
    lines = [
        "",
        f"VERDICT by judging play {verdict['judging']!r}: {verdict['outcome']}, "
        f"turn {story['chosen']['index']} over turn {story['rejected']['index']}{margin}",
    ]
    if verdict["reason"]:
        lines += _indented(verdict["reason"])
    if verdict["related_judges"]:
        lines.append("  A judge was related to a contestant: the scenario allowed it.")
    names = {"a": f"turn {verdict['a']}", "b": f"turn {verdict['b']}", "tie": "a tie"}
    for ballot in story["ballots"]:
        if ballot["judge"].startswith(CHECKER):
            lines += _finding(ballot)
            continue
        lines.append(f"  {ballot['judge']}, {_found(ballot, names)}")
        if ballot.get("scores"):
            scores = ", ".join(f"{names[k]} {v:+.3f}" for k, v in ballot["scores"].items())
            lines.append(f"    scores: {scores}")
        if ballot.get("choice_logprobs"):
            odds = ", ".join(f"{k} {v:.3f}" for k, v in ballot["choice_logprobs"].items())
            lines.append(f"    log-probabilities: {clean(odds)}")
        said = ballot.get("explanation") or ballot["text"]
        lines += _indented(f"said: {said}", "    ")
    return lines


def _found(ballot: Story, names: Mapping[str, str]) -> str:
    """What a judge was shown, and what it prefers: nothing where it saw one answer alone."""
    order, alone = ballot["order"], names.get(ballot["order"])
    if ballot.get("error"):
        return f"{f'{alone} alone' if alone else f'order {order}'}: nothing readable"
    if alone:
        return f"{alone} alone"
    return f"order {order}: prefers {names.get(ballot['prefers'] or '', 'nothing readable')}"


def _finding(ballot: Story) -> list[str]:
    """What a checker found out about one answer."""
    score = next(iter((ballot.get("scores") or {}).values()), None)
    found = "could not tell" if score is None else f"score {score:.3f}"
    head = f"  {clean(ballot['judge'])}, turn {ballot['turn']}: {found}"
    return [head, *_indented(ballot.get("error") or ballot["explanation"], "    ")]


def _turn(turn: Story) -> list[str]:
    lines = ["", f"[{turn['index']}] {turn['seat']} {turn['agent']}: {turn['purpose']}"]
    lines += _indented(f"asked with{_sampling(turn)}:", "  ")
    for message in turn["messages"]:
        lines += _indented(f"{message['role']}: {message['content']}", "    | ")
    if turn["failure"]:
        return [*lines, *_indented(f"failed: {turn['failure']}")]
    return [*lines, *_indented("said:", "  "), *_indented(turn["text"], "    ")]


def _sampling(turn: Story) -> str:
    """What the play set; the rest is the card's."""
    given = {k: v for k, v in (turn.get("sampling") or {}).items() if v is not None}
    return f" {', '.join(f'{k} {v}' for k, v in given.items())}" if given else ""


def _considered(story: Story, title: str) -> list[str]:
    """What the session compared, and why it is no pair where it is none."""
    lines = ["", title] if story["considered"] else []
    for one in story["considered"]:
        became = f"pair {one['pair']}" if one["pair"] else f"dropped: {one['outcome']}"
        lines.append(f"  turn {one['a']} and turn {one['b']} ({one['edge']}): {became}")
        if one["reason"]:
            lines += _indented(one["reason"], "    ")
    return lines


def _cost(story: Story) -> list[str]:
    lines = ["", "WHAT IT TOOK"]
    for what, spent in story["spent"].items():
        cost = "unknown" if spent["cost_usd"] is None else f"${spent['cost_usd']:.6f}"
        lines.append(
            f"  {what}: {spent['calls']} calls, {spent['prompt_tokens']} + "
            f"{spent['completion_tokens']} tokens, {spent['latency_s']:.1f} s of answering, {cost}"
        )
    return lines


def _elsewhere(story: Story) -> list[str]:
    if not story["elsewhere"]:
        return []
    places = ", ".join(f"session {p['session']} of {p['round']}" for p in story["elsewhere"])
    return [f"  The same pair also came out of: {places}"]


def _indented(text: str, by: str = "  ") -> list[str]:
    """Text a model or user wrote, made harmless, wrapped, and set off by an indent."""
    lines = []
    for line in clean(text).splitlines() or [""]:
        lines += textwrap.wrap(line, 96, replace_whitespace=False) or [""]
    return [f"{by}{line}" for line in lines]
