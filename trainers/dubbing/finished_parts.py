"""What a dubbing has finished: `OUT.parts/<key>/`, until the output is there.

The key is a digest of all that decides the bytes, so parts of another video, sound, model or
setting are never taken for this one's. Every file appears under its name when it is whole.
"""

import fcntl
import io
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.atomic import replacing, write_json
from pipeline.digest import digest
from pipeline.errors import StorageError
from trainers.dubbing.face_tracks import FaceTrace

FACES_FILE, FACTS_FILE, LOCK_FILE = "faces.npz", "facts.json", "lock"
KEY_LENGTH = 16


class Parts:
    """One dubbing's folder."""

    def __init__(self, out: Path, facts: Mapping[str, Any]) -> None:
        """Make the folder, or find it as an interrupted run left it.

        Raises:
            StorageError: it cannot be made.
        """
        self.root = out.with_name(f"{out.name}.parts")
        self.folder = self.root / digest(facts)[:KEY_LENGTH]
        if not (self.folder / FACTS_FILE).exists():
            write_json(self.folder / FACTS_FILE, facts)

    def part(self, number: int) -> Path:
        """Return where a part lies, or will."""
        return self.folder / f"part-{number:06d}.mp4"

    def done(self) -> int:
        """Return how many parts there are, from the first on without a gap."""
        number = 0
        while self.part(number).exists():
            number += 1
        return number

    def faces(self, trace: Callable[[], Sequence[FaceTrace]]) -> list[FaceTrace]:
        """Return the faces found by an interrupted run, else find them and keep them."""
        path = self.folder / FACES_FILE
        if not path.exists():
            content = _packed(trace())
            with replacing(path) as part:
                part.write_bytes(content)
        return _unpacked(path)

    def remove(self) -> None:
        """Remove the folder; what is not ours stays."""
        shutil.rmtree(self.folder)
        (self.root / LOCK_FILE).unlink(missing_ok=True)
        with suppress(OSError):
            self.root.rmdir()


@contextmanager
def only_one(out: Path) -> Iterator[None]:
    """Keep a second run from writing the same output.

    Raises:
        StorageError: there is another one, or the folder cannot be made.
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


def _packed(traces: Sequence[FaceTrace]) -> bytes:
    arrays: dict[str, Any] = {
        "facts": np.array([(t.number, t.scene, t.start_frame) for t in traces], np.int64)
    }
    for trace in traces:
        arrays[f"anchors_{trace.number}"] = trace.anchors
        arrays[f"boxes_{trace.number}"] = trace.boxes
        arrays[f"seen_{trace.number}"] = trace.seen
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def _unpacked(path: Path) -> list[FaceTrace]:
    with np.load(path, allow_pickle=False) as stored:
        return [
            FaceTrace(
                number,
                scene,
                start_frame,
                stored[f"anchors_{number}"],
                stored[f"boxes_{number}"],
                stored[f"seen_{number}"],
            )
            for number, scene, start_frame in stored["facts"].tolist()
        ]
