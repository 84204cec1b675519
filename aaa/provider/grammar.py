"""The text form of faults: one line, or the same parts in a YAML file.

    latency=lognormal:50ms:0.5; 429=0.1,retry_after=2s; 500=first:1; hang=0.01; model=judge*

Parts stand between `;`, each is `NAME=VALUE` and then conditions after `,`:

    FAULT=SHARE       probability from 0 to 1; FAULT=first:N, after:N or between:A..B also work
    latency=          50ms | fixed:50ms | uniform:10ms..90ms | lognormal:MEDIAN:SIGMA
    rpm=N             allowed requests a minute and model [,burst=N]; beyond it 429 with Retry-After
    concurrency=N     allowed requests at a time and model; beyond it 429
    model=PATTERN     on its own: for all parts that name no model

    first=N           only the first N attempts of each distinct request
    after=N           not the first N requests overall
    between=A..B      only in these seconds after the start, as 5s..1m
    model=PATTERN     only models that fit (judge*, *-8b)
    retry_after=      none | 2s | date:2s     (429, 503, rpm, concurrency)
    over=2s           how long a drip takes

    FAULT is 401, 404, 429, 500, 502, 503, overflow, filter, hang, drop, cut, truncated, empty,
    error_200, html, drip or length.

The first fault that strikes wins, in the order written. A YAML file is a list of parts, or a mapping of
name to value (`hang: 0.01`), to a mapping of conditions (with `share:`), or to a list of these.
"""

import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from aaa.errors import InputError
from aaa.provider.faults import FAULT_NAMES, Faults, Latency, Limit, RetryAfter, Rule

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_CONDITIONS = {
    "fault": ("first", "after", "between", "model"),
    "429": ("retry_after",),
    "503": ("retry_after",),
    "drip": ("over",),
    "rpm": ("burst", "model", "retry_after"),
    "concurrency": ("model", "retry_after"),
    "latency": ("model",),
}


def parse_faults(spec: str) -> Faults:
    """The faults in a line, or in the `.yaml` file that the line names. Raises `InputError`."""
    spec = spec.strip()
    if spec.endswith((".yaml", ".yml")) and "=" not in spec:
        spec = ";".join(_from_yaml(Path(spec)))
    rules: list[Rule] = []
    latencies: list[Latency] = []
    limits: list[Limit] = []
    model: str | None = None
    for part in filter(None, (piece.strip() for piece in spec.split(";"))):
        name, value, more = _split(part)
        if name == "model":
            model = value
        elif name == "latency":
            latencies.append(_latency(part, value, more))
        elif name in ("rpm", "concurrency"):
            limits.append(_limit(part, name, value, more))
        else:
            rules.append(_rule(part, name, value, more))
    every = {"model": model}
    return Faults(
        rules=tuple(r if r.model else r.model_copy(update=every) for r in rules),
        latencies=tuple(x if x.model else x.model_copy(update=every) for x in latencies),
        limits=tuple(x if x.model else x.model_copy(update=every) for x in limits),
    )


def _split(part: str) -> tuple[str, str, dict[str, str]]:
    """Name, value and conditions of a part."""
    head, *conditions = [piece.strip() for piece in part.split(",")]
    name, equals, value = (piece.strip() for piece in head.partition("="))
    known = (*FAULT_NAMES, "latency", "rpm", "concurrency", "model")
    if name not in known:
        raise InputError(f"fault {part!r}: {name!r} is unknown; valid: {', '.join(known)}")
    if not equals or not value:
        raise InputError(f"fault {part!r}: {name!r} needs a value, as in {name}={_example(name)}")
    if name == "model" and conditions:
        raise InputError(f"fault {part!r}: 'model' on its own takes no conditions")
    allowed = _CONDITIONS.get(name, ())
    if name in FAULT_NAMES:
        allowed = (*_CONDITIONS["fault"], *allowed)
    more: dict[str, str] = {}
    for condition in conditions:
        key, _, setting = (piece.strip() for piece in condition.partition("="))
        if key not in allowed or not setting:
            raise InputError(
                f"fault {part!r}: {condition!r} is no condition of {name!r}; "
                f"valid: {', '.join(f'{one}=…' for one in allowed)}"
            )
        more[key] = setting
    return name, value, more


def _example(name: str) -> str:
    return {"latency": "50ms", "rpm": "600", "concurrency": "8", "model": "judge*"}.get(name, "0.1")


def _rule(part: str, name: str, value: str, more: dict[str, str]) -> Rule:
    key, colon, setting = value.partition(":")
    settings: dict[str, Any] = {"fault": name}
    if colon and key in ("first", "after", "between"):
        more = {key: setting, **more}
    else:
        settings["share"] = _number(part, value, 0, 1)
    readers: dict[str, Callable[[str], Any]] = {
        "first": lambda text: _whole(part, text, 0),
        "after": lambda text: _whole(part, text, 0),
        "between": lambda text: _range(part, text),
        "model": str,
        "retry_after": lambda text: _retry_after(part, text),
        "over": lambda text: _duration(part, text),
    }
    for key, text in more.items():
        settings["over_s" if key == "over" else key] = readers[key](text)
    return Rule(**settings)


def _latency(part: str, value: str, more: dict[str, str]) -> Latency:
    kind, colon, rest = value.partition(":")
    model = more.get("model")
    if not colon:
        return Latency(kind="fixed", a=_duration(part, value), model=model)
    if kind == "fixed":
        return Latency(kind="fixed", a=_duration(part, rest), model=model)
    if kind == "uniform":
        least, most = _range(part, rest)
        return Latency(kind="uniform", a=least, b=most, model=model)
    if kind == "lognormal":
        median, _, sigma = rest.partition(":")
        spread = _number(part, sigma or "0.5", 0, 5)
        return Latency(kind="lognormal", a=_duration(part, median), b=spread, model=model)
    raise InputError(
        f"fault {part!r}: {kind!r} is no distribution; valid: 50ms, fixed:50ms, "
        "uniform:10ms..90ms, lognormal:50ms:0.5"
    )


def _limit(part: str, name: str, value: str, more: dict[str, str]) -> Limit:
    settings: dict[str, Any] = {"kind": name, "allowed": _whole(part, value, 1)}
    if "burst" in more:
        settings["burst"] = _whole(part, more["burst"], 1)
    if "retry_after" in more:
        settings["retry_after"] = _retry_after(part, more["retry_after"])
    return Limit(**settings, model=more.get("model"))


def _retry_after(part: str, text: str) -> RetryAfter:
    if text == "none":
        return RetryAfter()
    form = "date" if text.startswith("date:") else "seconds"
    return RetryAfter(form=form, s=_duration(part, text.removeprefix("date:")))


def _range(part: str, text: str) -> tuple[float, float]:
    start, dots, end = text.partition("..")
    if not dots:
        raise InputError(f"fault {part!r}: {text!r} is no range; write it as 5s..1m")
    least, most = _duration(part, start), _duration(part, end)
    if least > most:
        raise InputError(f"fault {part!r}: the range {text!r} ends before it starts")
    return least, most


def _duration(part: str, text: str) -> float:
    found = _DURATION.fullmatch(text.strip())
    if not found:
        raise InputError(
            f"fault {part!r}: {text!r} is no time; write a number with ms, s, m or h, as 50ms"
        )
    return float(found[1]) * _UNITS[found[2]]


def _number(part: str, text: str, least: float, most: float) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not least <= number <= most:
        raise InputError(f"fault {part!r}: {text!r} is no number from {least:g} to {most:g}")
    return number


def _whole(part: str, text: str, least: int) -> int:
    if not text.isdecimal() or int(text) < least:
        raise InputError(f"fault {part!r}: {text!r} is no whole number of at least {least}")
    return int(text)


def _from_yaml(path: Path) -> Iterator[str]:
    try:
        found = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise InputError(f"faults file {str(path)!r}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"faults file {str(path)!r}: {error}") from error
    if isinstance(found, list) and all(isinstance(part, str) for part in found):
        yield from found
    elif isinstance(found, dict):
        for name, values in found.items():
            for value in values if isinstance(values, list) else [values]:
                yield _yaml_part(str(name), value)
    elif found is not None:
        raise InputError(f"faults file {str(path)!r}: expected a list of parts or a mapping")


def _yaml_part(name: str, value: object) -> str:
    if not isinstance(value, dict):
        return f"{name}={value}"
    conditions = [f"{key}={setting}" for key, setting in value.items() if key != "share"]
    return ",".join([f"{name}={value.get('share', 1)}", *conditions])
