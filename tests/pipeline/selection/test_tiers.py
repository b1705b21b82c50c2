"""Tiers: stricter limits name the best of what is selected; what is quiet is kept apart."""

from dataclasses import replace

import pytest

from pipeline.identity.persons import SeenClip
from pipeline.params.curation import HqParams, SelectParams
from pipeline.selection.decision import Decision
from pipeline.selection.people import divide
from pipeline.selection.rules import Candidate, decide, split_of
from tests.pipeline.selection.test_rules import PARAMS, candidate

HQ = HqParams(min_probability=0.9, min_face_px=150)
STRICT = PARAMS.model_copy(update={"hq": HQ})
SILENT = {
    "speech_share": 0.0,
    "speech_by_frame": [0.0] * 100,
    "snr_db": 0.0,
    "mouth_movement": 0.01,
}


def decided(*clips: Candidate, params: SelectParams = STRICT) -> dict[str, Decision]:
    return {one.clip_id: one for one in decide(clips, params)}


def the(one: Candidate, params: SelectParams = STRICT) -> Decision:
    (found,) = decide([one], params)
    return found


def test_a_clip_within_all_stricter_limits_is_hq():
    assert the(candidate()).tier == "hq"


@pytest.mark.parametrize(
    "worse",
    [
        {"face_px": 149.0},
        {"sharpness": 29.0},
        {"landmark_score": 0.7},
        {"clipped_share": 0.2},
        {"yaw_deg": 40.0},
        {"pitch_deg": 30.0},
        {"jitter": 0.06},
        {"snr_db": 5.0},
        {"speech_by_frame": [0.4] * 100},
        {"cover_by_frame": [0.0] * 70 + [0.3] * 25 + [0.0] * 5},
    ],
)
def test_each_stricter_limit_alone_makes_it_a_base_clip_that_stays_selected(worse):
    found = the(candidate(**worse))
    assert (found.reason, found.tier) == ("", "base")


def test_a_gap_in_the_face_is_no_hq():
    one = candidate()
    found = the(replace(one, clip=replace(one.clip, interpolated_frames=1)))
    assert (found.reason, found.tier) == ("", "base")


def test_a_part_that_is_less_probable_is_base():
    params = STRICT.model_copy(update={"hq": HQ.model_copy(update={"min_probability": 0.96})})
    assert the(candidate(), params).tier == "base"


def test_every_limit_of_hq_is_looked_at():
    """A new limit that nobody checks would be a promise in params.yaml only."""
    loose = {name: 1e9 if name.startswith("max") else -1e9 for name in HqParams.model_fields}
    anything = HqParams.model_construct(**loose)
    one = candidate(face_px=70.0, sharpness=10.0)
    params = STRICT.model_copy(update={"hq": anything})
    assert the(one, params).tier == "hq"
    for name, value in loose.items():
        tight = HqParams.model_construct(**{**loose, name: -value})
        assert the(one, STRICT.model_copy(update={"hq": tight})).tier == "base", name


def test_a_clip_in_which_nothing_is_said_and_no_mouth_moves_is_silent_and_stays_rejected():
    found = the(candidate(**SILENT))
    assert (found.reason, found.tier) == ("no_speech", "silent")


@pytest.mark.parametrize(
    "no_silence",
    [
        {"speech_share": 0.05},
        {"mouth_movement": 0.05},
        {"cover_by_frame": [0.9] * 100},
        {"change_by_frame": [0.0] * 100},
        {"roll_by_frame": [60.0] * 100},
        {"face_px": 20.0},
    ],
)
def test_some_speech_a_moving_mouth_or_a_bad_picture_is_no_silent_clip(no_silence):
    found = the(candidate(**{**SILENT, **no_silence}))
    assert found.reason
    assert found.tier == ""


def test_a_still_mouth_while_somebody_speaks_is_listening():
    found = the(candidate(mouth_movement=0.003))
    assert (found.reason, found.tier) == ("mouth_still", "listening")


def test_a_still_face_beside_the_active_speaker_listens_and_one_that_talks_does_not():
    speaker = candidate("a", track=0, probability=0.99)
    listener = candidate("b", track=1, probability=0.05, mouth_movement=0.01)
    talker = candidate("c", track=2, probability=0.05, mouth_movement=0.05)
    found = decided(speaker, listener, talker)
    assert (found["b"].reason, found["b"].tier) == ("not_speaking", "listening")
    assert (found["c"].reason, found["c"].tier) == ("not_speaking", "")
    assert found["a"].tier == "hq"


def test_of_two_quiet_clips_that_are_alike_one_stays_and_both_stay_rejected():
    alike = {**SILENT, "picture_hash": "1" * 16}
    found = decided(candidate("a", **alike), candidate("b", "w", **alike))
    assert sorted(one.tier for one in found.values()) == ["", "silent"]
    assert {one.reason for one in found.values()} == {"no_speech"}


def test_a_quiet_clip_takes_no_place_from_a_selected_one():
    params = STRICT.model_copy(update={"max_clips_per_source": 1})
    quiet = candidate("a", **SILENT)
    found = decided(quiet, candidate("b"), params=params)
    assert (found["b"].reason, found["a"].tier) == ("", "silent")


def seen(name: str, number: int) -> SeenClip:
    return SeenClip.of(name, [float(n == number) for n in range(128)], [])


def one(name: str, video: str, speaker: str = "", quiet: bool = False) -> Candidate:
    changes = SILENT if quiet else {}
    return candidate(name, video, speaker, **changes)


SPLITS = SelectParams(
    val_share=0.3, test_share=0.3, min_probability=0.9, landmark_min_probability=0.9
)


def test_quiet_clips_go_where_their_person_and_film_are_and_move_no_talking_clip():
    talking = [one(f"{n:02}", f"v{n}") for n in range(60)]
    faces = [seen(f"{n:02}", n // 2) for n in range(60)]
    alone = decide(talking, SPLITS)
    before = divide(alone, faces, SPLITS)
    quiet = [
        one("same-film", "v7", quiet=True),
        one("same-person", "w", quiet=True),
        one("nobodys", "x", quiet=True),
    ]
    judged = decide([*talking, *quiet], SPLITS)
    more = [seen("same-film", 100), seen("same-person", 4), seen("nobodys", 101)]
    people = divide(judged, [*faces, *more], SPLITS)
    found = {d.clip_id: d for d in judged}
    assert people == before
    assert all(found[d.clip_id] == d for d in alone)
    assert found["same-film"].group == found["07"].group
    assert found["same-person"].group == found["08"].group
    assert found["same-person"].person == found["08"].person
    assert found["nobodys"].group == "source:x"


def test_a_quiet_clip_that_ties_two_splits_together_is_not_kept():
    talking = [one(f"{n:02}", f"v{n}") for n in range(60)]
    faces = [seen(f"{n:02}", n // 2) for n in range(60)]
    judged = decide([*talking, one("between", "v0", quiet=True)], SPLITS)
    alone = decide(talking, SPLITS)
    divide(alone, faces, SPLITS)
    split = {d.clip_id: split_of(d.group, SPLITS) for d in alone}
    other = next(n for n in range(60) if split[f"{n:02}"] != split["00"])
    divide(judged, [*faces, seen("between", other // 2)], SPLITS)
    between = next(d for d in judged if d.clip_id == "between")
    assert (between.reason, between.tier) == ("no_speech", "")
    assert between.detail.endswith("tied to clips of two splits")


def test_a_quiet_clip_that_ties_two_groups_of_one_split_together_is_in_that_split():
    talking = [one(f"{n:02}", f"v{n}") for n in range(60)]
    faces = [seen(f"{n:02}", n) for n in range(60)]
    alone = decide(talking, SPLITS)
    divide(alone, faces, SPLITS)
    split = {d.clip_id: split_of(d.group, SPLITS) for d in alone}
    for wanted in ("train", "val", "test"):
        first, second, *_ = (n for n in range(60) if split[f"{n:02}"] == wanted)
        judged = decide([*talking, one("between", f"v{first}", quiet=True)], SPLITS)
        divide(judged, [*faces, seen("between", second)], SPLITS)
        between = next(d for d in judged if d.clip_id == "between")
        assert (between.tier, split_of(between.group, SPLITS)) == ("silent", wanted)


def test_quiet_clips_of_one_person_are_in_one_split_where_nobody_talks():
    judged = decide([one(f"q{n}", f"w{n}", quiet=True) for n in range(4)], SPLITS)
    by_person = SPLITS.model_copy(update={"split_by": "person"})
    divide(judged, [seen(f"q{n}", 3) for n in range(4)], by_person)
    assert {d.group for d in judged} == {"person:q0"}
    assert {d.tier for d in judged} == {"silent"}


def test_a_named_speaker_ties_a_quiet_clip_where_splits_are_drawn_by_source():
    talking = [one(f"{n:02}", f"v{n}", "ann" if n == 3 else "") for n in range(10)]
    judged = decide([*talking, one("q", "w", "ann", quiet=True)], SPLITS)
    by_source = SPLITS.model_copy(update={"split_by": "source"})
    divide(judged, [], by_source)
    assert next(d for d in judged if d.clip_id == "q").group == "speaker:ann"
