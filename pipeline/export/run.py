"""One export: which clips qualify is said first, then all are written, then the folder appears."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.atomic import replacing_folder, write_json
from pipeline.errors import MediaError
from pipeline.export.contents import (
    ClipEntry,
    ShardFile,
    list_clips,
    list_shards,
    quiet_note,
    read_samples,
)
from pipeline.export.errors import ExportError
from pipeline.export.landmarks68 import conversion_name
from pipeline.export.layout import ExportLayout, ExportTarget
from pipeline.export.out_folder import free_folder, sole_writer
from pipeline.export.registry import LAYOUTS
from pipeline.tables.rows import FPS

REPORT = "export.json"


@dataclass(frozen=True, slots=True)
class OmittedClip:
    """A clip that is not in the export."""

    clip_id: str
    split: str
    num_frames: int
    reason: str


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What became of every clip: `exported` and `left_out` together are `clips`."""

    layout: str
    clips: int
    exported: int
    left_out: tuple[OmittedClip, ...]
    landmarks: tuple[str, ...]
    notes: tuple[str, ...]

    def reasons(self) -> dict[str, int]:
        """Return how many clips were left out for each kind of reason."""
        return dict(Counter(one.reason.partition(":")[0] for one in self.left_out))

    def to_json(self) -> dict[str, Any]:
        """Return what `export.json` holds."""
        return {**asdict(self), "reasons": self.reasons()}


def export_shards(
    name: str, out: Path, shards: str, splits: Sequence[str], say: Callable[[str], None]
) -> ExportReport:
    """Write the shards in another layout to a folder that is not there yet, or is empty.

    A killed export leaves `<out>.part`, which the next one removes.

    Args:
        name: of the layout.
        shards: folder or URL of index.json.
        splits: only these; empty: all.
        say: takes lines for the user, the first before any clip is written.

    Raises:
        ExportError: the folder is not empty or another export's, the shards cannot be used, or no
            clip qualifies.
        MediaError: a clip does not decode; names it.
        StorageError: the disk is full or not writable.
    """
    out = free_folder(out, shards)
    files = list_shards(shards, splits)
    clips = list_clips(files)
    with sole_writer(out), replacing_folder(out) as folder:
        layout = LAYOUTS[name](ExportTarget(folder, out, files))
        excluded = [_excluded(clip) for clip in clips if clip.excluded]
        allowed = [clip for clip in clips if not clip.excluded]
        short = _too_short(allowed, layout)
        fitting = [clip for clip in allowed if clip.clip_id not in {one.clip_id for one in short}]
        _say_before(allowed, fitting, layout, say)
        refused = _write(layout, files, fitting)
        quiet = quiet_note(shards)
        report = _report(layout, clips, [*excluded, *short, *refused], quiet)
        write_json(folder / REPORT, report.to_json())
    return report


def _excluded(clip: ClipEntry) -> OmittedClip:
    why = "excluded: exclude.json beside the shards"
    return OmittedClip(clip.clip_id, clip.split, clip.num_frames, why)


def _too_short(clips: Sequence[ClipEntry], layout: ExportLayout) -> list[OmittedClip]:
    least = layout.min_frames
    return [
        OmittedClip(
            clip.clip_id,
            clip.split,
            clip.num_frames,
            f"too_short: {clip.num_frames} frames, needs {least}",
        )
        for clip in clips
        if clip.num_frames < least
    ]


def _say_before(
    clips: Sequence[ClipEntry],
    fitting: Sequence[ClipEntry],
    layout: ExportLayout,
    say: Callable[[str], None],
) -> None:
    """Say which clips qualify and what would let more of them, before any work.

    Raises:
        ExportError: none does, or a package is not installed.
    """
    need = f"{layout.min_frames} frames ({layout.min_frames / FPS:g} s)"
    if len(fitting) < len(clips):
        key = f"faces.max_seconds in params.yaml, above {layout.min_frames / FPS:g}"
        longest = max(clip.num_frames for clip in clips)
        say(
            f"{layout.name} needs {need}: {len(fitting)} of {len(clips)} clips qualify, "
            f"the longest has {longest}; more do with a larger {key}, where a film's shots "
            "are long enough"
        )
    if not fitting:
        raise ExportError(f"{layout.name}: no clip has {need}; nothing is written")
    if remark := layout.begin(fitting):
        say(f"{layout.name}: {remark}")


def _write(
    layout: ExportLayout, files: Sequence[ShardFile], fitting: Sequence[ClipEntry]
) -> list[OmittedClip]:
    refused = []
    for sample in read_samples(files, {clip.clip_id for clip in fitting}):
        entry = sample.entry
        try:
            reason = layout.add(sample)
        except MediaError as error:
            raise ExportError(f"{entry.shard}/{entry.clip_id}: {error}") from error
        if reason:
            refused.append(OmittedClip(entry.clip_id, entry.split, entry.num_frames, reason))
    layout.finish()
    return refused


def _report(
    layout: ExportLayout,
    clips: Sequence[ClipEntry],
    left_out: Sequence[OmittedClip],
    quiet: str,
) -> ExportReport:
    return ExportReport(
        layout=layout.name,
        clips=len(clips),
        exported=len(clips) - len(left_out),
        left_out=tuple(sorted(left_out, key=lambda one: one.clip_id)),
        landmarks=tuple(sorted({conversion_name(clip.landmark_schema) for clip in clips})),
        notes=(*layout.notes, *([quiet] if quiet else [])),
    )
