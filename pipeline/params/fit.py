"""Parameters of the training loop: the `fit` part of every trainer's section."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from pipeline.params.bounds import Seed

Steps = Annotated[int, Field(ge=1)]
Decay = Annotated[float, Field(ge=0, lt=1)]


class FitParams(BaseModel):
    """All the loop reads. Speed (processes, prefetching, folders) is not here: see RunOptions."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    seed: Seed = 0
    max_steps: Steps = 1000
    learning_rate: Annotated[float, Field(gt=0)] = 1e-4
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    schedule: Literal["constant", "cosine"] = "constant"
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    """Steps of linear rise to `learning_rate`."""
    final_learning_rate_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Where the cosine ends, as a share of `learning_rate`."""
    max_grad_norm: Annotated[float, Field(gt=0)] | None = 1.0
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    micro_batch: Annotated[int, Field(ge=1)] | None = None
    """Items that one process sends through the networks at once; None: all of its share."""
    ema_decay: Decay | None = None
    """Keep a moving average of the weights; it is what is validated and saved."""
    validate_every: Steps = 1000
    save_every: Steps = 1000
    save_minutes: Annotated[float, Field(gt=0)] | None = None
    """Also save when so much time has passed since the latest checkpoint; None: by steps alone."""
    log_every: Steps = 50
    sample_every: Steps | None = None
    """Steps between pictures; None: never."""
    best_metric: str | None = None
    """Name of a validation metric; the weights with its best value are kept."""
    best_mode: Literal["min", "max"] = "min"
    patience: Steps | None = None
    """Stop after so many validations in a row without a better `best_metric`."""
    final: Literal["last", "best"] = "last"
    """Which weights are the result of the run."""
    max_skipped_steps: Steps = 20
    """fp16 only: steps in a row that may be left out because a gradient overflowed."""

    @model_validator(mode="after")
    def _possible(self) -> "FitParams":
        if self.best_metric is None and (self.final == "best" or self.patience is not None):
            raise ValueError("final: best and patience need best_metric")
        if self.warmup_steps > self.max_steps:
            raise ValueError(
                f"warmup_steps ({self.warmup_steps}) must not be more than max_steps "
                f"({self.max_steps}); lower warmup_steps"
            )
        return self
