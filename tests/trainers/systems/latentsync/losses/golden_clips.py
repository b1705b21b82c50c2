"""The pair of clips that the golden losses were computed on."""

import json

import numpy as np
import torch
from torch import Tensor

from tests.conftest import ROOT
from tests.golden_rules import rule_frames

GOLDEN = ROOT / "tests" / "golden"
KNOWN = json.loads((GOLDEN / "g6_losses_results.json").read_text())


def real_clip() -> Tensor:
    """(1, 3, 16, 256, 256), -1 ... 1."""
    pictures = rule_frames(16, 256, 256, 8) / 127.5 - 1
    return torch.from_numpy(pictures).float().permute(3, 0, 1, 2)[None]


def noisy_clip() -> Tensor:
    """The same with noise of deviation 0.2."""
    real = real_clip()
    noise = np.random.default_rng(65).normal(0, 0.2, tuple(real.shape))
    return real + torch.from_numpy(noise).float()
