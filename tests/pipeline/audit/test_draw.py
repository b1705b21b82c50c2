"""Which clips an audit draws, and that its numbers are those on which `select` decides."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.audit.audited_limits import NOT_AUDITED, audited_limits
from pipeline.audit.draw import DrawnForRule, draw, mixed
from pipeline.params.curation import SelectParams
from pipeline.selection.parts import parts_of
from pipeline.selection.rules import rules
from pipeline.tables.run_tables import MeasuredClip
from tests.pipeline.audit.synthetic import FRAMES, measured

LIMITS = audited_limits(SelectParams())


def of(name: str, drawn: list[DrawnForRule]) -> DrawnForRule:
    return next(one for one in drawn if one.limit.name == name)


def test_every_key_of_select_is_audited_or_says_why_not():
    names = {limit.name for limit in LIMITS}
    assert names | set(NOT_AUDITED) == set(SelectParams.model_fields)
    assert not names & set(NOT_AUDITED)


def test_the_nearest_are_drawn_on_both_sides():
    clips = [measured(n, face_px=40.0 + n) for n in range(50)]  # the limit is 64
    found = of("min_face_px", draw(clips, LIMITS, count=5, seed=0))
    assert [one.value for one in found.inside] == [64, 65, 66, 67, 68]
    assert [one.value for one in found.outside] == [63, 62, 61, 60, 59]
    assert (found.passing, found.rejected, found.rejected_alone) == (26, 24, 24)


def test_what_another_rule_rejects_is_never_inside_and_last_outside():
    clips = [measured(0, face_px=65.0, sharpness=1.0), measured(1, face_px=80.0)]
    clips += [measured(2, face_px=63.0, sharpness=1.0), measured(3, face_px=50.0)]
    drawn = draw(clips, LIMITS, count=5, seed=0)
    found = of("min_face_px", drawn)
    assert [one.value for one in found.inside] == [80]
    assert [(one.value, one.alone) for one in found.outside] == [(50, True), (63, False)]
    assert [one.alone for one in of("min_sharpness", drawn).outside] == [True, False]


def test_foreign_sound_and_another_speaker_are_no_misses_of_a_rule():
    foreign, silent, beside = measured(0, {"kind": "foreign"}), measured(1), measured(2)
    rivals = {silent.clip.clip_id: 0.8, beside.clip.clip_id: 0.79}  # the limit is 0.8
    drawn = draw([foreign, silent, beside], audited_limits(SelectParams(), rivals), 5, 0)
    assert [one.clip_id for one in of("min_face_px", drawn).inside] == [beside.clip.clip_id]
    found = of("landmark_min_probability", drawn)
    assert [one.value for one in found.outside] == [0.8]
    assert [one.value for one in found.inside] == [0.79]


def test_order_of_clips_changes_nothing_and_the_seed_the_order_of_the_page():
    clips = [measured(n) for n in range(12)]  # equal numbers: the hash decides
    one = draw(clips, LIMITS, count=3, seed=1)
    assert [r.inside for r in one] == [r.inside for r in draw(clips[::-1], LIMITS, count=3, seed=1)]
    other = draw(clips, LIMITS, count=3, seed=2)
    assert [r.inside for r in one] != [r.inside for r in other]
    assert len(mixed(one, 1)) == len({each.moment for each in mixed(one, 1)}) == 3


@pytest.mark.parametrize("seed", range(40))
def test_a_number_is_beyond_its_limit_exactly_if_select_rejects_for_it(seed):
    rng = np.random.default_rng(seed)
    params = SelectParams(max_rolled_frames=2)
    one = measured(
        seed,
        {"probability": rng.uniform(0.6, 1), "drift_frames": rng.normal(0, 2)},
        face_px=rng.uniform(40, 100),
        yaw_deg=rng.uniform(30, 90),
        luma_mean=rng.uniform(10, 250),
        **{name: series(rng, level) for name, level in RUNS.items()},
    )
    assert one.quality is not None
    assert one.sync is not None
    rejecting = {
        limit.reason
        for limit in audited_limits(params)
        if any(limit.rejects(moment.value) for moment in limit.moments(one))
    }
    whole = {rule.reason for rule in rules(params) if rule.check(one.sync, one.quality)}
    assert rejecting & WHOLE == whole & WHOLE
    in_parts = reasons_of_parts(one, params)
    assert rejecting & set(RUN_REASONS) == in_parts & set(RUN_REASONS)
    if not rejecting & set(RUN_REASONS):
        assert rejecting & STRETCH <= in_parts


RUNS = {"roll_by_frame": 40.0, "change_by_frame": 0.1, "cover_by_frame": 0.7}
RUN_REASONS = ("standing_picture", "mouth_covered", "rolled")
WHOLE = {"face_too_small", "profile", "bad_exposure"}
STRETCH = {"low_confidence"}


def series(rng: np.random.Generator, level: float) -> list[float]:
    """Return runs of a few frames above and below a level."""
    return np.repeat(rng.uniform(0, 1.6 * level, FRAMES // 4), 4).tolist()


def reasons_of_parts(one: MeasuredClip, params: SelectParams) -> set[str]:
    """Ask for one fault of the picture at a time: a part has only one reason."""
    assert one.quality is not None
    found = {part.reason for part in parts_of(one.clip, one.quality, one.stretches, params)}
    for kept in RUNS:
        calm = {name: [5.0 if name == "change_by_frame" else 0.0] * FRAMES for name in RUNS}
        alone = replace(one.quality, **{**calm, kept: getattr(one.quality, kept)})
        found |= {part.reason for part in parts_of(one.clip, alone, one.stretches, params)}
    return found
