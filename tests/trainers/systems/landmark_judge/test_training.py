from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.judge.landmark.judge import LandmarkJudge
from pipeline.judge.landmark.weights import weights_sha256
from pipeline.roc import area_under_curve
from tests.pipeline.judge.talking import talking
from trainers.systems.landmark_judge.card_tables import BEGIN, END, write_card
from trainers.systems.landmark_judge.cross_validation import cross_validate, shifted, subclip
from trainers.systems.landmark_judge.files import save_networks
from trainers.systems.landmark_judge.fit_network import FitConfig, fit_network
from trainers.systems.landmark_judge.items import MIRRORED_POINTS, ChunkAugmentation, ChunkBatches
from trainers.systems.landmark_judge.label_cleaning import LabelCleaningConfig, clean_labels
from trainers.systems.landmark_judge.model_card import card_text
from trainers.systems.landmark_judge.network import LandmarkSyncNet, NetworkConfig, TorchNetworks
from trainers.systems.landmark_judge.speech_clips import SpeechClip, in_sync, speech_clip
from trainers.systems.landmark_judge.training import (
    TrainConfig,
    evaluate_held_out,
    read_clips,
    train,
    train_networks,
)
from trainers.systems.landmark_judge.training_clips import fold_of, for_training

SMALL = FitConfig(steps=30, batch=4, frames=40, network=NetworkConfig(width=24, size=16))


def talking_clip(seed: int, frames: int = 120, lead: int = 0) -> SpeechClip:
    name = f"{'spkvid' if seed % 2 else 'grid'}_{seed}"
    return speech_clip(name, name, fold_of(name), *talking(frames, lead, seed))


@pytest.fixture(scope="module")
def clips() -> list[SpeechClip]:
    return [talking_clip(seed) for seed in range(6)]


def test_one_seed_gives_one_set_of_weights_bit_for_bit(
    clips: list[SpeechClip], tmp_path: Path
) -> None:
    config = TrainConfig(
        members=2, fit=SMALL, cleaning=LabelCleaningConfig(rounds=1, steps=10, min_confidence=0.0)
    )
    digests = []
    for name in ("a", "b"):
        networks, _ = train(clips, config, seed=3)
        save_networks(tmp_path / name, networks, {})
        digests.append(weights_sha256(tmp_path / name))
    assert digests[0] == digests[1]


def test_another_seed_gives_other_weights(clips: list[SpeechClip]) -> None:
    one, two = fit_network(clips, SMALL, 0), fit_network(clips, SMALL, 1)
    assert not torch.equal(one.visual[0][0].weight, two.visual[0][0].weight)


def test_a_short_training_lowers_the_loss_and_finds_offsets(clips: list[SpeechClip]) -> None:
    losses: list[float] = []
    config = FitConfig(steps=150, batch=4, frames=40, network=NetworkConfig(width=32, size=32))
    network = fit_network(clips, config, 0, lambda _, loss: losses.append(loss))
    assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:10])
    judge = LandmarkJudge(TorchNetworks([network]))
    for lead in (-6, 0, 5):
        found = judge.score(*talking(150, lead, seed=77)).offset_frames
        assert abs(found - lead) <= 1


def test_a_batch_is_a_function_of_the_step(clips: list[SpeechClip]) -> None:
    def drawn(step: int) -> torch.Tensor:
        return ChunkBatches(clips, 40, 4, 0, ChunkAugmentation()).batch_at(step)[1]

    assert torch.equal(drawn(5), drawn(5))
    assert not torch.equal(drawn(5), drawn(6))
    shape, mel = ChunkBatches(clips, 40, 4, 0, ChunkAugmentation()).batch_at(0)
    assert shape.shape == (4, 40, 121)
    assert mel.shape == (4, 160, 40)


def test_mirroring_twice_changes_nothing() -> None:
    assert (MIRRORED_POINTS[MIRRORED_POINTS] == np.arange(40)).all()


@pytest.mark.parametrize("lead", [-4, 0, 7])
def test_a_labelled_offset_is_cut_away_and_a_shift_made(lead: int) -> None:
    early, still = talking_clip(2, 120, lead), talking_clip(2, 120, 0)
    frames = 120 - abs(lead)
    fixed = in_sync(SpeechClip(**{**_fields(early), "offset_frames": lead}))
    assert fixed.num_frames == frames
    assert len(fixed.mel) == 4 * frames
    start = max(0, lead)
    assert (fixed.shape == still.shape[start : start + frames]).all()
    inner = fixed.mel[8:-8], still.mel[4 * start : 4 * (start + frames)][8:-8]
    assert np.corrcoef(inner[0].ravel(), inner[1].ravel())[0, 1] > 0.99
    moved = shifted(still, lead)
    assert (moved.mel == still.mel[4 * max(0, lead) :][: 4 * frames]).all()


def _fields(clip: SpeechClip) -> dict[str, object]:
    return {name: getattr(clip, name) for name in SpeechClip.__dataclass_fields__}


@pytest.mark.slow
def test_cleaning_finds_a_clip_that_is_out_of_sync() -> None:
    clips = [talking_clip(seed, 150, 7 if seed == 3 else 0) for seed in range(8)]
    config = LabelCleaningConfig(rounds=2, steps=120)
    network = NetworkConfig(width=32, size=32)
    cleaned = clean_labels(clips, config, FitConfig(batch=4, frames=40, network=network), seed=0)
    found = {clip.clip_id: clip.offset_frames for clip in cleaned}
    assert abs(found["spkvid_3"] - 7) <= 1
    assert all(abs(offset) <= 1 for name, offset in found.items() if name != "spkvid_3")


def test_folds_never_judge_a_clip_they_trained_on(clips: list[SpeechClip]) -> None:
    seen: list[set[str]] = []

    def spy(chosen: Sequence[SpeechClip]) -> list[LandmarkSyncNet]:
        seen.append({clip.fold for clip in chosen})
        return [fit_network(clips, SMALL, 0)]

    folds = cross_validate(clips, spy, other_backend=clips[:1])
    assert seen == [{"spkvid"}, {"grid"}]
    judged = [one.clip.fold for fold in folds for one in fold.judged]
    assert judged == ["grid"] * 3 + ["spkvid"] * 3
    assert [len(fold.other_backend) for fold in folds] == [1, 0]


@pytest.mark.slow
def test_folds_side_by_side_find_what_they_find_one_after_the_other(
    clips: list[SpeechClip],
) -> None:
    config = TrainConfig(members=1, fit=SMALL, cleaning=LabelCleaningConfig(rounds=0))
    train_one = partial(train_networks, config, 0)
    alone, together = (cross_validate(clips, train_one, jobs=jobs) for jobs in (1, 2))
    for one, two in zip(alone, together, strict=True):
        for left, right in zip(one.judged, two.judged, strict=True):
            assert (left.own.curve == right.own.curve).all()


def test_what_the_folds_say_becomes_a_calibration_and_a_card(clips: list[SpeechClip]) -> None:
    fit_config = FitConfig(steps=120, batch=4, frames=40, network=NetworkConfig(width=24, size=16))
    config = TrainConfig(members=1, fit=fit_config, cleaning=LabelCleaningConfig(rounds=0))
    found = evaluate_held_out(clips, config, 0, other_backend=clips[:2])
    assert len(found.examples) == len(found.probabilities)
    assert {example.genuine for example in found.examples} == {True, False}
    networks = [fit_network(clips, SMALL, 0)]
    text = card_text(found, networks, clips)
    assert "| grid | 3 |" in text
    assert "InsightFace, 106 | 2 |" in text


def test_held_out_and_speechless_clips_are_not_trained_on(clips: list[SpeechClip]) -> None:
    barred = [
        SpeechClip(name, name, "rest", clips[0].shape, clips[0].mel)
        for name in ("syncnet_example", "syncnet_example_off5", "liveportrait_s18")
    ]
    assert for_training([*clips, *barred]) == clips


def test_a_folder_of_landmarks_and_sound_is_read(tmp_path: Path) -> None:
    from pipeline.media.flac import write_flac

    landmarks, sound = talking(60)
    np.savez(tmp_path / "vasa1_9.npz", landmarks=landmarks)
    write_flac(tmp_path / "vasa1_9.flac", sound, 16000)
    (clip,) = read_clips(tmp_path)
    assert (clip.clip_id, clip.fold, clip.num_frames) == ("vasa1_9", "vasa1", 60)


def test_a_piece_keeps_picture_and_sound_together(clips: list[SpeechClip]) -> None:
    cut = subclip(clips[0], 30, 50)
    assert (cut.shape == clips[0].shape[30:80]).all()
    assert (cut.mel == clips[0].mel[120:320]).all()


def test_auc_is_the_chance_of_ranking_right() -> None:
    assert area_under_curve([2, 3], [0, 1]) == 1
    assert area_under_curve([1, 1], [1, 1]) == 0.5
    assert area_under_curve([0], [1, 2]) == 0


def test_the_card_keeps_its_words_and_changes_its_numbers(tmp_path: Path) -> None:
    card = tmp_path / "card.md"
    card.write_text(f"words\n{BEGIN}\nold\n{END}\nmore\n", encoding="utf-8")
    write_card(card, "new")
    assert card.read_text(encoding="utf-8") == f"words\n{BEGIN}\nnew\n{END}\nmore\n"
    card.write_text("no markers", encoding="utf-8")
    with pytest.raises(ValueError, match="to write between"):
        write_card(card, "new")
