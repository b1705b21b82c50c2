"""The landmark judge's training clips: their sources, and which may be used for what."""

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import numpy as np

from pipeline.engine.cache import Cache
from pipeline.engine.manifest import read_rows
from pipeline.media.flac import read_flac
from pipeline.tables.rows import Clip, Video
from trainers.systems.landmark_judge.speech_clips import SpeechClip, speech_clip

HELD_OUT = frozenset({"syncnet_example", "syncnet_example_off5"})
"""The clip with a published answer of the official SyncNet, and its shifted copy: never trained on,
not even by a fold."""
SILENT = frozenset({
    "datajuicer_video11", "liveportrait_d3", "liveportrait_d18", "liveportrait_d19",
    "liveportrait_s20", "liveportrait_s32",
})  # fmt: skip
"""The audio track is digital silence."""
MUSIC = frozenset({
    "datajuicer_video2", "liveportrait_d6", "liveportrait_d9", "liveportrait_d10",
    "liveportrait_d12", "liveportrait_d14", "liveportrait_s13", "liveportrait_s18",
    "sintel_30s_noaudio", "v2d_slides_voiceover", "vggsound_dog",
})  # fmt: skip
"""Music, noise or singing, by Silero VAD speech in under 30 % of the time; or no real face."""
NOT_SPEECH = SILENT | MUSIC
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
CONDITIONS = {
    "profile or three-quarter view": frozenset({
        "spkvid_side1", "spkvid_side2", "spkvid_side4", "spkvid_side5", "spkvid_half5",
    }),
    "hand or microphone before the mouth": frozenset({
        "spkvid_dlg1_1", "spkvid_half1", "spkvid_half2", "spkvid_full4", "spkvid_side5",
    }),
    "face under 130 px": frozenset({
        "spkvid_full1", "spkvid_full2", "lrs3_C8zY0oAdQrs_00018",
    }),
    "Japanese": frozenset({"fsgan_abe_ja"}),
    "generated (VASA-1)": frozenset(f"vasa1_{n}" for n in (
        "5", "9", "10", "11", "12", "15", "17", "l2", "l3", "l4", "l5", "l8",
    )),
}  # fmt: skip
"""What the clips' README says of them."""


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
