"""What the lip-sync network hears: all layers of Whisper's encoder, and their windows per frame.

The log-mel spectrogram is made of the whole, unpadded clip, cut into pieces of 30 s and padded with
literal zeros behind the last; each piece is encoded on its own. Kept are the hidden states after
the convolutions and positions and after each block, the last one BEFORE the final layer norm.
50 steps a second, so two per video frame.

Shape suffixes: N samples, M mel bands, C mel columns, P pieces, T steps of 20 ms, L layers + 1,
D width, F video frames, K tokens of a frame.
Source: what LatentSync's U-Net is fed with (docs/whisper_features.md); Radford et al. (2022).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import WhisperConfig, WhisperFeatureExtractor
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from pipeline.tables.rows import SAMPLE_RATE_HZ

STAND_IN = "stand-in:"
COLUMNS_PER_STEP = 2
"""Mel columns (10 ms) that the encoder's second convolution makes one step of."""
STEPS_PER_FRAME = 2
"""50 steps and 25 video frames a second."""
FRAMES_BEFORE = FRAMES_AFTER = 2
"""LatentSync's `audio_feat_length`."""
MIN_SAMPLES = 201
"""Half a Fourier window, which the spectrogram mirrors at the ends, and one more."""


class WhisperFeatures(nn.Module):
    """Frozen encoder of one Whisper model.

    `.to(device)` and `.to(torch.bfloat16)` work as for any module; features come back as float32
    on the encoder's device. `trainers.frozen.whisper_files.load_whisper` makes it from a file.
    """

    def __init__(self, config: WhisperConfig, name: str, sha256: Mapping[str, str]) -> None:
        """Make the network with random weights.

        Args:
            name: goes into logs, metrics and checkpoints; begins with `stand-in:` if the weights
                stay random.
            sha256: digest of every weights file, by name.
        """
        super().__init__()
        self.name, self.sha256 = name, dict(sha256)
        self.encoder = WhisperEncoder(config)
        # So the encoder's last hidden state is the one before the norm, whatever transformers does.
        self.encoder.register_module("layer_norm", nn.Identity())
        self.requires_grad_(False).eval()
        self._spectrogram = WhisperFeatureExtractor(  # type: ignore[no-untyped-call]
            feature_size=config.num_mel_bins
        )
        self._piece_columns = COLUMNS_PER_STEP * config.max_source_positions

    @property
    def is_stand_in(self) -> bool:
        """Whether the weights are random."""
        return self.name.startswith(STAND_IN)

    @property
    def num_layers(self) -> int:
        """L: hidden states per step, one more than blocks; 5 for `tiny`."""
        return int(self.encoder.config.encoder_layers) + 1

    @property
    def width(self) -> int:
        """D: 384 for `tiny`, 768 for `small`."""
        return int(self.encoder.config.d_model)

    def log_mel(self, audio_N: NDArray[Any]) -> Tensor:
        """Return the spectrogram (M, N // 160) of a whole clip, float32 on the CPU.

        The floor lies 8 below the clip's maximum, so a part of a clip has another spectrogram.

        Args:
            audio_N: 16 kHz mono, int16 or float with full scale 1.
        Raises:
            ValueError: fewer than 201 samples.
        """
        if len(audio_N) < MIN_SAMPLES:
            raise ValueError(f"{len(audio_N)} samples, at least {MIN_SAMPLES} needed")
        full_scale = 32768 if audio_N.dtype == np.int16 else 1
        made = self._spectrogram(
            audio_N.astype(np.float32) / full_scale,
            sampling_rate=SAMPLE_RATE_HZ,
            padding="do_not_pad",
            truncation=False,
            return_tensors="np",
        )
        return torch.from_numpy(np.asarray(made["input_features"][0], np.float32))

    def forward(self, pieces_PMC: Tensor) -> Tensor:
        """Return the hidden states (P, T, L, D) of padded pieces, in the encoder's precision."""
        states = self.encoder(pieces_PMC, output_hidden_states=True)
        return torch.stack([*states.hidden_states[:-1], states.last_hidden_state], dim=2)

    @torch.inference_mode()
    def features(self, clips: Sequence[NDArray[Any]], pieces_at_once: int = 16) -> list[Tensor]:
        """Return the features (T, L, D) of each clip, float32.

        T is half the clip's mel columns, rounded down per piece: 50 per second.

        Args:
            clips: 16 kHz mono, int16 or float with full scale 1, of any lengths.
            pieces_at_once: pieces of 30 s that are encoded together, of whatever clips.
        """
        mels = [torch.split(self.log_mel(clip), self._piece_columns, dim=1) for clip in clips]
        pieces = [piece_MC for clip in mels for piece_MC in clip]
        made: list[Tensor] = []
        for first in range(0, len(pieces), pieces_at_once):
            made += self._encoded(pieces[first : first + pieces_at_once])
        taken = iter(made)
        return [torch.cat([next(taken) for _ in clip]) for clip in mels]

    def _encoded(self, pieces: Sequence[Tensor]) -> list[Tensor]:
        weight = self.encoder.conv1.weight
        shape = (len(pieces), weight.shape[1], self._piece_columns)
        padded_PMC = torch.zeros(shape)
        for row_MC, piece_MC in zip(padded_PMC, pieces, strict=True):
            row_MC[:, : piece_MC.shape[1]] = piece_MC
        states_PTLD = self(padded_PMC.to(weight.device, weight.dtype)).float()
        return [
            states_TLD[: piece_MC.shape[1] // COLUMNS_PER_STEP]
            for states_TLD, piece_MC in zip(states_PTLD, pieces, strict=True)
        ]


def window_steps(start_frame: int, num_frames: int, num_steps: int) -> Tensor:
    """Return the steps of each video frame, (F, 10): 2 f - 4 ... 2 f + 5, the ends repeated."""
    first = -FRAMES_BEFORE * STEPS_PER_FRAME
    last = (1 + FRAMES_AFTER) * STEPS_PER_FRAME
    frames = torch.arange(start_frame, start_frame + num_frames)
    steps = STEPS_PER_FRAME * frames[:, None] + torch.arange(first, last)
    return steps.clamp(0, num_steps - 1)


def whisper_windows(features_TLD: Tensor, start_frame: int, num_frames: int = 16) -> Tensor:
    """Return the tokens of each video frame, (F, K, D) with K = 10 * L: 50 x 384 for `tiny`.

    Step by step, inside of a step layer by layer. Frames behind the end repeat the last step.
    """
    steps = window_steps(start_frame, num_frames, len(features_TLD))
    return features_TLD[steps.to(features_TLD.device)].flatten(1, 2)
