import random
from dataclasses import replace

import pytest

from pipeline.params.curation import SelectParams
from pipeline.report.wording import REASONS
from pipeline.selection.rules import Candidate, decide, rules, split_of
from pipeline.tables.rows import Clip, Quality, Selected, SyncScore, SyncStretch, Video
from tests.conftest import ROOT

PARAMS = SelectParams(min_probability=0.9, landmark_min_probability=0.9, syncnet_min_confidence=3.0)
"""Limits of its own: the defaults move with every calibration."""
GOOD = Quality(
    clip_id="c",
    face_px=200.0,
    sharpness=100.0,
    luma_mean=120.0,
    clipped_share=0.0,
    yaw_deg=10.0,
    pitch_deg=5.0,
    roll_deg=2.0,
    jitter=0.001,
    frozen_share=0.0,
    mouth_movement=0.05,
    landmark_score=0.99,
    speech_share=0.9,
    snr_db=20.0,
    picture_hash="0" * 16,
    audio_hash="0" * 16,
    roll_by_frame=[2.0] * 100,
    change_by_frame=[3.0] * 100,
    cover_by_frame=[0.01] * 100,
    speech_by_frame=[0.9] * 100,
)
SYNC_FIELDS = {"judge", "offset_frames", "confidence", "probability", "drift_frames"}
PLACE_FIELDS = {"scene", "track", "start_frame", "end_frame"}


def candidate(name: str = "c", video: str = "v", speaker: str = "", **changes: object) -> Candidate:
    sync = {k: v for k, v in changes.items() if k in SYNC_FIELDS}
    place = {k: v for k, v in changes.items() if k in PLACE_FIELDS}
    quality = {k: v for k, v in changes.items() if k not in SYNC_FIELDS | PLACE_FIELDS}
    unique = {"picture_hash": f"{random.Random(name).getrandbits(64):016x}"}
    start = int(str(place.get("start_frame", 0)))
    whole = SyncStretch(
        clip_id=name,
        video_id=video,
        start_frame=start,
        end_frame=start + 100,
        kind="in_sync",
        offset_frames=float(str(sync.get("offset_frames", 0))),
        drift_frames=float(str(sync.get("drift_frames") or 0)),
        probability=float(str(sync.get("probability") or 0.95)),
    )
    return Candidate(
        Video(video_id=video, uri="u", size_bytes=1, speaker=speaker),
        Clip(
            clip_id=name,
            video_id=video,
            **{"scene": 0, "track": 0, "start_frame": 0, "end_frame": 100, **place},
            num_frames=100,
            backend="litert",
            landmark_schema="mesh468",
            crop_px=256,
            face_px=200.0,
            landmark_score=0.99,
            interpolated_frames=0,
            num_faces_in_scene=1,
        ),
        SyncScore(
            **{
                "clip_id": name,
                "judge": "landmark",
                "mode": "masked",
                "offset_frames": 0,
                "offset_subframe": 0.0,
                "confidence": 0.5,
                "min_distance": 0.5,
                "probability": 0.95,
                **sync,
            }
        ),
        replace(GOOD, **{**unique, **quality}),
        (whole,),
    )


def selected_row(num_frames: int, offset: float, split: str = "train") -> Selected:
    """The row of a whole clip `c` that was kept."""
    return Selected(
        clip_id="c",
        source_clip_id="c",
        video_id="v",
        split=split,
        group="g",
        start_frame=0,
        end_frame=num_frames,
        offset_frames=float(offset),
        drift_frames=0.0,
        probability=0.97,
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, ""),
        ({"face_px": 20.0}, "face_too_small"),
        ({"sharpness": 1.0}, "blurred"),
        ({"luma_mean": 5.0}, "bad_exposure"),
        ({"yaw_deg": 80.0}, "profile"),
        ({"change_by_frame": [0.0] * 100}, "standing_picture"),
        ({"cover_by_frame": [0.9] * 100}, "mouth_covered"),
        ({"roll_by_frame": [-80.0] * 100}, "rolled"),
        ({"speech_share": 0.0}, "no_speech"),
        ({"speech_by_frame": [0.1] * 100}, "no_speech"),
        ({"mouth_movement": 0.0}, "mouth_still"),
        ({"probability": 0.89}, "low_confidence"),
        ({"probability": 0.9, "confidence": 0.0}, ""),
        ({"drift_frames": -2.1}, "drift"),
        ({"drift_frames": 2.0}, ""),
        ({"drift_frames": None}, ""),
        ({"drift_frames": 5.0, "probability": 0.5}, "low_confidence"),
        ({"drift_frames": 5.0, "offset_frames": 13}, "drift"),
        ({"offset_frames": 13}, "offset_too_large"),
        ({"offset_frames": -12}, ""),
        ({"face_px": 20.0, "probability": 0.0}, "face_too_small"),
    ],
)
def test_a_clip_gets_the_reason_of_the_first_rule_it_breaks(changes, reason):
    (judged,) = decide([candidate(**changes)], PARAMS)
    assert judged.reason == reason


def test_every_rule_has_words_on_the_report_and_on_its_page():
    page = (ROOT / "docs" / "select.md").read_text(encoding="utf-8")
    for rule in rules(PARAMS):
        assert rule.reason in REASONS
        assert f"`{rule.reason}`" in page


def test_the_page_names_the_rules_in_the_order_in_which_they_blame():
    page = (ROOT / "docs" / "select.md").read_text(encoding="utf-8")
    places = [page.index(f"`{rule.reason}`") for rule in rules(PARAMS)]
    assert places == sorted(places)


def test_a_score_of_an_unknown_judge_is_an_error_of_ours_and_not_a_verdict():
    with pytest.raises(AssertionError):
        decide([candidate(judge="newcomer"), candidate("d", judge="newcomer", track=1)], PARAMS)


def test_a_listener_is_said_not_to_speak_rather_than_to_have_a_still_mouth():
    speaker = candidate("a", track=0)
    listener = candidate("b", track=1, probability=0.1, mouth_movement=0.0)
    tiny = candidate("c", track=2, probability=0.1, face_px=20.0)
    judged = decide([speaker, listener, tiny], PARAMS)
    assert [one.reason for one in judged] == ["", "not_speaking", "face_too_small"]
    assert "0.95" in judged[1].detail
    assert judged[1].detail.endswith("of a")


def test_the_speaker_silences_the_others_although_its_own_picture_is_too_poor():
    speaker = candidate("a", track=0, face_px=20.0)
    listener = candidate("b", track=1, probability=0.94)
    judged = decide([speaker, listener], PARAMS)
    assert [one.reason for one in judged] == ["face_too_small", "not_speaking"]


def test_a_clip_that_was_not_scored_is_rejected_and_not_lost():
    unscored = replace(candidate(), sync=None)
    assert decide([unscored], PARAMS)[0].reason == "no_sync_score"
    assert decide([replace(candidate(), quality=None)], PARAMS)[0].reason == "no_quality"
    assert decide([replace(candidate(), stretches=())], PARAMS)[0].reason == "no_stretches"


def test_of_near_duplicates_the_most_confident_stays():
    twins = [
        candidate("a", picture_hash="f" * 16, probability=0.92, confidence=0.6),
        candidate("b", picture_hash="f" * 15 + "e", probability=0.99, confidence=0.4),
        candidate("c", picture_hash="f" * 16, audio_hash="f" * 16, probability=0.91),
    ]
    assert [(one.clip_id, one.reason) for one in decide(twins, PARAMS)] == [
        ("a", "near_duplicate"),
        ("b", ""),
        ("c", ""),
    ]


def test_a_source_gives_no_more_than_its_cap():
    params = PARAMS.model_copy(update={"max_clips_per_source": 2})
    clips = [
        candidate(name, start_frame=i * 100, end_frame=i * 100 + 100, probability=0.9 + i / 100)
        for i, name in enumerate("abc")
    ]
    assert [one.reason for one in decide(clips, params)] == ["source_cap", "", ""]


def test_decisions_do_not_depend_on_the_order_of_the_clips():
    clips = [candidate(f"{i}", picture_hash=f"{i % 5:016x}") for i in range(40)]
    expected = decide(clips, PARAMS)
    random.Random(0).shuffle(clips)
    assert decide(clips, PARAMS) == expected


def test_all_clips_of_a_speaker_fall_into_one_split_and_without_a_speaker_those_of_a_source():
    one = candidate("a", video="v1", speaker="anna")
    two = candidate("b", video="v2", speaker="anna")
    assert one.group == two.group == "speaker:anna"
    assert candidate("c", video="v1").group == "source:v1"


def test_split_shares_are_met_and_do_not_move_when_the_seed_stays():
    drawn = [split_of(f"source:{i}", PARAMS) for i in range(4000)]
    assert abs(drawn.count("val") / 4000 - 0.1) < 0.02
    assert abs(drawn.count("test") / 4000 - 0.1) < 0.02
    assert split_of("source:1", PARAMS.model_copy(update={"split_seed": 1})) in {
        "train",
        "val",
        "test",
    }
