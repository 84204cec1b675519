"""`aaa agents check`: it asks as a round would, so that what a model refuses is seen before one."""

from aaa.asking import request_of
from aaa.commands.agents import check_one
from aaa.errors import ModelError
from aaa.models import Request
from aaa.scenario import AgentCard
from aaa.types import Reply, Sampling
from tests.unit.test_asking import WISH

CARD = AgentCard(name="anna", model="openai/x", family="birch")


class Picky:
    """A model that takes a temperature or `top_p`, not both."""

    def __init__(self) -> None:
        self.asked: list[Request] = []

    async def complete(self, request: Request) -> Reply:
        self.asked.append(request)
        if None not in (request.sampling.temperature, request.sampling.top_p):
            raise ModelError("invalid", "temperature and top_p cannot both be given")
        return Reply(text="hello")

    async def close(self) -> None: ...


async def test_a_card_that_says_nothing_of_sampling_suits_every_model() -> None:
    model = Picky()
    assert (await check_one(CARD, model)).outcome == "works"
    assert (await model.complete(request_of(CARD, WISH))).text == "hello"
    first = model.asked[0].sampling
    assert (first.temperature, first.max_tokens) == (0.7, 16)


async def test_what_a_card_sets_is_checked() -> None:
    card = CARD.model_copy(update={"sampling": Sampling(temperature=0.7, top_p=0.9)})
    found = await check_one(card, Picky())
    assert found.outcome == "fails"
    assert "cannot both be given" in found.reason
