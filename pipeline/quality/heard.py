"""What a recognizer answers for one clip."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Heard:
    """Language and text of one clip, as a recognizer gives them."""

    language: str | None
    """ISO 639 code as Whisper writes it; None of a recognizer that knows one language alone."""
    language_probability: float | None
    text: str
    mean_log: float
    """Mean log probability of the text's tokens; 0 without tokens."""
    is_whole: bool
    """False: the text was cut off at the most tokens that are asked for."""
