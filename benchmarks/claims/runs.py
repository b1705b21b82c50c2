"""Runs: one variant with one seed. Named by what decides the outcome, so none is made twice.

`.cache/claims/<digest>/` of a run holds `run.json` (what to do), `log.txt`, `training/` while it
trains, and at the end `result.json`, with the weights or the pictures that others need.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.claims import neighbour_claims, syncnet_claims, temporal_encoder
from benchmarks.claims.claim import Claim, Variant
from benchmarks.claims.errors import ClaimsError
from benchmarks.claims.profiles import Profile, profile_of
from pipeline.digest import digest
from pipeline.params.neighbours import TalkerProfile
from pipeline.params.training import LdmProfile
from trainers.data.index import index_shards
from trainers.data.shard_urls import shard_urls

VERSION = 1
"""Incremented when the same facts give another result."""
STORE = Path(".cache/claims")
RESULT = "result.json"
SUPERVISING_SEED = 0
"""Of the networks that others are trained with; only that seed's weights are kept."""
SYNCNET_WEIGHTS = "stable_syncnet.safetensors"
AVSYNCNET_WEIGHTS = "avsyncnet.safetensors"
SILENT_LIP_MODEL = "silent_lip"
WEIGHTS = {
    "syncnet": SYNCNET_WEIGHTS,
    "temporal_encoder": temporal_encoder.FILE,
    "avsyncnet": AVSYNCNET_WEIGHTS,
    "silent_lip": f"{SILENT_LIP_MODEL}/generator.safetensors",
}
"""By system: the file that other runs read."""
LISTENING = {"clips": 6, "frames": 64}
QUICK_LISTENING = {"clips": 1, "frames": 34, "reader_clips": 4}
"""Held-out clips that a model dubs, frames of each, and training clips from which the readers of
the mouth learn; without a number all."""
EVALUATIONS: Mapping[str, Mapping[str, int]] = {
    "diffusion": LISTENING,
    "avsyncnet": {"clips": 8, "windows": 12},
    "stabilized": {"clips": 4, "frames": 48, "reader_clips": 16, "silence_clips": 2},
    "syncdiff": {"clips": 4, "frames": 48, "reader_clips": 16, "itself": 0},
}
QUICK_EVALUATIONS: Mapping[str, Mapping[str, int]] = {
    "diffusion": QUICK_LISTENING,
    "avsyncnet": {"clips": 1, "windows": 4},
    "stabilized": {**QUICK_LISTENING, "silence_clips": 1},
    "syncdiff": {**QUICK_LISTENING, "itself": 0},
}
"""How a system's models are measured when they are trained; `itself`: also with the pictures
themselves as reference. What is not named is only validated."""
ON_ALL_HELD_OUT = ("avsyncnet", "stabilized", "syncdiff")
"""Systems that are measured on val and test; the others on val alone."""
OURS = "ours"
MADE_FOR = "made_for.json"
"""Among the other sets: the digests of our own clips when they were made."""
MAKE_SETS = "make them with `python -m benchmarks.claims.shard_sets` from that curation's tables"


@dataclass(frozen=True, slots=True)
class Shards:
    """Where the clips lie."""

    ours: Path
    """With `train` and `val`."""
    sets: Path
    """With one folder per other set, each with `train`."""

    def train(self, name: str) -> Path:
        """Return the folder of the training tars of a set.

        Raises:
            ClaimsError: the other sets are of another curation, whose films may be held out here.
        """
        if name == OURS:
            return self.ours / "train"
        if not (self.sets / MADE_FOR).exists() or self._made_for() != self.facts():
            raise ClaimsError(f"{self.sets}: no sets made for {self.ours}; {MAKE_SETS}")
        return self.sets / name / "train"

    def facts(self) -> dict[str, str]:
        """Return the digests of our own clips: what other sets are compared with."""
        return {
            "train": fingerprint(self.ours / "train"),
            "validation": fingerprint(self.validation),
        }

    def _made_for(self) -> dict[str, str]:
        found: dict[str, str] = json.loads((self.sets / MADE_FOR).read_text(encoding="utf-8"))
        return found

    @property
    def validation(self) -> Path:
        """Our held-out clips, the same for every set."""
        return self.ours / "val"

    @property
    def held_out(self) -> tuple[Path, ...]:
        """Folders of all held-out clips: val, and test if it has any."""
        test = self.ours / "test"
        return (self.validation, test) if any(test.glob("**/*.tar")) else (self.validation,)


@dataclass(frozen=True, slots=True)
class Run:
    """One training with its measurements."""

    facts: Mapping[str, Any]
    """All that decides the result, as JSON."""
    train: Path
    validation: Path
    needs: "tuple[Run, ...]" = ()
    """Runs whose weights this one reads."""
    held_out: tuple[Path, ...] = ()
    """Folders of the clips that it is measured on, if they are not those of `validation`."""

    @property
    def digest(self) -> str:
        """Name of the run."""
        return digest(self.facts)[:20]

    @property
    def folder(self) -> Path:
        """Where its files lie."""
        return STORE / self.digest

    @property
    def finished(self) -> bool:
        """Whether there is a result."""
        return (self.folder / RESULT).exists()

    def result(self) -> dict[str, Any]:
        """Return what the run wrote."""
        found: dict[str, Any] = json.loads((self.folder / RESULT).read_text(encoding="utf-8"))
        return found

    def order(self) -> dict[str, Any]:
        """Return the content of `run.json`."""
        weights = {
            one.facts["system"]: one.folder / WEIGHTS[one.facts["system"]] for one in self.needs
        }
        return {
            "facts": dict(self.facts),
            "train": str(self.train),
            "validation": str(self.validation),
            "held_out": [str(one) for one in self.held_out or (self.validation,)],
            "weights": {system: str(path) for system, path in weights.items()},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is run for which claim."""

    claims: Sequence[Claim]
    seeds: int
    quick: bool
    shards: Shards

    def run(self, variant: Variant, seed: int) -> Run:
        """Return the run of a variant with a seed."""
        profile = profile_of(variant, seed, self.quick)
        needs = self._needs(variant, profile)
        facts = {
            "version": VERSION,
            "system": variant.system,
            "architecture": variant.architecture,
            "profile": profile.model_dump(),
            "needs": [one.digest for one in needs],
            **self._clips(variant.shards),
        }
        evaluations = QUICK_EVALUATIONS if self.quick else EVALUATIONS
        if variant.system in evaluations:
            facts["evaluation"] = dict(evaluations[variant.system])
        held_out: tuple[Path, ...] = ()
        if variant.system in ON_ALL_HELD_OUT:
            held_out = self.shards.held_out
            facts["held_out"] = fingerprint(*held_out)
        train = self.shards.train(variant.shards)
        return Run(facts, train, self.shards.validation, needs, held_out)

    def _needs(self, variant: Variant, profile: Profile) -> tuple[Run, ...]:
        """Return the runs whose networks a model is trained with."""
        if isinstance(profile, LdmProfile):
            sync = [self._supervisor(syncnet_claims.OURS)] if profile.sync_weight else []
            return (*sync, *([self._encoder()] if profile.trepa_weight else []))
        if not isinstance(profile, TalkerProfile):
            return ()
        heard_with = self._supervisor(neighbour_claims.AVSYNCNET)
        if variant.system == "silent_lip":
            return (heard_with,)
        return (heard_with, self._supervisor(neighbour_claims.SILENT_LIP))

    def _supervisor(self, variant: Variant) -> Run:
        return self.run(variant, SUPERVISING_SEED)

    def _encoder(self) -> Run:
        steps = temporal_encoder.QUICK_STEPS if self.quick else temporal_encoder.STEPS
        facts = {
            "version": VERSION,
            "system": "temporal_encoder",
            "profile": {"seed": 0, "steps": steps},
            **self._clips(OURS),
        }
        return Run(facts, self.shards.train(OURS), self.shards.validation)

    def _clips(self, name: str) -> dict[str, str]:
        train, validation = self.shards.train(name), self.shards.validation
        return {"train": fingerprint(train), "validation": fingerprint(validation)}

    def runs_of(self, claim: Claim) -> dict[str, list[Run]]:
        """Return the runs of every variant, by seed."""
        return {
            key: [self.run(variant, seed) for seed in range(self.seeds)]
            for key, variant in claim.variants.items()
        }

    def all_runs(self) -> list[Run]:
        """Return every run once: those that others need first, then seed by seed."""
        by_seed: list[list[Run]] = [
            [self.runs_of(claim)[key][seed] for claim in self.claims for key in claim.variants]
            for seed in range(self.seeds)
        ]
        runs = [run for one in by_seed for run in one]
        needed = [one for run in runs for one in run.needs]
        return list({run.digest: run for run in [*needed, *runs]}.values())


@cache
def fingerprint(*folders: Path) -> str:
    """Return a digest of the clips of folders, whatever their paths."""
    for folder in folders:
        if not any(folder.glob("**/*.tar")):
            raise ClaimsError(f"{folder}: no .tar; `make repro` makes data/shards")
    return index_shards(shard_urls(folders), min_frames=1).fingerprint()


def chosen(claims: Iterable[Claim], only: str) -> list[Claim]:
    """Return the claims whose keys begin with one of the comma-separated words; all if empty.

    Raises:
        ClaimsError: a word fits none.
    """
    claims = list(claims)
    words = [word for word in only.split(",") if word]
    for word in words:
        if not any(claim.key.startswith(word) for claim in claims):
            known = ", ".join(claim.key for claim in claims)
            raise ClaimsError(f"--only {word}: no such claim; known: {known}")
    return [one for one in claims if not words or one.key.startswith(tuple(words))]
