"""What the benchmarks of trained students share: tasks, a small model's answers, what programs find in them.

Answers are greedy and come from the local runtime, with a generation's adapter or without. Whatever was
answered is kept in a file, so that nothing is asked twice.
"""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from aaa.catalogue import open_catalogue, shipped
from aaa.checkers import grade
from aaa.models import Request, open_model
from aaa.scenario import AgentCard, Seeds
from aaa.seeds import load_seeds
from aaa.settings import Settings
from aaa.types import Check, Sampling, Seed

STUDENT = "smollm2-135m"
ANSWER_TOKENS = 48
AT_ONCE = 40
"""Answers between two writes of what is known."""


def tell(text: str) -> None:
    """Progress, on stderr."""
    print(f"{time.strftime('%H:%M:%S')}  {text}", file=sys.stderr, flush=True)


def tasks(part: str) -> tuple[Seed, ...]:
    """The tasks of `train`, `seen` or `unseen`."""
    return load_seeds(Seeds(file=f"tasks-{part}.jsonl"), shipped("scenarios") / "seeds")


def student(settings: Settings, adapter: Path | None = None) -> AgentCard:
    """The student's card, as it was or as an adapter makes it."""
    card = open_catalogue(settings).card(STUDENT)
    if adapter is None:
        return card
    return card.model_copy(update={"name": "trained", "model": f"{card.model}@{adapter}"})


def answered(
    settings: Settings, card: AgentCard, seeds: Sequence[Seed], kept: Path
) -> dict[str, str]:
    """Seed id -> the card's greedy answer; those in the file `kept` are not asked again."""
    known = json.loads(kept.read_text("utf-8")) if kept.exists() else {}
    missing = [seed for seed in seeds if seed.id not in known]
    kept.parent.mkdir(parents=True, exist_ok=True)
    for first in range(0, len(missing), AT_ONCE):
        known |= asyncio.run(_asked(settings, card, missing[first : first + AT_ONCE]))
        draft = kept.with_suffix(".part")
        draft.write_text(json.dumps(known, ensure_ascii=False, indent=1), "utf-8")
        draft.replace(kept)
    return {seed.id: known[seed.id] for seed in seeds}


async def _asked(settings: Settings, card: AgentCard, seeds: Sequence[Seed]) -> dict[str, str]:
    model = open_model(card, settings)
    sampling = Sampling(temperature=0, max_tokens=ANSWER_TOKENS)

    async def ask(seed: Seed) -> str:
        request = Request(messages=seed.prompt, sampling=sampling, seed=0)
        return (await model.complete(request)).text

    try:
        texts = await asyncio.gather(*map(ask, seeds))
    finally:
        await model.close()
    return {seed.id: text for seed, text in zip(seeds, texts, strict=True)}


def passes(seed: Seed, text: str) -> bool:
    """Whether its checker passes it; one that could not tell has not."""
    found = grade(seed.checker or {}, text)
    return isinstance(found, Check) and found.passed
