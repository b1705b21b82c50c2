import random
from dataclasses import replace

import pytest

from pipeline.params import SelectParams
from pipeline.rows import Clip, Quality, SyncScore, Video
from pipeline.selection import Candidate, decide, split_of

PARAMS = SelectParams()
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
)


def candidate(name: str = "c", video: str = "v", speaker: str = "", **changes: object) -> Candidate:
    sync_fields = {"offset_frames", "confidence"}
    sync = {k: v for k, v in changes.items() if k in sync_fields}
    quality = {k: v for k, v in changes.items() if k not in sync_fields}
    unique = {"picture_hash": f"{random.Random(name).getrandbits(64):016x}"}
    return Candidate(
        Video(video_id=video, uri="u", size_bytes=1, speaker=speaker),
        Clip(
            clip_id=name,
            video_id=video,
            scene=0,
            track=0,
            start_frame=0,
            end_frame=100,
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
                "offset_frames": 0,
                "offset_subframe": 0.0,
                "confidence": 0.5,
                "min_distance": 0.5,
                **sync,
            }
        ),
        replace(GOOD, **{**unique, **quality}),
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, ""),
        ({"face_px": 20.0}, "face_too_small"),
        ({"sharpness": 1.0}, "blurred"),
        ({"luma_mean": 5.0}, "bad_exposure"),
        ({"yaw_deg": 80.0}, "profile"),
        ({"frozen_share": 0.9}, "frozen_picture"),
        ({"speech_share": 0.0}, "no_speech"),
        ({"mouth_movement": 0.0}, "mouth_still"),
        ({"confidence": 0.0}, "low_confidence"),
        ({"offset_frames": 13}, "offset_too_large"),
        ({"offset_frames": -12}, ""),
        ({"face_px": 20.0, "confidence": 0.0}, "face_too_small"),
    ],
)
def test_a_clip_gets_the_reason_of_the_first_rule_it_breaks(changes, reason):
    (judged,) = decide([candidate(**changes)], PARAMS)
    assert judged.reason == reason


def test_a_clip_that_was_not_scored_is_rejected_and_not_lost():
    unscored = replace(candidate(), sync=None)
    assert decide([unscored], PARAMS)[0].reason == "no_sync_score"
    assert decide([replace(candidate(), quality=None)], PARAMS)[0].reason == "no_quality"


def test_of_near_duplicates_the_surest_stays():
    twins = [
        candidate("a", picture_hash="f" * 16, confidence=0.4),
        candidate("b", picture_hash="f" * 15 + "e", confidence=0.6),
        candidate("c", picture_hash="f" * 16, audio_hash="f" * 16, confidence=0.3),
    ]
    assert [(one.clip.clip_id, one.reason) for one in decide(twins, PARAMS)] == [
        ("a", "near_duplicate"),
        ("b", ""),
        ("c", ""),
    ]


def test_a_source_gives_no_more_than_its_cap():
    params = SelectParams(max_clips_per_source=2)
    clips = [candidate(name, confidence=0.2 + i / 10) for i, name in enumerate("abc")]
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
    assert split_of("source:1", SelectParams(split_seed=1)) in {"train", "val", "test"}
