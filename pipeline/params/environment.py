"""All LIPFORGE_ environment variables, as one settings class. None of them changes a result.

`environment()` reads them when it is called. docs/running.md explains them; a test holds that
table against this class.
"""

import os
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from pipeline.errors import ParamsError

PREFIX = "LIPFORGE_"
LOGS = ("tensorboard", "dvclive")
SPEED = ("compile", "exact_fp32")


def variable(field: str) -> str:
    """Return the name of a field's variable."""
    return f"{PREFIX}{field.upper()}"


def _count(text: object) -> object:
    if not (isinstance(text, str) and text.isdecimal() and int(text) >= 1):
        raise ValueError(f"={text}: must be a whole number of at least 1")
    return int(text)


def _gpu(text: object) -> object:
    if not (isinstance(text, str) and (text == "cpu" or text.isdecimal())):
        raise ValueError(f"={text}: must be the index of a GPU, or `cpu`")
    return text


def _runner(text: object) -> object:
    if text not in ("ray", "serial"):
        raise ValueError(f"={text}: must be `ray` or `serial`")
    return text


def _source(text: object) -> object:
    if text != "absent":
        raise ValueError(f"={text}: must be `absent`, or not set")
    return text


def _listed(text: object) -> list[str]:
    return [name for one in str(text).split(",") if (name := one.strip())]


def _names_of(known: tuple[str, ...]) -> BeforeValidator:
    def split(text: object) -> object:
        names = _listed(text)
        if wrong := sorted(set(names) - set(known)):
            raise ValueError(f": {wrong[0]!r}: must be of {', '.join(known)}")
        return names

    return BeforeValidator(split)


def _reasons(text: object) -> object:
    names = _listed(text)
    if wrong := [name for name in names if not re.fullmatch("[a-z0-9_]+", name)]:
        fix = "must be reasons as `lipforge status` prints them (no_face, say), with commas"
        raise ValueError(f": {wrong[0]!r}: {fix}")
    return names


def _place(text: object) -> object:
    scheme, separator, rest = str(text).partition("://")
    if separator and not rest.strip("/"):
        raise ValueError(f": {text!r}: names no bucket; must be {scheme}://BUCKET/PREFIX")
    return text


def _local(text: object) -> object:
    if "://" in str(text):
        raise ValueError(f": {text!r}: must be a folder of this machine, no URL")
    return text


Place = Annotated[str, BeforeValidator(_place)]
Count = Annotated[int, BeforeValidator(_count)]


class Environment(BaseSettings):
    """The variables, without their prefix `LIPFORGE_`; one that is empty counts as not set."""

    model_config = SettingsConfigDict(
        alias_generator=variable,
        case_sensitive=True,
        env_ignore_empty=True,
        validate_default=False,
        extra="ignore",
        frozen=True,
    )

    ray_address: str = ""
    """The Ray cluster; empty: this machine."""
    cache: Place = ""
    """Folder or URL of the item cache; empty: `.cache/items`."""
    source: Annotated[Literal["", "absent"], BeforeValidator(_source)] = ""
    """`absent`: the films are not here; `ingest` keeps the table that it finds."""
    shards: Place = ""
    """Folder or URL of the tars of `shards` and `features`; empty: in data/, beside the tables."""
    scratch: Annotated[Path | None, BeforeValidator(_local)] = None
    """Folder of local copies of remote files; None: in the system's temporary folder."""
    scratch_gb: Count | None = None
    """How much of them may lie there, in 10^9 bytes; None: 20, at most half of the disk."""
    workers: Count | None = None
    """Most workers at a time; None: all CPUs."""
    runner: Annotated[Literal["ray", "serial"], BeforeValidator(_runner)] = "ray"
    retry: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_reasons)] = ()
    """Reasons or endings: cached items that ended so are processed again."""
    weights: Path | None = None
    """Folder of the fetched model files; None: `.cache/weights`."""
    gpu: Annotated[str, BeforeValidator(_gpu)] = "0"
    """CUDA index, or `cpu`."""
    training: Path | None = None
    """Folder of checkpoints and logs; None: `.cache/training`."""
    train_processes: Count | None = None
    """Processes that train together; None: one per GPU."""
    train_logs: Annotated[tuple[str, ...], NoDecode, _names_of(LOGS)] = ()
    train_speed: Annotated[tuple[str, ...], NoDecode, _names_of(SPEED)] = ()
    loader_workers: Count | None = None
    """Threads that decode ahead in each training process; None: on a GPU by the number of cores, on
    a CPU one thread reads ahead."""


def environment() -> Environment:
    """Read the variables.

    Raises:
        ParamsError: one of them has an impossible value; says which and what is possible.
    """
    try:
        return Environment()
    except ValidationError as error:
        first = error.errors()[0]
        text = first["msg"].removeprefix("Value error, ")
        raise ParamsError(f"{first['loc'][0]}{text}") from error


FOR_WORKERS = ("cache", "gpu")
"""What a worker of a cluster reads. The others are for the driver, or are paths and numbers of its
machine: a node's own LIPFORGE_WEIGHTS holds there."""
OBJECT_STORE = (
    *("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_DEFAULT_REGION"),
    *("AWS_PROFILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CA_BUNDLE"),
    *("AWS_MAX_ATTEMPTS", "AWS_RETRY_MODE", "AWS_REQUEST_CHECKSUM_CALCULATION"),
    *("AWS_RESPONSE_CHECKSUM_VALIDATION", "FSSPEC_S3_ENDPOINT_URL", "FSSPEC_CONFIG_DIR"),
    *("GOOGLE_CLOUD_PROJECT", "AZURE_STORAGE_ACCOUNT_NAME", "NO_PROXY", "no_proxy"),
)
"""Where the object store is and which account is used. No key, token or password is among them, nor
a proxy's address, which may hold one: Ray shows a job's variables to all users of a cluster."""


def for_workers() -> dict[str, str]:
    """Return the variables that workers on other machines need, as far as they are set here."""
    store = {name: os.environ[name] for name in OBJECT_STORE if os.environ.get(name)}
    return {**store, **forwarded(*FOR_WORKERS)}


def forwarded(*fields: str) -> dict[str, str]:
    """Return the variables of these fields that are set, for processes on other machines."""
    set_here = environment().model_fields_set
    return {variable(name): os.environ[variable(name)] for name in fields if name in set_here}
