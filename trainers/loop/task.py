"""The interface of a trained model: all that the loop knows of it.

Shape suffixes: F frames, C colours, H and W pixels.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from torch import Tensor, nn

Batch = dict[str, Any]
"""Tensors whose first axis counts items, lists with one entry per item, and `keys: list[str]`.

The loop adds `item_seeds`, (B,) int64: draw an item's noise from it (trainers/loop/seeding.py) and
the result does not depend on micro-batches, ranks or resumes; `step`, int: the updates made before;
and, in the losses of a task with a `shared_player`, `shared`: what `Task.shared` returned."""


class Task(nn.Module, ABC):
    """Networks plus their losses. A GAN names two players; each has its own optimizer.

    While one player learns, the networks of the others are in eval mode: they only judge.
    """

    players: ClassVar[tuple[str, ...]] = ("generator",)
    """Updated in turn in every step; by default also the names of their networks."""
    shared_player: ClassVar[str | None] = None
    """The player that `shared` trains; all players are then updated from the same weights."""
    frozen: ClassVar[tuple[str, ...]] = ()
    """Submodules with public weights: never trained, never saved, always in eval mode."""
    has_unused_parameters: ClassVar[bool] = False
    """Whether some parameters may get no gradient (audio layers in a batch without audio);
    then several ranks search for such in every step. Otherwise it is taken for a mistake."""

    @abstractmethod
    def losses(self, batch: Batch, player: str) -> dict[str, Tensor]:
        """Return already weighted scalar terms for one player; the loop minimises their sum.

        Each is a mean over the batch's items (see `weight_of`), and every batch has the same
        names. Random numbers come from `item_seeds` or torch's own stream.
        """

    @abstractmethod
    def validate(self, batch: Batch) -> dict[str, Tensor]:
        """Return scalar metrics, means over the batch's items; called without gradients."""

    def shared(self, batch: Batch) -> dict[str, Tensor]:
        """Return what the losses of several players start from: what the generator made.

        Called once per micro-batch and step, with the networks of `shared_player` in train mode.
        The losses find it as `batch["shared"]`; all but those of `shared_player` get it detached.
        """
        del batch
        return {}

    def weight_of(self, batch: Batch) -> float:
        """Return the weight of the batch in a mean over batches: its number of items.

        A loss that averages over something else (frames with a face, say) counts that here.
        """
        return float(len(batch["keys"]))

    def networks_of(self, player: str) -> list[nn.Module]:
        """Return the networks of one player: the submodule of its name, unless a task says more."""
        return [self.get_submodule(player)]

    def parameters_of(self, player: str) -> list[nn.Parameter]:
        """Return the trainable parameters of one player: those of its networks."""
        networks = self.networks_of(player)
        return [p for network in networks for p in network.parameters() if p.requires_grad]

    def samples(self, rank: int, world_size: int) -> dict[str, Tensor]:
        """Return this rank's share of the samples for visual inspection, by name.

        uint8, (3, H, W) for a picture or (F, 3, H, W) for a video at 25 fps.
        """
        del rank, world_size
        return {}

    def train(self, mode: bool = True) -> Self:
        """Set the mode of all but the frozen modules."""
        super().train(mode)
        for name in self.frozen:
            self.get_submodule(name).eval()
        return self

    def saved_state(self) -> dict[str, Tensor]:
        """Return all weights and buffers but those of the frozen parts."""
        state = self.state_dict()
        return {name: value for name, value in state.items() if not self._is_frozen(name)}

    def load_saved_state(self, state: Mapping[str, Tensor]) -> None:
        """Load what `saved_state` returned.

        Raises:
            RuntimeError: names or shapes differ.
        """
        missing, unexpected = self.load_state_dict(state, strict=False)
        absent = [name for name in missing if not self._is_frozen(name)]
        if absent or unexpected:
            raise RuntimeError(f"weights missing: {absent}; weights unknown: {unexpected}")

    def _is_frozen(self, name: str) -> bool:
        return name.startswith(tuple(f"{part}." for part in self.frozen))
