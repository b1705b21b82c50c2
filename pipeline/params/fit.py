"""Parameters of the training loop: the `fit` part of every trainer's section."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from pipeline.params.bounds import Seed

Steps = Annotated[int, Field(ge=1)]
Decay = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
Optimizer = Literal["adamw", "adam"]
"""adam: weight decay is added to the gradient (Kingma & Ba, 2015), not to the weights."""


class PlayerParams(BaseModel):
    """What one player of a task has of its own; what is null is taken from `fit`."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    optimizer: Optimizer | None = None
    learning_rate: Positive | None = None
    """The schedule scales it as it does that of `fit`."""
    beta1: Decay | None = None
    beta2: Decay | None = None
    weight_decay: Annotated[float, Field(ge=0)] | None = None
    max_grad_norm: Positive | None = None
    every: Steps = 1
    """N: updated in steps N, 2 N, 3 N, ..., counted from 1."""


class FitParams(BaseModel):
    """All the loop reads. Speed (processes, prefetching, folders) is not here: see RunOptions."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    seed: Seed = 0
    max_steps: Steps = 1000
    optimizer: Optimizer = "adamw"
    learning_rate: Positive = 1e-4
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    schedule: Literal["constant", "cosine"] = "constant"
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    """Steps of linear rise to `learning_rate`."""
    final_learning_rate_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Where the cosine ends, as a share of `learning_rate`."""
    max_grad_norm: Positive | None = 1.0
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    micro_batch: Annotated[int, Field(ge=1)] | None = None
    """Items that one process sends through the networks at once; None: all of its share."""
    ema_decay: Decay | None = None
    """Keep a moving average of the weights; it is what is validated and saved."""
    ema_players: Annotated[list[str], Field(min_length=1)] | None = None
    """The players whose weights are averaged; null: all."""
    players: dict[str, PlayerParams] = {}
    """By name of a player of the task: what it has of its own."""
    validate_every: Steps = 1000
    save_every: Steps = 1000
    save_minutes: Positive | None = None
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
        if self.ema_players is not None and self.ema_decay is None:
            raise ValueError("ema_players needs ema_decay")
        return self

    def of_player(self, name: str) -> "FitParams":
        """Return these params with a player's own values in place of those for all."""
        own = self.players.get(name, PlayerParams()).model_dump(exclude={"every"})
        return self.model_copy(update={key: one for key, one in own.items() if one is not None})

    def every(self, name: str) -> int:
        """Return N: the player is updated in every N-th step."""
        return self.players[name].every if name in self.players else 1
