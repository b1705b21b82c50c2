"""What stops the bench."""

from pipeline.errors import LipforgeError


class ClaimsError(LipforgeError):
    """The bench cannot run as asked; the message says what to do."""
