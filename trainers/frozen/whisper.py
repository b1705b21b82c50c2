"""Audio features of the lip-sync network: all layers of Whisper's encoder, in windows per frame.

The log-mel spectrogram is computed of the whole, unpadded clip and split into chunks of 30 s; the
last one is padded with zeros. Each chunk is encoded independently. The features are the hidden
states after the convolutions and positions and after each block, the last one BEFORE the final
layer norm: 50 steps per second, two per video frame.

Shape suffixes: N samples, M mel bands, C mel columns, P chunks, T steps of 20 ms, L layers + 1,
D width, F video frames, K tokens of a frame.
Source: audio input of LatentSync's U-Net (docs/whisper_features.md); Radford et al. (2022).
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
from trainers.frozen.stand_ins import STAND_IN

COLUMNS_PER_STEP = 2
"""Mel columns (10 ms) per encoder step, by the stride of the second convolution."""
STEPS_PER_FRAME = 2
"""50 steps and 25 video frames per second."""
FRAMES_BEFORE = FRAMES_AFTER = 2
"""LatentSync's `audio_feat_length`."""
MIN_SAMPLES = 201
"""The spectrogram reflects half a Fourier window, 200 samples, at the ends; that needs one more."""


class WhisperFeatures(nn.Module):
    """Frozen encoder of one Whisper model.

    `.to(device)` and `.to(torch.bfloat16)` work as for any module; features are float32 on the
    encoder's device. `trainers.frozen.whisper_files.load_whisper` loads one from a file.
    """

    def __init__(self, config: WhisperConfig, name: str, sha256: Mapping[str, str]) -> None:
        """Initialize the network with random weights.

        Args:
            name: for logs, metrics and checkpoints; starts with `stand-in:` if the weights stay
                random.
            sha256: digest of every weights file, by name.
        """
        super().__init__()
        self.name, self.sha256 = name, dict(sha256)
        self.encoder = WhisperEncoder(config)
        # Makes the last hidden state the one before the norm in every version of transformers.
        self.encoder.register_module("layer_norm", nn.Identity())
        self.requires_grad_(False).eval()
        self._spectrogram = WhisperFeatureExtractor(  # type: ignore[no-untyped-call] # transformers has no types here
            feature_size=config.num_mel_bins
        )
        self._chunk_columns = COLUMNS_PER_STEP * config.max_source_positions

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

        Values are floored at 8 below the maximum of the clip, so an excerpt gives other values.

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

    def forward(self, chunks_PMC: Tensor) -> Tensor:
        """Return the hidden states (P, T, L, D) of padded chunks, in the encoder's precision."""
        states = self.encoder(chunks_PMC, output_hidden_states=True)
        return torch.stack([*states.hidden_states[:-1], states.last_hidden_state], dim=2)

    @torch.inference_mode()
    def features(self, clips: Sequence[NDArray[Any]], chunks_at_once: int = 16) -> list[Tensor]:
        """Return the features (T, L, D) of each clip, float32.

        T is half the number of mel columns, rounded down per chunk: 50 per second.

        Args:
            clips: 16 kHz mono, int16 or float with full scale 1, of any lengths.
            chunks_at_once: chunks of 30 s per batch, across clips.
        """
        mels = [torch.split(self.log_mel(clip), self._chunk_columns, dim=1) for clip in clips]
        chunks = [chunk_MC for clip in mels for chunk_MC in clip]
        made: list[Tensor] = []
        for first in range(0, len(chunks), chunks_at_once):
            made += self._encoded(chunks[first : first + chunks_at_once])
        taken = iter(made)
        return [torch.cat([next(taken) for _ in clip]) for clip in mels]

    def windows(self, features_TLD: Tensor, start_frame: int, num_frames: int = 16) -> Tensor:
        """Return the tokens of each video frame, as `whisper_windows`."""
        return whisper_windows(features_TLD, start_frame, num_frames)

    def _encoded(self, chunks: Sequence[Tensor]) -> list[Tensor]:
        weight = self.encoder.conv1.weight
        shape = (len(chunks), weight.shape[1], self._chunk_columns)
        padded_PMC = torch.zeros(shape)
        for row_MC, chunk_MC in zip(padded_PMC, chunks, strict=True):
            row_MC[:, : chunk_MC.shape[1]] = chunk_MC
        states_PTLD = self(padded_PMC.to(weight.device, weight.dtype)).float()
        return [
            states_TLD[: chunk_MC.shape[1] // COLUMNS_PER_STEP]
            for states_TLD, chunk_MC in zip(states_PTLD, chunks, strict=True)
        ]


def window_steps(start_frame: int, num_frames: int, num_steps: int) -> Tensor:
    """Return the encoder steps of each video frame, (F, 10): 2 f - 4 ... 2 f + 5, clamped."""
    first = -FRAMES_BEFORE * STEPS_PER_FRAME
    last = (1 + FRAMES_AFTER) * STEPS_PER_FRAME
    frames = torch.arange(start_frame, start_frame + num_frames)
    steps = STEPS_PER_FRAME * frames[:, None] + torch.arange(first, last)
    return steps.clamp(0, num_steps - 1)


def whisper_windows(features_TLD: Tensor, start_frame: int, num_frames: int = 16) -> Tensor:
    """Return the tokens of each video frame, (F, K, D) with K = 10 * L: 50 x 384 for `tiny`.

    Ordered by step, then by layer. Frames after the end repeat the last step.
    """
    steps = window_steps(start_frame, num_frames, len(features_TLD))
    return features_TLD[steps.to(features_TLD.device)].flatten(1, 2)
