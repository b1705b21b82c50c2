"""Tiny tasks and data for the training loop; importable by subprocesses."""

import random

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from pipeline.params.fit import FitParams
from trainers.loop.batches import WholeBatches
from trainers.loop.seeding import item_normal, seed_all
from trainers.loop.task import Task
from trainers.loop.validation import Validation

PARAMS = FitParams(max_steps=8, learning_rate=1e-2, warmup_steps=2, validate_every=4, save_every=4)


class Regression(Task):
    """Learns a fixed linear map through a hidden layer, with dropout and noise per item."""

    frozen = ("teacher",)

    def __init__(self, dropout=0.0, noise=0.0):
        super().__init__()
        self.teacher = nn.Linear(4, 2).requires_grad_(False)
        self.generator = nn.Sequential(
            nn.Linear(4, 16), nn.Tanh(), nn.Dropout(dropout), nn.Linear(16, 2)
        )
        self.noise = noise

    def losses(self, batch, player):
        x = batch["x"] + self.noise * item_normal(batch["item_seeds"], 4)
        error = self.generator(x) - self.teacher(batch["x"])
        return {"square": error.square().mean(), "absolute": 0.1 * error.abs().mean()}

    def validate(self, batch):
        error = self.generator(batch["x"]) - self.teacher(batch["x"])
        return {"square": error.square().mean(), "count": torch.tensor(1.0)}


class OftenDeaf(Regression):
    """A layer that only some items go through, and some batches not at all."""

    has_unused_parameters = True

    def __init__(self):
        super().__init__()
        body, ear = self.generator, nn.Linear(4, 2)
        self.generator = nn.ModuleDict({"body": body, "ear": ear})

    def losses(self, batch, player):
        x = batch["x"]
        made, hears = self.generator["body"](x), x[:, :1] > 1.2
        if hears.any():
            made = made + hears * self.generator["ear"](x)
        return {"square": (made - self.teacher(x)).square().mean()}

    def validate(self, batch):
        error = self.generator["body"](batch["x"]) - self.teacher(batch["x"])
        return {"square": error.square().mean(), "count": torch.tensor(1.0)}


class AllDice(Regression):
    """Draws from every global stream in every step."""

    def losses(self, batch, player):
        terms = super().losses(batch, player)
        drawn = random.random() + float(np.random.rand()) + torch.rand(())
        return {name: term * drawn for name, term in terms.items()}


class Loud(Regression):
    """Its first fp16 gradients overflow, so that the scaler's state matters."""

    def losses(self, batch, player):
        return {name: 5 * term for name, term in super().losses(batch, player).items()}


class Gan(Task):
    """Two players; the discriminator sees what the generator makes."""

    players = ("generator", "discriminator")

    def __init__(self):
        super().__init__()
        self.generator = nn.Linear(4, 4)
        self.discriminator = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))

    def losses(self, batch, player):
        made = self.generator(batch["x"])
        if player == "generator":
            return {"fool": functional.softplus(-self.discriminator(made)).mean()}
        real = functional.softplus(-self.discriminator(batch["x"])).mean()
        return {
            "real": real,
            "made": functional.softplus(self.discriminator(made.detach())).mean(),
        }

    def validate(self, batch):
        return {"made": self.generator(batch["x"]).abs().mean()}


class SharedGan(Gan):
    """The same, with one forward pass of the generator for both."""

    shared_player = "generator"

    def shared(self, batch):
        return {"made": self.generator(batch["x"])}

    def losses(self, batch, player):
        made = batch["shared"]["made"]
        assert made.requires_grad == (player == self.shared_player)
        if player == "generator":
            return {"fool": functional.softplus(-self.discriminator(made)).mean()}
        return {
            "real": functional.softplus(-self.discriminator(batch["x"])).mean(),
            "made": functional.softplus(self.discriminator(made)).mean(),
        }


class NormedGan(Task):
    """Two players that share what the generator makes; batch norm and spectral norm."""

    players = ("discriminator", "generator")
    shared_player = "generator"

    def __init__(self, norm=nn.BatchNorm1d):
        super().__init__()
        self.generator = nn.Sequential(nn.Linear(4, 8), norm(8), nn.ReLU(), nn.Linear(8, 4))
        self.discriminator = nn.Sequential(
            spectral_norm(nn.Linear(4, 8)),
            norm(8),
            nn.LeakyReLU(0.2),
            spectral_norm(nn.Linear(8, 1)),
        )

    def shared(self, batch):
        return {"made": self.generator(batch["x"])}

    def losses(self, batch, player):
        made = batch["shared"]["made"]
        if player == "generator":
            fool = functional.softplus(-self.discriminator(made)).mean()
            return {"near": (made - batch["x"]).square().mean(), "fool": fool}
        assert not made.requires_grad, "the discriminator must not reach the generator"
        return {
            "real": functional.softplus(-self.discriminator(batch["x"])).mean(),
            "made": functional.softplus(self.discriminator(made)).mean(),
        }

    def validate(self, batch):
        made = self.generator(batch["x"])
        return {"near": (made - batch["x"]).square().mean(), "step": torch.tensor(batch["step"])}


def batch_at(step, items=12, seed=0):
    rng = np.random.default_rng([seed, step])
    x = torch.from_numpy(rng.standard_normal((items, 4), np.float32))
    return {"x": x, "keys": [f"step{step}-item{place}" for place in range(items)]}


SOURCE = WholeBatches(batch_at)
HELD_OUT = Validation(WholeBatches(lambda step: batch_at(step, items=5, seed=1)), 3)


def made(kind=Regression, **options):
    """A task with the same start every time."""
    seed_all(0, "weights")
    return kind(**options)


def weights(task):
    return {name: value.clone() for name, value in task.state_dict().items()}


def same(one, two):
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def with_(params=PARAMS, **changes):
    return FitParams(**{**params.model_dump(), **changes})
