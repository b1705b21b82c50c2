"""The stage that makes the samples of silent and listening clips: whole, the sound as it was."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pipeline.engine.stage import Reject, Resources, Stage
from pipeline.shards.sample import SelectedClip, sample_facts, write_sample
from pipeline.tables.rows import QuietSample


class QuietShards(Stage[SelectedClip, QuietSample]):
    """Makes the four members of one sample; nothing judges its sync."""

    name: ClassVar[str] = "quiet"
    version: ClassVar[str] = "1"
    resources = Resources(memory_bytes=500_000_000)

    def item_id(self, item: SelectedClip) -> str:
        """Return the clip's id."""
        return item.selected.clip_id

    def identity(self, item: SelectedClip) -> Mapping[str, Any]:
        """Return all facts that go into the sample, and what names its files and labels."""
        return {**sample_facts(item), **item.sources()}

    def artifacts(self, item: SelectedClip) -> Sequence[tuple[str, str]]:
        """Return the clip's three files."""
        return item.files.artifacts()

    def process(self, item: SelectedClip, workdir: Path) -> Sequence[QuietSample | Reject] | Reject:
        """Write one sample.

        Raises:
            MediaError: a file of the clip cannot be read, or the members differ in length.
            StorageError: workdir cannot be written.
        """
        interval = write_sample(item, workdir, lambda _: None).interval
        start = item.clip.start_frame + interval.first_frame
        row = QuietSample(
            clip_id=item.selected.clip_id,
            source_clip_id=item.clip.clip_id,
            video_id=item.video.video_id,
            start_frame=start,
            end_frame=start + interval.num_frames,
            split=item.selected.split,
            tier=item.selected.tier,
            shard="",
            num_frames=interval.num_frames,
        )
        return [row]
