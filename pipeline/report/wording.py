"""Meaning of reason codes and stages, in words for the page."""

REASONS = {
    "duplicate": "same bytes as another file",
    "empty_file": "no bytes at all",
    "not_media": "no demuxer opens it",
    "unreadable": "the file system did not give the bytes",
    "decode_error": "opened, but frames or samples did not decode",
    "no_video": "no video stream",
    "no_audio": "no audio stream",
    "still_picture": "one frame only",
    "no_face": "no face was found",
    "track_too_short": "shorter than faces.min_seconds",
    "judge_cannot_read_landmarks": "the judge does not know this kind of landmarks",
    "no_sync_score": "the judge could not score it",
    "no_quality": "it could not be measured",
    "face_too_small": "face under select.min_face_px",
    "landmarks_unsure": "landmark confidence under select.min_landmark_score",
    "blurred": "sharpness under select.min_sharpness",
    "bad_exposure": "face darker or brighter than select.min_luma, max_luma",
    "clipped_exposure": "black or white share over select.max_clipped_share",
    "profile": "head turned further than select.max_yaw_deg",
    "pitched": "head up or down further than select.max_pitch_deg",
    "jitter": "landmarks shake more than select.max_jitter",
    "frozen_picture": "repeated frames over select.max_frozen_share",
    "no_speech": "speech under select.min_speech_share",
    "noisy": "speech to noise under select.min_snr_db",
    "not_speaking": "another face seen at the same time fits the sound better",
    "mouth_still": "mouth moves less than select.min_mouth_movement",
    "low_confidence": (
        "the judge is not sure enough: under select.landmark_min_probability or, "
        "for the SyncNet judge, select.syncnet_min_confidence"
    ),
    "drift": "the offset changes along the clip by more than select.max_drift_frames",
    "offset_too_large": "offset beyond select.max_offset_frames",
    "near_duplicate": "picture and sound like another clip's",
    "source_cap": "over select.max_clips_per_source",
    "offset_not_fixed": "not within one frame after the correction",
    "not_selected": "select has not run on it",
    "bug": "an error of lipforge itself",
}
"""Meaning of the reason codes; the page shows an unknown code without one."""

STAGES = {
    "ingest": "files to videos",
    "scenes": "videos to shots",
    "faces": "videos to face clips",
    "sync": "clips scored for A/V sync",
    "quality": "clips measured",
    "select": "clips decided on",
    "shards": "clips corrected and packed",
}
