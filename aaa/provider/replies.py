"""What the stub answers to a chat completion: a pure function of the request.

Model, messages, temperature, top_p, seed, limits and wanted format decide; `stream`, `logprobs` and `user`
do not, so a streamed answer says the same. Left out: tools, images, `n` above 1.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import orjson

from aaa.provider.judging import Bias, Sheet, quality, sheet
from aaa.provider.shapes import fitting, scaled
from aaa.provider.words import numbers, prose, tokens, unit

CREATED = 1735689600
"""When every reply says it was made (2025-01-01, UTC): the same request gets the same bytes."""

_DECIDES = ("model", "messages", "temperature", "top_p", "seed", "response_format", "stop")
_OTHERS = ("The", " A", " B", "\n", "I", "**", "Answer", " Yes", " No", "It", "Both", "Neither")
_USUAL_TOKENS = 160
_CHUNK = 4


class Refused(Exception):
    """The body is no chat completion request: answered with 400."""


class Request(NamedTuple):
    """A chat completion request, checked."""

    body: Mapping[str, Any]
    model: str
    prompt: str
    """The last message's text."""
    prompt_tokens: int
    max_tokens: int | None
    stream: bool
    key: str = ""
    """What came as a key."""


class Said(NamedTuple):
    """What the stub says to one request."""

    text: str
    tokens: list[str]
    finish_reason: str
    lead: float | None
    """For a choice between two words: log P(said) - log P(the other), in nats."""
    other: str
    """The word that was not said."""


def read_request(body: object, key: str = "") -> Request:
    """The request in a JSON body that came with that key. Raises `Refused` with OpenAI's complaint."""
    if not isinstance(body, dict):
        raise Refused("We could not parse the JSON body of your request.")
    model, messages = body.get("model"), body.get("messages")
    if not isinstance(model, str) or not model:
        raise Refused("you must provide a model parameter")
    if not isinstance(messages, list) or not messages:
        raise Refused("Missing required parameter: 'messages'.")
    if body.get("n") not in (None, 1):
        raise Refused("This provider answers with one choice: 'n' must be 1.")
    limit = body.get("max_completion_tokens", body.get("max_tokens"))
    if limit is not None and (not isinstance(limit, int) or limit < 1):
        raise Refused(f"Invalid 'max_tokens': {limit!r} is not an integer of at least 1.")
    texts = [_text(message) for message in messages]
    return Request(
        body=body,
        model=model,
        prompt=texts[-1],
        prompt_tokens=3 + sum(4 + len(text) // 4 for text in texts),
        max_tokens=limit,
        stream=body.get("stream") is True,
        key=key,
    )


def _text(message: object) -> str:
    content = message.get("content") if isinstance(message, dict) else None
    if isinstance(content, list):
        return "".join(str(p.get("text", "")) for p in content if isinstance(p, dict))
    if content is None:
        content = ""
    if not isinstance(message, dict) or not isinstance(content, str):
        raise Refused("Invalid type for 'messages': expected objects with a 'content' string.")
    return content


def answer(request: Request, bias: Bias, skill: int = 1) -> Said:
    """What the stub says: a verdict, JSON, or prose, the best of `skill` texts."""
    body = request.body
    seed = orjson.dumps([body.get(key) for key in _DECIDES], option=orjson.OPT_SORT_KEYS).decode()
    judged = sheet(request.prompt, request.model, bias)
    form = body.get("response_format")
    kind = form.get("type") if isinstance(form, dict) else None
    if kind in ("json_schema", "json_object"):
        if judged is not None and judged.echo is not None:
            return _said(judged.echo, request)
        return _said(_json(request, judged, form or {}, seed), request)
    if judged is not None and judged.choices and (request.max_tokens or 99) <= 4:
        return _choice(judged.choices, judged.lead)
    if skill == 1:
        return _prose(request, seed)
    seeds = (seed, *(f"{seed} {n}" for n in range(1, skill)))
    return max((_prose(request, one) for one in seeds), key=lambda said: quality(said.text))


def _prose(request: Request, seed: str) -> Said:
    limit = min(request.max_tokens or _USUAL_TOKENS, 4 * _USUAL_TOKENS)
    share = 0.1 + 0.9 * numbers(seed, 1)[0] / 65536
    text = prose(seed, max(1, int(0.6 * limit * share)))
    return _said(_stopped(text, request.body.get("stop")), request)


def _said(text: str, request: Request) -> Said:
    cut = tokens(text)
    if request.max_tokens is not None and len(cut) > request.max_tokens:
        cut = cut[: request.max_tokens]
        return Said("".join(cut), cut, "length", None, "")
    return Said(text, cut, "stop", None, "")


def _stopped(text: str, stop: object) -> str:
    for end in [stop] if isinstance(stop, str) else stop if isinstance(stop, list) else []:
        text = text.split(end, 1)[0] if isinstance(end, str) and end else text
    return text


def _choice(choices: tuple[str, str], lead: float) -> Said:
    first, second = choices
    word, other = (first, second) if lead >= 0 else (second, first)
    return Said(word, [word], "stop", abs(lead), other)


def _json(request: Request, judged: Sheet | None, form: Mapping[str, Any], seed: str) -> str:
    schema = form.get("json_schema", {}).get("schema")
    if not isinstance(schema, Mapping):
        schema = {"type": "object", "properties": {"answer": {"type": "string"}}}

    def opinion(path: tuple[str, ...], inner: Mapping[str, Any]) -> Any:
        return None if judged is None else _verdict(judged, path, inner)

    words = max(2, min(24, (request.max_tokens or 200) // 8))
    return orjson.dumps(fitting(schema, seed, words, opinion)).decode()


def _verdict(judged: Sheet, path: tuple[str, ...], schema: Mapping[str, Any]) -> Any:
    """A judge's value for one field: the winner's label, or a score; `None` where it has no opinion."""
    labels = {a.label: score for a, score in zip(judged.answers, judged.scores, strict=True)}
    allowed = schema.get("enum")
    if isinstance(allowed, list):
        if len(labels) > 1 and set(labels) <= set(map(str, allowed)):
            undecided = [one for one in allowed if one not in labels]
            best = max(labels, key=lambda label: labels[label])
            return judged.winner or (undecided[0] if undecided else best)
        return judged.graded(allowed) or judged.held(allowed)
    names = "_".join(path).lower().split("_")
    share = next((s for label, s in labels.items() if label.lower() in names), None)
    if share is None and len(labels) == 1:
        share = judged.scores[0]
    if share is None:
        return None
    if schema.get("type") in ("integer", "number"):
        return scaled(schema, share)
    return share >= 0.5 if schema.get("type") == "boolean" else None


def completion(request: Request, said: Said, reply_id: str) -> dict[str, Any]:
    """The reply as OpenAI's `chat.completion` object."""
    return {
        "id": reply_id,
        "object": "chat.completion",
        "created": CREATED,
        "model": request.model,
        "system_fingerprint": "fp_stub",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": said.text, "refusal": None},
                "logprobs": _logprobs(request, said, 0, len(said.tokens)),
                "finish_reason": said.finish_reason,
            }
        ],
        "usage": _usage(request, said),
    }


def chunks(request: Request, said: Said, reply_id: str) -> Iterator[dict[str, Any]]:
    """The same reply as `chat.completion.chunk` objects."""

    def chunk(choices: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        head = {"id": reply_id, "object": "chat.completion.chunk", "created": CREATED}
        return {**head, "model": request.model, "choices": choices, **more}

    def part(delta: dict[str, str], finish: str | None = None, **more: Any) -> dict[str, Any]:
        return {"index": 0, "delta": delta, "finish_reason": finish, **more}

    yield chunk([part({"role": "assistant", "content": ""})])
    for start in range(0, len(said.tokens), _CHUNK):
        end = min(start + _CHUNK, len(said.tokens))
        logprobs = _logprobs(request, said, start, end)
        yield chunk([part({"content": "".join(said.tokens[start:end])}, logprobs=logprobs)])
    yield chunk([part({}, said.finish_reason)])
    options = request.body.get("stream_options")
    if isinstance(options, dict) and options.get("include_usage"):
        yield chunk([], usage=_usage(request, said))


def _usage(request: Request, said: Said) -> dict[str, int]:
    spoken = len(said.tokens)
    return {
        "prompt_tokens": request.prompt_tokens,
        "completion_tokens": spoken,
        "total_tokens": request.prompt_tokens + spoken,
    }


def _logprobs(request: Request, said: Said, start: int, end: int) -> dict[str, Any] | None:
    if not request.body.get("logprobs"):
        return None
    wanted = request.body.get("top_logprobs")
    top = wanted if isinstance(wanted, int) else 0
    return {
        "content": [_token(said, place, top) for place in range(start, end)],
        "refusal": None,
    }


def _token(said: Said, place: int, top: int) -> dict[str, Any]:
    """One token with its alternatives; the two words of a choice share 0.97 of the probability."""
    token = said.tokens[place]
    if said.lead is not None:
        own = math.log(0.97) - math.log1p(math.exp(-said.lead))
        listed = [(token, own), (said.other, own - said.lead)]
    else:
        own = math.log(0.3 + 0.69 * unit("logprob", str(place), said.text[:64]))
        listed = [(token, own)]
    rest = [other for other in _OTHERS if other not in (token, said.other)]
    low = math.log(0.005)
    listed += [(other, low - 0.5 * n) for n, other in enumerate(rest)]
    ranked = sorted(listed, key=lambda pair: -pair[1])[: min(top, 20)]
    return {**_entry(token, own), "top_logprobs": [_entry(*pair) for pair in ranked]}


def _entry(token: str, logprob: float) -> dict[str, Any]:
    return {"token": token, "logprob": round(logprob, 6), "bytes": list(token.encode())}
