"""The stage that makes the samples of silent and listening clips: whole, the sound as it was."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from pipeline.engine.stage import Reject
from pipeline.shards.sample import SelectedClip, write_sample
from pipeline.shards.sample_stage import SampleStage
from pipeline.tables.rows import QuietSample


class QuietShards(SampleStage[QuietSample]):
    """Nothing judges the sync of its samples."""

    name: ClassVar[str] = "quiet"
    version: ClassVar[str] = "1"

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
