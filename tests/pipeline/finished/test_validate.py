"""A finished data set checked from outside: each property broken once is found and named."""

import io
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from pipeline.atomic import write_json
from pipeline.cli import app
from pipeline.digest import canonical_json, file_sha256
from pipeline.media.clip_reader import read_audio_int16
from pipeline.media.encode import read_video, write_clip
from pipeline.media.flac import flac_bytes
from pipeline.shard_index.index_file import FORMAT_VERSION
from pipeline.shards.packing import index_of
from pipeline.shards.tar import write_tar
from pipeline.validation.set_checks import SetValidation, ValidationOptions, samples_of
from tests.object_store import BUCKET

pytestmark = pytest.mark.slow
ALL = 100
"""More samples than there are: all are scored again."""


@pytest.fixture
def shards(finished: Path) -> Path:
    """The shards alone, as one who never saw a film has them."""
    alone = finished.parent / "alone"
    shutil.copytree(finished / "data/shards", alone)
    shutil.rmtree(finished)
    finished.mkdir()
    return alone


def faults(shards: Path | str, **options: Any) -> list[tuple[str, str, str]]:
    found = SetValidation(str(shards), ValidationOptions(rescored=ALL, **options)).run()
    return [(one.name, one.sample, one.reason) for one in found.found]


def first(shards: Path) -> tuple[Path, str]:
    """The first tar and its first sample."""
    index = json.loads((shards / "index.json").read_text())
    tar = shards / index["shards"][0]["name"]
    return tar, next(samples_of(tar))[0]


Change = Callable[[dict[str, bytes]], None]


def alter(shards: Path, change: Change, keys: dict[str, str] | None = None) -> str:
    """Change the members of the first sample; the index is that of the new bytes."""
    tar, key = first(shards)
    files, folder = [], shards.parent / "members"
    folder.mkdir(exist_ok=True)
    for name, _, members in samples_of(tar):
        made = dict(members)
        if name == key:
            change(made)
        for suffix, content in made.items():
            path = folder / f"{name}.{suffix}"
            path.write_bytes(content)
            files.append((f"{(keys or {}).get(name, name)}.{suffix}", path))
    write_tar(tar, files)
    reindex(shards)
    return key


def reindex(shards: Path) -> None:
    """State the bytes of the tars as they are."""
    entries = json.loads((shards / "index.json").read_text())["shards"]
    for one in entries:
        path = shards / one["name"]
        one.update(sha256=file_sha256(path), bytes=path.stat().st_size)
    write_json(shards / "index.json", index_of(entries))


def of_json(**changed: Any) -> Change:
    def change(members: dict[str, bytes]) -> None:
        members["json"] = canonical_json({**json.loads(members["json"]), **changed}).encode()

    return change


def of_arrays(name: str, make: Callable[[Any], Any]) -> Change:
    def change(members: dict[str, bytes]) -> None:
        arrays = dict(np.load(io.BytesIO(members["npz"])))
        arrays[name] = make(arrays[name])
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)
        members["npz"] = buffer.getvalue()

    return change


def of_sound(make: Callable[[Any], Any]) -> Change:
    def change(members: dict[str, bytes]) -> None:
        members["flac"] = flac_bytes(make(read_audio_int16(members["flac"])), 16_000)

    return change


def encoded(members: dict[str, bytes]) -> None:
    """Encode the picture again with its key frames too far apart."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "again.mp4"
        write_clip(path, read_video(members["mp4"]), crf=30, keyframes=1, gop=25)
        members["mp4"] = path.read_bytes()


def without_npz(members: dict[str, bytes]) -> None:
    del members["npz"]


def without_field(members: dict[str, bytes]) -> None:
    facts = json.loads(members["json"])
    del facts["quality"]["jitter"]
    members["json"] = canonical_json(facts).encode()


def infinite(scores: Any) -> Any:
    scores[3] = np.nan
    return scores


BROKEN: dict[str, tuple[Change, str, str]] = {
    "no npz": (
        lambda members: members.pop("npz") and None,
        "members",
        "has ['flac', 'json', 'mp4']",
    ),
    "frames": (of_json(num_frames=10), "sound", "6400 belong to the frames"),
    "frames beyond the part": (of_json(num_frames=9999), "facts", "num_frames 9999 of a part"),
    "rate": (of_json(fps=30), "facts", "fps is 30, it must be 25"),
    "another key": (of_json(clip_id="x"), "facts", "clip_id is 'x'"),
    "a new field": (of_json(mood="good"), "schema", "field mood"),
    "a field less": (without_field, "schema", "field quality.jitter"),
    "another type": (of_json(probability="high"), "schema", "probability is"),
    "no landmarks' type": (
        of_arrays("landmarks", lambda one: one.astype(np.float64)),
        "arrays",
        "landmarks is float64, it must be float32",
    ),
    "no number": (of_arrays("scores", infinite), "arrays", "scores has a value that is no number"),
    "a range": (of_arrays("scores", lambda one: one + 1), "arrays", "scores from"),
    "a flipped matrix": (of_arrays("matrices", lambda one: -one[:, ::-1]), "arrays", "a matrix"),
    "a row less": (of_arrays("landmarks", lambda one: one[1:]), "arrays", "lengths differ"),
    "shorter sound": (of_sound(lambda one: one[:-640]), "sound", "belong to the frames"),
    "shifted sound": (of_sound(lambda one: np.roll(one, 3 * 640)), "offset", "its JSON says"),
    "key frames": (encoded, "picture", "from one key frame to the next"),
    "damaged picture": (
        lambda members: members.update(mp4=members["mp4"][:-2000] + bytes(2000)),
        "picture",
        "",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_property_that_is_broken_is_found_with_sample_and_reason(shards, name):
    change, wanted, reason = BROKEN[name]
    key = alter(shards, change)
    found = faults(shards)
    # the first sample gives the schema: where it is the odd one, the next is named
    samples = {one[1] for one in found if one[0] == wanted and reason in one[2]}
    assert samples if wanted == "schema" else key in samples, found


def test_an_untouched_data_set_has_no_fault_and_needs_nothing_else(shards):
    assert faults(shards) == []
    (shards / "samples.parquet").unlink()
    assert faults(shards, seed=3) == []


def test_one_flipped_bit_is_found_by_the_digest_and_the_command_fails(shards):
    tar, _ = first(shards)
    content = bytearray(tar.read_bytes())
    content[len(content) // 2] ^= 1
    tar.write_bytes(content)
    assert "digest" in {one[0] for one in faults(shards, quick=True)}
    everything = shards.parent / "all.json"
    done = CliRunner().invoke(app, ["validate", str(shards), "--quick", "--json", str(everything)])
    assert done.exit_code == 1
    assert f"{tar.parent.name}/{tar.name}: digest: sha256 is" in done.output
    assert json.loads(everything.read_text())["found"]


def test_a_sample_twice_a_split_shared_and_a_tar_gone_are_found(shards):
    tar, key = first(shards)
    other = "val" if tar.parent.name != "val" else "test"
    (shards / other).mkdir(exist_ok=True)
    copy = shards / other / f"{other}-0009-000.tar"
    shutil.copy(tar, copy)
    index = json.loads((shards / "index.json").read_text())
    entry = {**index["shards"][0], "name": f"{other}/{copy.name}", "split": other}
    write_json(shards / "index.json", index_of([*index["shards"], entry]))
    shutil.copy(tar, tar.with_name("old.tar"))
    found = faults(shards)
    assert ("index", "", "a tar that index.json does not name") in found
    assert ("key", key, f"also in {tar.parent.name}/{tar.name}") in found
    assert {"split", "facts"} <= {one[0] for one in found}
    copy.unlink()
    assert ("digest", "") in {one[:2] for one in faults(shards, quick=True)}


def test_counts_totals_and_the_table_are_compared(shards):
    index = json.loads((shards / "index.json").read_text())
    index["shards"][0]["samples"] += 1
    write_json(shards / "index.json", index)
    assert {"index", "count"} <= {one[0] for one in faults(shards, quick=True)}
    table = pq.read_table(shards / "samples.parquet")
    pq.write_table(pa.Table.from_pylist(table.to_pylist()[1:]), shards / "samples.parquet")
    assert "table" in {one[0] for one in faults(shards, quick=True)}


def test_a_tar_without_its_end_is_found(shards):
    tar, _ = first(shards)
    tar.write_bytes(tar.read_bytes()[: -10240 * 3])
    reindex(shards)
    assert {"members", "count"} & {one[0] for one in faults(shards, quick=True)}


def test_shards_of_the_former_format_are_valid_and_migrate(shards):
    index = json.loads((shards / "index.json").read_text())
    del index["format_version"]
    write_json(shards / "index.json", index)
    assert faults(shards, quick=True) == []
    assert CliRunner().invoke(app, ["migrate", str(shards)]).exit_code == 0
    made = json.loads((shards / "index.json").read_text())
    assert made == {**index, "format_version": FORMAT_VERSION}
    write_json(shards / "index.json", {**index, "format_version": FORMAT_VERSION + 1})
    refused = CliRunner().invoke(app, ["validate", str(shards)])
    assert "install a newer lipforge" in str(refused.exception)


def test_shards_in_a_bucket_are_checked_there(shards, store):
    import fsspec

    fs = fsspec.filesystem("s3")
    fs.put(f"{shards}/", f"{BUCKET}/published/", recursive=True)
    assert faults(f"s3://{BUCKET}/published", quick=True) == []
