"""Speed options change no name of a weight, and numbers only by rounding."""

from functools import partial, partialmethod

import pytest
import torch
from torch import nn
from torch._dynamo.utils import counters

from pipeline.params.fit import FitParams
from tests.trainers.loop.toy_tasks import PARAMS, made, with_
from trainers.frozen import registry
from trainers.loop.batches import WholeBatches
from trainers.loop.fit import RunOptions, fit
from trainers.loop.optimizations import called_modules, compile_networks, set_gpu_modes
from trainers.loop.state import new_state
from trainers.loop.step import train_step
from trainers.loop.task import Task
from trainers.loop.validation import seed_batch
from trainers.processes.world import World
from trainers.systems.stable_syncnet.configs import CONFIGS
from trainers.systems.stable_syncnet.task import SyncNetTask


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


class Coded(Task):
    """A network between a frozen autoencoder's encode and decode, and a frozen judge."""

    frozen = ("frozen_modules",)

    def __init__(self):
        super().__init__()
        self.generator = Middle()
        self.vae = registry.vae("stand-in:taesd").network
        self.lpips = registry.lpips("stand-in:lpips-vgg").network
        self.frozen_modules = nn.ModuleDict({"vae": self.vae, "lpips": self.lpips})

    def losses(self, batch, player):
        made = self.vae.decode(self.generator(self.vae.encode(batch["picture"])))
        return {"lpips": self.lpips(made, batch["picture"]).mean()}

    def validate(self, batch):
        return self.losses(batch, "generator")


class Middle(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(4, 4, 1)

    def forward(self, latents):
        return self.layer(latents)


def coded():
    batch = {"picture": torch.rand(2, 3, 32, 32), "keys": ["a", "b"]}
    return made(Coded), batch


def windows():
    config = CONFIGS["tiny"]
    labels = torch.eye(2, dtype=torch.int8).repeat(2, 1, 1)
    pictures = torch.randint(256, (2, 2, *config.visual_shape), dtype=torch.uint8)
    batch = {"visual": pictures, "mel": torch.randn(2, 2, *config.mel_shape), "in_sync": labels}
    return SyncNetTask(config), {**batch, "keys": ["a", "b"]}


@pytest.fixture
def graphs(monkeypatch):
    """What torch.compile captured, by module; compiled code is the graph itself."""
    found, compile_usually = [], nn.Module.compile

    def compiled(module, **options):
        assert options == {"dynamic": False}

        def keep(graph, inputs):
            found.append(module)
            return graph.forward

        compile_usually(module, backend=keep, **options)

    monkeypatch.setattr(nn.Module, "compile", compiled)
    torch.compiler.reset()
    counters.clear()
    yield found
    torch.compiler.reset()
    counters.clear()


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")  # of dynamo
@pytest.mark.parametrize("new", [coded, windows])
def test_all_that_a_step_calls_is_compiled_once_and_as_a_whole(new, graphs):
    task, batch = new()
    params = FitParams(max_steps=2, learning_rate=1e-3)
    state = new_state(task, params, World())
    compile_networks(task)
    step = partial(train_step, task, state.players)
    step(seed_batch(batch, params, 0, World()), 0, params, World())
    assert {id(module) for module in graphs} == {id(part) for part in called_modules(task)}
    assert not counters["graph_break"]
    once = len(graphs)
    step(seed_batch(batch, params, 1, World()), 1, params, World())
    assert len(graphs) == once


def test_the_called_modules_are_those_behind_methods_and_in_dictionaries():
    task, _ = coded()
    encoder, decoder = task.vae.model.encoder, task.vae.model.decoder
    expected = [task.generator, encoder, decoder, task.lpips]
    assert {id(part) for part in called_modules(task)} == {id(part) for part in expected}


@pytest.fixture
def modes():
    """Put torch's modes back."""
    cuda, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = (cuda.allow_tf32, cudnn.allow_tf32, cudnn.benchmark)
    cuda.allow_tf32 = cudnn.allow_tf32 = cudnn.benchmark = False
    yield lambda: (cuda.allow_tf32, cudnn.allow_tf32, cudnn.benchmark)
    cuda.allow_tf32, cudnn.allow_tf32, cudnn.benchmark = before


def test_a_gpu_may_use_tf32_unless_exact_numbers_are_asked_for(modes):
    set_gpu_modes(torch.device("cpu"), exact_fp32=False)
    assert modes() == (False, False, False)
    set_gpu_modes(torch.device("cuda", 0), exact_fp32=False)
    assert modes() == (True, True, True)
    set_gpu_modes(torch.device("cuda", 0), exact_fp32=True)
    assert modes() == (False, False, True)
