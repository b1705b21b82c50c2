"""`python -m tests.processors.clip_line FILM FOLDER`: scenes, faces, sync, quality of one film.

Prints the SHA-256 of every clip's files and of all measured values, as JSON.
"""

import hashlib
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2

from pipeline.faces.clip_writer import write_face_clips
from pipeline.faces.film_source import FilmSource
from pipeline.faces.open import open_backend
from pipeline.identity.clip_identity import IdentityNetworks
from pipeline.identity.face_network import FaceNetwork
from pipeline.identity.voice_network import VoiceNetwork
from pipeline.judge.landmark.judge import LandmarkJudge
from pipeline.media.clip_reader import read_arrays, read_audio
from pipeline.media.probe import probe
from pipeline.media.shots import find_shots
from pipeline.params.curation import load_params
from pipeline.quality.clip_measures import Detectors, measure_clip
from pipeline.quality.cover import CoverDetector
from pipeline.quality.speech import SpeechDetector
from pipeline.tables.clip_files import ClipFiles
from pipeline.tables.rows import Clip, Video


def line(film: Path, folder: Path) -> dict[str, Any]:
    """Return everything that is stored of a film's clips; numbers by repr, files by digest."""
    params, video = load_params(), _video(film)
    shots = find_shots(film, params.scenes)
    backend = open_backend(params.faces)
    found = write_face_clips(film, FilmSource(video), shots, backend, params.faces, folder).found
    identity = IdentityNetworks(FaceNetwork(), VoiceNetwork())
    tools = LandmarkJudge.load(), Detectors(SpeechDetector(), CoverDetector(), identity)
    clips = [one.clip for one in found if not one.reason]
    measured = {clip.clip_id: _measured(clip, folder, *tools) for clip in clips}
    rows = [repr(asdict(one.clip)) + one.reason for one in found]
    return {"shots": repr(shots), "rows": rows, "measured": measured}


def _video(film: Path) -> Video:
    content, seen = film.read_bytes(), probe(film)
    return Video(
        video_id=hashlib.sha256(content).hexdigest(),
        uri=film.name,
        size_bytes=len(content),
        num_frames=seen.num_frames,
        video_start_s=seen.video_start_s,
    )


def _measured(clip: Clip, folder: Path, judge: LandmarkJudge, tools: Detectors) -> dict[str, str]:
    stem = folder / clip.clip_id
    paths = [stem.with_suffix(end) for end in (".mp4", ".flac", ".npz")]
    files = ClipFiles(clip=clip, landmarks=paths[2], audio=paths[1], video=paths[0])
    arrays = read_arrays(paths[2], ("landmarks",))
    result = judge.score(arrays["landmarks"], read_audio(paths[1]))
    values = {name: repr(value) for name, value in measure_clip(files, tools, 0.5).items()}
    digests = {path.suffix: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
    curve = hashlib.sha256(result.distances.tobytes() + result.curve.tobytes()).hexdigest()
    judged = repr((result.offset_subframe, result.probability, result.drift_frames))
    return {**values, **digests, "distances": curve, "judged": judged}


if __name__ == "__main__":
    cv2.setNumThreads(1)
    sys.stdout.write(json.dumps(line(Path(sys.argv[1]), Path(sys.argv[2])), sort_keys=True))
