"""Every judging play on the real journal and over real HTTP: ballots are kept, read back and replayed."""

import pytest

from aaa import plugins
from aaa.catalogue import Catalogue
from aaa.drive import drive
from aaa.judges import compare
from aaa.models import Request, open_model
from aaa.play import Play, note, rehearse
from aaa.provider import quality, serve
from aaa.scenario import AgentCard
from aaa.settings import Settings
from aaa.store.database import Database
from aaa.store.reading import transcripts
from aaa.store.rounds import create_round
from aaa.types import Call, Judging, Note, Recorded, Reply, Turn, Verdict
from tests.classroom import SEED, cast, turn
from tests.playing import play_round
from tests.stub_judge import stub_judge

every_play = pytest.mark.parametrize("play", plugins.names("judges"))
TEXTS = sorted((f"Blue light scatters, {n}." for n in range(50)), key=quality)
WORSE, BETTER = turn(0, TEXTS[0]), turn(1, TEXTS[-1])


def classroom(call: Call) -> str | Reply:
    """Students and teachers talk, the stub judges."""
    return stub_judge()(call).model_copy(update={"cost_usd": 0.0})


@every_play
async def test_ballots_are_kept_and_replayed(
    database: Database, catalogue: Catalogue, play: str
) -> None:
    overrides = {"judging": {"play": play, "control": True}, "seeds.limit": 1}
    script, seeds = catalogue.prepare(*catalogue.scenario("small", overrides))
    made = await create_round(database, script, seeds)
    assert await play_round(database, made.id, classroom) == len(seeds)
    protocol = plugins.protocol("co_teaching")
    async for told in transcripts(database, [made.id]):
        assert told.status == "completed"
        again = rehearse(protocol.play(told.seed, script.cast, protocol.options()), classroom)
        assert [n.ballots for n in told.recorded.verdicts] == [
            n.ballots for n in again.recorded.verdicts
        ]
        outcomes = {n.outcome for n in told.recorded.verdicts}
        assert outcomes <= {"win", "tie"}
        assert all(n.ballots for n in told.recorded.verdicts)
        await drive(
            protocol.play(told.seed, script.cast, protocol.options()),
            _nobody_is_asked,
            _nothing_is_recorded,
            told.recorded,
        )


async def _nobody_is_asked(index: int, call: Call) -> Turn:
    raise AssertionError(f"turn {index} was asked again")


async def _nothing_is_recorded(index: int, after: int, value: Note) -> None:
    raise AssertionError(f"note {index} was recorded again")


@every_play
async def test_verdicts_over_http_are_those_of_a_rehearsal(play: str) -> None:
    seats = cast(judging=Judging(play=play, control=True))

    def contest() -> Play[None]:
        verdict = yield from compare(seats, SEED, WORSE, BETTER, edge="peer")
        yield from note(verdict)

    async with serve() as provider:
        card = AgentCard(
            name="judge", model="openai/judge", api_base=provider.base_url, family="elm"
        )
        model = open_model(card, Settings())
        heard: list[Verdict] = []

        async def grant(index: int, call: Call) -> Turn:
            request = Request(
                messages=call.messages, sampling=call.sampling, shape=call.shape, seed=0
            )
            return Turn(index=index, call=call, reply=await model.complete(request))

        async def record(index: int, after: int, value: Note) -> None:
            assert isinstance(value, Verdict)
            heard.append(value)

        await drive(contest(), grant, record, Recorded())
        await model.close()
    (verdict,) = heard
    assert (verdict.outcome, verdict.winner, verdict.chosen) == ("win", "b", 1)
    (rehearsed,) = rehearse(contest(), stub_judge()).recorded.verdicts
    assert [(b.judge, b.order, b.prefers, b.scores) for b in verdict.ballots] == [
        (b.judge, b.order, b.prefers, b.scores) for b in rehearsed.ballots
    ]
