"""The items that go through the networks at once: halved where the GPU's memory does not do."""

import gc
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch

from pipeline.errors import ParamsError
from pipeline.params.fit import FitParams
from trainers.processes.world import World

Result = TypeVar("Result")

logger = logging.getLogger(__name__)


@dataclass
class MicroBatch:
    """The micro-batch in use: `fit.micro_batch`, or less since memory ran out."""

    items: int | None

    def of(self, params: FitParams) -> FitParams:
        """Return the params with the micro-batch in use."""
        return params.model_copy(update={"micro_batch": self.items})

    def fitting(
        self,
        params: FitParams,
        most: Callable[[], int],
        world: World,
        work: Callable[[FitParams], Result],
    ) -> Result:
        """Do the work; as often as memory runs out, halve the micro-batch and do it again.

        The work must begin by seeding the random streams and leave nothing behind that its
        repetition would not replace: then the result is that of the smaller micro-batch.

        Args:
            most: says how many items the work has at once without micro-batches.

        Raises:
            ParamsError: one item is too much, or there are several processes: they have exchanged
                gradients that a single one cannot take back.
        """
        while True:
            try:
                return work(self.of(params))
            except torch.OutOfMemoryError as error:
                reason = str(error).strip().split("\n")[0]
            # Only behind the block is the memory free that the error's traceback held.
            self._halve(most(), world, reason)

    def _halve(self, most: int, world: World, reason: str) -> None:
        now = min(self.items or most, most)
        if now == 1 or world.size > 1:
            fix = (
                "one item at a time is too much: turn gradient_checkpointing on, or take a GPU "
                "with more memory"
                if now == 1
                else "several processes cannot lower it on their own: lower it in params.yaml"
            )
            raise ParamsError(f"fit.micro_batch: {now} items need more memory; {fix}: {reason}")
        self.items = (now + 1) // 2
        gc.collect()
        if world.device.type == "cuda":
            torch.cuda.empty_cache()
        logger.warning(
            "out of memory with %d items at once; from here on %d (fit.micro_batch): %s",
            now,
            self.items,
            reason,
        )
