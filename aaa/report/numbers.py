"""Numbers as a reader sees them; what is unknown is an empty text."""

from aaa.resampling import Figure


def amount(value: float | None) -> str:
    """A whole number, its thousands apart."""
    return "" if value is None else f"{value:,.0f}".replace(",", " ")


def share(value: float | None) -> str:
    """A share in per cent."""
    return "" if value is None else f"{value:.1%}"


def signed(value: float | None) -> str:
    """A difference of shares in points."""
    return "" if value is None else f"{100 * value:+.1f}"


def end(value: float | None) -> str:
    """An end of a rating's interval, which may be open."""
    return "…" if value is None else f"{value:.0f}"


def shares(of: Figure) -> str:
    """The interval of a share."""
    return "" if of.low is None else f"{share(of.low)} to {share(of.high)}"


def differences(of: Figure) -> str:
    """The interval of a difference of shares."""
    return "" if of.low is None else f"{signed(of.low)} to {signed(of.high)}"
