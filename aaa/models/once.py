"""LiteLLM with its hidden second requests shut off: one `acompletion` is one HTTP request.

With every retry setting at zero, LiteLLM 1.106 still asks twice in two places: its own HTTP client
posts again after a dropped connection (the first may have been answered and billed), and its OpenAI
path posts again after a 422 with fewer parameters. Both call a function of their own to do so; here
these functions raise the error that is being handled instead.

Nor does any of its clients follow a redirect, which would send the prompt (and at the same host the key) once
more, to an address that no card names. `tests/integration/test_models_http.py` counts the requests, so a
LiteLLM that moves these places fails the suite. Left out: what fetches credentials by a library of its own.
"""

import importlib
import logging
import os
from collections.abc import Callable
from functools import cache
from typing import Any, NoReturn

import aiohttp

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else its import asks the network for prices
os.environ.setdefault("LITELLM_MODE", "PRODUCTION")  # else its import loads any .env around
os.environ.setdefault("LITELLM_LOG", "ERROR")


_LATE = ("litellm.main", "openai.resources.chat", "litellm._service_logger", "litellm.router")
"""What LiteLLM would import during its first call, for seconds, while our clock runs."""


@cache
def load() -> Any:
    """The `litellm` module, imported and made quiet."""
    litellm: Any = importlib.import_module("litellm")
    handlers: Any = importlib.import_module("litellm.llms.custom_httpx.http_handler")
    openai_path: Any = importlib.import_module("litellm.llms.openai.openai")
    handlers.AsyncHTTPHandler.single_connection_post_request = _not_again
    openai_path.drop_params_from_unprocessable_entity_error = _not_with_less
    _follow_nothing(litellm, handlers)
    litellm.telemetry = False
    litellm.suppress_debug_info = True
    litellm.num_retries = 0
    litellm.callbacks, litellm.success_callback, litellm.failure_callback = [], [], []
    litellm.drop_params = True
    litellm.cache = None
    logging.getLogger("LiteLLM").setLevel(logging.CRITICAL)
    for late in _LATE:
        importlib.import_module(late)
    return litellm


def _follow_nothing(litellm: Any, handlers: Any) -> None:
    """Have every client that LiteLLM makes, or has made, take a redirect for the answer."""
    openai_clients: Any = importlib.import_module("litellm.llms.openai.common_utils").BaseOpenAILLM
    for name in ("_get_async_http_client", "_get_sync_http_client"):
        setattr(openai_clients, name, staticmethod(_staying(getattr(openai_clients, name))))
    for kind in (handlers.AsyncHTTPHandler, handlers.HTTPHandler):
        kind.create_client = _staying(kind.create_client)
    for made in (litellm.module_level_aclient, litellm.module_level_client):
        made.client.follow_redirects = False
    sessions: Any = importlib.import_module("litellm.llms.custom_httpx.aiohttp_handler")
    handler, watched = sessions.BaseLLMAIOHTTPHandler, aiohttp.TraceConfig()
    watched.on_request_redirect.append(_refused)
    watched.freeze()
    handler._get_async_client_session = _watching(handler._get_async_client_session, watched)


def _staying(make: Callable[..., Any]) -> Callable[..., Any]:
    """`make`, whose HTTPX clients follow no redirect."""

    def made(*given: Any, **named: Any) -> Any:
        client = make(*given, **named)
        client.follow_redirects = False
        return client

    return made


def _watching(make: Callable[..., Any], watched: aiohttp.TraceConfig) -> Callable[..., Any]:
    """`make`, whose aiohttp sessions tell `watched` what they do."""

    def made(*given: Any, **named: Any) -> Any:
        session = make(*given, **named)
        if watched not in session.trace_configs:
            session.trace_configs.append(watched)
        return session

    return made


async def _refused(_: object, __: object, told: aiohttp.TraceRequestRedirectParams) -> NoReturn:
    """Called before aiohttp follows a redirect."""
    raise aiohttp.ClientPayloadError(f"HTTP {told.response.status}: redirects are not followed")


async def _not_again(*_: object, **__: object) -> NoReturn:
    """Called while a connection error is handled: let it through."""
    raise


def _not_with_less(error: Exception, _: object) -> NoReturn:
    """Called while a 422 is handled: let it through."""
    raise error
