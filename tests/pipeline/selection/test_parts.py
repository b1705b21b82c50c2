from dataclasses import replace

import pytest

from pipeline.media.encode import next_cut_frame
from pipeline.params.curation import SelectParams
from pipeline.report.wording import REASONS
from pipeline.selection.parts import MARGIN_FRAMES, ClipPart, parts_of
from pipeline.selection.rules import decide
from pipeline.tables.rows import Quality, SyncStretch
from tests.conftest import ROOT
from tests.pipeline.selection.test_rules import GOOD, candidate

FRAMES = 250
PARAMS = SelectParams()
CLIP = replace(candidate().clip, start_frame=500, end_frame=750, num_frames=FRAMES)


def quality(**series: list[float]) -> Quality:
    usual = {"roll": 1.0, "change": 2.0, "cover": 0.01, "speech": 0.8}
    values = {f"{name}_by_frame": [value] * FRAMES for name, value in usual.items()}
    return replace(GOOD, **{**values, **series})


def stretch(start: int, end: int, offset: float | None, **changes: float) -> SyncStretch:
    """Frames [start, end) of the clip; foreign where the offset is None."""
    known = SyncStretch(
        clip_id="c",
        video_id="v",
        start_frame=500 + start,
        end_frame=500 + end,
        kind="foreign" if offset is None else "in_sync",
        offset_frames=offset or 0.0,
        drift_frames=0.0,
        probability=0.01 if offset is None else 0.99,
    )
    return replace(known, **changes)


def cut(
    *stretches: SyncStretch, params: SelectParams = PARAMS, **series: list[float]
) -> list[ClipPart]:
    whole = stretches or (stretch(0, FRAMES, -3.2),)
    return parts_of(CLIP, quality(**series), whole, params)


def spans(parts: list[ClipPart]) -> list[tuple[int, int, str]]:
    return [(one.start, one.end, one.reason) for one in parts]


def run(value: float, start: int, end: int, otherwise: float) -> list[float]:
    return [value if start <= frame < end else otherwise for frame in range(FRAMES)]


def test_a_clip_that_is_right_everywhere_is_one_part_with_its_offset() -> None:
    (whole,) = cut()
    assert spans([whole]) == [(0, FRAMES, "")]
    assert (whole.offset_frames, whole.probability) == (-3.2, 0.99)


def test_a_foreign_half_is_left_out_and_the_good_half_kept() -> None:
    parts = cut(stretch(0, 120, 2.0), stretch(120, FRAMES, None))
    at = 120 - MARGIN_FRAMES
    assert spans(parts) == [(0, at, ""), (at, FRAMES, "foreign_sound")]


def test_the_two_sides_of_a_step_are_kept_each_with_its_own_offset() -> None:
    parts = cut(stretch(0, 120, -3.0), stretch(120, FRAMES, 7.0))
    low, high = 120 - MARGIN_FRAMES, next_cut_frame(120 + MARGIN_FRAMES)
    assert spans(parts) == [(0, low, ""), (low, high, "offset_step"), (high, FRAMES, "")]
    assert [one.offset_frames for one in parts if not one.reason] == [-3.0, 7.0]


@pytest.mark.parametrize(
    ("series", "bad", "good", "limit", "reason"),
    [
        ("change_by_frame", 0.0, 2.0, PARAMS.max_standing_frames, "standing_picture"),
        ("cover_by_frame", 0.99, 0.01, PARAMS.max_covered_frames, "mouth_covered"),
        ("roll_by_frame", 80.0, 1.0, PARAMS.max_rolled_frames, "rolled"),
    ],
)
def test_a_run_longer_than_its_limit_is_cut_out(
    series: str, bad: float, good: float, limit: int, reason: str
) -> None:
    inside = cut(**{series: run(bad, 100, 100 + limit, good)})
    assert spans(inside) == [(0, FRAMES, "")]
    over = cut(**{series: run(bad, 100, 101 + limit, good)})
    again = next_cut_frame(101 + limit)
    assert spans(over) == [(0, 100, ""), (100, again, reason), (again, FRAMES, "")]


def test_at_a_jump_cut_a_clip_becomes_two_parts_or_by_option_stays_one() -> None:
    again = next_cut_frame(121)
    assert spans(cut(jump_cuts=[120])) == [
        (0, 120, ""),
        (120, again, "jump_cut"),
        (again, FRAMES, ""),
    ]
    labelled = PARAMS.model_copy(update={"jump_cuts": "label"})
    assert spans(cut(params=labelled, jump_cuts=[120])) == [(0, FRAMES, "")]


def test_what_is_right_but_short_is_named_and_not_lost() -> None:
    parts = cut(cover_by_frame=run(0.99, 60, 185, 0.01))
    assert spans(parts) == [
        (0, 60, "rest_too_short"),
        (60, 185, "mouth_covered"),
        (185, FRAMES, "rest_too_short"),
    ]


def test_a_part_without_speech_is_no_speech_although_the_clip_speaks() -> None:
    speech = [0.9] * 120 + [0.0] * 130
    parts = cut(stretch(0, 120, 1.0), stretch(120, FRAMES, 4.0), speech_by_frame=speech)
    assert [one.reason for one in parts] == ["", "offset_step", "no_speech"]


def test_a_drift_is_rejected_or_by_option_taken_out() -> None:
    drifting = stretch(0, FRAMES, 1.0, drift_frames=5.0)
    assert spans(cut(drifting)) == [(0, FRAMES, "drift")]
    by_option = PARAMS.model_copy(update={"correct_drift": True})
    (part,) = cut(drifting, params=by_option)
    assert (part.reason, part.offset_frames, part.drift_frames) == ("", 1.0, 5.0)


def test_a_part_of_a_drift_has_its_own_offset_and_its_share_of_the_drift() -> None:
    by_option = PARAMS.model_copy(update={"correct_drift": True})
    drifting = stretch(0, FRAMES, 0.0, drift_frames=5.0)
    first, _, last = cut(drifting, params=by_option, roll_by_frame=run(90.0, 100, 155, 0.0))
    assert (first.offset_frames, first.drift_frames) == (pytest.approx(-1.5), pytest.approx(2.0))
    assert (last.offset_frames, last.drift_frames) == (pytest.approx(1.55), pytest.approx(1.9))


def test_every_reason_of_a_part_has_words_on_the_report_and_on_its_page() -> None:
    page = (ROOT / "docs" / "select.md").read_text(encoding="utf-8")
    for reason in (
        *("foreign_sound", "low_confidence", "drift", "offset_too_large", "offset_step"),
        *(
            "jump_cut",
            "standing_picture",
            "mouth_covered",
            "rolled",
            "rest_too_short",
            "frozen_picture",
        ),
    ):
        assert reason in REASONS
        assert f"`{reason}`" in page


def test_two_parts_of_one_clip_are_no_duplicates_and_a_copy_of_the_clip_is_one() -> None:
    halves = (stretch(0, 120, -3.0), stretch(120, FRAMES, 7.0))
    one = replace(candidate("a"), clip=CLIP, quality=quality(), stretches=halves)
    copy = replace(
        one,
        clip=replace(CLIP, clip_id="b"),
        sync=replace(candidate("b").sync, probability=0.9),
        stretches=tuple(replace(half, clip_id="b") for half in halves),
    )
    judged = decide([one, copy], PARAMS)
    assert [(found.clip_id, found.reason) for found in judged] == [
        ("c", ""),
        ("c", "offset_step"),
        ("c", ""),
        ("b", "near_duplicate"),
        ("b", "offset_step"),
        ("b", "near_duplicate"),
    ] or [found.reason for found in judged].count("near_duplicate") == 2


def test_a_standing_picture_that_is_encoded_again_is_cut_out_as_a_whole() -> None:
    """Key frames repaint it: now and then it changes a little more."""
    change = [2.0] * 100 + [0.02] * 9 + [0.2] + [0.02] * 9 + [0.3] + [0.05] * 35 + [2.0] * 95
    parts = cut(change_by_frame=change)
    assert spans(parts) == [(0, 100, ""), (100, 155, "standing_picture"), (155, 250, "")]


def test_a_head_that_does_not_move_in_silence_is_no_standing_picture() -> None:
    change = [2.0] * 100 + [0.15] * 30 + [2.0] * 120
    assert spans(cut(change_by_frame=change)) == [(0, FRAMES, "")]


def test_a_source_of_four_frames_a_second_is_frozen() -> None:
    change = ([2.0] + [0.05] * 4) * 50
    assert spans(cut(change_by_frame=change)) == [(0, FRAMES, "frozen_picture")]


def test_a_part_begins_where_the_encoded_picture_can_be_cut() -> None:
    """Frames 15, 25, 35 ...: what lies before belongs to what is left out, and to no minimum."""
    parts = cut(roll_by_frame=run(80.0, 0, 96, 0.0))
    assert spans(parts) == [(0, 105, "rolled"), (105, FRAMES, "")]
    short = cut(roll_by_frame=run(80.0, 0, 170, 0.0))
    assert spans(short) == [(0, 175, "rolled"), (175, FRAMES, "")]
    shorter = cut(roll_by_frame=run(80.0, 0, 176, 0.0))
    assert spans(shorter) == [(0, 185, "rolled"), (185, FRAMES, "rest_too_short")]


def test_a_cover_that_shows_some_lip_now_and_then_is_one_stretch() -> None:
    cover = [0.01] * 100 + [0.9] * 8 + [0.3] * 6 + [0.05] * 8 + [0.5] * 8 + [0.01] * 120
    assert spans(cut(cover_by_frame=cover)) == [
        (0, 100, ""),
        (100, 135, "mouth_covered"),
        (135, FRAMES, ""),
    ]


def test_a_cover_does_not_grow_through_frames_that_are_probably_free() -> None:
    """Values of 0.3 every ten frames, as a free mouth has them now and then."""
    cover = ([0.05] * 8 + [0.3] * 2) * 10 + [0.05] * 8 + [0.9] * 8 + [0.05] * 134
    assert spans(cut(cover_by_frame=cover)) == [
        (0, 108, ""),
        (108, 125, "mouth_covered"),
        (125, FRAMES, ""),
    ]


def test_a_foreign_stretch_in_which_nothing_is_said_is_called_so() -> None:
    speech = [0.9] * 120 + [0.0] * 130
    parts = cut(stretch(0, 120, 1.0), stretch(120, FRAMES, None), speech_by_frame=speech)
    assert [one.reason for one in parts] == ["", "foreign_sound", "no_speech"]
