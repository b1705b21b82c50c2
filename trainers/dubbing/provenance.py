"""What an output was made from: the key of its segments, and the metadata in the file."""

from pathlib import Path
from typing import Any

import torch

from pipeline.digest import file_sha256
from pipeline.faces.open import weights_of
from trainers.dubbing.video_options import VideoOptions
from trainers.talking_face.model import TalkingFaceModel
from trainers.talking_face.model_file import stand_ins

VERSION = 3
"""Of the dubbing code: segments of another version are not reused."""


def output_key(
    video: Path, audio: Path, model: TalkingFaceModel, options: VideoOptions
) -> dict[str, Any]:
    """Return everything that determines the bytes of the output: the key of its segments."""
    return {
        "version": VERSION,
        "video": file_sha256(video),
        "audio": file_sha256(audio),
        "model": dict(model.facts),
        "options": options.facts(model.sampling),
        "face_params": options.face_params.model_dump(exclude={"insightface_root"}),
        "scene_params": options.scene_params.model_dump(),
        "face_weights": dict(weights_of(options.face_params)),
        "device": model.device.type,
        "torch": torch.__version__,
    }


def output_metadata(
    model: TalkingFaceModel, options: VideoOptions, clipped_samples: int = 0
) -> dict[str, Any]:
    """Return the metadata of the output file; it holds no local path.

    Args:
        clipped_samples: of the sound, beyond full scale; named where there are some.
    """
    facts = {key: value for key, value in model.facts.items() if key != "profile"}
    return {
        "lipforge_dub": VERSION,
        "notice": "the mouths in this video are made by a model",
        "model": {key: _without_folder(value) for key, value in facts.items()},
        "stand_ins": stand_ins(facts),
        "options": options.facts(model.sampling),
        **({"clipped_samples": clipped_samples} if clipped_samples else {}),
    }


def _without_folder(value: Any) -> Any:
    """Return the name of a component without the folder that it was read from."""
    return Path(value).name if isinstance(value, str) else value
