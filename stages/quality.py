"""clips -> quality: picture, head, mouth and speech of every clip. Measures, decides nothing."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import cv2

from pipeline.engine.cache import Cache, open_cache
from pipeline.engine.command import DATA, run_main
from pipeline.engine.stage import Reject, Resources, Stage
from pipeline.engine.streamed import execute_streamed
from pipeline.identity import clip_identity
from pipeline.identity.clip_identity import IdentityNetworks
from pipeline.identity.face_network import FaceNetwork
from pipeline.identity.voice_network import VoiceNetwork
from pipeline.media.spans import reading_s
from pipeline.params.curation import Params, QualityParams, load_params
from pipeline.quality import cover, recognizer, speech, text_reader
from pipeline.quality.clip_measures import Detectors, measure_clip
from pipeline.quality.faces_seen import NEEDED, FacesSeen, SeenTracks
from pipeline.sources import local_copy, locations
from pipeline.tables.clip_files import ClipFiles
from pipeline.tables.rows import FPS, Clip, Quality, Video
from pipeline.tables.run_tables import RunTables, table_path
from pipeline.weights.bundled_arrays import bundled_sha256

MEMORY_BYTES, TEXT_BYTES, MOONSHINE_BYTES = 500_000_000, 500_000_000, 300_000_000
WHISPER_BYTES, WHISPER_SHARE = 350_000_000, 3
"""Memory of torch and transformers, and of a model in sizes of its file: many are of float16."""


@dataclass(frozen=True, slots=True)
class ClipToMeasure:
    """A clip, what `faces` saw beside it, and for text the film it was taken from."""

    files: ClipFiles
    faces_seen: FacesSeen
    film: Video | None = None
    """None: no frame of the film is looked at."""
    location: str = ""
    """A local path or an fsspec URL of the film."""

    @property
    def clip(self) -> Clip:
        """The clip's row."""
        return self.files.clip


class QualityStage(Stage[ClipToMeasure, Quality]):
    """One clip becomes one row of measurements; no clip is ever rejected here."""

    name: ClassVar[str] = "quality"
    version: ClassVar[str] = "8"

    def __init__(self, params: QualityParams) -> None:
        """Take the parameters.

        Raises:
            ParamsError: a recognizer of text or of speech is asked for and not installed.
            WeightsError: the files of that of speech are absent or altered.
        """
        self.params = params
        self.recognizer = recognizer.portable(params.recognizer)
        self.recognizer_digests = recognizer.recognizer_digests(params.recognizer)
        self.reads_text = params.text == "overlay"
        if self.reads_text:
            text_reader.require_reader()
        self.resources = Resources(memory_bytes=_memory_bytes(params))

    def item_id(self, item: ClipToMeasure) -> str:
        """Return the clip's id."""
        return item.clip.clip_id

    def identity(self, item: ClipToMeasure) -> Mapping[str, Any]:
        """Return what names the clip's content, and what is known of the faces beside it."""
        return {**item.files.identity(), "faces_seen": asdict(item.faces_seen)}

    def artifacts(self, item: ClipToMeasure) -> Sequence[tuple[str, str]]:
        """Return the clip's files."""
        return item.files.artifacts()

    def cache_params(self) -> Mapping[str, Any]:
        """Return the section's values, no path."""
        kind = recognizer.kind_of(self.params.recognizer)
        return {**self.params.model_dump(), "recognizer": kind}

    def weights(self) -> Mapping[str, str]:
        """Return the digests of the model files."""
        return {
            speech.WEIGHTS: speech.weights_digest(),
            cover.WEIGHTS: bundled_sha256(cover.WEIGHTS_PATH),
            **clip_identity.weights(),
            **(text_reader.reader_digests() if self.reads_text else {}),
            **self.recognizer_digests,
        }

    def own_weights(self) -> Mapping[str, Path]:
        """Return the files of a recognizer whose folder the user named."""
        return recognizer.own_files(self.recognizer)

    def deadline_s(self, item: ClipToMeasure) -> float:
        """Return a hundred times what it takes, fetching and decoding the film included."""
        clip_s = item.clip.num_frames / FPS
        heard_s = 0.0 if self.params.recognizer == recognizer.NONE else 600.0
        if item.film is None:
            return 60.0 + clip_s + heard_s
        return 600.0 + 100 * clip_s + reading_s(item.film, item.film.num_frames) + heard_s

    def setup(self) -> None:
        """Load the networks and keep OpenCV on one thread."""
        cv2.setNumThreads(1)
        identity = IdentityNetworks(FaceNetwork(), VoiceNetwork())
        reader = text_reader.TextReader() if self.reads_text else None
        self._detectors = Detectors(
            speech.SpeechDetector(),
            cover.CoverDetector(),
            identity,
            reader,
            recognizer.open_recognizer(self.recognizer),
        )

    def process(self, item: ClipToMeasure, workdir: Path) -> Sequence[Quality | Reject]:
        """Measure one clip."""
        film = nullcontext() if item.film is None else local_copy(item.location)
        with film as path:
            measured = measure_clip(item.files, self._detectors, self.params.vad_threshold, path)
        return [
            Quality(
                clip_id=item.clip.clip_id,
                face_px=item.clip.face_px,
                faces_seen_median=item.faces_seen.median,
                faces_seen_max=item.faces_seen.most,
                **measured,
            )
        ]


def _memory_bytes(params: QualityParams) -> int:
    needed = MEMORY_BYTES + (TEXT_BYTES if params.text == "overlay" else 0)
    if params.recognizer == recognizer.MOONSHINE:
        return needed + MOONSHINE_BYTES
    sizes = [path.stat().st_size for path in recognizer.own_files(params.recognizer).values()]
    return needed + (WHISPER_BYTES + WHISPER_SHARE * sum(sizes) if sizes else 0)


def clips_to_measure(tables: RunTables, cache: Cache, params: Params) -> list[ClipToMeasure]:
    """List the clips; only where text is read they get their films."""
    seen = SeenTracks(tables.each("faces", NEEDED))
    files = [ClipFiles.of(clip, cache) for clip in tables.rows("faces", Clip)]
    if params.quality.text == "none":
        return [ClipToMeasure(one, seen.during(one.clip)) for one in files]
    films = {one.video_id: one for one in tables.rows("ingest", Video)}
    needed = [films[video_id] for video_id in sorted({one.clip.video_id for one in files})]
    where = locations(params.ingest.source, [film.uri for film in needed])
    return [
        ClipToMeasure(one, seen.during(one.clip), film, where[film.uri])
        for one in files
        for film in [films[one.clip.video_id]]
    ]


def main() -> None:
    """`python -m stages.quality`, called by dvc.yaml."""
    params = load_params()
    items = clips_to_measure(RunTables(DATA), open_cache(), params)
    table = table_path(DATA, "quality")
    execute_streamed(QualityStage(params.quality), items, table, Quality, params)


if __name__ == "__main__":
    run_main(main)
