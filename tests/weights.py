"""Real weights for tests: pulled once by the product's own code, kept between runs."""

import os
from pathlib import Path

from aaa.models.weights import pull
from aaa.settings import Settings

CACHE = Path(__file__).parent.parent / ".cache"


def settings_with(*names: str) -> Settings:
    """Settings whose models folder holds these weights.

    It is `AAA_TEST_MODELS`, which must be called `models`, else `.cache/models` in the checkout.
    """
    home = Path(os.environ["AAA_TEST_MODELS"]).parent if "AAA_TEST_MODELS" in os.environ else CACHE
    settings = Settings(home=home)
    for name in names:
        pull(name, settings.models, _Quiet())
    return settings


class _Quiet:
    def say(self, sentence: str) -> None: ...

    def done(self, so_far: int, total: int | None, unit: str) -> None: ...
