"""Runs: one variant with one seed. Named by what decides the outcome, so none is made twice.

`.cache/claims/<digest>/` of a run holds `run.json` (what to do), `log.txt`, `training/` while it
trains, and at the end `result.json`, with the weights or the pictures that others need.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from benchmarks.claims import diffusion_claims, syncnet_claims, temporal_encoder
from benchmarks.claims.claim import Claim, Variant
from pipeline.digest import digest
from pipeline.errors import LipforgeError
from pipeline.params.training import LdmProfile, SyncnetProfile
from trainers.data.index import index_shards
from trainers.data.shard_urls import shard_urls

VERSION = 1
"""Incremented when the same facts give another result."""
STORE = Path(".cache/claims")
RESULT = "result.json"
SUPERVISING_SEED = 0
"""Of the StableSyncNet that supervises the diffusion model; only that seed's weights are kept."""
SYNCNET_WEIGHTS = "stable_syncnet.safetensors"
WEIGHTS = {"syncnet": SYNCNET_WEIGHTS, "temporal_encoder": temporal_encoder.FILE}
"""By system: the file that other runs read."""
LISTENING = {"clips": 6, "frames": 64}
QUICK_LISTENING = {"clips": 1, "frames": 34, "reader_clips": 4}
"""Held-out clips that a diffusion model dubs, frames of each, and training clips from which the
readers of the mouth learn; without a number all."""
OURS = "ours"
MADE_FOR = "made_for.json"
"""Among the other sets: the digests of our own clips when they were made."""
MAKE_SETS = "make them with `python -m benchmarks.claims.shard_sets` from that curation's tables"
Profile = SyncnetProfile | LdmProfile
Checked = TypeVar("Checked", bound=BaseModel)


class ClaimsError(LipforgeError):
    """The bench cannot run as asked; the message says what to do."""


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


@dataclass(frozen=True, slots=True)
class Run:
    """One training with its measurements."""

    facts: Mapping[str, Any]
    """All that decides the result, as JSON."""
    train: Path
    validation: Path
    needs: "tuple[Run, ...]" = ()
    """Runs whose weights this one reads."""

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
        needs = self._needs(profile)
        facts = {
            "version": VERSION,
            "system": variant.system,
            "architecture": variant.architecture,
            "profile": profile.model_dump(),
            "needs": [one.digest for one in needs],
            **self._clips(variant.shards),
        }
        if variant.system == "diffusion":
            facts["evaluation"] = QUICK_LISTENING if self.quick else LISTENING
        return Run(facts, self.shards.train(variant.shards), self.shards.validation, needs)

    def _needs(self, profile: Profile) -> tuple[Run, ...]:
        """Return the runs whose networks a diffusion model is supervised by."""
        if not isinstance(profile, LdmProfile):
            return ()
        sync = [self.run(syncnet_claims.OURS, SUPERVISING_SEED)] if profile.sync_weight else []
        return (*sync, *([self._encoder()] if profile.trepa_weight else []))

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


def profile_of(variant: Variant, seed: int, quick: bool) -> Profile:
    """Return the profile of a variant: the bench's own, then the variant's keys, then the seed.

    Raises:
        ClaimsError: a key is none of the profile's.
    """
    module = syncnet_claims if variant.system == "syncnet" else diffusion_claims
    keys = {**module.BASE, **variant.overrides, **(module.QUICK if quick else {})}
    keys["fit.seed"] = seed
    base: Profile = SyncnetProfile() if variant.system == "syncnet" else LdmProfile()
    return with_keys(base, keys)


def with_keys(profile: Checked, keys: Mapping[str, Any]) -> Checked:
    """Return the profile with dotted keys replaced, checked again.

    Raises:
        ClaimsError: a key is none of the profile's.
    """
    content = profile.model_dump()
    for name, value in keys.items():
        *path, last = name.split(".")
        section = content
        for part in path:
            section = section[part]
        if last not in section:
            known = ", ".join(sorted(section))
            raise ClaimsError(f"{name}: no key of {type(profile).__name__}; known: {known}")
        section[last] = value
    return type(profile).model_validate(content)


@cache
def fingerprint(folder: Path) -> str:
    """Return a digest of the clips of a folder, whatever their paths."""
    if not any(folder.glob("**/*.tar")):
        raise ClaimsError(f"{folder}: no .tar; `make repro` makes data/shards")
    return index_shards(shard_urls(folder), min_frames=1).fingerprint()


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
