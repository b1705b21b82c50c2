"""What the network predicts: the noise, as published, or the clean latents (x0).

A network that predicts noise is judged by the noise, in which the sound's share is tiny; one that
predicts clean latents is judged by the picture. At t = 999 the noisy latents hold nothing of the
picture, and a predictor of x0 paints it from the conditions in one step.

Shape suffixes: B clips, C latent channels, F frames, H height, W width, T steps of the schedule.
Source: Salimans and Ho, "Progressive Distillation" (2022), section 4, on predicting x0; trailing
timesteps of Lin et al., "Common Diffusion Noise Schedules" (2024), section 3.3: sampling begins at
the last step, where there is nothing but noise.
"""

from dataclasses import dataclass
from typing import Literal

from diffusers.schedulers.scheduling_ddim import DDIMScheduler, DDIMSchedulerOutput
from torch import Tensor

from trainers.systems.latentsync.losses.one_step import ddim_scheduler, one_step_x0

Prediction = Literal["epsilon", "x0"]


@dataclass(frozen=True, slots=True)
class Parametrization:
    """One kind of prediction."""

    prediction: Prediction = "epsilon"

    @property
    def term(self) -> str:
        """Name of the loss on it: `noise` or `clean`."""
        return "noise" if self.prediction == "epsilon" else "clean"

    def scheduler(self) -> DDIMScheduler:
        """Return the schedule that samples from such a network."""
        return ddim_scheduler(self.prediction)

    def last(self, step: DDIMSchedulerOutput) -> Tensor:
        """Return what the last step of sampling gives: of clean latents, the answer itself.

        diffusers takes it to alpha 1 only where the number of steps divides 1000.
        """
        if self.prediction == "x0":
            assert step.pred_original_sample is not None
            return step.pred_original_sample
        return step.prev_sample

    def target(self, clean_BCFHW: Tensor, noise_BCFHW: Tensor) -> Tensor:
        """Return what the network should have said."""
        return noise_BCFHW if self.prediction == "epsilon" else clean_BCFHW

    def clean(
        self,
        noisy_BCFHW: Tensor,
        predicted_BCFHW: Tensor,
        timestep_B: Tensor,
        alphas_cumprod_T: Tensor,
    ) -> Tensor:
        """Return the clean latents that a prediction implies, float32."""
        if self.prediction == "x0":
            return predicted_BCFHW.float()
        return one_step_x0(noisy_BCFHW, predicted_BCFHW, timestep_B, alphas_cumprod_T)
