"""SyncNet supervision: StableSyncNet's loss on decoded frames and their sound.

Shape suffixes: B clips, F frames, H height, W width, M mel bands, S mel columns, D embedding.
Source: LatentSync (Li et al. 2024, arXiv 2412.09262), SyncNet supervision in pixel space.
"""

from collections.abc import Callable

from torch import Tensor

from trainers.systems.stable_syncnet.losses import cosine, cosine_bce
from trainers.systems.stable_syncnet.sync_view import SYNCNET_SIZE, sync_view

SyncNet = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""(B, 3 F, 128, 256) pictures and (B, 1, 80, 52) mel -> two embeddings (B, D)."""


def pixel_sync_loss(
    video_B3FHW: Tensor,
    mel_B1MS: Tensor,
    syncnet: SyncNet,
    clamp: bool = False,
    size: int = SYNCNET_SIZE,
    antialias: bool = False,
) -> Tensor:
    """Return -log(cos) (B,) of generated frames and their true sound, float32.

    Args:
        video_B3FHW: decoded frames, RGB, about -1 ... 1, NOT clamped.
        mel_B1MS: mel window of the same moment (`trainers.audio.mel`).
        syncnet: frozen StableSyncNet in eval mode; gradients pass through it.
        clamp: cut the cosine to 0 ... 1 first. Off as in LatentSync; see `sync_loss.cosine_bce`.
        size: height and width of the whole face the network was trained on.
        antialias: resize as the training data were. Off as in LatentSync, where it matters little
            (512 to 256); turn it on for a small network, where the face shrinks more.
    """
    vision_BD, audio_BD = syncnet(sync_view(video_B3FHW, size, antialias), mel_B1MS)
    cosine_B = cosine(vision_BD, audio_BD)
    return cosine_bce(cosine_B, cosine_B.new_ones(len(cosine_B)), clamp=clamp)
