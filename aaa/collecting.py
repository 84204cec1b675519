"""How often a process that lives long looks for garbage in cycles."""

import gc


def collect_seldom() -> None:
    """Have the collector leave alone what a process has loaded, and look less often at what it makes.

    Nearly all of that is freed by its count.
    """
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
