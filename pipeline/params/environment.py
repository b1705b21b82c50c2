"""Settings that change no result: read from environment variables."""

import os

from pipeline.errors import ParamsError


def count_from_environment(name: str) -> int | None:
    """Return a variable as a number, or None where it is not set.

    Raises:
        ParamsError: it is no whole number of at least 1.
    """
    text = os.environ.get(name)
    if text is None:
        return None
    if not text.isdecimal() or int(text) < 1:
        raise ParamsError(f"{name}={text}: must be a whole number of at least 1")
    return int(text)
