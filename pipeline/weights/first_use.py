"""Digests that were unknown until a file was first fetched: `trusted.lock.json`.

Some files have an official home but no published digest. The first fetch writes the SHA-256 it got
here, and says so; from then on only those bytes are used. Commit the file: then the same weights
are used on every machine, and a change at the official home is noticed.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from pipeline.atomic import write_bytes
from pipeline.errors import WeightsError

PINNED = Path(__file__).resolve().parents[2] / "trusted.lock.json"


def pinned_sha256(name: str) -> str:
    """Return the digest on record, hex; empty when the file was never fetched.

    Raises:
        WeightsError: the record cannot be read.
    """
    return _record().get(name, "")


def check_or_pin(name: str, sha256: str, where: str) -> None:
    """Compare a digest with the record; without one, record it and print that to stderr.

    Args:
        where: path or URL of the bytes, for messages.

    Raises:
        WeightsError: the record has another digest, or cannot be read.
        StorageError: the record cannot be written.
    """
    known = pinned_sha256(name)
    if known == sha256:
        return
    if known:
        raise WeightsError(
            f"{where}: SHA-256 is {sha256}, but {known} was trusted at first use; nothing was used "
            f"or stored; delete the file if it is damaged, or accept the new bytes on purpose by "
            f"removing {name!r} from {PINNED}; then run `lipforge weights fetch {name}`"
        )
    write_bytes(PINNED, _text({**_record(), name: sha256}))
    sys.stderr.write(
        f"{name}: trusted at first use, SHA-256 {sha256}, from {where}\n"
        f"{name}: recorded in {PINNED}; commit that file; other bytes will be refused\n"
    )


def _record() -> Mapping[str, str]:
    try:
        content = json.loads(PINNED.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise WeightsError(f"{PINNED}: cannot be read ({error}); restore it with git") from error
    if not isinstance(content, dict) or not all(isinstance(v, str) for v in content.values()):
        raise WeightsError(f"{PINNED}: not a JSON object of name: SHA-256; restore it with git")
    return content


def _text(record: Mapping[str, str]) -> bytes:
    return (json.dumps(record, indent=2, sort_keys=True) + "\n").encode()
