"""How a generator is driven, in training and in dubbing alike.

Shape suffixes: N frames, H and W pixels.
"""

import torch
from torch import Tensor

from trainers.audio.mel import MAX_VALUE
from trainers.systems.avsyncnet.configs import MEL_SHAPE
from trainers.systems.avsyncnet.network import AudioTower
from trainers.systems.stabilized.network import TalkerGenerator, heard, pose_of

SILENCE = -MAX_VALUE
"""All mel values of digital silence."""


def painted(
    generator: TalkerGenerator,
    tower: AudioTower,
    faces_N3HW: Tensor,
    identity_N3HW: Tensor,
    mel_N1MS: Tensor,
) -> Tensor:
    """Return whole faces (N, 3, H, W) that speak the sounds of their frames.

    Args:
        tower: AVSyncNet's, frozen.
        faces_N3HW: the frames; only their upper halves are seen.
        identity_N3HW: other pictures, whole.
    """
    with torch.no_grad():
        sound_ND = heard(tower.embed(mel_N1MS))
    made: Tensor = generator(pose_of(faces_N3HW), identity_N3HW, sound_ND)
    return made


@torch.no_grad()
def closed(silent_lip: TalkerGenerator, tower: AudioTower, faces_N3HW: Tensor) -> Tensor:
    """Return the faces as G_S paints them when it hears silence: with their mouths closed."""
    silence = faces_N3HW.new_full((len(faces_N3HW), *MEL_SHAPE), SILENCE)
    return painted(silent_lip, tower, faces_N3HW, faces_N3HW, silence)
