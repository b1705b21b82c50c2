"""What a claim is: a statement with its source, variants that are trained, and what decides.

The comparisons of a claim and their direction are written down before anything is trained. The
rule is the same for all of them, see `benchmarks/claims/verdicts.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

System = Literal["syncnet", "diffusion", "avsyncnet", "silent_lip", "stabilized", "syncdiff"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One way to train. Variants that differ in label only share their runs."""

    label: str
    system: System
    overrides: Mapping[str, Any] = field(default_factory=dict)
    """Keys of the profile (`fit.max_steps`) and their values, over the bench's own profile."""
    shards: str = "ours"
    """`ours`, or a set of `benchmarks/claims/shard_sets.py`, to train on."""
    architecture: str = ""
    """`wav2lip`: the network of `benchmarks/claims/wav2lip_syncnet.py` in place of ours;
    `wav2lip_narrow`: the same with fewer channels."""

    @classmethod
    def of(
        cls, system: System, label: str, shards: str = "ours", architecture: str = "", **keys: Any
    ) -> "Variant":
        """Args: `keys` of the profile; two underscores stand for a dot."""
        overrides = {name.replace("__", "."): value for name, value in keys.items()}
        return cls(
            label=label,
            system=system,
            overrides=overrides,
            shards=shards,
            architecture=architecture,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The claimed direction of one number between two variants."""

    metric: str
    higher: str
    """Key of the variant that must have the higher mean."""
    lower: str
    of: Literal["mean", "spread"] = "mean"
    """spread: in place of a seed's number, its distance from the mean over the variant's seeds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One claim of the literature, or of this project."""

    key: str
    """For `--only`: `a` names all claims whose key begins with `a`."""
    title: str
    statement: str
    source: str
    here: str
    """What is done here in its place, and what that cannot show."""
    variants: Mapping[str, Variant]
    comparisons: tuple[Comparison, ...]
    """All must hold. They decide."""
    also: tuple[str, ...] = ()
    """Further numbers of the table; they decide nothing."""

    def __post_init__(self) -> None:
        used = {name for one in self.comparisons for name in (one.higher, one.lower)}
        if not self.comparisons or not used <= set(self.variants):
            raise ValueError(f"claim {self.key}: comparisons of {sorted(used)}: no such variant")

    @property
    def metrics(self) -> tuple[str, ...]:
        """Numbers shown, those that decide first."""
        return tuple(dict.fromkeys([*(one.metric for one in self.comparisons), *self.also]))


@dataclass(frozen=True, slots=True)
class Metric:
    """What a number is called and in which direction it is better."""

    title: str
    explanation: str
    digits: int = 3


METRICS: Mapping[str, Metric] = {
    "loss": Metric("loss", "validation loss after the last step; 0.693 knows nothing"),
    "best_loss": Metric("best loss", "lowest validation loss of the run"),
    "accuracy": Metric("accuracy", "share of pairs on their side of cosine 0.5, after the last"),
    "ranked": Metric("ranked", "how often the own picture beats a wrong one; 0.5 is chance"),
    "left_at_step": Metric(
        "left 0.69 at", "first validated step with a loss under 0.68; the run's last if none", 0
    ),
    "left_at_windows": Metric("… after windows", "the same in windows seen", 0),
    "roughness": Metric(
        "roughness", "mean size of the second difference of the loss, second half of the run", 4
    ),
    "own_r": Metric("own r", "own sound: made opening with the film's; 1 is perfect"),
    "foreign_r": Metric("foreign r", "foreign sound: made opening with that sound's own film"),
    "leak_r": Metric("leak r", "foreign sound: made opening with the mouth that was replaced"),
    "chance_r": Metric("chance r", "true openings of both films, which have nothing in common"),
    "foreign_itself_r": Metric("foreign r, itself", "foreign r, the picture itself as reference"),
    "leak_itself_r": Metric("leak r, itself", "leak r, the picture itself as reference"),
    "amplitude": Metric("amplitude", "foreign sound: how far the mouth moves; 1 as in its film"),
    "roughness_ratio": Metric(
        "roughness in time", "second difference of frames in the mask's hole, made over real"
    ),
    "temporal_error": Metric("temporal error", "size of that ratio's logarithm; 0 is as filmed"),
    "mouth_psnr_db": Metric("PSNR dB", "of a one-step estimate in the mask's hole", 2),
    "vae_r": Metric("autoencoder r", "opening behind the autoencoder with the film's"),
    "kept_pixels_r": Metric("kept pixels r", "opening by ridge from pixels outside of the hole"),
    "geometry_r": Metric("geometry r", "opening by ridge from crop matrix and eye corners"),
    "regression_r": Metric("sound r", "opening by kernel ridge from the sound alone"),
    "spread_in_sync": Metric("spread", "deviation of the cosine over a clip's true pairs"),
    "shift_change": Metric(
        "change by shift", "of a true pair's cosine, picture moved by 1 to 6 px in 4 directions"
    ),
    "shift_1_change": Metric("… by 1 px", "the same, by one pixel"),
    "shift_6_change": Metric("… by 6 px", "the same, by six pixels"),
    "margin": Metric("margin", "mean cosine of true pairs minus that of wrong ones"),
    "spread_share": Metric("spread / margin", "what the spread is of the margin"),
    "shift_share": Metric("change / margin", "what the change by shifts is of the margin"),
    "sync": Metric("cosine", "AVSyncNet's, of made faces with their sound, held-out windows"),
    "toward_truth": Metric(
        "way to truth", "where the lower half is between reference, 0, and truth, 1"
    ),
    "lower_psnr_db": Metric("dubbed PSNR dB", "of the dubbed lower half, own sound", 2),
    "first_quarter_db": Metric("PSNR dB, first quarter", "the same, of a clip's first frames", 2),
    "last_quarter_db": Metric("PSNR dB, last quarter", "the same, of its last frames", 2),
    "drift_db": Metric("drift dB", "PSNR of the first quarter minus that of the last", 2),
    "contrast": Metric(
        "contrast", "deviation of levels in the lower half, made over real, last quarter; 0 is grey"
    ),
    "from_first": Metric(
        "way from first", "where the lower half is between the clip's first frame, 0, and truth, 1"
    ),
    "reference_r": Metric("reference r", "foreign sound: made opening with the reference's"),
    "copies": Metric("copies", "1 if that is more than foreign r; the mean: share of seeds", 2),
    "silence_amplitude": Metric("moves in silence", "how far the mouth moves; 1 as in its film"),
    "silence_r": Metric("silence r", "silence: made opening with the mouth that was replaced"),
    "silence_open_share": Metric("open in silence", "share of frames, mouth aspect above 0.25"),
    "silence_closed_share": Metric("closed in silence", "share of frames, mouth aspect below 0.08"),
    "own_open_share": Metric("open with sound", "the first with its own sound"),
    "kind_accuracy": Metric("accuracy", "of the temporal encoder on held-out windows; chance 0.25"),
    "cpu_seconds": Metric("CPU s", "of one core, with validation and imports", 0),
}
