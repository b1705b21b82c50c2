"""What stops a training run because of its data.

LipforgeError
`- TrainingDataError         the shards cannot be trained from    stop
   |- ShardReadError         a shard does not give its bytes      stop; a resume goes on
   |  `- ShardNotFoundError  there is no such file                stop
   `- TooManyBadSamplesError more samples are broken than allowed stop; lists every key

Each takes one message, so that a worker process of torch can hand it on under its own name.
"""

from collections.abc import Mapping

from pipeline.errors import LipforgeError

LISTED = 20


class TrainingDataError(LipforgeError):
    """The named shards do not exist, hold no usable clip or do not fit the configuration."""


class ShardReadError(TrainingDataError):
    """A shard cannot be read at all: the storage's fault, not the sample's."""


class ShardNotFoundError(ShardReadError):
    """There is no file at the URL."""


class TooManyBadSamplesError(TrainingDataError):
    """More samples are broken than `max_bad_samples` allows."""


def too_many(bad: Mapping[str, str], limit: int) -> TooManyBadSamplesError:
    """Return the error that names the broken samples.

    Args:
        bad: key of the sample (`shard.tar/clip_id`) -> what is wrong with it.
    """
    listed = [f"  {key}: {reason}" for key, reason in sorted(bad.items())[:LISTED]]
    more = [f"  and {len(bad) - LISTED} more"] if len(bad) > LISTED else []
    return TooManyBadSamplesError(
        "\n".join([f"{len(bad)} bad samples, max_bad_samples allows {limit}:", *listed, *more])
    )
