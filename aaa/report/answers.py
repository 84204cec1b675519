"""The answers that a report counts: what an agent said to a seed's own prompt, and whether it passes.

An answer counts where the agent was asked the seed's prompt and nothing else, so that generations compare
whatever the protocol was. Passing is what a checker found when the round was played; where none was asked
then, the seed's checker is asked now, unless it runs code. Left out: revisions, and whatever follows a chat.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from aaa.checkers import grade
from aaa.prompts import shown
from aaa.types import CHECKER, Check, Message, Value

KIND, TEMPLATE = "task:", "template:"
"""How the tags begin that say what kind of task a seed is, and from which template it was made."""
Json = Mapping[str, Any]


class Answer(Value):
    """One answer of one agent to one seed."""

    round: str
    session: int
    seed: str
    prompt: str
    tags: tuple[str, ...]
    agent: str
    text: str
    tokens: int | None
    """`None`: the provider did not tell."""
    cut: bool
    """It ended because it had become too long."""
    passed: bool | None
    """`None`: no program could tell."""
    why: str
    """What the checker found."""

    @property
    def words(self) -> int:
        return len(self.text.split())


class Taught(Value):
    """What the students of a report were taught with."""

    ids: frozenset[str] = frozenset()
    prompts: frozenset[str] = frozenset()
    templates: frozenset[str] = frozenset()
    known: bool = False
    """Whether anything is known of it; if not, nothing can be said to be held out."""

    def set_of(self, answer: Answer) -> str | None:
        """`taught`, `seen` (its template was taught) or `unseen`; `None` where nobody can tell."""
        if not self.known:
            return None
        if answer.seed in self.ids or answer.prompt.strip() in self.prompts:
            return "taught"
        template = tag_of(answer.tags, TEMPLATE)
        if template is None:
            return None
        return "seen" if template in self.templates else "unseen"


def tag_of(tags: Iterable[str], beginning: str) -> str | None:
    """What follows the beginning, in the first tag that has it."""
    return next((tag[len(beginning) :] for tag in tags if tag.startswith(beginning)), None)


def taught_by(seeds: Iterable[Json]) -> Taught:
    """What is known of these seeds, as scenarios and seeds files hold them."""
    every = list(seeds)
    templates = (tag_of(seed.get("tags") or (), TEMPLATE) for seed in every)
    return Taught(
        ids=frozenset(str(seed["id"]) for seed in every if seed.get("id")),
        prompts=frozenset(_prompt(seed["prompt"]) for seed in every),
        templates=frozenset(name for name in templates if name is not None),
        known=bool(every),
    )


def _prompt(prompt: str | list[Json]) -> str:
    chat = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    return shown(tuple(Message.model_validate(one) for one in chat)).strip()


def read(session: Json) -> Iterator[Answer]:
    """The answers of one session, as the API tells it, in the order in which they were given."""
    seed = session["seed"]
    asked = [(one["role"], one["content"]) for one in seed["prompt"]]
    found = _found(session["verdicts"])
    for turn in session["turns"]:
        if turn["seat"] == "judge" or turn["failure"] is not None:
            continue
        if [(one["role"], one["content"]) for one in turn["messages"]] != asked:
            continue
        passed, why = found.get(turn["index"]) or _checked(seed.get("checker"), turn["text"])
        yield Answer(
            round=session["round"],
            session=session["id"],
            seed=seed["id"],
            prompt=_prompt(seed["prompt"]),
            tags=tuple(seed.get("tags") or ()),
            agent=turn["agent"],
            text=turn["text"],
            tokens=turn["completion_tokens"],
            cut=turn["finish_reason"] == "length",
            passed=passed,
            why=why,
        )


def _found(verdicts: Iterable[Json]) -> dict[int, tuple[bool | None, str]]:
    """Turn -> whether a program passed it, and what it found, as recorded."""
    found: dict[int, tuple[bool | None, str]] = {}
    for verdict in verdicts:
        for ballot in verdict["ballots"]:
            if not ballot["judge"].startswith(CHECKER):
                continue
            scores = ballot["scores"]
            passed = None if scores is None else next(iter(scores.values())) == 1
            found[ballot["turn"]] = (passed, ballot["error"] or ballot["explanation"])
    return found


def _checked(checker: Mapping[str, Any] | None, text: str) -> tuple[bool | None, str]:
    """The same found out now."""
    if checker is None:
        return None, "the seed has no checker"
    if _runs_code(checker):
        return None, "its checker runs code, and was not asked when the round was played"
    found = grade(checker, text)
    if isinstance(found, Check):
        return found.passed, found.why
    return None, found.message


def _runs_code(checker: Mapping[str, Any]) -> bool:
    return checker["kind"] == "python_tests" or any(map(_runs_code, checker.get("of", ())))
