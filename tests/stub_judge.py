"""The provider stub as a judge without a socket: the same replies as over HTTP, from a function."""

from collections.abc import Callable
from typing import Any

from aaa.models.choices import read_choices
from aaa.provider.judging import parse_bias
from aaa.provider.replies import answer, completion, read_request
from aaa.types import Call, ChoiceShape, JsonShape, Reply


def stub_judge(bias: str = "") -> Callable[[Call], Reply]:
    """A judge with that bias (`position=0.3,gullible`); its own opinion is `aaa.provider.quality`."""
    found = parse_bias(bias)

    def reply(call: Call) -> Reply:
        body: dict[str, Any] = {
            "model": call.agent,
            "messages": [message.model_dump() for message in call.messages],
            **call.sampling.model_dump(exclude_none=True),
        }
        shape = call.shape
        if isinstance(shape, ChoiceShape):
            body |= {"logprobs": True, "top_logprobs": 20}
        elif isinstance(shape, JsonShape):
            schema = {"name": shape.name, "schema": shape.fields}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        request = read_request(body)
        choice = completion(request, answer(request, found), "id")["choices"][0]
        odds = None
        if isinstance(shape, ChoiceShape):
            listed = choice["logprobs"]["content"][0]["top_logprobs"]
            odds = read_choices(shape.choices, [(t["token"], t["logprob"]) for t in listed])
        return Reply(
            text=choice["message"]["content"],
            finish_reason=choice["finish_reason"],
            choice_logprobs=odds.logprobs if odds else None,
            logprob_floor=odds.floor if odds else None,
        )

    return reply
