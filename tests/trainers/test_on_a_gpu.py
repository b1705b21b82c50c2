"""What only a GPU can show. Needs no PyAV: `python -m pytest -m gpu tests/trainers`."""

import pytest
import torch

from benchmarks.training_cases import new_batch, new_task
from pipeline.params.fit import FitParams
from pipeline.params.training import LdmProfile, SyncnetProfile
from tests.trainers.loop.toy_tasks import HELD_OUT, SOURCE, Regression, made, weights, with_
from trainers.dubbing.precision import precision_for
from trainers.frozen import registry
from trainers.loop.batches import moved
from trainers.loop.fit import fit
from trainers.loop.optimizations import called_modules, compile_networks
from trainers.loop.precision import cast_layers
from trainers.loop.state import new_state
from trainers.loop.step import train_step
from trainers.loop.validation import seed_batch
from trainers.processes.world import World

pytestmark = pytest.mark.gpu
CPU, GPU = World(), World(device=torch.device("cuda", 0))
VIDEO = LdmProfile(
    stage="mini",
    vae="stand-in:sd-vae-ft-mse",
    whisper="mel",
    lpips="stand-in:lpips-vgg",
    videomae="stand-in:videomae-v2-giant",
    lpips_weight=0.1,
    trepa_weight=10.0,
    gradient_checkpointing=True,
    hole_loss=False,
)
PROFILES = {"syncnet": SyncnetProfile(), "ldm": VIDEO}


def terms(profile, world, precision="fp32", steps=1, compiled=False, batch=4):
    """The terms of the last of some steps of a new task."""
    task = new_task(profile, torch.device("cpu"), random_weights=True)
    params = FitParams(max_steps=9, learning_rate=1e-4, precision=precision, micro_batch=2)
    state = new_state(task, params, world)
    if compiled:
        compile_networks(state.task)
    data = new_batch(profile, batch)
    for step in range(steps):
        seeded = seed_batch(data, params, step, world)
        logged = train_step(state.task, state.players, seeded, step, params, world)
    return logged


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize(("precision", "rel"), [("fp32", 0.02), ("bf16", 0.1), ("fp16", 0.05)])
def test_a_step_on_a_gpu_has_the_terms_of_the_cpu(name, precision, rel):
    expected = terms(PROFILES[name], CPU)
    found = terms(PROFILES[name], GPU, precision)
    for term, value in expected.items():
        if "gradient" not in term:
            assert found[term] == pytest.approx(value, rel=rel, abs=1e-4), term


@pytest.mark.parametrize("name", PROFILES)
def test_compiled_steps_have_the_terms_of_plain_ones(name):
    expected = terms(PROFILES[name], GPU, "bf16", steps=3)
    found = terms(PROFILES[name], GPU, "bf16", steps=3, compiled=True)
    for term, value in expected.items():
        if "gradient" not in term:
            assert found[term] == pytest.approx(value, rel=0.1, abs=1e-3), term


def test_a_run_on_a_gpu_gives_the_weights_of_the_cpu(tmp_path):
    on_cpu, on_gpu = made(Regression, noise=0.2), made(Regression, noise=0.2)
    fit(on_cpu, SOURCE, with_(micro_batch=5), tmp_path / "cpu", HELD_OUT, CPU)
    fit(on_gpu, SOURCE, with_(micro_batch=5), tmp_path / "gpu", HELD_OUT, GPU)
    for name, value in weights(on_cpu).items():
        torch.testing.assert_close(weights(on_gpu)[name].cpu(), value, rtol=1e-2, atol=1e-3)


class Wide(Regression):
    """Takes a fifth of the GPU's memory for every item."""

    def losses(self, batch, player):
        total = torch.cuda.get_device_properties(0).total_memory
        taken = torch.empty(len(batch["keys"]), total // 5, dtype=torch.uint8, device="cuda")
        del taken
        return super().losses(batch, player)


def test_memory_that_really_runs_out_halves_the_micro_batch(tmp_path):
    task, small = made(Wide, noise=0.2), made(Regression, noise=0.2)
    outcome = fit(task, SOURCE, with_(), tmp_path / "wide", world=GPU)
    assert outcome.micro_batch == 3
    fit(small, SOURCE, with_(micro_batch=3), tmp_path / "small", world=GPU)
    for name, value in weights(small).items():
        torch.testing.assert_close(weights(task)[name], value)


def test_a_batch_comes_to_the_gpu_as_bytes_through_pinned_memory(monkeypatch):
    pinned, pin = [], torch.Tensor.pin_memory
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda x: pinned.append(x.dtype) or pin(x))
    batch = moved(new_batch(PROFILES["syncnet"], 2), GPU.device)
    assert batch["visual"].dtype == torch.uint8
    assert batch["visual"].is_cuda
    assert torch.uint8 in pinned


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_frozen_network_cast_once_gives_the_same_numbers(dtype):
    network = registry.vae("stand-in:sd-vae-ft-mse").network.to("cuda")
    latents = torch.randn(2, 4, 8, 8, device="cuda")
    with torch.autocast("cuda", dtype), torch.no_grad():
        expected = network.decode(latents)
        cast_layers(network, dtype)
        torch.testing.assert_close(network.decode(latents), expected)


def test_dubbing_chooses_16_bits():
    assert precision_for(GPU.device) in ("bf16", "fp16")


def test_all_parts_of_a_task_are_compiled():
    task = new_task(VIDEO, torch.device("cpu"), random_weights=True)
    compile_networks(task)
    assert all(part._compiled_call_impl is not None for part in called_modules(task))
