"""LiteLLM with its hidden second requests shut off: one `acompletion` is one HTTP request.

With every retry setting at zero, LiteLLM 1.106 still asks twice in two places: its own HTTP client
posts again after a dropped connection (the first may have been answered and billed), and its OpenAI
path posts again after a 422 with fewer parameters. Both call a function of their own to do so; here
these functions raise the error that is being handled instead. `tests/integration/test_models_litellm.py`
counts the requests, so a LiteLLM that moves these places fails the suite.
"""

import importlib
import logging
import os
from functools import cache
from typing import Any, NoReturn

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


async def _not_again(*_: object, **__: object) -> NoReturn:
    """Called while a connection error is handled: let it through."""
    raise


def _not_with_less(error: Exception, _: object) -> NoReturn:
    """Called while a 422 is handled: let it through."""
    raise error
