"""The nouns of AAA: frozen values that plays, judges, journal and exporters share.

Left out: how a model is reached (`scenario.AgentCard`), and anything that does I/O.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator

from aaa.errors import CheckErrorKind, FailureKind


class Value(BaseModel):
    """A frozen record; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def fingerprint(value: object) -> str:
    """SHA-256 hex of a value's canonical JSON (sorted keys, no spaces): equal values, equal hash."""
    plain = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


Role = Literal["system", "user", "assistant"]


class Message(Value):
    """One message of a chat, as every provider takes it."""

    role: Role
    content: str


Messages = tuple[Message, ...]


class Sampling(Value):
    """How to draw tokens. `None` leaves a knob to whoever is asked next: call, then card, then provider."""

    temperature: float | None = Field(None, ge=0, le=5)
    """0 is greedy."""
    top_p: float | None = Field(None, gt=0, le=1)
    max_tokens: int | None = Field(None, ge=1)
    """Longest reply, in tokens; a request always names one (`scenario.USUAL_TOKENS`)."""
    stop: tuple[str, ...] | None = None

    def over(self, base: "Sampling") -> "Sampling":
        """These knobs where they are set, `base`'s where they are `None`."""
        return base.model_copy(update=self.model_dump(exclude_none=True))


class JsonShape(Value):
    """The reply must be JSON that fits `fields` (a JSON Schema object)."""

    kind: Literal["json"] = "json"
    name: str
    fields: dict[str, Any]


class ChoiceShape(Value):
    """The reply is one of `choices`, and what counts is how probable the model finds each of them."""

    kind: Literal["choice"] = "choice"
    choices: tuple[str, ...]


class Call(Value):
    """A wish: what a play wants said, and by whom."""

    seat: str
    """The part in the scenario: `student`, `teacher`, `judge`, or one that the protocol names."""
    agent: str
    """Name of the agent that holds the seat."""
    purpose: str
    """What the reply is for: `draft`, `critique`, `revision`, `ballot` …"""
    messages: Messages = Field(min_length=1)
    sampling: Sampling = Sampling()
    shape: JsonShape | ChoiceShape | None = None
    """Wanted form of the reply; `None` is free text."""
    given: "Reply | None" = None
    """Words that exist already: they are put on the record and nobody is asked. `None`: ask."""


class Failure(Value):
    """Why a call brought no answer that asking again could bring."""

    kind: FailureKind
    message: str


FinishReason = Literal["stop", "length", "content_filter", "other"]


class Reply(Value):
    """What a model returned for one call."""

    text: str
    finish_reason: FinishReason = "stop"
    choice_logprobs: dict[str, float] | None = None
    """For a `ChoiceShape`: choice -> natural-log probability of its first token; absent choices were
    too improbable to be listed. `None` where the shape did not ask or the provider does not tell."""
    logprob_floor: float | None = None
    """What an absent choice's log-probability is at most: the lowest that was listed."""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost_usd: float | None = None
    """`None` means unknown, never free."""
    model: str = ""
    """The model as the provider says it served it."""
    request_id: str | None = None
    """The provider's own id of the request, where it gives one."""


class Turn(Value):
    """A wish granted: the call, and what became of it. `index` is its place in the session."""

    index: int
    call: Call
    reply: Reply
    failure: Failure | None = None
    """Set where the provider refused this very request for good; `reply.text` is then empty."""
    latency_s: float = 0.0

    @property
    def text(self) -> str:
        return self.reply.text


class Seed(Value):
    """One prompt to teach around."""

    id: str
    prompt: Messages = Field(min_length=1)
    """The chat so far; its last message is what the student must answer."""
    reference: str | None = None
    """A known good answer."""
    checker: dict[str, Any] | None = None
    """How a program can verify an answer, where one can."""
    tags: tuple[str, ...] = ()
    parent: str | None = None
    """Id of the seed that it was evolved from."""
    operation: str = ""
    """How it was evolved."""
    comparison: "Comparison | None" = None
    """Two answers that exist already, where they are what a session is about."""


class Check(Value):
    """What a program found out about one answer."""

    score: float = Field(ge=0, le=1)
    """Share of what was checked that holds."""
    why: str = ""
    """What was found, for a person; names what does not hold."""

    @property
    def passed(self) -> bool:
        """All of it holds."""
        return self.score == 1


class CheckFailure(Value):
    """Why an answer could not be checked: neither passed nor failed."""

    kind: CheckErrorKind
    message: str


class CheckWish(Value):
    """A wish: have a program check these answers, all by the same checker."""

    checker: dict[str, Any]
    """As in `Seed.checker`."""
    answers: dict[int, str]
    """Turn index -> text."""
    recorded_as: str | None = None
    """`Ballot.judge` of the ballots that will hold what is found; `None`: it goes on no record, and a replay
    checks again."""


Checks = dict[int, Check | CheckFailure]
"""Turn index -> what came of its check."""


class Agent(Value):
    """A model that may speak, as far as a play may know it."""

    name: str
    family: str
    """Agents of one family share their training, so they may not judge each other."""
    lineage: tuple[str, ...] = ()
    """Names of the earlier iterations it was trained from, nearest first."""
    model: str = ""
    """Which model speaks, so that a second card for it is known as the same; empty: unknown."""

    def related_to(self, other: "Agent") -> bool:
        """Same agent, model or family, or one was trained from the other, or both from a third."""
        return (
            self.family == other.family
            or bool(self.model and self.model == other.model)
            or not {self.name, *self.lineage}.isdisjoint({other.name, *other.lineage})
        )


class Required(Value):
    """What a judge must have shown in a calibration before it may judge; `None` asks for nothing."""

    accuracy: float | None = Field(None, ge=0, le=1)
    """Least share of right verdicts among those decided in both orders."""
    flip_rate: float | None = Field(None, ge=0, le=1)
    """Largest share of pairs on which the preference changed sides with the order."""


class Judging(Value):
    """Which judging play decides, and by which rules."""

    play: str = "pairwise"
    """File name of a play in `aaa/judges/`."""
    orders: Literal["both"] = "both"
    """Every comparison is asked in both orders; there is no other way."""
    exclude_family: bool = True
    """Refuse judges related to a contestant. `False` is written on every pair that a relative judged."""
    screen: bool = True
    """Judge no answer that speaks to its judge. `False` is for seeds that are about such texts."""
    control: bool = False
    """Ask once more after a win, with a question that neither answers: who wins that too makes no pair."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Options of that play, checked against its `Options`."""
    checker: Literal["off", "decides", "agrees"] = "off"
    """Whether a seed's checker is applied. `decides`: it gives the verdict, no judge is asked. `agrees`:
    a win needs checker and judge on the same side. Seeds without a checker are judged as ever. `off` by
    default, since some checkers run code that a model wrote."""
    checker_margin: float = Field(1, gt=0, le=1)
    """Where both answers fail their check: how far one must be ahead in score to be preferred. At 1 it never
    is: only an answer that passes wins."""
    require: Required | None = None
    """A round refuses judges whose calibration is missing or worse; `None` takes any."""


class Cast(Value):
    """Who sits where in a session, and how it is judged."""

    seats: Mapping[str, tuple[Agent, ...]]
    judging: Judging = Judging()

    def __getitem__(self, seat: str) -> tuple[Agent, ...]:
        return self.seats.get(seat, ())

    def agent(self, name: str) -> Agent:
        """The agent of that name, whatever its seat. Raises `KeyError`."""
        for holders in self.seats.values():
            for agent in holders:
                if agent.name == name:
                    return agent
        raise KeyError(name)


Side = Literal["a", "b"]
Outcome = Literal["win", "tie", "flip", "error", "abstain"]
OUTCOMES: tuple[str, ...] = get_args(Outcome)
CHECKER = "checker:"
"""How the name of a ballot's judge begins where it was a program; the checker's kind follows."""
Preference = Literal["a", "b", "tie"]


class Source(Value):
    """The recorded verdict that a comparison repeats, and how it was decided then."""

    round: str
    session: int
    verdict: int
    """Its index in the session."""
    outcome: Outcome
    winner: Side | None
    seed: str | None = None
    """Id of the seed whose answers they were, from which delimiters and labels are drawn again; `None`: of
    this one's seed."""


class Answer(Value):
    """An answer that exists already."""

    text: str
    author: Agent | None = None
    """Who wrote it: its relatives may not judge it. `None`: unknown, hence related to nobody."""
    finish_reason: FinishReason = "stop"
    """How it ended when it was given, so that one which was cut off is still known as such."""


class Comparison(Value):
    """Two answers to a seed's prompt, to be judged against each other."""

    a: Answer
    b: Answer
    label: Preference | None = None
    """Which is better, by a person or a checker; no judge sees it. `None`: unknown."""
    labeller: str = ""
    """Who says so."""
    edge: str = "labelled"
    """What is compared, as in `Verdict.edge`."""
    source: Source | None = None


class Ballot(Value):
    """One judge's raw answer in one order; or what a checker found out about one contestant."""

    judge: str
    """Name of the agent, or `checker:` and the kind of the checker."""
    order: Literal["ab", "ba", "a", "b"]
    """`ab`: contestant a was shown first; a single letter: that contestant was judged alone."""
    turn: int
    """Index of the turn that holds the judge's raw words; for a checker, of the turn it looked at."""
    prefers: Literal["a", "b", "tie"] | None = None
    """Already mapped back to contestants; `None` where the ballot is unreadable or withheld."""
    scores: dict[Side, float] | None = None
    """Contestant -> score, in the judging play's own unit (its docs say which)."""
    explanation: str = ""
    error: str | None = None
    """Why nothing could be read."""

    @property
    def by_checker(self) -> bool:
        """Whether a program cast it: `scores` is then a share in [0, 1], and nobody said anything."""
        return self.judge.startswith(CHECKER)

    @field_validator("scores")
    @classmethod
    def _one_zero(cls, scores: dict[Side, float] | None) -> dict[Side, float] | None:
        """-0.0 comes back from the database as 0.0, and a replay would find another verdict."""
        return scores and {side: score + 0.0 for side, score in scores.items()}


class Note(Value):
    """What a play may put on the record beside its turns; `AnyNote` lists the kinds."""

    kind: str


class Verdict(Note):
    """What a judging play concluded about two answers to the same context."""

    kind: Literal["verdict"] = "verdict"
    edge: str
    """What is compared: `revision` (draft against its revision), `peer` (two students) …"""
    context: Messages
    """The chat that both contestants answer."""
    a: int
    """Index of the turn that holds contestant a."""
    b: int
    outcome: Outcome
    """`win` needs both orders of enough judges; a `flip` changed sides with the order; an `error`
    could not be read; `abstain`: nobody was asked, or nobody decided. Only a `win` makes a pair."""
    winner: Side | None = None
    margin: float | None = None
    """How clear the win is, in the judging play's unit; `None` where it has none."""
    ballots: tuple[Ballot, ...] = ()
    judging: str
    """Name of the judging play."""
    related_judges: bool = False
    """A judge was related to a contestant, because the scenario allowed it."""
    reason: str = ""
    """In words, where the outcome needs some."""

    @property
    def chosen(self) -> int | None:
        """Turn index of the winner, `None` unless `outcome` is `win`."""
        return {"a": self.a, "b": self.b, None: None}[self.winner]

    @property
    def rejected(self) -> int | None:
        return {"a": self.b, "b": self.a, None: None}[self.winner]


class Evolved(Note):
    """A new prompt that a play made from its seed, or why what was made is none."""

    kind: Literal["evolved"] = "evolved"
    id: str
    """Of the seed that it becomes."""
    parent: str
    """Id of the seed, or of the evolved prompt, that it was made from."""
    operation: str
    """How: `deepen`, `breadth`, `simplify` …"""
    turn: int
    """Index of the turn that holds the words."""
    prompt: Messages
    """The chat as the new seed has it."""
    dropped: str = ""
    """Why it becomes no seed, as a reason code; empty where it does."""
    why: str = ""
    """The same in words."""
    value: float | None = None
    """How much a learner may gain from it, in the protocol's unit; `None` where nobody looked."""


class Steps(Note):
    """A solution in steps, and which of them are right: what a process reward model learns from."""

    kind: Literal["steps"] = "steps"
    turn: int
    """Index of the turn that holds the solution."""
    context: Messages
    steps: tuple[str, ...]
    labels: tuple[bool | None, ...]
    """For each step whether it is right; `None`: unknown."""
    values: tuple[float | None, ...]
    """For each step the share of completions from it that came out right; `None` where a judge said so."""
    by: Literal["rollouts", "judge"]
    correct: bool | None = None
    """Whether the whole solution is; `None`: unknown."""
    dropped: str = ""
    """Why there is nothing to learn from it, as a reason code; empty where there is."""
    ballots: tuple[Ballot, ...] = ()
    """What a program found out about the solution and its completions, so that a replay need not ask it."""


class Consensus(Note):
    """What several answers to one question agree on, by counting."""

    kind: Literal["consensus"] = "consensus"
    method: str
    """`debate`, `self_consistency` …"""
    calls: int
    """What it took to come to it."""
    votes: dict[str, int]
    """Answer, as it is compared -> how many gave it."""
    answer: str | None
    """The one that most gave; `None` where no answer has more than every other."""
    turns: tuple[int, ...]
    """Indexes of the turns that were counted."""
    correct: bool | None = None
    """By the seed's checker or reference; `None`: unknown."""


class Labels(Note):
    """What models say a seed is about and how hard it is."""

    kind: Literal["labels"] = "labels"
    tags: tuple[str, ...]
    """`topic:biology`, `skill:explaining` …: what more than half of those say who could be read."""
    difficulty: float | None
    """Mean of 1 (anybody can) to 10 (an expert at work for long); `None`: nobody could be read."""
    spread: float | None = None
    """Largest less smallest difficulty that was said; `None` where one alone said it."""
    read: int
    """How many could be read."""
    why: str = ""
    """What the first of them wrote, or why nobody could be read."""


AnyNote = Annotated[Verdict | Evolved | Steps | Consensus | Labels, Field(discriminator="kind")]


class Recorded(Value):
    """A session's journal so far: the input of a replay, and of every exporter."""

    turns: tuple[Turn, ...] = ()
    """In index order; a half-answered batch leaves gaps."""
    notes: tuple[AnyNote, ...] = ()
    """In the order in which they were made; their place here is their index."""

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """The notes that are verdicts, in their order."""
        return tuple(note for note in self.notes if isinstance(note, Verdict))
