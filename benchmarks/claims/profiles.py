"""The profile of every system that is trained here: its `tiny`, and the bench's keys over it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel

from benchmarks.claims import diffusion_claims, neighbour_claims, syncnet_claims
from benchmarks.claims.claim import System, Variant
from benchmarks.claims.errors import ClaimsError
from pipeline.params.neighbours import (
    AvSyncNetProfile,
    SilentLipParams,
    StabilizedParams,
    TalkerProfile,
)
from pipeline.params.syncdiff import SyncDiffProfile
from pipeline.params.training import LdmProfile, SyncnetProfile

Profile = SyncnetProfile | LdmProfile | AvSyncNetProfile | TalkerProfile | SyncDiffProfile
Checked = TypeVar("Checked", bound=BaseModel)
TINY = "tiny"


@dataclass(frozen=True, slots=True)
class Bench:
    """How a system is trained here."""

    profile: Profile
    base: Mapping[str, Any]
    quick: Mapping[str, Any]
    """Over `base`, with `--quick`."""


BENCHES: Mapping[System, Bench] = {
    "syncnet": Bench(SyncnetProfile(), syncnet_claims.BASE, syncnet_claims.QUICK),
    "diffusion": Bench(LdmProfile(), diffusion_claims.BASE, diffusion_claims.QUICK),
    "avsyncnet": Bench(
        AvSyncNetProfile(), neighbour_claims.AVSYNCNET_BASE, neighbour_claims.AVSYNCNET_QUICK
    ),
    "silent_lip": Bench(
        SilentLipParams().profiles[TINY],
        neighbour_claims.SILENT_LIP_BASE,
        neighbour_claims.TALKER_QUICK,
    ),
    "stabilized": Bench(
        StabilizedParams().profiles[TINY],
        neighbour_claims.STABILIZED_BASE,
        neighbour_claims.TALKER_QUICK,
    ),
    "syncdiff": Bench(
        SyncDiffProfile(), neighbour_claims.SYNCDIFF_BASE, neighbour_claims.SYNCDIFF_QUICK
    ),
}


def profile_of(variant: Variant, seed: int, quick: bool) -> Profile:
    """Return the profile of a variant: the bench's own, then the variant's keys, then the seed.

    Raises:
        ClaimsError: a key is none of the profile's.
    """
    bench = BENCHES[variant.system]
    keys = {**bench.base, **variant.overrides, **(bench.quick if quick else {})}
    keys["fit.seed"] = seed
    return with_keys(bench.profile, keys)


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
