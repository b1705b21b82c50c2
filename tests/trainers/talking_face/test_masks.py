"""The region that is painted anew."""

import pytest
import torch

from trainers.talking_face.masks import composited, keep_mask


def hole(size_px):
    return keep_mask(size_px)[0, 0] == 0


def runs(row):
    """First and last repainted column of every run of a row."""
    edges = torch.cat([torch.zeros(1), row.float(), torch.zeros(1)]).diff()
    starts, ends = (edges == 1).nonzero()[:, 0], (edges == -1).nonzero()[:, 0]
    return list(zip(starts.tolist(), (ends - 1).tolist(), strict=True))


def test_the_hole_has_the_published_measures():
    region = hole(256)
    rows = region.any(dim=1).nonzero()[:, 0]
    assert (rows[0], rows[-1]) == (95, 242)
    assert runs(region[95]) == runs(region[127]) == [(9, 77), (178, 246)]
    assert runs(region[128]) == [(9, 247)]
    ((left, right),) = runs(region[241])
    assert 100 <= left < right <= 160
    assert float(region.float().mean()) == pytest.approx(0.407, abs=0.003)
    # half widths of the published jaw at some rows
    for row, width in {160: 235, 192: 205, 208: 177, 224: 133, 236: 82}.items():
        assert int(region[row].sum()) == pytest.approx(width, abs=4)


def test_eyes_and_the_bridge_of_the_nose_are_kept():
    region = hole(256)
    assert not region[:95].any()
    assert not region[95:128, 78:178].any()


@pytest.mark.parametrize("size_px", [64, 128, 512])
def test_the_same_region_at_every_size_with_sharp_edges(size_px):
    mask = keep_mask(size_px)
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    share = float(1 - mask.mean())
    assert share == pytest.approx(float(1 - keep_mask(256).mean()), abs=0.01)


def test_compositing_keeps_what_lies_outside_bit_for_bit():
    mask = keep_mask(64)
    original, made = torch.randn(1, 3, 2, 64, 64), torch.full((1, 3, 2, 64, 64), torch.nan)
    made[..., hole(64)] = 0.25
    both = composited(made, original, mask)
    assert torch.equal(both[..., ~hole(64)], original[..., ~hole(64)])
    assert bool((both[..., hole(64)] == 0.25).all())
