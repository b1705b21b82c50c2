"""`python -m tests.chaos.nodes [NODES]`: a cluster of several nodes on this machine, led by stdin.

Prints the address. `kill` ends the last node at once, `add` adds one, `scale N` adds nodes from now
on while workers wait for a place and there are fewer than N, as an autoscaler does; `started` asks
how many there have been. Each is answered by a line. It ends with its stdin.
"""

import select
import sys
from typing import Any

from ray._raylet import GcsClient
from ray.autoscaler.v2.sdk import get_cluster_resource_state
from ray.cluster_utils import Cluster

STORE: dict[str, Any] = {"object_store_memory": 80 * 2**20}
POLL_S = 1.0


class Nodes:
    """The head, which has no CPU for workers, and nodes of one CPU."""

    def __init__(self, count: int) -> None:
        head = {"num_cpus": 0, "include_dashboard": False, **STORE}
        self.cluster = Cluster(initialize_head=True, head_node_args=head)
        self.alive: list[Any] = []
        self.started = self.wanted = 0
        for _ in range(count):
            self.add()
        self.cluster.wait_for_nodes()

    def add(self) -> None:
        self.alive.append(self.cluster.add_node(num_cpus=1, **STORE))
        self.started += 1

    def scale(self) -> None:
        """Add a node if a worker waits for one."""
        if len(self.alive) >= self.wanted:
            return
        client = GcsClient(address=self.cluster.address)
        if get_cluster_resource_state(client).pending_resource_requests:
            self.add()

    def obey(self, words: list[str]) -> str:
        if words[0] == "kill":
            self.cluster.remove_node(self.alive.pop(), allow_graceful=False)
        elif words[0] == "add":
            self.add()
        elif words[0] == "scale":
            self.wanted = int(words[1])
        return str(self.started)


def main() -> None:
    """Do as stdin says, and look after the demand meanwhile."""
    nodes = Nodes(int(sys.argv[1]) if sys.argv[1:] else 2)
    _say(nodes.cluster.address)
    while True:
        if not select.select([sys.stdin], [], [], POLL_S)[0]:
            nodes.scale()
        elif line := sys.stdin.readline():
            _say(nodes.obey(line.split()))
        else:
            break
    nodes.cluster.shutdown()


def _say(text: str) -> None:
    sys.stdout.write(f"answer {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
