"""A synthetic round as a list of events and transcripts: the dashboard's rehearsal stage.

Looks like what the real system emits (`docs/design/events.md`).
"""

import random
from datetime import UTC, datetime
from typing import Any

from aaa.client import Event

START = 1_790_000_000.0
STUDENTS, TEACHER, JUDGE = ("smollm2-135m", "smollm2-360m"), "qwen2.5-coder-1.5b", "granite-3.3-2b"
SEEDS = (
    "Why is the sky blue? Explain it to a child of ten.",
    "Write a Python function that merges two sorted lists.",
    "为什么天空是蓝色的？请用简单的话解释。",
    "A train leaves at 14:05 and arrives at 16:50. How long does it travel?",
    "Give three reasons to keep a diary 📓, and one against it.",
)
DRAFT = (
    "The sky is blue because the sun is blue and the ocean reflects it. Light travels very fast and "
    "blue is the fastest colour, so it arrives first."
)
CRITIQUE = (
    "The cause is wrong: the sun is white, and the ocean has no part in it. Say that air scatters "
    "short (blue) waves more than long (red) ones; that is Rayleigh scattering. Keep it short, and "
    "choose a picture that a child knows."
)
REVISION = (
    "The sky is blue because air scatters sunlight. Sunlight holds all colours, and blue light "
    "bounces off the tiny parts of air much more than red light does, so blue arrives from "
    "everywhere you look."
)
CHINESE = (
    "天空是蓝色的，因为空气会散射阳光。蓝光的波长较短，所以散射得更多，我们从各个方向都能看到蓝光。"
)


def iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()


def round_json(sessions: int = 8, *, last_event: int = 0) -> dict[str, Any]:
    return {
        "id": "r_7k2m", "scenario": "quickstart", "description": "", "status": "running",
        "reason": "started", "message": None, "budget_usd": 1.0, "spent_usd": 0.0,
        "reserved_usd": 0.0, "concurrency": 4,
        "sessions": {"total": sessions, "queued": sessions, "running": 0, "completed": 0,
                     "failed": 0, "cancelled": 0},
        "turns": 0, "prompt_tokens": 0, "completion_tokens": 0,
        "verdicts": dict.fromkeys(("win", "tie", "flip", "error", "abstain"), 0),
        "pairs": 0, "last_event": last_event, "created_at": iso(START), "started_at": iso(START),
        "finished_at": None,
        "seats": {"student": list(STUDENTS), "teacher": [TEACHER], "judge": [JUDGE]},
        "protocol": {"id": "co_teaching", "options": {}},
    }  # fmt: skip


def session_json(events: list[Event], session: str, upto: int) -> dict[str, Any]:
    """The transcript of a session as of event `upto`; texts as in the events."""
    mine = [e for e in events if e.id <= upto and e.data.get("session") == session]
    seed = next((str(e.data["seed"]) for e in mine if e.kind == "session.started"), "")
    number = int(seed.removeprefix("seed-") or 0)
    return {
        "id": session, "round": "r_7k2m", "status": "running", "reason": None, "message": None,
        "seed": {"id": seed, "prompt": [{"role": "user", "content": SEEDS[number % len(SEEDS)]}]},
        "started_at": mine[0].data["at"] if mine else None, "finished_at": None,
        "turns": [{k: v for k, v in e.data.items() if k != "at"} for e in mine if e.kind == "turn"],
        "verdicts": [
            {**e.data, "judging": "logprob",
             "after": max(t.data["index"] for t in mine if t.kind == "turn" and t.id < e.id) + 1}
            for e in mine if e.kind == "verdict"
        ],
    }  # fmt: skip


class _Script:
    """Timed happenings; they become events once all are known and sorted."""

    def __init__(self, chance: random.Random) -> None:
        self.said: list[tuple[float, str, dict[str, Any]]] = []
        self.chance = chance

    def say(self, at: float, event: str, **data: Any) -> None:
        self.said.append((at, event, data))

    def call(self, at: float, session: str, index: int, seat: str, agent: str, purpose: str,
             text: str) -> float:  # fmt: skip
        """One call with its attempts; when it was answered."""
        who = {"session": session, "index": index, "seat": seat, "agent": agent, "purpose": purpose}
        attempt = 1
        while self.chance.random() < 0.08:
            self.say(at, "call.started", **who, attempt=attempt)
            at += 2
            wait_s = 2.0**attempt * 3
            self.say(at, "call.failed", **who, attempt=attempt, kind="rate_limited",
                     message="429: slow down, limit is 30 requests per minute",
                     retry_in_s=wait_s)  # fmt: skip
            at, attempt = at + wait_s, attempt + 1
        self.say(at, "call.started", **who, attempt=attempt)
        tokens = max(1, len(text) // 4)
        took_s = 0.3 + tokens / (45 if seat == "student" else 18) * self.chance.uniform(0.7, 1.4)
        self.say(at + took_s, "turn", **who, text=text[:600], characters=len(text),
                 finish_reason="stop", prompt_tokens=120 + tokens, completion_tokens=tokens,
                 cost_usd=tokens * 2e-6, latency_s=took_s, failure=None)  # fmt: skip
        return at + took_s

    def judge(self, at: float, session: str, verdict: int, turns: int, a: int, b: int, edge: str,
              names: tuple[str, str]) -> float:  # fmt: skip
        ends = [
            self.call(at, session, turns + n, "judge", JUDGE, "ballot", "AB"[n]) for n in (0, 1)
        ]
        outcome = self.chance.choice(["win"] * 5 + ["tie", "flip", "error"])
        sides = {"win": "bb", "flip": "ab", "tie": "  ", "error": "b "}[outcome]
        ballots = [
            {"judge": JUDGE, "order": order, "prefers": side.strip() or None,
             "error": "listed only ['A']" if outcome == "error" and side == " " else None}
            for order, side in zip(("ab", "ba"), sides, strict=True)
        ]  # fmt: skip
        self.say(max(ends) + 0.05, "verdict", session=session, index=verdict, edge=edge,
                 outcome=outcome, winner="b" if outcome == "win" else None,
                 margin=round(self.chance.uniform(0.6, 4), 2), a=a, b=b,
                 agents={"a": names[0], "b": names[1]}, ballots=ballots,
                 reason="'granite-3.3-2b' listed only ['A']" if outcome == "error" else "",
                 pair=f"p_{session}_{verdict}" if outcome == "win" else None)  # fmt: skip
        return max(ends) + 0.1

    def session(self, at: float, number: int) -> float:
        session, seed = f"s_{number:04d}", f"seed-{number}"
        self.say(at, "session.started", session=session, seed=seed, runner="runner-0", epoch=1)
        at += 0.1
        drafts = [CHINESE if number % 5 == 2 else DRAFT, DRAFT + " " + REVISION]
        ends = [
            self.call(at, session, n, "student", STUDENTS[n], "draft", drafts[n]) for n in (0, 1)
        ]
        at, turns = max(ends), 2
        for n in (0, 1):
            at = self.call(at, session, turns, "teacher", TEACHER, "critique", CRITIQUE)
            at = self.call(at, session, turns + 1, "student", STUDENTS[n], "revision", REVISION)
            at = self.judge(at, session, n, turns + 2, n, turns + 1, "revision", (STUDENTS[n],) * 2)
            turns += 4
        at = self.judge(at, session, 2, turns, 3, 7, "peer", STUDENTS)
        failed = number % 7 == 6
        self.say(at, "session.finished", session=session, seed=seed,
                 status="failed" if failed else "completed",
                 reason="context_overflow" if failed else None,
                 message="prompt of 4,211 tokens, window of 2,048" if failed else None)  # fmt: skip
        return at


def events(sessions: int = 8, *, at_once: int = 4, chance: int = 1) -> list[Event]:
    """A whole round, `at_once` sessions at a time; the same arguments give the same events."""
    script = _Script(random.Random(chance))
    script.say(START, "round.created", scenario="quickstart", sessions=sessions, budget_usd=1.0)
    script.say(START + 0.2, "round.running", reason="started")
    free = [START + 0.3] * at_once
    for number in range(sessions):
        free.sort()
        free[0] = script.session(free[0] + 0.05, number)
    script.say(max(free) + 0.1, "round.completed", reason="all_finished", message="")
    ordered = sorted(script.said, key=lambda said: said[0])
    return [
        Event(id=n, kind=kind, data={**data, "at": iso(at)})
        for n, (at, kind, data) in enumerate(ordered, 1)
    ]
