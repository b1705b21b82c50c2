"""Whether a profile may train on the stored latents, and how the loader then reads them."""

from pathlib import Path

from pipeline.errors import ParamsError
from pipeline.params.training import FeaturesParams, LdmProfile
from trainers.data.window_items import Prepare
from trainers.errors import TrainingDataError
from trainers.frozen import registry as frozen
from trainers.sidecar.arrays import FIX
from trainers.sidecar.layout import INDEX, NONE
from trainers.systems.latentsync.frozen_networks import stage_of
from trainers.systems.latentsync.latent_cache.layout import FOLDER
from trainers.systems.latentsync.latent_cache.reader import SidecarLatents, WithLatents
from trainers.talking_face.masks import mask_sha256

OFF = "or features.latents to none"
AUGMENTED = ("flip", "colour", "jpeg", "h264")


def with_latents(
    prepare: Prepare, features: FeaturesParams, folder: str | Path, profile: LdmProfile
) -> Prepare:
    """Return a `prepare` that also reads the latents, if params.yaml asks for them.

    Args:
        features: the section `features` of params.yaml.
        folder: output of the stage `features`.

    Raises:
        ParamsError: the profile changes its pictures at random, or names another autoencoder, or
            its stage another size, than the latents were made with.
        TrainingDataError: there are no latents, or they were made with another mask.
        WeightsError: the autoencoder's file is absent or altered.
    """
    if features.latents == NONE:
        return prepare
    _require_same_pictures(features.latents, profile)
    latents = SidecarLatents(f"{str(folder).rstrip('/')}/{FOLDER}")
    _require_same_encoding(latents, profile)
    return WithLatents(prepare, latents)


def _require_same_pictures(latents: str, profile: LdmProfile) -> None:
    """Fail if training changes pictures at random: their latents are not those of the shards."""
    changes = {f"augmentation.{name}": getattr(profile.augmentation, name) for name in AUGMENTED}
    changes["crop_jitter_px"] = profile.crop_jitter_px
    for key, value in changes.items():
        if value:
            raise ParamsError(
                f"params.yaml: train_ldm.{key}: {value}, but features.latents ({latents}) holds "
                f"the latents of unchanged pictures; set {key} to 0, {OFF}"
            )


def _require_same_encoding(latents: "SidecarLatents", profile: LdmProfile) -> None:
    """Fail if the profile's latents would be others."""
    index, size_px = f"{latents.folder}/{INDEX}", stage_of(profile).resolution_px
    if (latents.name, latents.sha256) != (profile.vae, frozen.vae_sha256(profile.vae)):
        raise ParamsError(
            f"params.yaml: features.latents: {index} was made with {latents.name}, train_ldm.vae "
            f"is {profile.vae}; make them equal and {FIX}, {OFF}"
        )
    if latents.size_px != size_px:
        raise ParamsError(
            f"params.yaml: features.latents_px: {index} was made of {latents.size_px} px, "
            f"train_ldm.stage {profile.stage} has {size_px} px; set latents_px to {size_px} and "
            f"{FIX}, {OFF}"
        )
    if latents.mask_sha256 != mask_sha256(size_px):
        raise TrainingDataError(f"{index}: made with another mask; {FIX}")
