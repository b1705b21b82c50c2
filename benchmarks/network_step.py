"""Steps per second of one network on random inputs: StableSyncNet or the U-Net, any option.

python -m benchmarks.network_step tiny [--batch 16] [--precision bf16] [--compare] [--shards FOLDER]
python -m benchmarks.network_step syncnet_16_pixel_attn --device cuda --precision bf16 --compare
python -m benchmarks.network_step unet:stage2 --precision fp16 --batch 1 --checkpointing

A step is forward, loss, backward, clipping, AdamW, on random inputs that lie on the device. FLOPs
are those of convolutions and matrix products of one forward and backward pass (torch's counter,
without what checkpointing repeats); the peak is a large matrix product in the same precision, in
the same run. StableSyncNet needs nothing but torch here; the U-Net needs diffusers.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import clip_grad_norm_
from torch.utils.flop_counter import FlopCounterMode

from trainers.systems.latentsync.configs import STAGES, TOKENS_PER_FRAME
from trainers.systems.stable_syncnet.configs import CONFIGS
from trainers.systems.stable_syncnet.network import StableSyncNet

UNET = "unet:"
CPU_CLOCK = "BENCHMARK_CPU_CLOCK" in os.environ
"""Count CPU seconds, where other work shares the cores; with OMP_NUM_THREADS=1 only."""
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
Inputs = dict[str, Tensor]


@dataclass(frozen=True)
class Options:
    """What is measured."""

    batch: int
    precision: str
    device: torch.device
    steps: int
    checkpointing: bool = False
    channels_last: bool = False
    compiled: bool = False
    optimizer: str = "fused"

    def title(self) -> str:
        """Name what differs from the plain step."""
        named = {
            "channels-last": self.channels_last,
            "compile": self.compiled,
            f"{self.optimizer} AdamW": self.optimizer != "fused",
        }
        return ", ".join(name for name, wanted in named.items() if wanted) or "plain"


@dataclass(frozen=True)
class Measured:
    """Of one way to step."""

    first_s: float
    """The first step, compilation included."""
    step_s: float
    """Median of the others."""
    memory_gib: float
    loss: float


class SyncNetWork(nn.Module):
    """StableSyncNet with the published loss."""

    def __init__(self, name: str, checkpointing: bool) -> None:
        super().__init__()
        self.config = CONFIGS[name]
        self.network = StableSyncNet(self.config, checkpointing)

    def inputs(self, batch: int, device: torch.device) -> Inputs:
        """Return a batch of noise."""
        return {
            "visual": torch.randn(batch, *self.config.visual_shape, device=device),
            "mel": torch.randn(batch, *self.config.mel_shape, device=device),
            "in_sync": (torch.arange(batch, device=device) % 2).float(),
        }

    def loss(self, inputs: Inputs) -> Tensor:
        """Binary cross-entropy of the cosine."""
        visual, sound = self.network(inputs["visual"], inputs["mel"])
        cosine = (visual * sound).sum(dim=1).float().clamp(1e-6, 1 - 1e-6)
        return -torch.where(inputs["in_sync"] > 0.5, cosine, 1 - cosine).log().mean()


class UNetWork(nn.Module):
    """The U-Net of a published stage with the noise loss alone: no VAE, no pixel losses."""

    def __init__(self, name: str, checkpointing: bool) -> None:
        super().__init__()
        from trainers.systems.latentsync.network import LatentSyncUNet

        self.stage = STAGES[name]
        self.network = LatentSyncUNet(self.stage.unet)
        if checkpointing:
            self.network.checkpoint_gradients()
        self.network.train_only(self.stage.trained)

    def inputs(self, batch: int, device: torch.device) -> Inputs:
        """Return a batch of noise."""
        frames, size = self.stage.frames, self.stage.latent_size
        channels = self.stage.unet.input_channels
        tokens = (TOKENS_PER_FRAME, self.stage.unet.audio_width)
        return {
            "latents": torch.randn(batch, channels, frames, size, size, device=device),
            "timestep": torch.arange(batch, device=device) * 37 % 1000,
            "audio": torch.randn(batch, frames, *tokens, device=device),
            "noise": torch.randn(batch, 4, frames, size, size, device=device),
        }

    def loss(self, inputs: Inputs) -> Tensor:
        """Mean squared error of the noise."""
        made = self.network(inputs["latents"], inputs["timestep"], inputs["audio"])
        return functional.mse_loss(made.float(), inputs["noise"])


Work = SyncNetWork | UNetWork


def work_of(name: str, checkpointing: bool) -> Work:
    """Build what `name` names."""
    if name.startswith(UNET):
        return UNetWork(name.removeprefix(UNET), checkpointing)
    return SyncNetWork(name, checkpointing)


def flops_per_sample(name: str) -> float:
    """Count one forward and backward pass on the meta device, which computes nothing."""
    with torch.device("meta"):
        work = work_of(name, checkpointing=False)
        inputs = work.inputs(1, torch.device("meta"))
        with FlopCounterMode(display=False) as counter:
            backward(work.loss(inputs))
    return float(counter.get_total_flops())


def backward(loss: Tensor) -> None:
    """Make the gradients."""
    torch.autograd.backward(loss)


def peak_flops(options: Options) -> float:
    """Return the best FLOP/s of some large matrix products in the precision of the step."""
    on_gpu = options.device.type == "cuda"
    edge, times = (8192, 20) if on_gpu else (1024, 10)
    a = torch.randn(edge, edge, device=options.device, dtype=DTYPES[options.precision])
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32
    seconds = list(timed(lambda: a @ a, options.device, times))
    torch.backends.cuda.matmul.allow_tf32 = False
    return 2 * edge**3 / min(seconds[2:])


def timed(run: Callable[[], object], device: torch.device, times: int) -> Iterator[float]:
    """Yield the seconds of each run, the device's work included."""
    clock = time.process_time if CPU_CLOCK and device.type == "cpu" else time.perf_counter
    for _ in range(times):
        start = clock()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        yield clock() - start


def measured(name: str, options: Options) -> Measured:
    """Build the network, train it for some steps, and forget it."""
    torch.manual_seed(0)
    work = work_of(name, options.checkpointing).to(options.device)
    if options.channels_last:
        for parameter in work.parameters():
            if parameter.dim() == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    if options.compiled:
        torch.compiler.reset()
        work.network.compile()
    if options.device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(options.device)
    step = Step(work, options)
    seconds = list(timed(step, options.device, options.steps + 2))
    gpu = options.device.type == "cuda"
    memory = torch.cuda.max_memory_allocated(options.device) / 2**30 if gpu else float("nan")
    return Measured(seconds[0], statistics.median(seconds[2:]), memory, step.loss.item())


class Step:
    """One training step, again and again on the same batch."""

    def __init__(self, work: Work, options: Options) -> None:
        self.work, self.options = work, options
        self.parameters = [p for p in work.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            self.parameters,
            1e-5,
            fused=options.optimizer == "fused",
            foreach=options.optimizer == "foreach",
        )
        self.scaler = torch.amp.GradScaler(options.device.type, enabled=options.precision == "fp16")
        self.inputs = work.inputs(options.batch, options.device)
        self.loss = torch.tensor(0.0)

    def __call__(self) -> None:
        """Forward, backward, clip, update."""
        options = self.options
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast(
            options.device.type, DTYPES[options.precision], enabled=options.precision != "fp32"
        ):
            self.loss = self.work.loss(self.inputs)
        backward(self.scaler.scale(self.loss))
        self.scaler.unscale_(self.optimizer)
        clip_grad_norm_(self.parameters, 1.0)
        self.scaler.step(self.optimizer)
        self.scaler.update()


def variants(base: Options) -> list[Options]:
    """Return the plain step, each option alone, and the two that a run can choose together."""
    fast = replace(base, channels_last=True, compiled=True)
    return [
        base,
        replace(base, optimizer="foreach"),
        replace(base, optimizer="single"),
        replace(base, channels_last=True),
        replace(base, compiled=True),
        fast,
    ]


def windows_per_second(name: str, shards: str, batch: int, workers: int) -> float:
    """Return what the loader alone delivers: windows of the network's frames and size."""
    from trainers.data.index import index_shards
    from trainers.data.loader import Loader, LoaderConfig
    from trainers.data.order import OrderConfig
    from trainers.data.shard_urls import shard_urls
    from trainers.data.window_items import WindowItem

    frames, size = _window(name)
    index = index_shards(shard_urls(shards), min_frames=frames)
    order = OrderConfig(seed=0, batch=batch)
    config = LoaderConfig(order=order, window_frames=frames, size_px=size, workers=workers)
    batches = Loader(index, WindowItem(frames=frames), config).batches()
    for _ in range(2 * order.lanes):  # until every slot holds its first clip
        next(batches)
    start, made = time.perf_counter(), 0
    while time.perf_counter() - start < 10:
        made += len(next(batches).data["frames"])
    batches.close()
    return made / (time.perf_counter() - start)


def _window(name: str) -> tuple[int, int]:
    if name.startswith(UNET):
        stage = STAGES[name.removeprefix(UNET)]
        return stage.frames, stage.resolution_px
    return CONFIGS[name].num_frames, CONFIGS[name].resolution


def report(name: str, ways: Iterable[Options]) -> float:
    """Measure and print every way; return the samples per second of the first."""
    flops, first = flops_per_sample(name), 0.0
    titles = f"{'samples/s':>9} {'ratio':>6} {'TFLOP/s':>8} {'of peak':>7} {'GiB':>6} {'1st s':>5}"
    print(f"{'way':26} {titles}")
    for options in ways:
        if not first:
            peak = peak_flops(options)
        found = measured(name, options)
        rate = options.batch / found.step_s
        first = first or rate
        achieved = rate * flops
        print(
            f"{options.title():26} {rate:9.3g} {rate / first:6.2f} {achieved / 1e12:8.3g} "
            f"{achieved / peak:7.1%} {found.memory_gib:6.2f} {found.first_s:5.1f}",
            flush=True,
        )
    print(f"{flops / 1e9:.4g} GFLOP per sample; peak {peak / 1e12:.3g} TFLOP/s")
    return first


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=[*CONFIGS, *(UNET + stage for stage in STAGES)])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--precision", choices=DTYPES, default="fp32")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--optimizer", choices=["fused", "foreach", "single"], default="fused")
    for switch in ("checkpointing", "channels-last", "compile"):
        parser.add_argument(f"--{switch}", action="store_true")
    parser.add_argument("--compare", action="store_true", help="measure every option")
    parser.add_argument("--shards", help="measure the loader on these, too")
    parser.add_argument("--workers", type=int, default=0)
    given = parser.parse_args()
    base = Options(
        given.batch,
        given.precision,
        _device(given.device),
        given.steps,
        given.checkpointing,
        given.channels_last,
        given.compile,
        given.optimizer,
    )
    _print_facts(given.name, base)
    rate = report(given.name, variants(base) if given.compare else [base])
    if given.shards:
        loaded = windows_per_second(given.name, given.shards, given.batch, given.workers)
        share = rate / loaded
        print(f"loader alone: {loaded:.3g} windows/s with {given.workers} workers;", end=" ")
        print(f"one thread of it is busy {share:.1%} of the time of the first row")


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def _print_facts(name: str, options: Options) -> None:
    with torch.device("meta"):
        work = work_of(name, checkpointing=False)
    total = sum(p.numel() for p in work.parameters()) / 1e6
    trained = sum(p.numel() for p in work.parameters() if p.requires_grad) / 1e6
    gpu = options.device.type == "cuda"
    machine = torch.cuda.get_device_name() if gpu else f"CPU, {torch.get_num_threads()} threads"
    sizes = f"{total:.4g} M parameters, {trained:.4g} M trained"
    how = f"batch {options.batch}, {options.precision}"
    print(f"{name}: {sizes}; {how}; {machine}; torch {torch.__version__}", flush=True)
    if options.checkpointing:
        print("gradient checkpointing: the repeated forward pass is not counted as FLOPs")


if __name__ == "__main__":
    main()
