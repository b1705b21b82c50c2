"""The sampling order: which clip and window each position of each batch gets, by the seed alone.

A batch has `batch` positions. Every position has `lanes` slots, and every slot holds one clip for
`windows_per_clip` draws, then the next clip of an endless stream of epoch permutations. A round is
`lanes` steps, in which every slot is drawn from once, in an order shuffled per round and position.
Slots change clips at different rounds, so that the decoding load is even. docs/loader.md has a
diagram and the memory bound.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from trainers.errors import TrainingDataError

_EPOCH, _LANES, _STRATA, _DRAW, _SUBSTITUTE = range(5)
"""Purpose of a random generator; part of its seed."""


class Seeded(Protocol):
    """What has a seed."""

    @property
    def seed(self) -> int: ...  # noqa: D102 - as OrderConfig


class SampledProfile(Protocol):
    """What the order needs of a training profile; see `OrderConfig`."""

    @property
    def fit(self) -> Seeded: ...  # noqa: D102

    @property
    def batch(self) -> int: ...  # noqa: D102

    @property
    def windows_per_clip(self) -> int: ...  # noqa: D102

    @property
    def in_flight_clips(self) -> int: ...  # noqa: D102


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderConfig:
    """Everything that determines the order; independent of ranks and workers."""

    seed: int
    batch: int
    """Windows per step, all ranks together."""
    windows_per_clip: int = 64
    """Windows drawn from one decoded clip before it is replaced."""
    in_flight_clips: int = 64
    """Size of the shuffle buffer in clips, rounded up to a multiple of `batch`."""
    shuffle_clips: int = 4096
    """Clips of neighbouring shards are shuffled together in groups of at least this size."""

    def __post_init__(self) -> None:
        for name in ("batch", "windows_per_clip", "in_flight_clips", "shuffle_clips"):
            if getattr(self, name) < 1:
                raise TrainingDataError(f"loader: {name} must be at least 1")
        if self.seed < 0:
            raise TrainingDataError("loader: seed must not be negative")

    @classmethod
    def of(cls, profile: "SampledProfile") -> "OrderConfig":
        """Return the order of a training profile's windows."""
        return cls(
            seed=profile.fit.seed,
            batch=profile.batch,
            windows_per_clip=profile.windows_per_clip,
            in_flight_clips=profile.in_flight_clips,
        )

    @classmethod
    def one_by_one(cls, seed: int, size: int) -> "OrderConfig":
        """Return the order in which every clip is shown once, one per process of `size`."""
        return cls(seed=seed, batch=size, windows_per_clip=1, in_flight_clips=size)

    @property
    def lanes(self) -> int:
        """Slots per position."""
        return -(-self.in_flight_clips // self.batch)

    @property
    def slots(self) -> int:
        """Size of the shuffle buffer in clips, all ranks together."""
        return self.lanes * self.batch


@dataclass(frozen=True, slots=True)
class Pick:
    """The choice for one position of one batch."""

    slot: int
    ordinal: int
    """Position of the clip in the endless stream."""
    draw: int
    """0 to windows_per_clip - 1."""
    epoch: int
    clip: int
    """Number of the clip in the index."""


class Order:
    """The sampling order for a list of shards."""

    def __init__(self, clips_per_shard: Sequence[int], config: OrderConfig) -> None:
        """Set up the order.

        Args:
            clips_per_shard: clips of shard 0, 1, ...; clips are numbered across the shards.

        Raises:
            TrainingDataError: there is no clip.
        """
        self.config = config
        self.num_clips = sum(clips_per_shard)
        if not self.num_clips:
            raise TrainingDataError("the shards hold no clip that is long enough")
        ends = np.cumsum(clips_per_shard)
        starts = ends - np.asarray(clips_per_shard)
        self._shards = [np.arange(a, b, dtype=np.int32) for a, b in zip(starts, ends, strict=True)]
        self._epochs: dict[int, NDArray[np.int32]] = {}
        self._round_lanes: tuple[int, NDArray[np.intp]] = (-1, np.empty((0, 0), np.intp))

    def pick(self, step: int, position: int) -> Pick:
        """Return the choice for `position` (0 to batch - 1) of the batch of `step`."""
        config = self.config
        round_number, lane_step = divmod(step, config.lanes)
        slot = int(self._lanes(round_number)[position, lane_step]) * config.batch + position
        first_change = slot * config.windows_per_clip // config.slots
        cycle, draw = divmod(round_number - first_change, config.windows_per_clip)
        unused = -(-config.slots // config.windows_per_clip)  # slots that change clip in round 0
        ordinal = (cycle + 1) * config.slots + slot - unused
        epoch, place = divmod(ordinal, self.num_clips)
        return Pick(slot, ordinal, draw, epoch, int(self.epoch(epoch)[place]))

    def epoch(self, number: int) -> NDArray[np.int32]:
        """Return (N,) clip numbers in the order of one epoch: every clip once.

        Shards are shuffled, then the clips of each group of neighbouring shards.
        """
        if number not in self._epochs:
            held = 2 + self.config.slots // self.num_clips
            while len(self._epochs) > held:
                del self._epochs[min(self._epochs)]
            self._epochs[number] = self._shuffled(self._rng(_EPOCH, number))
        return self._epochs[number]

    def start(self, pick: Pick, num_starts: int, rng: np.random.Generator) -> int:
        """Return the first frame of the window, 0 to num_starts - 1.

        Stratified: each draw of a clip is from another one of `windows_per_clip` equal parts.
        """
        parts = self.config.windows_per_clip
        part = self._rng(_STRATA, pick.ordinal).permutation(parts)[pick.draw]
        return min(int((part + rng.random()) / parts * num_starts), num_starts - 1)

    def draw_rng(self, pick: Pick) -> np.random.Generator:
        """Return the random generator of one draw, the same on every rank and worker."""
        return self._rng(_DRAW, pick.ordinal, pick.draw)

    def substitute(self, ordinal: int, attempt: int) -> int:
        """Return the replacement of a broken clip: a pure function as well."""
        return int(self._rng(_SUBSTITUTE, ordinal, attempt).integers(self.num_clips))

    def _rng(self, purpose: int, *place: int) -> np.random.Generator:
        return np.random.default_rng([self.config.seed, purpose, *place])

    def _lanes(self, round_number: int) -> NDArray[np.intp]:
        if self._round_lanes[0] != round_number:
            shape = (self.config.batch, self.config.lanes)
            self._round_lanes = (
                round_number,
                self._rng(_LANES, round_number).random(shape).argsort(axis=1),
            )
        return self._round_lanes[1]

    def _shuffled(self, rng: np.random.Generator) -> NDArray[np.int32]:
        order: list[NDArray[np.int32]] = []
        group: list[NDArray[np.int32]] = []
        for shard in rng.permutation(len(self._shards)):
            group.append(self._shards[shard])
            if sum(map(len, group)) >= self.config.shuffle_clips:
                order.append(rng.permutation(np.concatenate(group)))
                group = []
        return np.concatenate(
            [*order, *([rng.permutation(np.concatenate(group))] if group else [])]
        )
