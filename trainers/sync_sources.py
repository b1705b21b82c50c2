"""Where the landmark judge's training clips come from, and which may be used for what."""

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import numpy as np

from pipeline.cache import Cache
from pipeline.manifest import read_rows
from pipeline.media.flac import read_flac
from pipeline.rows import Clip, Video
from trainers.sync_data import SpeechClip, speech_clip

HELD_OUT = frozenset({"syncnet_example", "syncnet_example_off5"})
"""The clip with a published answer of the official SyncNet, and its shifted copy: never trained on,
not even by a fold."""
NOT_SPEECH = frozenset({
    "datajuicer_video2", "datajuicer_video11", "liveportrait_d3", "liveportrait_d6",
    "liveportrait_d9", "liveportrait_d10", "liveportrait_d12", "liveportrait_d14",
    "liveportrait_d18", "liveportrait_d19", "liveportrait_s13", "liveportrait_s18",
    "liveportrait_s20", "liveportrait_s32", "sintel_30s_noaudio", "v2d_slides_voiceover",
    "vggsound_dog",
})  # fmt: skip
"""No face by the clips' README, or speech in under 30 % of the time by Silero VAD: silent tracks
(d3, d18, d19, s20, s32) and music."""
SEVERAL_SPEAKERS = frozenset({"hamilton_multishot", "datajuicer_video3"})
"""Nobody has said who speaks when."""
FOLDS = {
    "spkvid": "spkvid",
    "vasa1": "vasa1",
    "liveportrait": "liveportrait",
    "grid": "grid",
    "retalk": "figures",
    "sadtalker": "figures",
    "talkvid": "figures",
}
"""Source -> fold. Public figures recur in three sources, so these are left out together; the
sources with one or two clips (edtalk, fsgan, lrs3, vexpress) share the fold `rest`."""


def fold_of(name: str) -> str:
    """Return the fold of a file by the part of its name before the first `_`."""
    return FOLDS.get(name.split("_")[0], "rest")


def for_training(clips: Iterable[SpeechClip]) -> list[SpeechClip]:
    """Leave out what must not be trained on."""
    barred = HELD_OUT | NOT_SPEECH | SEVERAL_SPEAKERS
    return [clip for clip in clips if clip.name not in barred]


def read_folder(folder: Path) -> list[SpeechClip]:
    """Read `<name>.npz` (`landmarks`) with `<name>.flac` or `.wav` beside it, by name."""
    found = []
    for path in sorted(folder.glob("*.npz")):
        sound = next(
            (path.with_suffix(s) for s in (".flac", ".wav") if path.with_suffix(s).exists()), None
        )
        if sound is not None:
            found.append(_read(path.stem, path.stem, path, sound))
    return found


def read_table(clips: Path, videos: Path, cache: Cache) -> list[SpeechClip]:
    """Read the clips of the `faces` stage; names come from the `ingest` table.

    Raises:
        ManifestError: a table is missing or is no such table.
    """
    names = {row.video_id: PurePosixPath(row.uri).stem for row in read_rows(videos, Video)}
    rows = sorted(read_rows(clips, Clip), key=lambda row: row.clip_id)
    return [
        _read(
            row.clip_id,
            names[row.video_id],
            cache.artifact_path(row.artifact, f"{row.clip_id}.npz"),
            cache.artifact_path(row.artifact, f"{row.clip_id}.flac"),
        )
        for row in rows
    ]


def _read(clip_id: str, name: str, landmarks: Path, sound: Path) -> SpeechClip:
    with np.load(landmarks, allow_pickle=False) as stored:
        points = stored["landmarks"]
    return speech_clip(clip_id, name, fold_of(name), points, read_flac(sound))
