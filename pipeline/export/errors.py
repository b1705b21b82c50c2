"""The error of an export."""

from pipeline.errors import LipforgeError


class ExportError(LipforgeError):
    """The shards, the output folder or an optional package do not allow the export."""
