"""The conductor: takes courses from step to step. It runs beside the supervisor, where one leads.

Each step is done from what the database says and leaves what it found there, so a conductor that dies
anywhere is followed by one that goes on: a round is made once by its key, a file is written whole or not
at all, a trained student is registered once. What cannot go on pauses its course with the reason.
"""

import asyncio
import contextlib
import logging
import os
from pathlib import Path
from typing import Any

import orjson

import aaa
from aaa.board import Method
from aaa.catalogue import Catalogue, open_catalogue
from aaa.cluster.standing import rounds_for, trained_by, untrained, without_rows
from aaa.cluster.training import OnRecord, Unwanted, keep, kept, train
from aaa.curriculum.course import (
    CourseScript,
    Learner,
    Step,
    nobody_yet,
    scenario_of,
    steps,
    take,
    use_of,
)
from aaa.curriculum.gate import Bound, admission, passed
from aaa.curriculum.hand_off import filled
from aaa.curriculum.sampling import shifts
from aaa.curriculum.skill_gap import Gap, gaps
from aaa.curriculum.training_data import Account, Writer, paths
from aaa.errors import AAAError, Conflict, StoreError
from aaa.exporters import seeds as evolved
from aaa.failpoints import hit
from aaa.generations import child, next_number, root_of, write_card
from aaa.preflight import check_prices
from aaa.scenario import AgentCard, InlineSeed, Scenario, Seeds, Stage
from aaa.seeds import load_seeds
from aaa.settings import Settings
from aaa.states import LIVE
from aaa.store import courses
from aaa.store.battles import read_battles
from aaa.store.courses import POOL, Course, StepRow
from aaa.store.database import Database
from aaa.store.generations import Generation, admit, list_generations, register
from aaa.store.reading import transcripts
from aaa.store.rounds import create_round, get_round, made_with
from aaa.store.steering import cancel_round, pause_for
from aaa.training.progress import progress
from aaa.types import Seed

log = logging.getLogger(__name__)

TICK_S = 0.5
ROUND_REASON = "course"
"""Why a round was paused because its course was."""


async def conduct(settings: Settings, database: Database) -> None:
    """Take every live course on, side by side, until cancelled."""
    under_way: dict[str, asyncio.Task[None]] = {}
    try:
        while True:
            with contextlib.suppress(StoreError):  # it is away; the next look may find it
                for course_id in await courses.live_courses(database):
                    if course_id not in under_way or under_way[course_id].done():
                        go = Conductor(settings, database, course_id).step()
                        under_way[course_id] = asyncio.create_task(go)
            await asyncio.sleep(TICK_S)
    finally:
        for task in under_way.values():
            task.cancel()
        await asyncio.gather(*under_way.values(), return_exceptions=True)


class Conductor:
    """One course, for as long as one of its steps takes."""

    def __init__(self, settings: Settings, database: Database, course_id: str) -> None:
        self._settings, self._database, self._id = settings, database, course_id

    async def step(self) -> None:
        """Do what the course's first open step needs now. Never raises: what goes wrong pauses the course."""
        try:
            course = await courses.get_course(self._database, self._id)
            row = next((row for row in course.steps if row.status != "done"), None)
            if course.status != "running":
                await self._hold_round(course, row)
            elif row is None:
                await courses.conclude(self._database, self._id)
            else:
                await self._do(course, row)
        except (StoreError, Unwanted):
            log.info("course %s: goes on later", self._id)
        except AAAError as error:
            await self._stop("failed_step", str(error))
        except Exception as error:
            log.exception("course %s", self._id)
            await self._stop("internal_error", f"{type(error).__name__}: {error}")

    async def _stop(self, reason: str, message: str) -> None:
        with contextlib.suppress(StoreError):
            await courses.hold(self._database, self._id, reason, message)

    async def _hold_round(self, course: Course, row: StepRow | None) -> None:
        """A course that does not run has no round that does."""
        if row is None:
            return
        round_id = row.round or await made_with(self._database, self._key(row.position))
        if round_id is None or (await get_round(self._database, round_id)).status not in LIVE:
            return
        if course.status == "cancelled":
            with contextlib.suppress(Conflict):
                await cancel_round(self._database, round_id)
        else:
            await pause_for(self._database, round_id, ROUND_REASON, f"course {self._id} is paused")

    def _key(self, position: int) -> str:
        """Of the round that plays a step: however often it is started, there is one."""
        return f"course/{self._id}/{position}"

    async def _do(self, course: Course, row: StepRow) -> None:
        script = await courses.script_of(self._database, self._id)
        step = steps(script.scenario)[row.position]
        stage = script.scenario.stages[step.stage]
        match step.kind:
            case "draw":
                await self._draw(course, script.scenario, step)
            case "play":
                await self._play(course, row, script, step)
            case "data":
                await self._write(course, step, stage)
            case "wait":
                await self._wait(course, step, stage)
            case "train":
                await self._train(course, step, stage, script.folder)
            case "gate" | "adopt" if (why := untrained(course, stage)) is not None:
                await courses.end_step(self._database, self._id, step, {"skipped": why})
            case "gate":
                await self._gate(course, row, script, step)
            case "adopt":
                await self._adopt(course, step, stage)

    # Seeds

    async def _draw(self, course: Course, scenario: Scenario, step: Step) -> None:
        found = await courses.seeds_of(self._database, self._id, POOL)
        pool = [seed for seed, _ in found]
        used = {seed.id for seed, taken in found if taken is not None}
        behind = await self._gaps(course, scenario.stages[step.stage])
        weights = {gap.tag: gap.weight for gap in behind}
        taken = await asyncio.to_thread(take, scenario, step.stage, pool, used, weights)
        data = {
            "seeds": len(taken),
            "student": course.student,
            "parent": course.parent,
            "gaps": [gap.model_dump(mode="json") for gap in behind],
            "shifts": [shift.model_dump(mode="json") for shift in shifts(pool, taken)],
        }
        ids = [seed.id for seed in taken]
        await courses.end_step(self._database, self._id, step, data, taken=ids)

    async def _gaps(self, course: Course, stage: Stage) -> tuple[Gap, ...]:
        """Where the student is behind by the course's battles; by its parent's, where it had none yet."""
        played = [row.round for row in course.steps if row.round is not None]
        if stage.follow != "skill_gap" or not played:
            return ()
        from aaa.ratings import report  # brings NumPy

        ledger = await read_battles(self._database, played)
        told = await asyncio.to_thread(report, ledger, Method(replicates=0), None)
        for name in (course.student, course.parent):
            if name is not None and (found := gaps(told.boards, name)):
                return found
        return ()

    async def _seeds(
        self, course: Course, row: StepRow, step: Step, scenario: Scenario
    ) -> list[Seed]:
        """What a play is played on."""
        assert step.play is not None
        stage = scenario.stages[step.stage]
        on = stage.plays[step.play].seeds
        seeds: list[Seed] = []
        if isinstance(on, Seeds):
            found = await courses.seeds_of(self._database, self._id, str(use_of(scenario, step)))
            return [seed for seed, _ in found]
        if on in ("slice", "both"):
            found = await courses.seeds_of(self._database, self._id, POOL, step.stage)
            seeds += [seed for seed, _ in found]
        if on in ("evolved", "both"):
            seeds += await self._evolved(course, row)
        return list({seed.id: seed for seed in seeds}.values())

    async def _evolved(self, course: Course, row: StepRow) -> list[Seed]:
        """What earlier plays of this stage made of their seeds."""
        own = [r for r in course.steps if r.stage == row.stage and r.position < row.position]
        rounds = [r.round for r in own if r.round is not None]
        found: list[Seed] = []
        async for transcript in transcripts(self._database, rounds):
            for plain in evolved.rows(transcript):
                kept = {k: v for k, v in plain.items() if k in InlineSeed.model_fields}
                found.append(_seed(InlineSeed.model_validate(kept)))
        return found

    # Rounds

    async def _play(self, course: Course, row: StepRow, script: CourseScript, step: Step) -> None:
        if row.round is not None:
            await self._follow(row.round, script.scenario, step)
            return
        seeds = await self._seeds(course, row, step, script.scenario)
        if not seeds:
            await courses.end_step(self._database, self._id, step, {"skipped": "no seeds"})
            return
        _, *before = await self._names(course)
        who = Learner(course.student, course.parent, tuple(reversed(before)))
        if (why := nobody_yet(script.scenario, step, who)) is not None:
            await courses.end_step(self._database, self._id, step, {"skipped": why})
            return
        await self._start(course, script, step, who, seeds)

    async def _start(
        self, course: Course, script: CourseScript, step: Step, who: Learner, seeds: list[Seed]
    ) -> None:
        """Make the step's round, once however often this is done, with what is left of the budget."""
        scenario = scenario_of(script.scenario, step, who, seeds).model_copy(
            update=courses.left(course)
        )

        def prepared() -> tuple[Any, Any]:
            made, own = self._catalogue(script).prepare(scenario, Path())
            check_prices(made)
            return made, own

        made, own = await asyncio.to_thread(prepared)
        found = await create_round(
            self._database,
            made,
            own,
            idempotency_key=self._key(step.position),
            request=step.position,
        )
        hit("course.round")
        await courses.begin_step(self._database, self._id, step.position, found.id)

    def _catalogue(self, script: CourseScript) -> Catalogue:
        """Cards as they were when the course began, and those of the students trained since."""
        now = open_catalogue(self._settings)
        return Catalogue(now.agent_folders, now.scenario_folders, script.cards)

    async def _follow(self, round_id: str, scenario: Scenario, step: Step) -> bool:
        """Whether the step's round has completed; a play's step then ends, a course stops with its round."""
        found = await get_round(self._database, round_id)
        if found.status == "completed":
            counts = found.model_dump(
                mode="json", include={"sessions", "turns", "verdicts", "pairs", "spent_usd"}
            )
            if step.kind == "play":
                passes = await self._passed(scenario, step, round_id)
                await courses.end_step(self._database, self._id, step, counts | {"passed": passes})
            return True
        if found.status in ("paused", "failed", "cancelled"):
            reason = found.reason or found.status
            message = f"round {round_id} is {found.status}: {found.message or reason}"
            if reason == "budget_reached":
                message += (
                    f". Where that is the course's budget, raise it instead: `aaa courses set {self._id} "
                    f"budget_usd=…`, then `aaa courses resume {self._id}`"
                )
            await self._stop(reason, message)
        return False

    async def _passed(self, scenario: Scenario, step: Step, round_id: str) -> list[dict[str, Any]]:
        """How each agent's answers to held-out seeds fared with their checkers, where these are applied."""
        play = None if step.play is None else scenario.stages[step.stage].plays[step.play]
        judging = (play and play.judging) or scenario.judging
        if judging.checker == "off" or use_of(scenario, step) is None:
            return []
        met = [t async for t in transcripts(self._database, [round_id])]
        return [one.model_dump(mode="json") for one in await asyncio.to_thread(passed, met)]

    # Data and training

    def _folder(self, stage: Stage) -> Path:
        return self._settings.home / "courses" / self._id / stage.name

    async def _write(self, course: Course, step: Step, stage: Stage) -> None:
        folder = self._folder(stage)
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
        targets = await self._names(course)
        accounts: list[Account] = []
        for kind, rule in stage.data.items():
            rounds = rounds_for(course, step.stage, kind, accumulate=rule.accumulate)
            path = paths(folder)[kind]
            draft = path.with_suffix(".part")
            with draft.open("wb") as sink:
                writer = Writer(kind, rule, targets, sink)
                async for transcript in transcripts(self._database, rounds):
                    writer.take(transcript)
                sink.flush()
                await asyncio.to_thread(os.fsync, sink.fileno())
            draft.replace(path)
            accounts.append(writer.account(path.name))
        manifest = self._manifest(course, step, stage, accounts)
        written = orjson.dumps(manifest, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
        await asyncio.to_thread((folder / "manifest.json").write_bytes, written)
        await courses.end_step(self._database, self._id, step, {"folder": str(folder), **manifest})

    async def _names(self, course: Course) -> list[str]:
        """The student under every name that it has had, the newest first."""
        catalogue = open_catalogue(self._settings)
        names = [course.student]
        while (parent := _parent(catalogue, names[-1])) is not None and parent not in names:
            names.append(parent)
        return names

    def _manifest(
        self, course: Course, step: Step, stage: Stage, accounts: list[Account]
    ) -> dict[str, Any]:
        return {
            "course": self._id,
            "scenario": course.scenario,
            "stage": stage.name,
            "student": course.student,
            "parent": course.parent,
            "rules": {kind: rule.model_dump(mode="json") for kind, rule in stage.data.items()},
            "rounds": {
                kind: rounds_for(course, step.stage, kind, accumulate=rule.accumulate)
                for kind, rule in stage.data.items()
            },
            "files": [account.model_dump(mode="json") for account in accounts],
            "aaa": aaa.__version__,
        }

    async def _wait(self, course: Course, step: Step, stage: Stage) -> None:
        await courses.hold(
            self._database,
            self._id,
            "waiting",
            f"the data of stage {stage.name!r} is in {self._folder(stage)}. Train, then say `aaa "
            f"generations register {course.student} --model … --course {self._id}`, or leave the student "
            f"as it is; then `aaa courses resume {self._id}`",
        )
        await courses.end_step(self._database, self._id, step, {"folder": str(self._folder(stage))})

    async def _train(self, course: Course, step: Step, stage: Stage, here: str) -> None:
        assert stage.train is not None
        if empty := without_rows(course, stage):
            why = f"no rows in {', '.join(empty)}; {course.student} stays"
            await courses.end_step(self._database, self._id, step, {"skipped": why})
            return
        catalogue = await asyncio.to_thread(open_catalogue, self._settings)
        parent = catalogue.card(course.student)
        student = root_of(catalogue, course.student)
        number = await self._number(catalogue, student, stage)
        folder = self._folder(stage)
        # once begun it stays in its folder, though somebody takes its number meanwhile
        output = next(iter(sorted(folder.glob("generation-*"))), folder / f"generation-{number}")
        blanks = {
            **{kind: str(path) for kind, path in paths(folder).items()},
            "data": str(folder),
            "output": str(output),
            "student": student,
            "parent": parent.name,
            "model": parent.model,
            "generation": str(number),
            "stage": stage.name,
            "here": here,
        }
        command = filled(stage.train.command, blanks)
        await asyncio.to_thread(output.mkdir, parents=True, exist_ok=True)
        await courses.begin_step(self._database, self._id, step.position)
        trained = folder / "train.log"
        watching = OnRecord(self._database, self._id, step.position, output)
        told = await asyncio.to_thread(kept, trained)
        if told is None:
            told = await train(
                command, folder, trained, stage.train.timeout_s, self._settings.home, watching.look
            )
            child(parent, student, number, told)  # what makes no card is not kept
            await asyncio.to_thread(keep, told, trained)
        hit("course.trained")
        card = await self._registered(course, stage, parent, student, told)
        data = {
            "agent": card.name,
            "model": card.model,
            "command": command,
            "log": str(trained),
            "exit_code": 0,
            "progress": await asyncio.to_thread(progress, output),
        }
        await courses.end_step(self._database, self._id, step, data)

    async def _registered(
        self, course: Course, stage: Stage, parent: AgentCard, student: str, told: dict[str, Any]
    ) -> AgentCard:
        """The trained student's card, which is on record first: done again, it is the same.

        Its number is another than its folder's where somebody took that meanwhile.
        """
        catalogue = await asyncio.to_thread(open_catalogue, self._settings)
        number = await self._number(catalogue, student, stage)
        card = child(parent, student, number, told)
        await register(
            self._database,
            Generation(
                agent=card.name,
                student=student,
                generation=number,
                parent=parent.name,
                model=card.model,
                course_id=self._id,
                stage=stage.name,
            ),
        )
        hit("course.registered")
        await asyncio.to_thread(write_card, self._settings.home, card)
        return card

    async def _number(self, catalogue: Catalogue, student: str, stage: Stage) -> int:
        """The number of the generation that this stage trains: the same when it is trained again."""
        known = await list_generations(self._database, student)
        mine = [g for g in known if g.course_id == self._id and g.stage == stage.name]
        if mine:
            return mine[-1].generation
        cards = [catalogue.card(name) for name in catalogue.agents()]
        return max(next_number(cards, student), *(g.generation + 1 for g in known), 1)

    # The gate

    async def _gate(self, course: Course, row: StepRow, script: CourseScript, step: Step) -> None:
        stage = script.scenario.stages[step.stage]
        assert stage.gate is not None
        trained = trained_by(course, stage)
        if row.round is None:
            use = str(use_of(script.scenario, step))
            found = await courses.seeds_of(self._database, self._id, use)
            who = Learner(trained, course.student)
            await self._start(course, script, step, who, [seed for seed, _ in found])
        elif await self._follow(row.round, script.scenario, step):
            met = [t async for t in transcripts(self._database, [row.round])]
            bound = Bound(win_rate=stage.gate.win_rate, level=stage.gate.level)
            told = await asyncio.to_thread(admission, met, trained, course.student, bound)
            passes = await self._passed(script.scenario, step, row.round)
            data = told.model_dump(mode="json") | {"passed": passes}
            await courses.end_step(self._database, self._id, step, data)

    async def _adopt(self, course: Course, step: Step, stage: Stage) -> None:
        """The trained student goes on, unless its gate refused it: then the course stops with the report."""
        trained = trained_by(course, stage)
        met = [row.data for row in course.steps if row.kind == "gate" and row.stage == stage.name]
        told = met[0] if met else None
        admitted = told is None or bool(told["admitted"])
        await admit(self._database, trained, admitted, told)
        learner = (trained, course.student) if admitted else None
        if not admitted and told is not None:
            await courses.hold(
                self._database,
                self._id,
                "not_admitted",
                f"{trained!r} was not let in by the gate of stage {stage.name!r}: {told['why']}. `aaa "
                f"courses resume {self._id}` goes on with {course.student!r}",
            )
        data = {"agent": trained, "admitted": admitted}
        await courses.end_step(self._database, self._id, step, data, learner=learner)


def _parent(catalogue: Catalogue, agent: str) -> str | None:
    parent = catalogue.card(agent).parent
    return parent if parent in catalogue.agents() else None


def _seed(plain: InlineSeed) -> Seed:
    (seed,) = load_seeds(Seeds(inline=(plain,)), Path())
    return seed
