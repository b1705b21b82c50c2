"""Speed options change no name of a weight, and numbers only by rounding."""

from functools import partialmethod

import torch
from torch import nn

from tests.trainers.loop.toy_tasks import PARAMS, made, with_
from trainers.loop.batches import WholeBatches
from trainers.loop.fit import RunOptions, fit
from trainers.loop.task import Task


class Judge(nn.Module):
    """Convolutions; torch.compile passes bare modules of torch.nn by."""

    def __init__(self):
        super().__init__()
        layers = nn.Conv2d(3, 8, 3), nn.SiLU(), nn.Conv2d(8, 8, 3), nn.Flatten(), nn.Linear(32, 1)
        self.layers = nn.Sequential(*layers)

    def forward(self, picture):
        return self.layers(picture)


class Pictures(Task):
    """One network of convolutions, and one along time."""

    def __init__(self):
        super().__init__()
        self.generator = Judge()
        self.frozen_video = nn.Conv3d(1, 1, 1).requires_grad_(False)

    def losses(self, batch, player):
        return {"square": (self.generator(batch["picture"]) - 1).square().mean()}

    def validate(self, batch):
        return self.losses(batch, "generator")


def pictures_at(step):
    generator = torch.Generator().manual_seed(step)
    made = torch.randn(4, 3, 6, 6, generator=generator)
    return {"picture": made, "keys": [f"{step}-{item}" for item in range(4)]}


def trained(folder, **options):
    task = made(Pictures)
    fit(task, WholeBatches(pictures_at), with_(PARAMS), folder, options=RunOptions(**options))
    return task


def test_channels_last_gives_the_same_weights_in_the_same_layout(tmp_path):
    seen = []
    hook = torch.nn.modules.module.register_module_forward_hook
    with hook(lambda module, _, __: seen.append((type(module), layout(module)))):
        fast = trained(tmp_path / "fast", channels_last=True)
    assert {last for kind, last in seen if kind is nn.Conv2d} == {True}
    usual = trained(tmp_path / "usual")
    for name, value in usual.state_dict().items():
        torch.testing.assert_close(fast.state_dict()[name], value, rtol=1e-5, atol=1e-6)
        assert fast.state_dict()[name].is_contiguous()


def layout(module):
    weight = getattr(module, "weight", None)
    return weight is not None and weight.is_contiguous(memory_format=torch.channels_last)


def test_compiled_networks_keep_the_names_of_their_weights(tmp_path, monkeypatch):
    compiled, compile_usually = [], nn.Module.compile

    def without_a_compiler(graph, inputs):
        compiled.append(graph)
        return graph.forward

    monkeypatch.setattr(
        nn.Module, "compile", partialmethod(compile_usually, backend=without_a_compiler)
    )
    fast, usual = trained(tmp_path / "fast", compile=True), trained(tmp_path / "usual")
    assert compiled
    assert list(fast.state_dict()) == list(usual.state_dict())
    for name, value in usual.state_dict().items():
        torch.testing.assert_close(fast.state_dict()[name], value, rtol=1e-5, atol=1e-6)
