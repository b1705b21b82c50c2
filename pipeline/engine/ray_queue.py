"""The items of a run: who is next, which go into one call, and what becomes of those whose worker
died.
"""

from collections import Counter, deque
from collections.abc import Sequence, Set
from dataclasses import replace
from typing import Any

from pipeline.engine import outcome as ending
from pipeline.engine.cache import Cache
from pipeline.engine.outcome import Outcome, Work
from pipeline.engine.ray_deaths import ATTEMPTS, MACHINE_ATTEMPTS, Death
from pipeline.engine.ray_worker import Answer
from pipeline.engine.stage import Stage

CALL_S = 0.1
"""As many items go into a call as take so long ..."""
ITEMS_PER_CALL = 64
"""... but not more than these."""
RECENT_CALLS = 8
"""The longest mean time per item of so many calls is what the next items are expected to take."""


class WorkQueue:
    """Items that no worker has, those that are to be tried alone, and how often which one ended."""

    def __init__(self, stage: Stage[Any, Any], cache: Cache, work: Sequence[Work]) -> None:
        self.stage, self.cache, self.left = stage, cache, deque(longest_first(work))
        self.suspects: list[Work] = []
        self.alone = False
        self.singles: set[str] = set()
        """Keys of items that get a call of their own, since a worker has died with them."""
        self.failed_on: dict[str, set[str]] = {}
        """Cache key -> nodes on which a worker was lost with the item."""
        self.item_s: deque[float] = deque([CALL_S], maxlen=RECENT_CALLS)
        self.ended: Counter[tuple[str, str, bool]] = Counter()

    def __len__(self) -> int:
        return len(self.left)

    def take(self, node: str, nodes: Set[str], workers: int) -> list[Work]:
        """Take the items of the next call: none where all that are left belong on another node.

        Args:
            node: where the worker is that asks.
            nodes: all that have workers.
            workers: how many there are.
        """
        most = min(ITEMS_PER_CALL, int(CALL_S / max(1e-6, *self.item_s)))
        most = min(most, len(self.left) // (2 * max(1, workers)))  # the last ones: spread
        first = self._first(node, nodes)
        taken = [first] if first else []
        while taken and len(taken) < most and not {taken[0].key, self.left[0].key} & self.singles:
            taken.append(self.left.popleft())
        return taken

    def _first(self, node: str, nodes: Set[str]) -> Work | None:
        for number, one in enumerate(self.left):
            failed = self.failed_on.get(one.key, set())
            if self.alone or node not in failed or not nodes - failed:
                del self.left[number]
                return one
        return None

    def count(self, answer: Answer) -> None:
        """Learn from a call how long items take."""
        if answer.outcomes:
            self.item_s.append(answer.busy_s / len(answer.outcomes))

    def finished(self, work: Sequence[Work]) -> tuple[list[Outcome], list[Work]]:
        """Return what a lost call had finished, by the item cache, and what it had not."""
        found, left = [], []
        for one in work:
            stored = self.cache.lookup(one.key)
            if stored is None:
                left.append(one)
            else:
                outcome = Outcome.from_json(stored, one.item_id, one.key)
                found.append(replace(outcome, cached=False))
        return found, left

    def split(self, work: Sequence[Work]) -> list[Outcome]:
        """Return what a lost call of several items had finished; let the others come one by one."""
        found, left = self.finished(work)
        self.singles.update(one.key for one in left)
        self.left.extend(left)
        return found

    def blame(self, work: Work, death: Death, node: str) -> Outcome | None:
        """Put the item of a dead worker back, or return its ending."""
        counted = (work.key, death.reason, death.by_machine)
        self.ended[counted] += 1
        most = MACHINE_ATTEMPTS if death.by_machine else ATTEMPTS.get(death.reason, 0)
        plain = death.reason != "node_lost"
        again = replace(work, item=self.stage.plain(work.item)) if plain else work
        self.singles.add(work.key)
        if self.ended[counted] < most:
            self.failed_on.setdefault(work.key, set()).add(node)
            self.left.append(again)
        elif death.reason not in ATTEMPTS and not self.alone:
            self.suspects.append(again)
        else:
            return self._end(work, death)
        return None

    def _end(self, work: Work, death: Death) -> Outcome:
        if death.reason == "worker_crashed":
            detail = f"{death.detail}, with no other item in work"
            return ending.quarantined(work, death.reason, detail)
        return ending.given_up(work, death.reason, death.detail)

    def bring_suspects(self) -> None:
        """Let the suspects come, one after the other with nothing else in work."""
        self.left.extend(self.suspects)
        self.suspects, self.alone = [], True


def longest_first(work: Sequence[Work]) -> list[Work]:
    """Return the items by descending deadline, then by name: no long one is left for the end."""
    return sorted(work, key=lambda one: (-one.deadline_s, one.item_id))
