"""Models in this process: llama.cpp through `xllamacpp`, on GGUF weights. Free, and offline.

Cards with the same weights and the same `local` settings share one server, which decodes as many
sequences side by side as it has slots. With one slot, no prompt cache and a given seed the same
requests give the same bytes; with more, batch shapes and hence texts depend on what else is asked. Cards of
one base with several LoRA adapters share its server too: each request says which adapter it is for. Left out:
prompt log-probabilities, which llama.cpp does not give here.
"""

import asyncio
import importlib
import os
import secrets
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from aaa.errors import FailureKind, ModelError
from aaa.models import Model, Request
from aaa.models.choices import read_choices
from aaa.models.redact import brief
from aaa.models.weights import adapter_of, locate
from aaa.scenario import AgentCard, Local
from aaa.settings import Settings
from aaa.types import ChoiceShape, FinishReason, JsonShape, Reply

os.environ["OMP_WAIT_POLICY"] = "passive"  # else any other busy process costs 90 % of the speed

TOP_LOGPROBS = 100
"""Alternatives listed for a choice: on one's own machine they cost nothing."""
PROMPT_CACHE_MIB = 256
"""Memory for prompt states that lost their slot; llama.cpp's default is 8 GiB."""

_servers: dict[tuple[Path, Local], "_Server"] = {}
_servers_lock = threading.Lock()


def open_model(card: AgentCard, settings: Settings) -> Model:
    """The card's model; its weights are loaded by the first call. Raises `SetupError`: no weights."""
    path = locate(card.model, settings.models).resolve()
    _, adapter = adapter_of(card.model)
    with _servers_lock:
        server = _servers.setdefault((path, card.local), _Server(path, card.local))
        server.users += 1
        if adapter is not None:
            server.know(adapter.resolve())
    return LocalModel(card, server, adapter and adapter.resolve())


class LocalModel:
    """One card's model, asked in a thread per slot."""

    def __init__(self, card: AgentCard, server: "_Server", adapter: Path | None = None) -> None:
        self.card = card
        self._adapter = adapter
        self._server: _Server | None = server

    async def complete(self, request: Request) -> Reply:
        """The reply. Cancelling it, or its timeout, ends the generation within a token."""
        server, limit_s = self._server, self.card.limits.timeout_s
        if server is None:
            raise ModelError("unreachable", f"{self.card.model}: this model was closed")
        answer = _Answer()
        try:
            async with asyncio.timeout(limit_s):
                await server.ask(_body(request, self.card.local), self._adapter, answer)
        except TimeoutError as error:
            raise ModelError(
                "timeout", f"{self.card.model}: no answer within {limit_s:g} s"
            ) from error
        finally:
            answer.unwanted.set()
        return answer.reply(self.card, request, server.path)

    async def close(self) -> None:
        """Give up the server; the last one to do so unloads the weights."""
        server, self._server = self._server, None
        if server is None:
            return
        with _servers_lock:
            server.users -= 1
            if server.users:
                return
            _servers.pop((server.path, server.local), None)
        await asyncio.to_thread(server.stop)


class _Server:
    """The weights in memory, and the threads that ask them."""

    def __init__(self, path: Path, local: Local) -> None:
        self.path = path
        self.local = local
        self.users = 0
        self._threads = ThreadPoolExecutor(local.slots, thread_name_prefix=f"llama-{path.stem}")
        self._loading = threading.Lock()
        self._adapters: tuple[Path, ...] = ()
        """All that are known, in the order in which llama.cpp counts them."""
        self._loaded: tuple[Any, tuple[Path, ...]] | None = None
        """The weights with these adapters; one more has them loaded anew, while older calls end on theirs."""

    def know(self, adapter: Path) -> None:
        """Have an adapter loaded with the weights, at the next call; waits for no load that is under way."""
        self._adapters = tuple(dict.fromkeys((*self._adapters, adapter)))

    async def ask(self, body: dict[str, Any], adapter: Path | None, answer: "_Answer") -> None:
        """Have `answer` filled, by the weights with that adapter or as they are. Raises `ModelError`."""
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._threads, self._ask, body, adapter, answer)
        except (ValueError, TypeError, UnicodeError) as error:
            # A schema its grammar does not know, text that is no UTF-8.
            raise ModelError("invalid", brief(f"{self.path.name}: {error}")) from error

    def stop(self) -> None:
        """Wait for calls in flight (they end within a token once unwanted), then unload."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._loaded = None

    def _ask(self, body: dict[str, Any], adapter: Path | None, answer: "_Answer") -> None:
        if answer.unwanted.is_set():
            return
        with self._loading:
            known = self._adapters
            if self._loaded is None or self._loaded[1] != known:
                self._loaded = _load(self.path, self.local, known), known
            llama, adapters = self._loaded
        scales = [{"id": n, "scale": float(one == adapter)} for n, one in enumerate(adapters)]
        llama.handle_chat_completions(body | ({"lora": scales} if scales else {}), answer.take)


class _Answer:
    """What the server has said so far. `take` runs in the slot's thread."""

    def __init__(self) -> None:
        self.unwanted = threading.Event()
        """Set by whoever asked, when no more is wanted."""
        self._texts: list[str] = []
        self._first_token: dict[str, Any] | None = None
        self._finish: str | None = None
        self._usage: dict[str, Any] = {}
        self._id: str | None = None
        self._error: dict[str, Any] | None = None

    def take(self, chunk: dict[str, Any]) -> bool:
        """Keep one chunk; `True` stops the generation."""
        self._error = chunk.get("error") or self._error
        self._usage = chunk.get("usage") or self._usage
        self._id = chunk.get("id") or self._id
        for choice in chunk.get("choices") or ():
            self._texts.append(choice.get("delta", {}).get("content") or "")
            self._finish = choice.get("finish_reason") or self._finish
            tokens = (choice.get("logprobs") or {}).get("content")
            if tokens and self._first_token is None:
                self._first_token = tokens[0]
        return self.unwanted.is_set()

    def reply(self, card: AgentCard, request: Request, path: Path) -> Reply:
        """The whole answer. Raises `ModelError`."""
        if self._error is not None:
            raise _failure(card.model, self._error)
        if self._finish is None:
            raise ModelError("malformed", f"{card.model}: the generation ended without a word")
        finishes: dict[str, FinishReason] = {"stop": "stop", "length": "length"}
        odds = None
        if isinstance(request.shape, ChoiceShape) and self._first_token is not None:
            listed = [(t["token"], t["logprob"]) for t in self._first_token["top_logprobs"]]
            odds = read_choices(request.shape.choices, listed)
        return Reply(
            text="".join(self._texts),
            finish_reason=finishes.get(self._finish, "other"),
            choice_logprobs=odds.logprobs if odds else None,
            logprob_floor=odds.floor if odds else None,
            prompt_tokens=self._usage.get("prompt_tokens"),
            completion_tokens=self._usage.get("completion_tokens"),
            cost_usd=0.0,
            model=path.name,
            request_id=self._id,
        )


def _body(request: Request, local: Local) -> dict[str, Any]:
    """The request in the server's words. Raises `ModelError`: llama.cpp makes up text for no messages."""
    if not request.messages:
        raise ModelError("invalid", "there is nothing to answer: the message list is empty")
    sampling = request.sampling.model_dump(exclude_none=True)
    if "stop" in sampling:
        sampling["stop"] = list(sampling["stop"])
    return {
        "messages": [message.model_dump() for message in request.messages],
        "seed": request.seed & 0x7FFF_FFFF,
        "cache_prompt": local.slots > 1,
        "stream": True,  # so that a generation can be stopped
        "stream_options": {"include_usage": True},
        **sampling,
        **_shape(request.shape),
    }


def _shape(shape: JsonShape | ChoiceShape | None) -> dict[str, Any]:
    if isinstance(shape, ChoiceShape):
        return {"logprobs": True, "top_logprobs": TOP_LOGPROBS, "max_tokens": 1}
    if shape is None:
        return {}
    schema = {"name": shape.name, "schema": shape.fields, "strict": True}
    return {"response_format": {"type": "json_schema", "json_schema": schema}}


def _failure(model: str, error: dict[str, Any]) -> ModelError:
    kind: FailureKind = "server" if error.get("code", 500) >= 500 else "invalid"
    if error.get("type") == "exceed_context_size_error":
        kind = "context_overflow"
    return ModelError(kind, brief(f"{model}: {error.get('message')}"))


def _load(path: Path, local: Local, adapters: Sequence[Path]) -> Any:
    """A running llama.cpp server on these weights. Raises `ModelError`: llama.cpp cannot read them."""
    xllamacpp: Any = importlib.import_module("xllamacpp")
    parameters = xllamacpp.CommonParams()
    threads = local.threads or os.cpu_count() or 1
    parameters.model.path = str(path)
    parameters.n_parallel = local.slots
    parameters.n_ctx = local.context * local.slots
    parameters.n_gpu_layers = local.gpu_layers
    parameters.cpuparams.n_threads = threads
    parameters.cpuparams_batch.n_threads = threads
    parameters.lora_adapters = [_adapter(xllamacpp, one) for one in adapters]
    parameters.cache_ram_mib = PROMPT_CACHE_MIB if local.slots > 1 else 0
    parameters.verbosity = -1
    parameters.warmup = True
    # It also listens on a loopback port, which nobody needs: lock that.
    parameters.port = 0
    parameters.api_keys = [secrets.token_urlsafe(32)]
    parameters.ui = False
    parameters.endpoint_slots = False
    server: Callable[[Any], Any] = xllamacpp.Server
    try:
        return server(parameters)
    except Exception as error:
        raise ModelError(
            "not_found", f"llama.cpp cannot load {path.name!r}: {brief(str(error))}"
        ) from error


def _adapter(xllamacpp: Any, path: Path) -> Any:
    """An adapter that is loaded, and used where a request says so."""
    found = xllamacpp.CommonAdapterLoraInfo()
    found.path = str(path)
    found.scale = 0.0
    return found
