"""What StableSyncNet sees of whole aligned faces: their lower halves, in its size.

Shape suffixes: B clips, F frames, H height, W width.
"""

from torch import Tensor

from trainers.data.frame_views import clips_of, frames_of, resized
from trainers.systems.stable_syncnet.pairs import lower_half

SYNCNET_SIZE = 256
"""Height and width of the face that StableSyncNet was trained on, before halving."""


def sync_view(video_B3FHW: Tensor, size: int = SYNCNET_SIZE, antialias: bool = False) -> Tensor:
    """Return StableSyncNet's image input: (B, 3 F, size / 2, size), colours inside frames."""
    small = resized(frames_of(video_B3FHW), size, antialias)
    clips = clips_of(lower_half(small), len(video_B3FHW))
    return clips.transpose(1, 2).flatten(1, 2)
