"""clips -> quality: picture, head, mouth and speech of every clip. Measures, decides nothing."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import cv2

from pipeline.engine.cache import open_cache
from pipeline.engine.command import DATA, run_main
from pipeline.engine.stage import Reject, Resources
from pipeline.engine.streamed import execute_streamed
from pipeline.identity import clip_identity
from pipeline.identity.clip_identity import IdentityNetworks
from pipeline.identity.face_network import FaceNetwork
from pipeline.identity.voice_network import VoiceNetwork
from pipeline.params.curation import QualityParams, load_params
from pipeline.quality import cover, speech
from pipeline.quality.clip_measures import Detectors, measure_clip
from pipeline.tables.clip_files import ClipFiles, ClipStage
from pipeline.tables.rows import Clip, Quality
from pipeline.tables.run_tables import RunTables, table_path
from pipeline.weights.bundled_arrays import bundled_sha256


class QualityStage(ClipStage[Quality]):
    """One clip becomes one row of measurements; no clip is ever rejected here."""

    name: ClassVar[str] = "quality"
    version: ClassVar[str] = "6"
    resources = Resources(memory_bytes=500_000_000)

    def __init__(self, params: QualityParams) -> None:
        self.params = params

    def cache_params(self) -> Mapping[str, Any]:
        """Return the section's values."""
        return self.params.model_dump()

    def weights(self) -> Mapping[str, str]:
        """Return the digests of the model files."""
        return {
            speech.WEIGHTS: speech.weights_digest(),
            cover.WEIGHTS: bundled_sha256(cover.WEIGHTS_PATH),
            **clip_identity.weights(),
        }

    def setup(self) -> None:
        """Load the networks and keep OpenCV on one thread."""
        cv2.setNumThreads(1)
        identity = IdentityNetworks(FaceNetwork(), VoiceNetwork())
        self._detectors = Detectors(speech.SpeechDetector(), cover.CoverDetector(), identity)

    def process(self, item: ClipFiles, workdir: Path) -> Sequence[Quality | Reject]:
        """Measure one clip."""
        measured = measure_clip(item, self._detectors, self.params.vad_threshold)
        return [Quality(clip_id=item.clip.clip_id, face_px=item.clip.face_px, **measured)]


def main() -> None:
    """`python -m stages.quality`, called by dvc.yaml."""
    params, cache = load_params(), open_cache()
    items = [ClipFiles.of(clip, cache) for clip in RunTables(DATA).rows("faces", Clip)]
    table = table_path(DATA, "quality")
    execute_streamed(QualityStage(params.quality), items, table, Quality, params)


if __name__ == "__main__":
    run_main(main)
