"""Finished segments of a dubbing in `OUT.parts/<key>/`, until the output is written.

The key is a digest of everything that determines the bytes, so segments of another video, sound,
model or setting are never reused. Files are written atomically. Beside the last segment lies what a
model that needs its previous frame goes on from, without loss.
"""

import fcntl
import io
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.atomic import replacing, write_json
from pipeline.digest import digest
from pipeline.errors import StorageError
from trainers.dubbing.alignment_tracks import AlignmentTrack
from trainers.dubbing.face_generation import IntervalState
from trainers.dubbing.frame_renderer import StatesByInterval

FACES_FILE, FACTS_FILE, LOCK_FILE = "faces.npz", "facts.json", "lock"
KEY_LENGTH = 16


class SegmentStore:
    """The folder of one dubbing."""

    def __init__(self, out: Path, facts: Mapping[str, Any]) -> None:
        """Create the folder, or open the one that an interrupted run left.

        Args:
            facts: everything that determines the bytes of the output.

        Raises:
            StorageError: it cannot be created.
        """
        self.root = out.with_name(f"{out.name}.parts")
        self.folder = self.root / digest(facts)[:KEY_LENGTH]
        if not (self.folder / FACTS_FILE).exists():
            write_json(self.folder / FACTS_FILE, facts)

    def segment(self, number: int) -> Path:
        """Return the path of a segment, whether it exists or not."""
        return self.folder / f"part-{number:06d}.mp4"

    def num_finished(self) -> int:
        """Return how many segments exist, counted from the first one without a gap."""
        number = 0
        while self.segment(number).exists():
            number += 1
        return number

    def save_states(self, number: int, states: StatesByInterval) -> None:
        """Store what the segments behind this one go on from; call it before the segment is there.

        The states of the segment before it stay until this one is finished (`drop_states`).
        """
        if states:
            with replacing(self._states(number)) as partial:
                partial.write_bytes(_packed_states(states))

    def drop_states(self, number: int) -> None:
        """Remove the states behind a segment, if there are some."""
        self._states(number).unlink(missing_ok=True)

    def states(self) -> StatesByInterval:
        """Return the states behind the last finished segment; empty if there are none."""
        path = self._states(self.num_finished() - 1)
        return _unpacked_states(path) if path.exists() else {}

    def _states(self, number: int) -> Path:
        return self.folder / f"part-{number:06d}.npz"

    def tracks(self, track: Callable[[], Sequence[AlignmentTrack]]) -> list[AlignmentTrack]:
        """Return the tracks that an interrupted run stored, else compute and store them."""
        path = self.folder / FACES_FILE
        if not path.exists():
            content = _packed(track())
            with replacing(path) as partial:
                partial.write_bytes(content)
        return _unpacked(path)

    def remove(self) -> None:
        """Remove the folder; files of others stay."""
        shutil.rmtree(self.folder)
        (self.root / LOCK_FILE).unlink(missing_ok=True)
        with suppress(OSError):
            self.root.rmdir()


@contextmanager
def output_lock(out: Path) -> Iterator[None]:
    """Lock the output, so that no second run writes it at the same time.

    Raises:
        StorageError: another run holds the lock, or the folder cannot be created.
    """
    root = out.with_name(f"{out.name}.parts")
    try:
        root.mkdir(parents=True, exist_ok=True)
        file = (root / LOCK_FILE).open("wb")
    except OSError as error:
        raise StorageError(f"{root}: cannot be written: {error.strerror}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StorageError(f"{out}: another run is making this file; wait for it") from error
        yield


def _packed(tracks: Sequence[AlignmentTrack]) -> bytes:
    arrays: dict[str, Any] = {
        "facts": np.array([(t.number, t.scene, t.start_frame) for t in tracks], np.int64)
    }
    for track in tracks:
        arrays[f"guides_{track.number}"] = track.guides
        arrays[f"boxes_{track.number}"] = track.boxes
        arrays[f"seen_{track.number}"] = track.detected
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def _unpacked(path: Path) -> list[AlignmentTrack]:
    with np.load(path, allow_pickle=False) as stored:
        return [
            AlignmentTrack(
                number,
                scene,
                start_frame,
                stored[f"guides_{number}"],
                stored[f"boxes_{number}"],
                stored[f"seen_{number}"],
            )
            for number, scene, start_frame in stored["facts"].tolist()
        ]


def _packed_states(states: StatesByInterval) -> bytes:
    arrays: dict[str, Any] = {}
    for (face, start), state in states.items():
        name = f"{face}_{start}_{state.frame}"
        arrays[f"previous_{name}"] = state.previous.numpy()
        arrays[f"first_{name}"] = state.first_face
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def _unpacked_states(path: Path) -> dict[tuple[int, int], IntervalState]:
    found: dict[tuple[int, int], IntervalState] = {}
    with np.load(path, allow_pickle=False) as stored:
        for key in stored.files:
            kind, _, name = key.partition("_")
            if kind == "previous":
                face, start, frame = map(int, name.split("_"))
                previous_CHW = torch.from_numpy(stored[key])
                first_HWC = stored[f"first_{name}"]
                found[face, start] = IntervalState(frame, previous_CHW, first_HWC)
    return found
