"""The DVC stage `evaluate`: metrics of all trained models on held-out clips.

data/shards + models/train_syncnet + models/train_ldm -> reports/metrics.json,
reports/evaluation.csv, reports/samples; models of the optional stages that are trained are measured
in the same way, with a folder each in reports/samples. Dubbed clips are cached in
.cache/training/evaluate, so that the same command resumes after an interruption. See
docs/evaluate.md.
"""

import logging
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.atomic import replacing_folder, write_json, write_text
from pipeline.engine.command import run_main
from pipeline.engine.device import torch_device
from pipeline.faces.open import open_backend
from pipeline.judge.choice import choose
from pipeline.params.curation import Params, load_params
from pipeline.params.training import EvaluateParams
from trainers.data.index import ShardIndex, index_shards
from trainers.data.shard_urls import split_urls
from trainers.dubbing.face_generation import dub_faces
from trainers.dubbing.overlapping_windows import shared_by_windows
from trainers.dubbing.sampling_options import sampling_options
from trainers.errors import TrainingDataError
from trainers.evaluation.clip_scores import ClipScores, ScoringModels, score_clip
from trainers.evaluation.clip_versions import ClipVersions, WantedDubs, dubbed_versions
from trainers.evaluation.dub_cache import Dubber, DubCache
from trainers.evaluation.evaluation_clips import MIN_FRAMES, EvaluationClips, held_out_index
from trainers.evaluation.frechet_features import (
    NONE,
    fid_network,
    fvd_network,
    require_known_networks,
)
from trainers.evaluation.listening import opening_curves
from trainers.evaluation.opening_readers import OpeningReaders, fit_readers
from trainers.evaluation.sample_videos import write_samples
from trainers.evaluation.speaking_films import SpeakingFilms, drawn_clips
from trainers.evaluation.summary import for_json, summary, table
from trainers.evaluation.sync_scores import AlignedFaceJudge
from trainers.frozen import registry as frozen
from trainers.loop.run_options import fix_cpu_threads
from trainers.systems.stable_syncnet.files import load_safetensors, read_metadata
from trainers.systems.stable_syncnet.network import StableSyncNet
from trainers.systems.stable_syncnet.protocol import evaluate_protocol
from trainers.talking_face.model import TalkingFaceModel
from trainers.talking_face.model_file import network_names
from trainers.talking_face.model_folders import OPTIONAL_STAGES, is_trained
from trainers.trained_models import load_model

SYNCNET = Path("models/train_syncnet/stable_syncnet.safetensors")
LDM = Path("models/train_ldm")
MODELS = Path("models")
REPORTS = Path("reports")
TABLE = "evaluation.csv"
SAMPLE_CLIPS = 4
OPENINGS = "openings.json"
"""Among the samples: the curves of the mouth's opening, for the report."""
CPU_DUBS = 3
"""Dubs at a time, each on one thread."""
FRECHET = ("fid", "fvd")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SyncModel:
    """The trained StableSyncNet, and the metadata of its training."""

    network: StableSyncNet
    facts: dict[str, Any]
    """Metadata of its file, and `sha256`."""

    @property
    def pair_options(self) -> dict[str, Any]:
        """Options of its training pairs: `negatives` and `mel`."""
        profile = self.facts.get("profile", {})
        return {name: profile[name] for name in ("negatives", "mel") if name in profile}


def load_sync_model(path: Path) -> SyncModel:
    """Load a StableSyncNet trained by this project, in eval mode.

    Raises:
        WeightsError: no such file, or not of this project.
    """
    part = frozen.trained(path, load_safetensors, "train_syncnet")
    return SyncModel(part.network, {**read_metadata(path), "sha256": part.sha256[path.name]})


def ldm_dubber(folder: Path, params: EvaluateParams, device: torch.device) -> Dubber:
    """Load the diffusion model as a dubber, sampled as the section says.

    Raises:
        WeightsError: no model there, or a component of it is absent or altered.
    """
    asked = {"steps": params.steps, "guidance": params.guidance, "temperature": params.temperature}
    return _dubber(load_model(folder), {**asked, "reference": "self", "seed": params.seed}, device)


def other_dubbers(params: EvaluateParams, device: torch.device) -> dict[str, Dubber]:
    """Load the models of the optional stages that are trained, each sampled as it says itself.

    Raises:
        WeightsError: a component of a model is absent or altered.
    """
    found: dict[str, Dubber] = {}
    for stage in OPTIONAL_STAGES:
        if is_trained(MODELS / stage):
            found[stage] = _dubber(load_model(MODELS / stage), {"seed": params.seed}, device)
        else:
            logger.info("evaluate: %s is left out: not trained (`dvc repro %s`)", stage, stage)
    return found


def _dubber(model: TalkingFaceModel, asked: Mapping[str, Any], device: torch.device) -> Dubber:
    model = model.to(device)
    options = sampling_options(model, asked)
    return Dubber(
        dub=lambda frames, audio, other: dub_faces(model, frames, audio, options, other),
        round_trip=model.round_trip,
        seams=partial(_seams, model, options.overlap_frames),
        threads=CPU_DUBS if device.type == "cpu" else 1,
        size_px=model.size_px,
        names=network_names(model.facts),
        facts={"model": model.facts, "options": asdict(options)},
    )


def _seams(model: TalkingFaceModel, overlap: int, num_frames: int) -> NDArray[np.bool_]:
    """Return whether two windows share a frame; never, if frames are made one by one."""
    if model.needs_previous or model.max_overlap_frames == 0:
        return np.zeros(num_frames, np.bool_)
    return shared_by_windows(num_frames, model.frames, overlap)


def syncnet_metrics(
    sync: SyncModel, index: ShardIndex, params: EvaluateParams, device: torch.device
) -> dict[str, Any]:
    """Return the section `syncnet` of `metrics.json`, by the published protocol.

    Raises:
        MediaError: a clip of the split does not decode.
    """
    facts = {"split": params.split, "sha256": sync.facts["sha256"]}
    if sync.network.config.latent:
        return {**facts, "accuracy": None, "reason": "not measured: it looks at latents"}
    pairs, seed = params.syncnet_pairs, params.seed
    found = evaluate_protocol(sync.network, index, pairs, seed, device=device, **sync.pair_options)
    by_clip = found.pop("by_clip")
    worst = min(one["accuracy"] for one in by_clip.values())
    return {**found, "accuracy_of_worst_clip": worst, **facts}


def scoring_models(
    params: Params, sync: SyncModel, readers: OpeningReaders, device: torch.device
) -> ScoringModels:
    """Load the models that score clips.

    Raises:
        ParamsError: `evaluate.fid` or `evaluate.fvd` is no known network.
        WeightsError: a model file is absent or altered.
    """
    faces, choice = open_backend(params.faces), choose(params.sync)
    found = (fid_network(params.evaluate.fid), fvd_network(params.evaluate.fvd))
    return ScoringModels(
        faces=faces,
        judge=AlignedFaceJudge(choice, choice.load(), faces.landmark_schema),
        readers=readers,
        syncnet=None if sync.network.config.latent else sync.network.to(device),
        mel=sync.pair_options.get("mel", "exact"),
        features=tuple(one for one in found if one is not None),
        device=device,
    )


def opening_readers(train: ShardIndex, params: EvaluateParams, size_px: int) -> OpeningReaders:
    """Fit the readers of the mouth's opening to clips of the train split.

    Raises:
        TrainingDataError: none of them can be used.
    """
    films = SpeakingFilms(train, size_px)
    drawn = drawn_clips(train, params.reader_clips, params.seed)
    return fit_readers(films.readable(drawn), size_px, params.seed)


def score_clips(
    held_out: EvaluationClips, dubs: DubCache, models: ScoringModels, samples: Path
) -> list[ClipScores]:
    """Dub every selected clip and score it beside the next one; write samples of the first ones.

    Args:
        samples: an empty folder.

    Raises:
        TrainingDataError: none of them decodes.
        StorageError: the disk is full or not writable.
    """
    curves: dict[str, Any] = {}
    scored = list(_scored(_dubbed(held_out, dubs, models, samples, curves), models))
    if not scored:
        raise TrainingDataError(f"evaluate: no clip of the split decodes: {held_out.skipped}")
    write_json(samples / OPENINGS, curves)
    return scored


def _scored(versions: Iterable[ClipVersions], models: ScoringModels) -> Iterator[ClipScores]:
    """Score each clip in a thread while the next one is being made."""
    with ThreadPoolExecutor(1) as scorer:
        running: Future[ClipScores] | None = None
        for one in versions:
            if running:
                yield running.result()
            running = scorer.submit(score_clip, one, models)
        if running:
            yield running.result()


def _dubbed(
    held_out: EvaluationClips,
    dubs: DubCache,
    models: ScoringModels,
    samples: Path,
    curves: dict[str, Any],
) -> Iterator[ClipVersions]:
    """Dub the clips; of the first ones write samples, and collect the opening's curves."""
    for number, clip in enumerate(held_out):
        wanted = WantedDubs(
            silence=number < held_out.params.silence_clips,
            itself_as_reference=models.judge.choice.judge == "syncnet",
        )
        versions = dubbed_versions(clip, dubs, wanted)
        if number < SAMPLE_CLIPS:
            name = clip.key.rpartition("/")[2]
            write_samples(samples, name, versions)
            curves[name] = _curves(versions, models.readers)
        logger.info("evaluate: %s, %d frames", clip.key, len(clip.film))
        yield versions


def _curves(versions: ClipVersions, readers: OpeningReaders) -> dict[str, Any]:
    found = opening_curves(versions.clip, versions.frames, readers)
    rounded = {name: [round(float(one), 5) for one in curve] for name, curve in found.items()}
    return {"foreign_key": versions.clip.foreign_key, **rounded}


def model_metrics(
    scored: Sequence[ClipScores], held_out: EvaluationClips, dubber: Dubber, models: ScoringModels
) -> dict[str, Any]:
    """Return the section of a talking-face model in `metrics.json`."""
    readers = {"films": models.readers.films, "frames": models.readers.frames}
    return {
        **summary(scored),
        "opening_readers": readers,
        "names": dict(dubber.names),
        "judge": models.judge.facts(),
        "networks": {name: _network(getattr(held_out.params, name), name) for name in FRECHET},
        "frames": sum(clip.frames for clip in scored),
        "size_px": dubber.size_px,
        "skipped": held_out.skipped,
    }


def _network(name: str, metric: str) -> str:
    return f"not measured: evaluate.{metric} is none" if name == NONE else name


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What all talking-face models are measured with."""

    params: Params
    index: ShardIndex
    """Of the held-out clips."""
    train: ShardIndex
    sync: SyncModel
    device: torch.device

    def measured(self, dubber: Dubber, samples: Path) -> tuple[dict[str, Any], str]:
        """Dub and score the clips with one model; return its metrics, and the table of its clips.

        Args:
            samples: an empty folder.
        """
        section = self.params.evaluate
        readers = opening_readers(self.train, section, dubber.size_px)
        models = scoring_models(self.params, self.sync, readers, self.device)
        held_out = EvaluationClips(self.index, section, dubber.size_px)
        scored = score_clips(held_out, DubCache(dubber), models, samples)
        return model_metrics(scored, held_out, dubber, models), table(scored)


def evaluate(params: Params, index: ShardIndex, train: ShardIndex, reports: Path) -> dict[str, Any]:
    """Evaluate all models, write table and samples, and return the content of `metrics.json`.

    What is in `reports` stays as it is until everything is measured.

    Args:
        index: of the held-out clips.
        train: of the train split, for the readers of the mouth's opening.

    Raises:
        ParamsError: `evaluate.fid` or `evaluate.fvd` is no known network.
        TrainingDataError: no clip of an index can be used.
        WeightsError: a model is absent or altered.
    """
    require_known_networks(params.evaluate.fid, params.evaluate.fvd)
    device, section = torch.device(torch_device()), params.evaluate
    fix_cpu_threads(device, 1)
    sync, ldm = load_sync_model(SYNCNET), ldm_dubber(LDM, section, device)
    others = other_dubbers(section, device)
    evaluation = Evaluation(params, index, train, sync, device)
    with replacing_folder(reports / "samples") as samples:
        of_ldm, rows = evaluation.measured(ldm, samples)
        systems = {
            name: _measured_apart(evaluation, dubber, samples / name)
            for name, dubber in others.items()
        }
        found = {
            "syncnet": syncnet_metrics(sync, index, section, device),
            "ldm": of_ldm,
            "settings": section.model_dump(),
            **({"systems": systems} if systems else {}),
        }
    write_text(reports / TABLE, rows)
    return found


def _measured_apart(evaluation: Evaluation, dubber: Dubber, samples: Path) -> dict[str, Any]:
    """Measure a model with a folder of its own for samples and table."""
    samples.mkdir()
    found, rows = evaluation.measured(dubber, samples)
    write_text(samples / TABLE, rows)
    return found


def main() -> None:
    """`python -m trainers.evaluate`, called by dvc.yaml."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    params = load_params()
    index = held_out_index(params.evaluate.split)
    train = index_shards(split_urls("train"), MIN_FRAMES)
    write_json(REPORTS / "metrics.json", for_json(evaluate(params, index, train, REPORTS)))


if __name__ == "__main__":
    run_main(main)
