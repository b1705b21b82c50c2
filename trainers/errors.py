"""Errors in the data of a training run, which stop it.

LipforgeError
`- TrainingDataError         the shards cannot be trained from    stop
   |- ShardReadError         a shard does not give its bytes      stop; a resume goes on
   |  `- ShardNotFoundError  there is no such file                stop
   `- TooManyBadSamplesError more samples are broken than allowed stop; lists every key

Each takes one message, so that torch can re-raise it from a worker process as the same class.
"""

from collections.abc import Mapping

from pipeline.errors import LipforgeError

LISTED = 20


class TrainingDataError(LipforgeError):
    """The named shards do not exist, hold no usable clip or do not fit the configuration."""


class ShardReadError(TrainingDataError):
    """A shard cannot be read: a fault of the storage, not of the sample."""


class ShardNotFoundError(ShardReadError):
    """There is no file at the URL."""


class TooManyBadSamplesError(TrainingDataError):
    """More samples are broken than `max_bad_samples` allows."""


def too_many(bad: Mapping[str, str], limit: int) -> TooManyBadSamplesError:
    """Return the error with a list of the broken samples.

    Args:
        bad: key of the sample (`shard.tar/clip_id`) -> error.
    """
    listed = [f"  {key}: {reason}" for key, reason in sorted(bad.items())[:LISTED]]
    more = [f"  and {len(bad) - LISTED} more"] if len(bad) > LISTED else []
    return TooManyBadSamplesError(
        "\n".join([f"{len(bad)} bad samples, max_bad_samples allows {limit}:", *listed, *more])
    )
