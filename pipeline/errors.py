"""All exceptions that this project raises on purpose.

LipforgeError
|- ParamsError           params.yaml is wrong                 stop before any work
|- SourceError           the input folder, list or URL        stop before any work
|- WeightsError          a model file is absent or altered    stop before any work
|  `- WeightsUnavailableError   its home gave no whole file   stop, or another judge scores
|- ManifestError         a table breaks its schema            stop
|- StorageError          a disk is full or not writable       stop; finished items stay cached
|- MediaError            ONE input cannot be used             record the row, go on
|  |- EmptyFileError     no bytes at all
|  |- NotMediaError      no container that PyAV opens
|  |- DecodeError        the container opened, its frames or samples did not
|  |- ClockRestartsError picture and sound lie on clocks that cannot be joined
|  |- NotRegularFileError   a pipe, a socket, a device or a folder
|  `- TransientError     says nothing about the content        never cached, tried again
|     |- UnreadableError    file system or network refused to give the bytes
|     |- DamagedCacheError  a cached file is not what was stored; its item is made again
|     `- OutOfMemoryError   not enough memory, this time
|- TooManyFailuresError  failed share over the limit          stop, exit 1, so that DVC stops
|- NonFiniteLossError    a loss or gradient is no number    stop before the optimizer step
|- CheckpointError       a training run cannot be resumed   stop
|- ClusterError          Ray cannot be reached or has no CPU stop
`- TruthError            the demo corpus misses a target     `lipforge truth --strict` exits 1
"""

import errno

DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
"""What the system says when results cannot be stored: the fault of no input."""


class LipforgeError(Exception):
    """Base class; the command line turns it into one message and exit code 1."""


class ParamsError(LipforgeError):
    """params.yaml has an unknown key, a missing key or an impossible value."""


class SourceError(LipforgeError):
    """The named source of videos does not exist, is empty or cannot be listed."""


class WeightsError(LipforgeError):
    """A model file is absent, could not be fetched or has another SHA-256 than the lock."""


class WeightsUnavailableError(WeightsError):
    """The download did not come: no network, no such host or no whole answer."""


class ManifestError(LipforgeError):
    """A manifest table breaks its schema or repeats a key."""


class StorageError(LipforgeError):
    """Results cannot be stored: disk full, read-only or quota."""


class MediaError(LipforgeError):
    """One input cannot be used. The runner records `reason` and the message, and goes on."""

    reason = "media_error"


class EmptyFileError(MediaError):
    """The file has no bytes."""

    reason = "empty_file"


class NotMediaError(MediaError):
    """No demuxer recognises the bytes."""

    reason = "not_media"


class DecodeError(MediaError):
    """The container opened but frames or samples could not be decoded."""

    reason = "decode_error"


class ClockRestartsError(MediaError):
    """The timestamps of picture and sound jump apart: which belong together is not known."""

    reason = "clock_restarts"


class NotRegularFileError(MediaError):
    """A pipe, a socket, a device or a folder: opening it could wait for ever."""

    reason = "not_regular_file"


class TransientError(MediaError):
    """A fault of the moment: the outcome is not cached, and the next `dvc repro` tries again."""


class UnreadableError(TransientError):
    """The operating system or the network refused to give the bytes."""

    reason = "unreadable"


class DamagedCacheError(TransientError):
    """A file of the item cache is gone or is not the one that was stored."""

    reason = "damaged_cache"

    def __init__(self, key: str, name: str, what: str) -> None:
        """Args: cache key and name of the file; `what` is wrong with it."""
        super().__init__(key, name, what)
        self.key, self.name, self.what = key, name, what

    def __str__(self) -> str:
        return f"{self.name} of the cached item {self.key[:12]}: {self.what}"


class OutOfMemoryError(TransientError):
    """The machine had not enough memory for the item, this time."""

    reason = "out_of_memory"


class TooManyFailuresError(LipforgeError):
    """The share of failed items went over `run.max_failed_fraction`."""

    def __init__(self, stage: str, failed: int, total: int, first: str) -> None:
        super().__init__(
            f"{stage}: {failed} of {total} items failed, more than params.yaml "
            f"run.max_failed_fraction allows; first: {first}"
        )
        self.stage, self.failed, self.total = stage, failed, total


class NonFiniteLossError(LipforgeError):
    """A loss or a gradient is infinite or NaN; the weights are still those before the step."""


class CheckpointError(LipforgeError):
    """A checkpoint cannot be read, or does not belong to this task, or ranks see different ones."""


class TruthError(LipforgeError):
    """A run on the demo corpus differs from its ground truth by more than the targets allow."""


class ClusterError(LipforgeError):
    """Ray cannot be reached, or its workers do not start."""
