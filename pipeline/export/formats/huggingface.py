"""Hugging Face `datasets`: tars for its WebDataset builder, a `videofolder`, and a card."""

import io
import json
import tarfile
from collections.abc import Sequence
from typing import ClassVar

from pipeline.atomic import write_text
from pipeline.digest import canonical_json
from pipeline.export.contents import ClipEntry, ExportSample
from pipeline.export.formats.file_lists import SOUND_INSIDE, parent
from pipeline.export.layout import ExportTarget
from pipeline.export.media import write_mp4_with_sound
from pipeline.export.rigid import COLUMNS, rigid_row

CARD = """\
---
license: other
pretty_name: Lip-sync clips
task_categories:
- text-to-video
tags:
- lip-sync
- talking-head
- audio-visual
configs:
{configs}---

# Lip-sync clips

{clips} aligned talking-face clips at 25 fps with 16 kHz sound, {seconds:.1f} s, curated by
lipforge. Offsets between sound and lips were measured, taken out in samples, and measured again.
The licence of each clip stands in its row.

```python
from datasets import load_dataset

tars = load_dataset("webdataset", data_files={{"{split}": "webdataset/{split}/*.tar"}})
videos = load_dataset("videofolder", data_dir="videofolder")
```

`webdataset`: `mp4` (picture), `flac` (sound), `json`, `npz` (landmarks, matrices) of each clip.
`videofolder`: one mp4 per clip with its sound inside. The columns of both:
{columns}.

`facts` is the whole record of a clip as JSON text: source, every score, crop geometry.
"""


class HuggingFace:
    """Both layouts side by side; the card names them as two configurations."""

    name: ClassVar[str] = "huggingface"
    min_frames: ClassVar[int] = 1
    notes: ClassVar[tuple[str, ...]] = (
        SOUND_INSIDE,
        "the JSON of the tars is flat, the same keys and types for every clip, as `datasets` takes "
        "the schema from the first five; the whole record is text in `facts`",
        "the videofolder has no npz",
    )

    def __init__(self, target: ExportTarget) -> None:
        self.folder = target.folder
        self.rows: dict[str, list[str]] = {}
        self.frames = 0
        self._tar: tuple[str, tarfile.TarFile] | None = None

    def begin(self, clips: Sequence[ClipEntry]) -> str:
        """Nothing to remark."""
        return ""

    def add(self, sample: ExportSample) -> str:
        """Write a clip into both."""
        row, entry, members = rigid_row(sample), sample.entry, sample.members
        tar = self._tar_named(entry.shard)
        text = canonical_json(row).encode()
        for suffix in ("flac", "json", "mp4", "npz"):
            content = text if suffix == "json" else members[suffix]
            info = tarfile.TarInfo(f"{entry.clip_id}.{suffix}")
            info.size, info.mode = len(content), 0o644
            tar.addfile(info, io.BytesIO(content))
        video = parent(self.folder / "videofolder" / entry.split / f"{entry.clip_id}.mp4")
        write_mp4_with_sound(video, members["mp4"], members["flac"])
        line = json.dumps({"file_name": video.name, **row}, ensure_ascii=False)
        self.rows.setdefault(entry.split, []).append(line)
        self.frames += entry.num_frames
        return ""

    def finish(self) -> None:
        """Write the metadata and the card."""
        self._close()
        for split, lines in self.rows.items():
            folder = self.folder / "videofolder" / split
            write_text(folder / "metadata.jsonl", "".join(f"{one}\n" for one in lines))
        write_text(self.folder / "README.md", self._card())

    def _tar_named(self, shard: str) -> tarfile.TarFile:
        if self._tar is None or self._tar[0] != shard:
            self._close()
            path = parent(self.folder / "webdataset" / shard)
            self._tar = shard, tarfile.open(path, "w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115
        return self._tar[1]

    def _close(self) -> None:
        if self._tar:
            self._tar[1].close()
        self._tar = None

    def _card(self) -> str:
        splits = sorted(self.rows, key=lambda one: (one != "train", one))
        return CARD.format(
            configs=_configs(splits),
            clips=sum(len(lines) for lines in self.rows.values()),
            seconds=self.frames / 25,
            split=splits[0] if splits else "train",
            columns=", ".join(f"`{name}`" for name in COLUMNS),
        )


def _configs(splits: Sequence[str]) -> str:
    lines = ["- config_name: webdataset", "  default: true", "  data_files:"]
    for split in splits:
        lines += [f"  - split: {split}", f"    path: webdataset/{split}/*.tar"]
    lines += ["- config_name: videofolder", "  data_files:"]
    for split in splits:
        lines += [f"  - split: {split}", f"    path: videofolder/{split}/*"]
    return "".join(f"{line}\n" for line in lines)
