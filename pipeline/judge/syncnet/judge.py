"""The SyncNet-compatible judge: mouth images against MFCC, with LSE-C and LSE-D.

Distances, offset, confidence (LSE-C) and smallest distance (LSE-D) follow syncnet_python; see
docs/syncnet_judge.md.

Reproducibility: batches have one fixed size per device, the last one padded, so a window's
embedding does not depend on the clip's length or on other clips; on the CPU neither on its place in
the batch nor on the number of threads (bit for bit, tested with PyTorch's oneDNN convolutions on
AVX-512). Another kind of processor, or a GPU, differs by rounding.

Sign: positive offset = sound early. Shape suffixes: T frames, H x W pixels, C colours, N samples,
M mfcc frames, K cepstra, W windows, D = 1024 embedding, B windows of a batch.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.judge.curve import JudgeResult
from pipeline.judge.syncnet.crops import CROP_PX
from pipeline.judge.syncnet.curve import read_distances, window_distances
from pipeline.judge.syncnet.mfcc import NUM_CEPSTRA, mfcc
from pipeline.judge.syncnet.network import (
    LIP_CHANNELS,
    WINDOW_FRAMES,
    WINDOW_MFCC,
    FastTower,
    SyncNet,
    load_network,
)
from pipeline.tables.rows import SAMPLES_PER_FRAME

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]
_Map = Callable[[Callable[[Any], Tensor], Iterable[Any]], Iterable[Tensor]]

MFCC_PER_FRAME = 4
MIN_FRAMES_WITH_SOUND = WINDOW_FRAMES + 1
"""The published code leaves out the last window, so 6 frames give one."""
BATCH_CPU, BATCH_CUDA = 8, 256
WINDOWS_AT_ONCE_CPU = 4
"""In the layers with the largest outputs: more than that leave the cache, and memory that large is
taken from the system and cleared anew for every batch."""
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class SyncNetJudge:
    """Scores one clip at a time."""

    name = "syncnet"

    def __init__(
        self, network: SyncNet, device: str = "cpu", precision: str = "float32", threads: int = 1
    ) -> None:
        self.device, self.dtype, self.threads = torch.device(device), PRECISIONS[precision], threads
        self.batch = BATCH_CUDA if self.device.type == "cuda" else BATCH_CPU
        on_cpu = self.device.type == "cpu"
        self.at_once = WINDOWS_AT_ONCE_CPU if on_cpu else self.batch
        winograd = on_cpu and self.dtype == torch.float32
        self.lip = self._placed(FastTower.lip(network, winograd))
        self.sound = self._placed(FastTower.sound(network, winograd))

    @classmethod
    def load(
        cls, path: Path, device: str = "cpu", precision: str = "float32", threads: int = 1
    ) -> "SyncNetJudge":
        """Read the weights.

        Args:
            device: `cpu` or a CUDA device.
            precision: `float32`, or `bfloat16` where it is faster.
            threads: of the CPU, independent of the process's setting. 1 for one worker per core.

        Raises:
            WeightsError: the file is absent, or its keys or shapes do not fit.
        """
        return cls(load_network(path), device, precision, threads)

    def score(
        self,
        crops: Iterable[Pixels],
        audio_N: NDArray[np.int16],
        mode: Literal["reference", "masked"] = "reference",
    ) -> JudgeResult:
        """Find the audio-visual offset of one face.

        Args:
            crops: frames (224, 224, 3), BGR, at 25 fps; read once, a batch at a time.
            audio_N: 16 kHz mono; sample 0 belongs to the start of the first frame.
            mode: audio beyond the clip's ends: `reference` = zeros, as published; `masked` = such
                pairs do not count.

        Raises:
            ValueError: fewer than 6 frames with sound, or another shape or type.
        """
        return read_distances(window_distances(*self.embed(crops, audio_N)), mode)

    def embed(self, crops: Iterable[Pixels], audio_N: NDArray[np.int16]) -> tuple[Floats, Floats]:
        """Return embeddings of lips and sound, each (W, 1024), not normalised.

        W = min(T, N // 640) - 5; window i covers frames i to i + 4 and mfcc frames 4 i to 4 i + 19.

        Raises:
            ValueError: fewer than 6 frames with sound, or another shape or type.
        """
        if audio_N.dtype != np.int16 or audio_N.ndim != 1:
            raise ValueError(f"sound must be mono int16, is {audio_N.dtype} {audio_N.shape}")
        with_audio = islice(crops, len(audio_N) // SAMPLES_PER_FRAME)
        with _exact_float32(), _workers(self.threads) as embed_all:
            lip_WD = self._embed_lips(with_audio, embed_all)
            return lip_WD, self._embed_sound(audio_N, len(lip_WD), embed_all)

    def _embed_lips(self, crops: Iterator[Pixels], embed_all: _Map) -> Floats:
        chunks = _chunks(crops, self.batch, pinned=self.device.type == "cuda")
        parts = list(embed_all(self._lip_batch, chunks))
        if not parts:
            raise ValueError(f"fewer than {MIN_FRAMES_WITH_SOUND} frames with sound")
        return torch.cat(parts).float().cpu().numpy()

    def _embed_sound(self, audio_N: NDArray[np.int16], count: int, embed_all: _Map) -> Floats:
        cepstra_MK = mfcc(audio_N).astype(np.float32)
        every = np.lib.stride_tricks.sliding_window_view(cepstra_MK, WINDOW_MFCC, axis=0)
        windows_WKM = every[::MFCC_PER_FRAME][:count]
        batches = (windows_WKM[at : at + self.batch] for at in range(0, count, self.batch))
        return torch.cat(list(embed_all(self._sound_batch, batches))).float().cpu().numpy()

    @torch.inference_mode()
    def _lip_batch(self, chunk: tuple[Tensor, int]) -> Tensor:
        frames_THWC, used = chunk
        there = frames_THWC.to(self.device, non_blocking=True)
        embedded: Tensor = self.lip(_windows(there, self.dtype), self.at_once)
        return embedded[:used]

    @torch.inference_mode()
    def _sound_batch(self, windows_BKM: Floats) -> Tensor:
        filled = torch.zeros((self.batch, 1, NUM_CEPSTRA, WINDOW_MFCC))
        filled[: len(windows_BKM), 0] = torch.from_numpy(np.ascontiguousarray(windows_BKM))
        there = filled.to(self.device, self.dtype).contiguous(memory_format=torch.channels_last)
        embedded: Tensor = self.sound(there)
        return embedded[: len(windows_BKM)]

    def _placed(self, tower: FastTower) -> FastTower:
        for weight in tower.to(self.device, self.dtype).parameters():
            if weight.ndim == 4:
                weight.data = weight.data.contiguous(memory_format=torch.channels_last)
        return tower


def _chunks(crops: Iterator[Pixels], batch: int, pinned: bool) -> Iterator[tuple[Tensor, int]]:
    """Yield (B + 4, H, W, C) frames and how many of their windows count; the rest is padding.

    Every frame after the fifth makes one more window count: the last window never does.
    """
    size = (batch + WINDOW_FRAMES, CROP_PX, CROP_PX, 3)
    frames = torch.zeros(size, dtype=torch.uint8, pin_memory=pinned)
    used = _fill(frames.numpy(), crops) - WINDOW_FRAMES
    while used > 0:
        yield frames[:-1], used
        after = torch.zeros(size, dtype=torch.uint8, pin_memory=pinned)
        after[:WINDOW_FRAMES] = frames[-WINDOW_FRAMES:]
        used, frames = _fill(after.numpy()[WINDOW_FRAMES:], crops), after


def _fill(room_THWC: Pixels, crops: Iterator[Pixels]) -> int:
    """Copy crops, whose memory the caller may reuse, and return their number."""
    count = 0
    for crop in islice(crops, len(room_THWC)):
        if crop.shape != (CROP_PX, CROP_PX, 3) or crop.dtype != np.uint8:
            wanted = f"{CROP_PX} x {CROP_PX} x 3 uint8"
            raise ValueError(f"crops must be {wanted}, one is {crop.shape} {crop.dtype}")
        room_THWC[count] = crop
        count += 1
    return count


def _windows(frames_THWC: Tensor, dtype: torch.dtype) -> Tensor:
    """Return (B, 16, H, W), a view: the frames of a window as channels, then one colour more.

    The colours of all frames lie beside one another at every pixel, so a window is a slice.
    """
    beside = torch.cat([*frames_THWC, frames_THWC[0, ..., :1]], dim=2).to(dtype)
    return beside.unfold(2, LIP_CHANNELS, 3).permute(2, 3, 0, 1)


@contextmanager
def _workers(count: int) -> Iterator[_Map]:
    """Yield a map over batches that runs on `count` threads, each batch on one of them.

    Threads with a batch each need no synchronisation, unlike threads that share a layer.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        if count == 1:
            yield map
        else:
            with ThreadPoolExecutor(
                count, initializer=torch.set_num_threads, initargs=(1,)
            ) as pool:
                yield partial(_in_order, pool, count)
    finally:
        torch.set_num_threads(before)


def _in_order(
    pool: ThreadPoolExecutor, count: int, run: Callable[[Any], Tensor], batches: Iterable[Any]
) -> Iterator[Tensor]:
    """Yield the results in the order of the batches, of which only a few are read ahead."""
    waiting: deque[Future[Tensor]] = deque()
    for batch in batches:
        waiting.append(pool.submit(run, batch))
        if len(waiting) > count:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


@contextmanager
def _exact_float32() -> Iterator[None]:
    """Keep TF32 off: float32 on a GPU means float32."""
    with torch.backends.cudnn.flags(benchmark=False, deterministic=True, allow_tf32=False):
        yield
