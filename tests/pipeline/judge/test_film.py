"""The clips of a film judged together, on distance maps with known offsets."""

import time

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.judge.clock import offset_priors
from pipeline.judge.evidence import EvidenceModel, column_of, offset_of
from pipeline.judge.film import FilmClip, SyncedFrames, judge_corrected, judge_film
from pipeline.judge.stretches import flat_prior

MODEL = EvidenceModel(distance=-0.88, usual=0.53, most_usual=0.99, bias=0.56)
"""As fitted for the landmark judge, rounded."""
MARGIN = 5
OWN, FOREIGN, NOISE = 0.9, 1.25, 0.12
Doubles = NDArray[np.float64]


def distances(seed: int, *pieces: tuple[int, float | None], own: float = OWN) -> Doubles:
    """(W, 31): per piece its number of windows and its offset, None for foreign sound."""
    rng = np.random.default_rng(seed)
    rows = []
    for windows, offset in pieces:
        flat = FOREIGN + rng.normal(0, NOISE, (windows, 31))
        if offset is not None:
            near = np.exp(-((np.arange(-15, 16) - offset) ** 2) / 4.0)
            flat -= (FOREIGN - own) * near
        rows.append(flat)
    return np.concatenate(rows)


def clip(found: Doubles, start: int = 0) -> FilmClip:
    return FilmClip(start, len(found) + 2 * MARGIN, found)


def one(found: Doubles) -> list[SyncedFrames]:
    return judge_film([clip(found)], MODEL)[0]


def test_the_stretches_cover_the_frames_of_the_clip() -> None:
    found = one(distances(0, (120, 2.0), (110, None)))
    assert found[0].start == 0
    assert found[-1].end == 240
    assert [a.end for a in found[:-1]] == [b.start for b in found[1:]]


@pytest.mark.parametrize("offset", [-12.0, -3.4, 0.0, 0.5, 7.3])
def test_a_good_clip_is_one_stretch_at_its_offset_within_a_tenth_of_a_frame(offset: float) -> None:
    (found,) = one(distances(1, (240, offset)))
    assert found.kind == "in_sync"
    assert found.offset_frames == pytest.approx(offset, abs=0.1)
    assert found.probability > 0.99
    assert abs(found.drift_frames) < 0.5


@pytest.mark.parametrize("foreign", [60, 100])
@pytest.mark.parametrize("first", [True, False])
def test_a_foreign_end_is_found_where_it_is(foreign: int, first: bool) -> None:
    pieces = [(foreign, None), (230 - foreign, -3.0)]
    found = one(distances(2, *(pieces if first else pieces[::-1])))
    kinds = [part.kind for part in found]
    assert kinds == (["foreign", "in_sync"] if first else ["in_sync", "foreign"])
    change = MARGIN + (foreign if first else 230 - foreign)
    assert abs(found[0].end - change) <= 8


def test_a_foreign_middle_is_cut_out() -> None:
    found = one(distances(3, (90, 1.0), (75, None), (90, 1.0)))
    assert [part.kind for part in found] == ["in_sync", "foreign", "in_sync"]


def test_a_clip_of_foreign_sound_is_foreign() -> None:
    (found,) = one(distances(4, (230, None)))
    assert found.kind == "foreign"
    assert found.probability < 0.5


def test_lost_sound_gives_two_stretches_with_their_own_offsets() -> None:
    before, after = one(distances(5, (115, -3.0), (115, 7.0)))
    assert before.offset_frames == pytest.approx(-3, abs=0.2)
    assert after.offset_frames == pytest.approx(7, abs=0.2)


def test_a_drift_stays_one_stretch_and_is_measured() -> None:
    steps = [(12, offset) for offset in np.linspace(-0.8, 0.8, 20)]
    (found,) = one(distances(6, *steps))
    assert found.kind == "in_sync"
    assert found.drift_frames == pytest.approx(1.6, abs=0.4)
    assert found.offset_frames == pytest.approx(0, abs=0.2)


def test_an_unsure_clip_of_a_sure_film_is_kept_at_the_films_offset() -> None:
    unsure = clip(distances(7, (65, 4.0), own=1.21), 300)
    alone = judge_film([unsure], MODEL)[0]
    sure = [clip(distances(seed, (240, 4.0)), 400 * seed) for seed in (8, 9, 10)]
    together = judge_film([unsure, *sure], MODEL)[0]
    assert max((a.probability for a in alone if a.kind == "in_sync"), default=0.0) < 0.8
    (found,) = together
    assert found.kind == "in_sync"
    assert found.probability > 0.8
    assert found.offset_frames == pytest.approx(4, abs=0.7)


def test_a_sure_film_does_not_lend_its_offset_to_foreign_sound() -> None:
    sure = [clip(distances(seed, (240, 4.0)), 400 * seed) for seed in (8, 9, 10)]
    (found,) = judge_film([clip(distances(11, (150, None)), 350), *sure], MODEL)[0]
    assert found.kind == "foreign"


def test_clips_of_one_clock_share_a_sub_frame_offset() -> None:
    clips = [clip(distances(seed, (150, -2.37)), 250 * seed) for seed in range(6)]
    alone = [judge_film([c], MODEL)[0][0].offset_frames for c in clips]
    shared = [found[0].offset_frames for found in judge_film(clips, MODEL)]
    assert np.std(shared) < np.std(alone)
    assert np.abs(np.array(shared) + 2.37).max() < 0.1


def test_a_film_whose_sound_jumps_between_clips_keeps_both_offsets() -> None:
    clips = [clip(distances(s, (240, -3.0 if s < 3 else 8.0)), 250 * s) for s in range(6)]
    offsets = [found[0].offset_frames for found in judge_film(clips, MODEL)]
    assert offsets == pytest.approx([-3, -3, -3, 8, 8, 8], abs=0.2)


def test_the_order_of_the_clips_changes_nothing() -> None:
    clips = [clip(distances(s, (150, 1.0)), 200 * s) for s in range(4)]
    assert judge_film(clips[::-1], MODEL)[::-1] == judge_film(clips, MODEL)


def test_a_single_clip_has_no_prior_and_others_give_one() -> None:
    odds = [MODEL.log_odds(distances(s, (150, 5.0))) for s in range(3)]
    assert np.allclose(offset_priors(odds[:1])[0], flat_prior())
    prior = offset_priors(odds)[1]
    assert offset_of(int(prior.argmax())) == 5.0
    assert np.exp(prior).sum() == pytest.approx(1)


def test_a_corrected_sample_that_is_still_off_in_part_is_seen() -> None:
    good = judge_corrected(clip(distances(12, (200, 0.1))), MODEL)
    assert [round(part.offset_frames) for part in good] == [0]
    bad = judge_corrected(clip(distances(12, (100, 0.0), (100, 6.0))), MODEL)
    assert [round(part.offset_frames) for part in bad if part.kind == "in_sync"][:1] == [0]
    assert len(bad) == 2


def test_pairs_without_sound_are_no_evidence() -> None:
    found = distances(13, (60, 0.0))
    found[:10, column_of(10.0) // 2] = np.nan
    odds = MODEL.log_odds(found)
    assert (odds[:10, column_of(10.0)] == 0).all()
    assert (odds[10:, column_of(10.0)] != 0).all()


def test_a_film_of_an_hour_is_judged_in_seconds() -> None:
    clips = [clip(distances(seed % 7, (60, 1.5)), 250 * seed) for seed in range(360)]
    begin = time.process_time()
    found = judge_film(clips, MODEL)
    assert time.process_time() - begin < 30
    assert all(abs(one.offset_frames - 1.5) < 0.3 for parts in found for one in parts)
