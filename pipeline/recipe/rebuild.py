"""One sample from its film and its record: crop, encode, correct the offset, as `shards` did.

No face is detected or tracked and nothing is judged. The sample's clip is encoded as a whole
and cut: a frame depends on those before it, and the container states the clip's bit rate. The
landmarks follow from frame to frame by the network alone, from those that the record holds.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.digest import canonical_json, file_sha256
from pipeline.errors import DecodeError
from pipeline.faces.alignment import aligned, to_canvas
from pipeline.faces.backend import FaceBackend, Shown
from pipeline.faces.boxes import box_of
from pipeline.media.encode import trim_clip, write_clip
from pipeline.media.flac import write_flac
from pipeline.media.i420 import I420
from pipeline.recipe.record import SampleRecord
from pipeline.shards.correction import CommonInterval, common_interval
from pipeline.shards.sample import write_arrays
from pipeline.shards.tar import MEMBERS
from pipeline.tables.rows import SAMPLE_RATE_HZ, SAMPLES_PER_FRAME


@dataclass
class SampleInTheMaking:
    """A sample whose film is being read, frame after frame."""

    record: SampleRecord
    backend: FaceBackend
    crop_px: int
    crops: list[I420] = field(default_factory=list)
    """From the clip's first frame on."""
    landmarks: list[NDArray[np.float32]] = field(default_factory=list)
    """(L, 3) each, of the sample's frames."""

    def add(self, number: int, image: Shown) -> None:
        """Take a frame of the film, if it is the next of the clip.

        Args:
            number: on the film's grid.
        """
        if number != self.record.clip_start + len(self.crops) or self.complete:
            return
        matrix = to_canvas(self.record.matrices[len(self.crops)], self.crop_px)
        self.crops.append(aligned(image, matrix, self.crop_px))
        if self.record.start_frame <= number < self.record.end_frame:
            self.landmarks.append(self._landmarks(image))

    @property
    def complete(self) -> bool:
        """Whether the last frame was taken."""
        return len(self.crops) == len(self.record.matrices)

    def _landmarks(self, image: Shown) -> NDArray[np.float32]:
        known = self.record.points.get(len(self.landmarks))
        if known is not None:
            return np.asarray(known, np.float32)
        return self.backend.landmarks(image, self.landmarks[-1]).points.astype(np.float32)

    def write(self, sound: NDArray[np.int16], crf: int, folder: Path, scratch: Path) -> list[str]:
        """Write the four members; return the suffixes of those that are not as recorded.

        Args:
            sound: of the whole film, (N,).

        Raises:
            DecodeError: the film ended before the sample did.
            StorageError: the folder cannot be written.
        """
        if not self.complete:
            raise DecodeError(f"the film ends at frame {self.record.clip_start + len(self.crops)}")
        interval, name = interval_of_record(self.record), self.record.clip_id
        whole = scratch / f"{name}.mp4"
        write_clip(whole, self.crops, crf)
        trim_clip(whole, folder / f"{name}.mp4", interval.first_frame, interval.num_frames)
        whole.unlink()
        write_flac(folder / f"{name}.flac", interval.audio(self._clip_sound(sound)), SAMPLE_RATE_HZ)
        write_arrays(folder / f"{name}.npz", self._arrays(interval))
        text = canonical_json(dict(self.record.facts))
        (folder / f"{name}.json").write_text(text, encoding="utf-8")
        wanted = self.record.members
        found = {one: file_sha256(folder / f"{name}.{one}") for one in MEMBERS}
        return [one for one in MEMBERS if found[one] != wanted[one]["sha256"]]

    def _clip_sound(self, sound: NDArray[np.int16]) -> NDArray[np.int16]:
        clip = self.record.facts["clip"]
        first, end = clip["start_frame"] * SAMPLES_PER_FRAME, clip["end_frame"] * SAMPLES_PER_FRAME
        return np.array(sound[first:end])

    def _arrays(self, interval: CommonInterval) -> dict[str, NDArray[Any]]:
        boxes = np.array([box_of(one) for one in self.landmarks], np.float32)
        return {
            **self.record.arrays,
            "landmarks": np.stack(self.landmarks),
            "boxes": boxes,
            "matrices": self.record.matrices[interval.first_frame :][: interval.num_frames],
        }


def interval_of_record(record: SampleRecord) -> CommonInterval:
    """Return the frames of the clip that are the sample, and its sound.

    Raises:
        DecodeError: the record contradicts itself.
    """
    facts, first = record.facts, record.clip_start
    found = common_interval(
        facts["part_start_frame"] - first,
        facts["part_end_frame"] - first,
        facts["clip"]["num_frames"],
        facts["offset_applied_frames"] or 0.0,  # null of a quiet clip: its sound is as it was
        facts["drift_applied_frames"] or 0.0,
    )
    said = record.start_frame - first, record.end_frame - record.start_frame
    if (found.first_frame, found.num_frames) != said:
        raise DecodeError(f"{record.clip_id}: its span does not follow from part and offset")
    return found
