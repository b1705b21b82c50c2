"""A cluster in a process of its own (`tests.chaos.nodes`), as a test leads it."""

import subprocess
import sys

from tests.chaos.rehearsal import environment


class LedNodes:
    """The cluster."""

    def __init__(self, count: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.nodes", str(count)],
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.address = self._answer()

    def do(self, words: str) -> int:
        """Have a node killed or added, or nodes added by demand; return how many have been."""
        assert self.process.stdin
        self.process.stdin.write(f"{words}\n")
        self.process.stdin.flush()
        return int(self._answer())

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(60)

    def _answer(self) -> str:
        assert self.process.stdout
        for line in iter(self.process.stdout.readline, ""):
            if line.startswith("answer "):
                return line.split()[1]
        raise AssertionError("the cluster has ended")
