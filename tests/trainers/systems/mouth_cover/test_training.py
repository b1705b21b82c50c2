import numpy as np
import pytest
import torch

from pipeline.faces.alignment import similarity, to_square, warp
from pipeline.faces.schemas import MESH468
from pipeline.quality.cover import CoverDetector
from tests.pipeline.quality.talking_face import portrait_frames
from trainers.systems.mouth_cover.covers import KINDS, Place, covered_share, laid_over
from trainers.systems.mouth_cover.evaluation import KIND_GROUPS, area_under_curve, kind_results
from trainers.systems.mouth_cover.faces import FaceCrop
from trainers.systems.mouth_cover.files import save
from trainers.systems.mouth_cover.items import COVERED, FREE, PLAIN, CoverSample, samples_of
from trainers.systems.mouth_cover.network import CoverNetwork
from trainers.systems.mouth_cover.task import CoverFitConfig, fit


@pytest.fixture(scope="module")
def faces() -> list[FaceCrop]:
    found = []
    for sitter in ("astronaut", "hopper"):
        for frame, (image, points) in enumerate(portrait_frames(sitter)[:4]):
            matrix = similarity(MESH468.template_anchors(points))
            square = to_square(matrix, 256)
            in_crop = points[:, :2] @ square[:, :2].T + square[:, 2]
            found.append(FaceCrop(sitter, sitter, frame, warp(image, matrix), in_crop, MESH468))
    return found


def over(face: FaceCrop, grown: float) -> Place:
    (x, y), (w, h) = face.lips.mean(axis=0), np.ptp(face.lips, axis=0) / 2
    return Place(float(x), float(y), float(grown * w), float(grown * max(h, 12.0)))


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"letters"}))
def test_a_cover_over_the_lips_hides_them_and_changes_the_picture_there(kind, faces):
    face = faces[0]
    painted = KINDS[kind](np.random.default_rng(0), face, over(face, 2.0))
    assert covered_share(face, painted[1]) > COVERED
    x, y = face.lips.mean(axis=0).astype(int)
    changed = laid_over(face, painted).astype(int) - face.picture
    assert np.abs(changed[y - 8 : y + 8, x - 16 : x + 16]).mean() > 3


@pytest.mark.parametrize("kind", ["box", "ellipse", "microphone", "mosaic"])
def test_a_cover_beside_the_lips_leaves_them_free(kind, faces):
    place = Place(30.0, 30.0, 12.0, 12.0)
    painted = KINDS[kind](np.random.default_rng(1), faces[0], place)
    assert covered_share(faces[0], painted[1]) <= FREE


def test_samples_depend_on_their_face_alone(faces):
    alone = list(samples_of(faces[5:6], seed=0))
    among = [s for s in samples_of(faces, seed=0) if (s.clip_id, s.frame) == ("hopper", 1)]
    assert len(alone) == len(among) > 4
    assert all(np.array_equal(a.planes, b.planes) for a, b in zip(alone, among, strict=True))
    assert {s.covered for s in alone} == {True, False}
    assert not any(s.covered for s in alone if s.kind == PLAIN)


def test_the_file_gives_what_the_network_gives(tmp_path):
    torch.manual_seed(0)
    network = CoverNetwork().eval()
    planes = np.random.default_rng(0).integers(0, 256, (70, 3, 48, 48), dtype=np.uint8)
    for norm in network.norms:  # as after training, and far from doing nothing
        for values in (norm.weight, norm.running_var):
            torch.nn.init.uniform_(values, 0.3, 2.0)
        for values in (norm.bias, norm.running_mean):
            torch.nn.init.normal_(values)
    save(tmp_path / "net.safetensors", network)
    with torch.no_grad():
        expected = torch.sigmoid(network(torch.from_numpy(planes).float())).numpy()
    found = CoverDetector(tmp_path / "net.safetensors").probabilities(planes)
    assert found == pytest.approx(expected, abs=2e-3)  # float16


def test_training_tells_covered_from_free_and_repeats_to_the_bit(faces):
    samples = [s for s in samples_of(faces, seed=0) if s.kind in (PLAIN, "box")] * 16
    planes, covered = (np.stack([getattr(s, n) for s in samples]) for n in ("planes", "covered"))
    config = CoverFitConfig(epochs=20, batch=32, shift_px=1)
    networks = [fit(planes, covered, config, seed=3) for _ in range(2)]
    with torch.no_grad():
        odds = networks[0](torch.from_numpy(planes).float()).numpy()
    assert area_under_curve(samples, odds) > 0.95
    for one, two in zip(*(network.as_arrays().values() for network in networks), strict=True):
        assert torch.equal(one, two)


def test_results_by_kind_count_hits_and_false_alarms():
    planes = np.zeros((3, 48, 48), np.uint8)
    rows = [("box", True), ("box", True), ("box", False), (PLAIN, False), (PLAIN, False)]
    samples = [CoverSample(planes, covered, kind, "s", "c", 0) for kind, covered in rows]
    said = np.array([0.9, 0.2, 0.7, 0.6, 0.1])
    plain, box = kind_results(samples, said)
    assert (plain.kind, plain.covered, plain.free, plain.false_share) == (PLAIN, 0, 2, 0.5)
    assert (box.covered, box.recall, box.free, box.false_share) == (2, 0.5, 1, 1.0)
    assert area_under_curve(samples, said) == pytest.approx(4 / 6)


def test_every_kind_is_held_out_once():
    assert sorted(kind for group in KIND_GROUPS for kind in group) == sorted(KINDS)
