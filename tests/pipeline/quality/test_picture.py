import cv2
import numpy as np
import pytest

from pipeline.errors import DecodeError
from pipeline.quality import picture
from tests.pipeline.quality.synthetic import CROP, moving, texture, write_video

STILL = np.repeat(np.eye(2, 3)[None], 50, axis=0)
WHOLE = np.ones((CROP, CROP), bool)


def read(tmp_path, luma, crf=14):
    return picture.read_pictures(write_video(tmp_path / "clip.mp4", luma, crf), len(luma))


def masks_of(pictures):
    return dict.fromkeys(pictures.sampled, WHOLE)


def test_sharpness_falls_with_every_step_of_blur(tmp_path):
    found = []
    for sigma in (0.1, 1, 2, 4):
        luma = np.stack([cv2.GaussianBlur(f, (0, 0), sigma) for f in moving(12)])
        pictures = read(tmp_path, luma)
        found.append(picture.sharpness(pictures, masks_of(pictures)))
    assert found == sorted(found, reverse=True)
    assert found[0] > 5 * found[2]


@pytest.mark.parametrize("level", [0, 40, 128, 220, 255])
def test_luma_is_that_of_the_source_on_the_scale_0_to_255(tmp_path, level):
    pictures = read(tmp_path, np.full((5, CROP, CROP), float(level)))
    light = picture.exposure(pictures, masks_of(pictures))
    assert light.luma_mean == pytest.approx(level, abs=1.5)
    assert light.clipped_share == float(level in (0, 255))


def test_only_the_face_counts_for_exposure(tmp_path):
    luma = np.full((5, CROP, CROP), 255.0)
    luma[:, 64:192, 64:192] = 100
    pictures = read(tmp_path, luma)
    square = np.array([[70, 70], [186, 70], [186, 186], [70, 186]], float)
    points = np.pad(np.repeat(square[None], 5, axis=0), ((0, 0), (0, 0), (0, 1)))
    masks = picture.face_masks(points, STILL, list(pictures.sampled), CROP)
    light = picture.exposure(pictures, masks)
    assert light.luma_mean == pytest.approx(100, abs=2)
    assert light.clipped_share == 0


def test_a_face_outside_the_crop_is_measured_on_the_whole_crop():
    outside = np.full((1, 4, 3), 9000.0)
    assert picture.face_masks(outside, STILL, [0], CROP)[0].all()


@pytest.mark.parametrize("crf", [14, 28])
def test_a_frozen_picture_is_frozen_whatever_the_encoder_did_to_it(tmp_path, crf):
    pictures = read(tmp_path, np.repeat(texture()[None], 50, axis=0), crf)
    assert picture.frozen_share(picture.changes(pictures, STILL, CROP)) > 0.95


def test_a_moving_picture_is_not_frozen(tmp_path):
    changes = picture.changes(read(tmp_path, moving(50)), STILL, CROP)
    assert picture.frozen_share(changes) == 0


def test_every_frame_shown_twice_is_half_frozen(tmp_path):
    luma = np.repeat(moving(50)[::2], 2, axis=0)
    found = picture.frozen_share(picture.changes(read(tmp_path, luma), STILL, CROP))
    assert found == pytest.approx(0.5, abs=0.03)


def test_a_frozen_source_is_frozen_although_the_alignment_drifts(tmp_path):
    source = cv2.GaussianBlur(texture(), (0, 0), 2)
    drift = STILL.copy()
    drift[:, 0, 2] = np.linspace(0, 6, 50)
    luma = np.stack(
        [cv2.warpAffine(source, m, (CROP, CROP), borderMode=cv2.BORDER_REPLICATE) for m in drift]
    )
    assert picture.frozen_share(picture.changes(read(tmp_path, luma), drift, CROP)) > 0.9


def test_a_clip_whose_frames_do_not_match_its_landmarks_is_refused(tmp_path):
    path = write_video(tmp_path / "clip.mp4", moving(5))
    with pytest.raises(DecodeError, match="5 frames, its landmarks 6"):
        picture.read_pictures(path, 6)


def test_a_broken_video_is_a_decode_error(tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"no video at all")
    with pytest.raises(DecodeError, match="does not decode"):
        picture.read_pictures(path, 5)


@pytest.mark.parametrize(("num_frames", "count"), [(1, 1), (5, 5), (12, 12), (250, 12)])
def test_sampled_frames_are_inside_the_clip_and_distinct(num_frames, count):
    frames = picture.sample_frames(num_frames)
    assert len(set(frames)) == count
    assert 0 <= min(frames) <= max(frames) < num_frames


def test_each_change_belongs_to_the_frame_after_it_and_the_first_repeats_the_second(tmp_path):
    luma = moving(20)
    luma[7:12] = luma[6]
    changes = picture.changes(read(tmp_path, luma), STILL[:20], CROP)
    assert len(changes) == 20
    assert changes[0] == changes[1]
    assert np.flatnonzero(changes < 0.2).tolist() == [7, 8, 9, 10, 11]


def test_a_clip_of_one_frame_has_one_change_and_no_frozen_share(tmp_path):
    changes = picture.changes(read(tmp_path, moving(1)), STILL[:1], CROP)
    assert changes.tolist() == [0]
    assert picture.frozen_share(changes) == 0


def test_a_clip_with_a_damaged_frame_is_refused_and_not_painted_over(tmp_path):
    path = write_video(tmp_path / "clip.mp4", moving(20))
    data = bytearray(path.read_bytes())
    at = len(data) // 2
    data[at : at + 200] = bytes(200)
    path.write_bytes(data)
    with pytest.raises(DecodeError, match="does not decode"):
        picture.read_pictures(path, 20)
