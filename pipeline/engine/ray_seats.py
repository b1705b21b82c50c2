"""How many workers there may be, and what each asks of its node.

Ray places a worker as soon as a node has what it asks for. So workers are not counted against the
cluster: a few more than it has room for are asked for and wait, which costs nothing, is seen by an
autoscaler as demand, and is taken up at once by a node that joins.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import ray

from pipeline.engine.ray_connection import wanted_cpus
from pipeline.engine.stage import Resources
from pipeline.params.environment import environment

LEAST_WAITING, MOST_WAITING = 4, 64
"""So many workers may wait for a place on a cluster: as many as have one, within these bounds."""


@dataclass(frozen=True, slots=True)
class Seats:
    """The bounds of one run."""

    need: Resources
    most: int | None
    """Workers at a time; None: as many as the cluster takes."""
    elastic: bool
    """False on this machine alone, where no node ever joins."""

    @classmethod
    def of(cls, need: Resources, workers: int | None) -> "Seats":
        """Read the variables and look at the cluster.

        Args:
            workers: at most so many; None: LIPFORGE_WORKERS.
        """
        most, elastic = workers or environment().workers, bool(environment().ray_address)
        if not elastic and workers is None:  # a head may have more CPUs, of a command before
            most = max(1, int(wanted_cpus() / need.cpus))
        return cls(need, most, elastic)

    def wanted(self, placed: int, waiting: int, items: int) -> int:
        """Return how many workers to ask for now.

        Args:
            placed: workers that run.
            waiting: workers that wait for a place.
            items: those in the queue.
        """
        room = items - waiting
        if self.most is not None:
            room = min(room, self.most - placed - waiting)
        if self.elastic:
            room = min(room, min(MOST_WAITING, max(LEAST_WAITING, placed)) - waiting)
        return max(0, room)

    def options(self) -> dict[str, float]:
        """Return what a worker asks of its node, as Ray's options.

        Memory is bounded by the largest node's, so that a small machine has one worker; a card's
        share is asked for only where there is a card, and where LIPFORGE_GPU leaves the choice.
        """
        nodes = [node["Resources"] for node in _nodes() if node["Alive"]]
        return options_on(nodes, self.need, "gpu" not in environment().model_fields_set)

    def __str__(self) -> str:
        options = self.options()
        memory = f"{options['memory'] / 1e9:.1f} GB of memory"
        gpus = f", {options['num_gpus']:g} GPU" if options["num_gpus"] else ""
        return f"{options['num_cpus']:g} CPU, {memory}{gpus}"


def options_on(
    nodes: list[Mapping[str, float]], need: Resources, any_gpu: bool
) -> dict[str, float]:
    """Return `Seats.options` for these nodes' resources."""
    fit = [node for node in nodes if node.get("CPU", 0.0) >= need.cpus]
    largest = max((node.get("memory", 0.0) for node in fit), default=need.memory_bytes)
    gpus = need.gpus if any_gpu and any(node.get("GPU") for node in nodes) else 0.0
    memory = int(min(need.memory_bytes, largest))
    return {"num_cpus": need.cpus, "num_gpus": gpus, "memory": memory}


def _nodes() -> list[dict[str, Any]]:
    known: Callable[[], list[dict[str, Any]]] = ray.nodes  # Ray gives it no type
    return known()
