"""Files of labels: read, compared, and made one verdict per clip."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from pipeline.audit.key_file import AuditError, Key, read_object
from pipeline.audit.statistics import LabelAgreement, agreement

FORMAT = "lipforge audit labels 1"
LABELS = ("good", "bad", "cannot_tell")
WHAT = "a file of labels, which the page of `lipforge audit page` saves"


@dataclass(frozen=True, slots=True)
class LabelFile:
    """What one person said in one file."""

    path: Path
    labeller: str
    draw: str
    labels: tuple[tuple[str, str], ...]
    """(Id on the page, label), in the order of the file."""


@dataclass(frozen=True, slots=True)
class PairAgreement:
    """Two labellers and how well they agree."""

    first: str
    second: str
    agreement: LabelAgreement


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What all labellers together said of every clip."""

    verdict: Mapping[str, str]
    """Id -> `good`, `bad`, or `cannot_tell` where nobody could or as many say the one as the
    other."""
    labellers: Mapping[str, int]
    """Name -> clips labelled."""
    pairs: tuple[PairAgreement, ...]
    contradictory: tuple[str, ...]
    """`NAME: ID`: one person's labels that differ; none of them counts."""
    split: int
    """Clips of which as many people say good as bad."""


def read_labels(paths: Iterable[Path], key: Key) -> list[LabelFile]:
    """Read files of labels.

    Raises:
        AuditError: one is no such file, or belongs to another page.
    """
    return [_read(path, key) for path in paths]


def _read(path: Path, key: Key) -> LabelFile:
    content = read_object(path, FORMAT, WHAT)
    try:
        labels = tuple((str(one["clip"]), str(one["label"])) for one in content["labels"])
        labeller, draw = str(content["labeller"]).strip(), content["draw"]
    except (KeyError, TypeError) as error:
        raise AuditError(f"{path}: a damaged file of labels: {error!r}") from error
    if draw != key.draw:
        raise AuditError(
            f"{path}: labels of another page (draw {draw}, the key's is {key.draw}); "
            "name its key with --key"
        )
    if wrong := {label for _, label in labels} - set(LABELS):
        raise AuditError(f"{path}: unknown label {min(wrong)!r}; known: {', '.join(LABELS)}")
    if not labeller:
        raise AuditError(f"{path}: no labeller; write a name under `labeller`")
    return LabelFile(path, labeller, draw, labels)


def verdicts(files: Sequence[LabelFile]) -> Verdicts:
    """Join the files: first each person's, then all people's by majority."""
    said: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for one in files:
        for clip, label in one.labels:
            said[one.labeller][clip].add(label)
    contradictory = sorted(
        f"{name}: {clip}"
        for name, own in said.items()
        for clip, labels in own.items()
        if len(labels) > 1
    )
    clear = {
        name: {clip: next(iter(labels)) for clip, labels in own.items() if len(labels) == 1}
        for name, own in sorted(said.items())
    }
    votes: dict[str, Counter[str]] = defaultdict(Counter)
    for own in clear.values():
        for clip, label in own.items():
            votes[clip][label] += 1
    return Verdicts(
        verdict={clip: _majority(count) for clip, count in sorted(votes.items())},
        labellers={name: len(own) for name, own in clear.items()},
        pairs=tuple(_pair(a, b, clear) for a, b in combinations(clear, 2)),
        contradictory=tuple(contradictory),
        split=sum(count["good"] == count["bad"] > 0 for count in votes.values()),
    )


def _majority(votes: Counter[str]) -> str:
    if votes["good"] == votes["bad"]:
        return "cannot_tell"
    return "good" if votes["good"] > votes["bad"] else "bad"


def _pair(first: str, second: str, clear: Mapping[str, Mapping[str, str]]) -> PairAgreement:
    both = sorted(clear[first].keys() & clear[second].keys())
    pairs = [(clear[first][clip], clear[second][clip]) for clip in both]
    return PairAgreement(first, second, agreement(pairs))
