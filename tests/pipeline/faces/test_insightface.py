"""The InsightFace backend, with the pack in the shared folder."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.errors import WeightsError
from pipeline.faces import insightface
from pipeline.faces.backend import Frame
from pipeline.faces.insightface import InsightFaceBackend, _Patch
from pipeline.faces.open import open_backend, weights_of
from pipeline.params.curation import FacesParams
from pipeline.weights import files as weights

data = pytest.importorskip("skimage.data", reason="pictures of the demo extra")


@pytest.fixture(scope="module")
def params(shared: Path) -> FacesParams:
    root = shared / "weights" / "insightface"
    if not (root / "models" / "buffalo_test").is_dir():
        pytest.skip(f"no InsightFace pack in {root}")
    return FacesParams(
        backend="insightface", insightface_name="buffalo_test", insightface_root=str(root)
    )


@pytest.fixture(scope="module")
def backend(params: FacesParams) -> InsightFaceBackend:
    cv2.setNumThreads(1)
    opened = open_backend(params)
    assert isinstance(opened, InsightFaceBackend)
    return opened


@pytest.fixture(scope="module")
def portrait() -> Frame:
    return np.ascontiguousarray(data.astronaut()[..., :3])


def test_one_face_is_found_and_followed(backend: InsightFaceBackend, portrait: Frame) -> None:
    (found,) = backend.detect(portrait)
    first = backend.landmarks(portrait, found)
    again = backend.landmarks(portrait, first.points)
    assert first.points.shape == (106, 3)
    assert min(first.score, again.score) > 0.5
    assert np.linalg.norm(again.points - first.points, axis=1).mean() < 3


def test_where_no_face_is_the_score_is_zero(backend: InsightFaceBackend, portrait: Frame) -> None:
    nothing = np.array([20, 330, 120, 430], np.float32)
    assert backend.landmarks(portrait, nothing).score == 0
    assert backend.detect(np.full((360, 640, 3), 90, np.uint8)) == []


def test_the_networks_get_their_colours_in_the_order_they_expect(
    backend: InsightFaceBackend, portrait: Frame
) -> None:
    patch = _Patch(portrait, (256, 256), 100, 320)
    assert np.array_equal(patch.bgr[50, 50], portrait[256, 256, ::-1])


def test_a_face_that_fills_the_picture_is_found(
    backend: InsightFaceBackend, portrait: Frame
) -> None:
    tight = np.ascontiguousarray(portrait[60:185, 160:285])
    assert len(backend.detect(tight)) == 1


def test_both_backends_agree_on_the_anchors(backend: InsightFaceBackend, portrait: Frame) -> None:
    try:
        weights.fetch()
    except WeightsError as error:
        pytest.skip(str(error))
    mesh = open_backend(FacesParams())
    placed = []
    for one in (backend, mesh):
        points = one.landmarks(portrait, one.detect(portrait)[0]).points
        placed.append(one.anchors(points))
    eye_distance = 42.0
    assert np.linalg.norm(placed[0] - placed[1], axis=1).mean() < 0.06 * eye_distance


def test_digests_name_the_two_networks_only(
    backend: InsightFaceBackend, params: FacesParams
) -> None:
    assert set(backend.weights()) == {"det_2.5g.onnx", "2d106det.onnx"}
    assert weights_of(params) == backend.weights()


def test_networks_run_on_one_thread_each(backend: InsightFaceBackend) -> None:
    for model in (backend._detector, backend._landmarks):
        options = model.session.get_session_options()
        assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)


@pytest.mark.parametrize(
    ("gpu", "visible", "expected"),
    [
        ("1", None, ("CUDAExecutionProvider", {"device_id": "1"})),
        (None, "3", ("CUDAExecutionProvider", {"device_id": "0"})),
        ("cpu", None, ("CPUExecutionProvider", {})),
        (None, "", ("CPUExecutionProvider", {})),
        (None, "-1", ("CPUExecutionProvider", {})),
    ],
)
def test_the_device_is_chosen_by_provider_options(
    monkeypatch: pytest.MonkeyPatch,
    gpu: str | None,
    visible: str | None,
    expected: tuple[str, dict[str, str]],
) -> None:
    both = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(insightface.onnxruntime, "get_available_providers", lambda: both)
    for name, value in (("LIPFORGE_GPU", gpu), ("CUDA_VISIBLE_DEVICES", visible)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    providers, options = insightface._providers()
    assert (providers[0], options[0]) == expected


def test_a_pack_that_cannot_be_downloaded_is_an_error_with_the_fix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(insightface, "ensure_available", unreachable)
    with pytest.raises(WeightsError, match=r"faces\.backend to litert"):
        insightface.pack_files("buffalo_l", str(tmp_path))


def test_a_pack_that_is_there_is_never_downloaded(
    params: FacesParams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(insightface, "ensure_available", lambda *_, **__: pytest.fail("download"))
    insightface.pack_files(params.insightface_name, params.insightface_root)


def test_a_pack_without_its_networks_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "models" / "half").mkdir(parents=True)
    with pytest.raises(WeightsError, match="2d106det"):
        insightface.pack_files("half", str(tmp_path))
