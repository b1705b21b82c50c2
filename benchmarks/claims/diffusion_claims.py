"""Claims on the diffusion model, with the bench's profile for it."""

from collections.abc import Mapping
from typing import Any

from benchmarks.claims.claim import Claim

BASE: Mapping[str, Any] = {}
QUICK: Mapping[str, Any] = {}
DIFFUSION_CLAIMS: tuple[Claim, ...] = ()
