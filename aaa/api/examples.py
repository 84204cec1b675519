"""Examples of what is sent and answered, for the OpenAPI document; a test holds each to its schema.

By the name of the schema that they are of, so every route that takes or tells such a thing shows them. Left
out: reports and stories, which are long; `docs/` shows those.
"""

from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]

BEGAN, ENDED = "2026-05-04T09:30:00.250000Z", "2026-05-04T09:41:12.500000Z"
ASKED: Json = {"role": "user", "content": "Why is the sky blue?"}
SAMPLING: Json = {"temperature": 0.7, "top_p": 1.0, "max_tokens": 1024, "stop": None}

ROUND: Json = {
    "id": "first-7k2m9qa",
    "scenario": "first",
    "description": "A student, a teacher, a judge.",
    "protocol": "co_teaching",
    "seats": {"student": ["pupil"], "teacher": ["teacher"], "judge": ["judge"]},
    "status": "running",
    "reason": "",
    "message": "",
    "budget_usd": 1.0,
    "budget_tokens": None,
    "budget_calls": None,
    "spent_usd": 0.0125,
    "reserved_usd": 0.002,
    "spent_tokens": 5210,
    "reserved_tokens": 900,
    "calls": 31,
    "seat_budgets": {"judge": {"usd": 0.4, "tokens": None, "calls": None}},
    "concurrency": 8,
    "sessions": {
        "total": 40, "queued": 30, "running": 8, "completed": 2, "failed": 0, "cancelled": 0
    },
    "turns": 28,
    "prompt_tokens": 4100,
    "completion_tokens": 1110,
    "verdicts": {"win": 1, "tie": 1, "flip": 0, "error": 0, "abstain": 0},
    "pairs": 1,
    "last_event": 71,
    "created_at": BEGAN,
    "started_at": BEGAN,
    "finished_at": None,
}  # fmt: skip
SEED: Json = {
    "id": "sky",
    "prompt": [ASKED],
    "reference": None,
    "checker": None,
    "tags": ["physics"],
    "parent": None,
    "operation": "",
    "comparison": None,
}
SESSION_ROW: Json = {
    "id": 12,
    "round": "first-7k2m9qa",
    "seed": "sky",
    "status": "completed",
    "reason": "",
    "message": "",
    "turns": 5,
    "verdicts": 1,
    "started_at": BEGAN,
    "finished_at": ENDED,
}


def _turn(index: int, seat: str, agent: str, purpose: str, text: str) -> Json:
    return {
        "index": index,
        "seat": seat,
        "agent": agent,
        "purpose": purpose,
        "messages": [ASKED],
        "sampling": SAMPLING,
        "shape": None,
        "text": text,
        "finish_reason": "stop",
        "choice_logprobs": None,
        "logprob_floor": None,
        "prompt_tokens": 14,
        "completion_tokens": 22,
        "cost_usd": 0.0004,
        "model": "pupil-2026-04",
        "request_id": "cmpl-1",
        "latency_s": 0.8,
        "failure": None,
    }


def _ballot(order: str, turn: int, prefers: str) -> Json:
    return {
        "judge": "judge",
        "order": order,
        "turn": turn,
        "prefers": prefers,
        "scores": None,
        "explanation": "It says why.",
        "error": None,
    }


SESSION: Json = {
    **SESSION_ROW,
    "seed": SEED,
    "turns": [
        _turn(0, "student", "pupil", "draft", "Because air is blue."),
        _turn(1, "teacher", "teacher", "critique", "Say what light does in air."),
        _turn(2, "student", "pupil", "revision", "Air scatters blue light more than red."),
        _turn(3, "judge", "judge", "ballot", '{"better": "second"}'),
        _turn(4, "judge", "judge", "ballot", '{"better": "first"}'),
    ],
    "verdicts": [
        {
            "index": 0,
            "after": 5,
            "edge": "revision",
            "context": [ASKED],
            "a": 0,
            "b": 2,
            "outcome": "win",
            "winner": "b",
            "margin": None,
            "ballots": [_ballot("ab", 3, "b"), _ballot("ba", 4, "b")],
            "judging": "pairwise",
            "related_judges": False,
            "reason": "",
            "pair": "p23ad3382133dbdc7922769d",
        }
    ],
    "notes": [],
    "attempts": [
        {
            "index": 0,
            "attempt": 1,
            "agent": "pupil",
            "status": "answered",
            "kind": None,
            "message": None,
            "cost_usd": 0.0004,
            "started_at": BEGAN,
            "finished_at": ENDED,
        }
    ],
}
STEP: Json = {
    "position": 0,
    "stage": "one",
    "kind": "play",
    "protocol": "arena",
    "status": "running",
    "round": "course-x3k9pqr",
    "data": {},
    "started_at": BEGAN,
    "finished_at": None,
}
COURSE: Json = {
    "id": "arena_learning-4m8w2xz",
    "scenario": "arena_learning",
    "description": "A student learns in stages.",
    "status": "running",
    "reason": "",
    "message": "",
    "student": "pupil",
    "parent": None,
    "next_student": None,
    "stage": "one",
    "stages": ["one", "two"],
    "budget_usd": 20.0,
    "budget_tokens": None,
    "budget_calls": None,
    "spent_usd": 1.5,
    "spent_tokens": 700_000,
    "calls": 2_100,
    "concurrency": 16,
    "steps": [STEP],
    "created_at": BEGAN,
    "finished_at": None,
}
GENERATION: Json = {
    "agent": "pupil-g1",
    "student": "pupil",
    "generation": 1,
    "parent": "pupil",
    "model": "openai/pupil-g1",
    "course_id": "arena_learning-4m8w2xz",
    "stage": "one",
    "admission": {"seeds": 200, "wins": 131, "win_rate": 0.655},
    "admitted": True,
    "at": ENDED,
}
GATE: Json = {
    "seat": "seat-judge-0f1e2d3c4b",
    "agent": "judge",
    "state": "holding",
    "concurrency": 4,
    "in_flight": 0,
    "waiting": 9,
    "opens_at": ENDED,
    "why": "",
    "since": BEGAN,
    "beat_at": BEGAN,
}
TOKEN: Json = {
    "id": "t-1a2b3c4d",
    "name": "ci",
    "role": "operator",
    "created_at": BEGAN,
    "expires_at": "2026-08-02T09:30:00.250000Z",
    "revoked_at": None,
}
CARD: Json = {
    "name": "judge",
    "model": "openai/judge-70b",
    "family": "birch",
    "parent": None,
    "generation": 0,
    "persona": None,
    "sampling": SAMPLING,
    "limits": {
        "concurrency": 8, "rpm": 600, "tpm": None, "timeout_s": 120.0, "attempts": 5, "deadline_s": 900.0
    },
    "price": {"input_usd_per_mtok": 1.0, "output_usd_per_mtok": 2.0},
    "licence": None,
    "local": {"slots": 4, "context": 4096, "threads": None, "gpu_layers": 0},
    "api_key_env": "JUDGE_API_KEY",
}  # fmt: skip
AGENT: Json = {"name": "judge", "card": CARD, "key_set": True, "error": None, "calibrations": []}
SCENARIO_ROW: Json = {
    "name": "first",
    "description": "A student, a teacher, a judge.",
    "protocol": "co_teaching",
    "seats": {"student": ["pupil"], "teacher": ["teacher"], "judge": ["judge"]},
    "budget_usd": 1.0,
    "error": None,
}
ESTIMATE: Json = {
    "scenario": "first",
    "sessions": 40,
    "rehearsed": 3,
    "lines": [
        {
            "seat": "judge",
            "agent": "judge",
            "purpose": "ballot",
            "calls": 80,
            "prompt_tokens": 31_000,
            "completion_tokens": 24_000,
            "cost_usd": 0.079,
        }
    ],
    "calls": 80,
    "cost_usd": 0.079,
    "unpriced": [],
    "evolved": 0,
}
SENT: Json = {
    "name": "mine",
    "seats": ROUND["seats"],
    "seeds": {"inline": [{"id": "sky", "prompt": "Why is the sky blue?"}]},
    "judging": {"play": "pairwise"},
}

EXAMPLES: Mapping[str, tuple[Json, ...]] = {
    # sent
    "StartRound": (
        {"scenario": "quickstart", "overrides": {"seeds.limit": 4}, "budget_usd": 1},
        {"scenario": SENT},
    ),
    "aaa__store__steering__Retune": (
        {"concurrency": 16, "budget_usd": 5, "seat_budgets": {"judge": {"usd": 2}}},
        {"budget_usd": None},
    ),
    "Rejudge": (
        {"judges": ["judge"], "overrides": {"judging.play": "logprob"}, "budget_usd": 0.5},
    ),
    "StartCourse": (
        {"scenario": "arena_learning", "overrides": {"seeds.limit": 90}, "budget_usd": 20},
    ),
    "aaa__store__courses__Retune": ({"concurrency": 32, "budget_usd": 40},),
    "Teach": ({"agent": "pupil-g1"},),
    "Register": ({"agent": "pupil-g1", "course": "arena_learning-4m8w2xz"},),
    "MakeToken": ({"name": "ci", "role": "operator", "expires_in_s": 7_776_000},),
    # answered
    "Round": (ROUND,),
    "SessionSummary": (SESSION_ROW,),
    "SessionShape": (SESSION,),
    "Seed": (SEED,),
    "Course": (COURSE,),
    "Generation": (GENERATION,),
    "GateRow": (GATE,),
    "TokenRow": (TOKEN,),
    "MadeToken": ({**TOKEN, "token": f"aaa_{'x' * 43}"},),
    "AgentRow": (AGENT,),
    "ScenarioRow": (SCENARIO_ROW,),
    "Estimate": (ESTIMATE,),
    "StagedEstimate": (
        {
            "scenario": "arena_learning",
            "stages": 1,
            "plays": [{"stage": "one", "part": "play 1", "estimate": ESTIMATE}],
            "sessions": 40,
            "calls": 80,
            "cost_usd": 0.079,
            "unpriced": [],
        },
    ),
    "Changes": (
        {
            "verdicts": 40, "kept": 25, "reversed": 2, "lost": 3, "won": 4, "none": 6, "unjudged": 0,
            "outcomes": {"win": {"win": 27, "tie": 3}},
        },
    ),
    "Signals": ({"difficulty": 0.25, "disagreement": 0.6},),
    "Ready": (
        {
            "status": "ready",
            "checks": {"database": "ok", "schema": "ok", "supervisor": "ok", "runner": "ok"},
        },
    ),
    "Alive": ({"status": "alive"},),
    **{
        f"Page_{name}_": ({"items": [row], "next": cursor},)
        for name, row, cursor in (
            ("Round", ROUND, ROUND["id"]),
            ("SessionSummary", SESSION_ROW, "12"),
            ("Seed", SEED, "12"),
            ("Course", COURSE, COURSE["id"]),
            ("Generation", GENERATION, None),
            ("GateRow", GATE, None),
            ("TokenRow", TOKEN, None),
            ("AgentRow", AGENT, "judge"),
            ("ScenarioRow", SCENARIO_ROW, None),
        )
    },
}  # fmt: skip
"""Name of a schema -> examples of it."""
