"""Numbers and durations as text for people."""


def duration(seconds: float) -> str:
    """Return 7.5 s, 3 min 20 s or 2 h 05 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def count(number: int) -> str:
    """Return a whole number with thin spaces between thousands."""
    return f"{number:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def share(part: float, whole: float) -> str:
    """Return a percentage; a dash where there is no whole."""
    return f"{100 * part / whole:.0f} %" if whole else "\N{EN DASH}"


def number(value: float) -> str:
    """Return a number in as few digits as a label needs."""
    text = f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    return "0" if text in ("-0", "0") else text.replace("-", "\N{MINUS SIGN}")
