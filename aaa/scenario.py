"""Agent cards and scenarios: what a user writes in YAML, as checked values.

The id of a card or scenario is its file name. Left out: reading YAML (`yaml_files.py`), where files are found
(`catalogue.py`) and what the seeds are (`seeds.py`).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from aaa import quality
from aaa.errors import InputError
from aaa.types import Agent, Comparison, Judging, Messages, Sampling, Value

NAME = r"^[a-z0-9][a-z0-9._-]{0,99}$"
MOST_USD = 1e9
MOST_COUNT = 10**15
STUDENT = "student"
"""The seat of whoever is trained, in a scenario with stages."""


class Limits(Value):
    """What may be asked of a model at once; for all processes of a cluster together."""

    concurrency: int = Field(8, ge=1, le=100_000)
    """Calls in flight."""
    rpm: int | None = Field(None, ge=1)
    """Requests a minute; `None` is unlimited."""
    tpm: int | None = Field(None, ge=1)
    """Tokens a minute, prompt and reply together; `None` is unlimited."""
    timeout_s: float = Field(120, gt=0, le=3600)
    """Longest wait for one attempt, in seconds."""
    attempts: int = Field(5, ge=1, le=100)
    """How often one call is tried before its session gives up; a 429 or a dead provider does not count."""
    deadline_s: float = Field(900, gt=0, le=604_800)
    """How long one call is tried in all, in seconds: attempts and our waits between them, without the queue
    and without what the provider asks for (Retry-After). A provider dead for so long pauses the round."""


class Price(Value):
    """US dollars per million tokens."""

    input_usd_per_mtok: float = Field(ge=0, le=MOST_USD, allow_inf_nan=False)
    output_usd_per_mtok: float = Field(ge=0, le=MOST_USD, allow_inf_nan=False)

    def cost_usd(self, prompt_tokens: int, completion_tokens: int) -> float:
        return (
            prompt_tokens * self.input_usd_per_mtok + completion_tokens * self.output_usd_per_mtok
        ) / 1e6


class Budget(Value):
    """Most that may be spent; `None` is no limit."""

    usd: float | None = Field(None, ge=0, le=MOST_USD, allow_inf_nan=False)
    """US dollars."""
    tokens: int | None = Field(None, ge=0, le=MOST_COUNT)
    """Tokens, prompt and reply together."""
    calls: int | None = Field(None, ge=0, le=MOST_COUNT)
    """Requests, repeated ones included."""


class Local(Value):
    """How a `local/…` model is run in the seat's process."""

    slots: int = Field(4, ge=1, le=64)
    """Sequences decoded side by side; 1 is reproducible to the byte."""
    context: int = Field(4096, ge=256)
    """Longest prompt and reply together, in tokens, of each slot."""
    threads: int | None = Field(None, ge=1)
    """CPU threads; `None` takes all cores."""
    gpu_layers: int = Field(0, ge=-1)
    """Layers on the GPU, where llama.cpp was built for one; -1 is all."""


USUAL_TOKENS = 1024
"""Longest reply where neither call nor card names one: without a limit no budget could hold."""


class AgentCard(Value):
    """A model that may speak: one YAML file in `agents/`."""

    name: str = Field(pattern=NAME)
    """Same as the file name."""
    model: str = Field(min_length=1)
    """LiteLLM id; `openai/NAME` with `api_base` for any compatible server; `local/NAME` in-process."""
    api_base: str | None = Field(None, pattern=r"^https?://\S+$")
    """Base URL of the server; `None` is the provider's own."""
    api_key_env: str | None = Field(None, pattern=r"^[A-Z][A-Z0-9_]*$")
    """Name of the environment variable that holds the key. A card never holds a key."""
    family: str = Field(min_length=1)
    """Judges of the family of a contestant are excluded."""
    parent: str | None = Field(None, pattern=NAME)
    """Name of the agent this one was trained from."""
    generation: int = Field(0, ge=0)
    persona: str | None = None
    """System prompt put before every call of this agent; `None` adds nothing."""
    sampling: Sampling = Sampling(temperature=0.7, max_tokens=USUAL_TOKENS)
    """Where it is left out `top_p` is the provider's: some models refuse it beside a temperature."""
    limits: Limits = Limits()
    price: Price | None = None
    """`None`: LiteLLM's table; unknown there too, a round with a budget in dollars is refused."""
    licence: str | None = None
    """Terms the model's output falls under, as an SPDX id or in words; `None` is unknown."""
    local: Local = Local()

    def missing_key(self, environ: Mapping[str, str]) -> str | None:
        """Name of the variable that should hold its key and does not."""
        variable = self.api_key_env
        return variable if variable and not environ.get(variable, "").strip() else None

    @property
    def is_local(self) -> bool:
        return self.model.startswith("local/")

    def agent(self, lineage: tuple[str, ...] = ()) -> Agent:
        """What a play may know of this card; `lineage`: its ancestors' names, nearest first."""
        where = f" at {self.api_base}" if self.api_base else ""
        return Agent(name=self.name, family=self.family, lineage=lineage, model=self.model + where)


class ProtocolChoice(Value):
    """Which protocol a scenario plays, and with which options."""

    id: str = "co_teaching"
    """File name in `aaa/protocols/`, or `package.module`."""
    options: dict[str, Any] = Field(default_factory=dict)


class InlineSeed(Value):
    """A seed written in the scenario itself. `prompt`: text, or a message list."""

    prompt: str | Messages
    id: str | None = None
    reference: str | None = None
    checker: dict[str, Any] | None = None
    tags: tuple[str, ...] = ()
    parent: str | None = None
    operation: str = ""
    comparison: Comparison | None = None


class Seeds(Value):
    """Where a scenario's seeds come from: `file` or `inline`."""

    file: str | Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """JSONL, CSV or Parquet; relative to the scenario's folder. Several are read one after the other."""
    inline: tuple[InlineSeed, ...] | None = None
    prompt_field: str = "prompt"
    """Name of the field that holds the prompt: text, or a message list."""
    limit: int | None = Field(None, ge=1)
    """Take the first so many; `None` takes all."""

    @model_validator(mode="after")
    def _exactly_one_source(self) -> "Seeds":
        if (self.file is None) == (self.inline is None):
            raise ValueError("give exactly one of `file` and `inline`")
        return self

    @property
    def files(self) -> tuple[str, ...]:
        """The files, however many there are."""
        return (self.file,) if isinstance(self.file, str) else self.file or ()


class Slice(Value):
    """Which seeds of the scenario a stage takes; exactly one of the three."""

    size: int | None = Field(None, ge=1)
    """So many, drawn by weight from those that no stage has taken."""
    share: float | None = Field(None, gt=0, le=1)
    """The same as a share of all seeds, rounded down."""
    range: tuple[int, int] | None = None
    """Those at the positions from the first number up to, not including, the second, counted from 0."""

    @model_validator(mode="after")
    def _exactly_one(self) -> "Slice":
        if [self.size, self.share, self.range].count(None) != 2:
            raise ValueError("give exactly one of `size`, `share` and `range`")
        if self.range is not None and not 0 <= self.range[0] < self.range[1]:
            raise ValueError(
                f"`range` {list(self.range)} is empty: give [first, one past the last]"
            )
        return self


class StagePlay(Value):
    """One protocol played in a stage."""

    protocol: ProtocolChoice
    seats: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Seats that are held otherwise than in the scenario. `$student` is the student as it is by then,
    `$parent` the generation before it, `$generations` its whole line; a seat may name several."""
    judging: Judging | None = None
    """`None`: the scenario's."""
    seeds: Literal["slice", "evolved", "both"] | Seeds = "both"
    """The stage's own seeds, those that its earlier plays evolved, or both; or, in a stage that takes no
    slice, held-out seeds: none of them may be among the scenario's."""


Kind = Literal["sft", "dpo", "rm"]


class DataRule(Value):
    """What of a stage's verdicts becomes training data of one kind."""

    gap: float = Field(0, ge=0, le=1e6)
    """K: a verdict's margin must be this much or more, in the judging play's unit."""
    edges: tuple[str, ...] | None = None
    """Comparisons that count; `None`: `peer` and `gap` for SFT, every one for the others."""
    accumulate: bool = False
    """Add what earlier stages gave by their rule of this kind."""


class Training(Value):
    """The command that makes the next generation."""

    command: tuple[str, ...] = Field(min_length=1)
    """Program and arguments. `{sft}`, `{dpo}`, `{rm}` (files), `{data}` and `{output}` (folders),
    `{student}`, `{parent}` (agents), `{model}` (the parent's), `{generation}`, `{stage}` are filled in,
    `{here}` is the scenario's folder, `{python}` the interpreter that AAA runs in."""
    timeout_s: float = Field(86_400, gt=0, le=2_592_000)


class Gate(Value):
    """What a trained student must show before it goes on."""

    seeds: Seeds
    """Held out: none of them may be among the scenario's seeds."""
    win_rate: float = Field(0.5, ge=0, lt=1)
    """It must win more often against its parent, ties as half …"""
    level: float = Field(0.95, gt=0.5, lt=1)
    """… with this confidence."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Of the arena in which the two meet, such as `temperature: 0`."""


class Stage(Value):
    """A step of a progressive curriculum: a slice of the seeds, what is played on it, what comes of it."""

    name: str = Field(pattern=NAME)
    slice: Slice | None = None
    """`None`: the stage is an examination. Nobody is taught, and its plays are on held-out seeds."""
    weights: dict[str, float] = Field(default_factory=dict)
    """Tag -> how much likelier its seeds are drawn; 1 where none is given."""
    follow: Literal["nothing", "skill_gap"] = "nothing"
    """`skill_gap`: the weights also follow where the student is behind, by the course's battles so far."""
    plays: tuple[StagePlay, ...] = Field(min_length=1)
    """In this order."""
    data: dict[Kind, DataRule] = Field(default_factory=dict)
    """Kind of training data -> its rule; none: nothing is written."""
    train: Training | None = None
    """`None`: the student stays as it is, unless somebody registers its next generation meanwhile."""
    wait: bool = False
    """Pause once the data is written, so that somebody can train by hand and register what came of it."""
    gate: Gate | None = None
    """`None`: a trained student goes on as it is. Nobody asks it of one that was trained by hand."""

    @model_validator(mode="after")
    def _taught_or_examined(self) -> "Stage":
        own = [play for play in self.plays if isinstance(play.seeds, Seeds)]
        if self.slice is not None and own:
            raise ValueError(
                "a stage with a `slice` is played on it; plays with held-out `seeds` of their own are a "
                "stage without one"
            )
        if self.slice is None and len(own) < len(self.plays):
            raise ValueError(
                "give `slice`, the seeds that the stage takes; or, for an examination, each of its plays "
                "`seeds: {file: …}` of its own"
            )
        if self.slice is None and (self.data or self.train or self.wait):
            raise ValueError(
                "a stage without a `slice` is an examination: from it nothing is learnt, so it has no "
                "`data`, `train` or `wait`"
            )
        if self.gate is not None and self.train is None:
            raise ValueError("`gate` needs `train`: who was trained by hand meets no gate")
        return self


class Export(Value):
    """What the data of a round must be like wherever it leaves; the command says otherwise, key by key."""

    gate: tuple[str, ...] = ()
    """Quality gates of pairs, each perhaps with its threshold: `length_ratio=2.5`; `standard`: eight."""
    fail_if: tuple[str, ...] = ()
    """Conditions on the whole set under which no file of pairs is written: `chosen_longer>0.65`."""

    @field_validator("gate")
    @classmethod
    def _gates_there_are(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        gates = tuple(gate for text in given for gate in quality.Gate.parse(text))
        with _said_of_a_value():
            quality.check_where(gates, evaluations=False)
        return given

    @field_validator("fail_if")
    @classmethod
    def _figures_there_are(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        with _said_of_a_value():
            for text in given:
                quality.Condition.parse(text)
        return given


@contextmanager
def _said_of_a_value() -> Iterator[None]:
    """What is wrong with a part of a value is said with the key that it stands under."""
    try:
        yield
    except InputError as error:
        raise ValueError(str(error)) from error


class Scenario(Value):
    """An experiment: one YAML file in `scenarios/`."""

    name: str = Field(pattern=NAME)
    description: str = ""
    protocol: ProtocolChoice = ProtocolChoice()
    seats: dict[str, tuple[str, ...]]
    """Seat -> names of the agents that hold it."""
    seeds: Seeds
    judging: Judging = Judging()
    export: Export = Export()
    budget_usd: float | None = Field(None, ge=0, le=MOST_USD, allow_inf_nan=False)
    """The round pauses before it would spend more; `None` is no limit."""
    budget_tokens: int | None = Field(None, ge=0, le=MOST_COUNT)
    """The same for tokens, prompt and reply together."""
    budget_calls: int | None = Field(None, ge=0, le=MOST_COUNT)
    """The same for requests, repeated ones included."""
    seat_budgets: dict[str, Budget] = Field(default_factory=dict)
    """Seat -> what its calls alone may spend."""
    concurrency: int = Field(64, ge=1, le=100_000)
    """Sessions of a round driven at once."""
    random_seed: int = 0
    """Drives sampling seeds; the same seed and deterministic models give the same transcripts."""
    stages: tuple[Stage, ...] = ()
    """A progressive curriculum; `protocol` is then not played, each stage names its own."""

    @field_validator("seats")
    @classmethod
    def _every_seat_is_held(cls, seats: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        for seat, agents in seats.items():
            if not agents:
                raise ValueError(f"seat {seat!r} is held by nobody")
            if len(set(agents)) < len(agents):
                raise ValueError(f"seat {seat!r} names an agent twice: {list(agents)}")
        return seats

    @model_validator(mode="after")
    def _budgets_are_of_seats(self) -> "Scenario":
        for seat in self.seat_budgets:
            if seat not in self.seats:
                raise ValueError(
                    f"`seat_budgets` names {seat!r}, but the seats are {', '.join(self.seats)}"
                )
        return self

    @model_validator(mode="after")
    def _stages_are_apart(self) -> "Scenario":
        names = [stage.name for stage in self.stages]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two stages are called {name!r}")
        ranges = sorted(
            (s.slice.range, s.name) for s in self.stages if s.slice and s.slice.range is not None
        )
        for (before, one), (after, other) in pairwise(ranges):
            if after[0] < before[1]:
                raise ValueError(
                    f"stages {one!r} and {other!r} overlap: `range` {list(before)} and {list(after)}; "
                    "no seed is used twice"
                )
        if self.stages and self.seat_budgets:
            raise ValueError(
                "`seat_budgets` are not taken with `stages`; set `budget_usd` and the like"
            )
        if self.stages and len(self.seats.get(STUDENT, ())) != 1:
            raise ValueError(f"a scenario with stages has exactly one agent in seat {STUDENT!r}")
        return self

    @property
    def capped_in_usd(self) -> tuple[str, ...]:
        """Seats whose calls a budget in dollars is over."""
        if self.budget_usd is not None:
            return tuple(self.seats)
        return tuple(seat for seat, cap in self.seat_budgets.items() if cap.usd is not None)


LINES_OF = "lines_of"
"""An option written as `{lines_of: FILE}` is the list of that file's lines that hold something."""
MOST_LINES = 10_000


def with_lines(scenario: Scenario, folder: Path) -> Scenario:
    """The scenario with each protocol option that names a file replaced by the file's lines.

    `FILE` is relative to the scenario's folder; lines that begin with `#` are comments.
    Raises `InputError`.
    """
    options = scenario.protocol.options
    named = {key: value[LINES_OF] for key, value in options.items() if names_a_file(value)}
    if not named:
        return scenario
    lines = {key: _lines(folder / str(file), key) for key, file in named.items()}
    protocol = scenario.protocol.model_copy(update={"options": options | lines})
    return scenario.model_copy(update={"protocol": protocol})


def names_a_file(value: object) -> bool:
    """Whether an option's value stands for the lines of a file."""
    return isinstance(value, Mapping) and set(value) == {LINES_OF}


def _lines(path: Path, key: str) -> list[str]:
    where = f"{path} (protocol.options.{key})"
    try:
        lines = [line.strip() for line in path.read_text("utf-8").splitlines()]
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise InputError(f"{where}: cannot be read: {error}") from error
    kept = [line for line in lines if line and not line.startswith("#")]
    if not 0 < len(kept) <= MOST_LINES:
        raise InputError(f"{where}: has {len(kept)} lines; it needs 1 to {MOST_LINES}")
    return kept
