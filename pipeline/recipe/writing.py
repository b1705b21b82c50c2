"""From the tables and the item cache of a finished run to its recipe."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.digest import canonical_json
from pipeline.engine.cache import Cache
from pipeline.engine.command import item_key, stage_facts
from pipeline.engine.manifest import each_kept_row
from pipeline.errors import ManifestError
from pipeline.faces.open import weights_of
from pipeline.faces.stage import Faces, VideoShots
from pipeline.media.clip_reader import read_arrays, read_facts
from pipeline.media.spans import spans_of
from pipeline.params.curation import FacesParams
from pipeline.recipe.record import RecipeHeader, SampleRecord, write_recipe
from pipeline.recipe.versions import byte_versions
from pipeline.shard_index.index_file import read_index
from pipeline.shard_index.quiet import QUIET
from pipeline.shards.tar import MEMBERS
from pipeline.tables.rows import Clip, QuietSample, Sample, Scene, Video
from pipeline.tables.run_tables import RunTables, quiet_table

REBUILT = ("landmarks", "boxes", "matrices")
"""Arrays of the npz that a recipe does not hold as they are."""
LOCAL = ("insightface_name", "insightface_root")
"""Parameters of `faces` that name a place on a machine."""


def recipe_of_run(
    path: Path, data: Path, params: FacesParams, cache: Cache, quiet: bool = False
) -> int:
    """Write the recipe of the run below `data`; return how many samples it has.

    Args:
        quiet: that of its silent and listening clips.

    Raises:
        ManifestError: a table is absent; params.yaml, a library or a network is another one than
            the clips were made with; or a source is named by a path of this machine.
        DamagedCacheError: a clip or a sample is not in the item cache any more.
        StorageError: the file cannot be written.
    """
    tables = RunTables(data)
    samples = samples_of_run(tables, quiet)
    shards = data / "shards" / QUIET if quiet else data / "shards"
    clips = {one.clip_id: one for one in tables.each_kept("faces", Clip)}
    check_sources(tables.rows("ingest", Video))
    _check_made_with(tables, params, clips)
    header = RecipeHeader(
        index=read_index(str(shards)),
        faces=params.model_dump(exclude=set(LOCAL)),
        versions=byte_versions(params.backend),
        weights=weights_of(params),
        samples=len(samples),
    )
    ordered = sorted(samples, key=lambda one: (one.video_id, one.start_frame, one.clip_id))
    made = (_OneSample(row, clips[row.source_clip_id], cache).record() for row in ordered)
    return write_recipe(path, header, made)


def samples_of_run(tables: RunTables, quiet: bool) -> Sequence[Sample | QuietSample]:
    """Return the rows of the samples, or of the quiet ones."""
    if not quiet:
        return tables.rows("shards", Sample)
    table = quiet_table(tables.data)
    if not table.exists():
        fix = "set shards.quiet_tiers: true and run `dvc repro shards`"
        raise ManifestError(f"{table}: absent, no quiet clips were packed; {fix}")
    return list(each_kept_row(table, QuietSample))


def check_sources(videos: list[Video]) -> None:
    """Refuse films that are named by a path of this machine, as the samples' JSON has it too.

    Raises:
        ManifestError: there is one.
    """
    for video in videos:
        for name in (video.uri, video.url):
            absolute = PurePosixPath(name).is_absolute() or PureWindowsPath(name).drive
            if absolute or name.startswith(("file:", "~")):
                fix = "list it relative to the list's folder, and run `dvc repro shards`"
                raise ManifestError(f"ingest: {name!r} is a path of this machine; {fix}")


def _check_made_with(tables: RunTables, params: FacesParams, clips: Mapping[str, Clip]) -> None:
    """Compare the cache keys of `faces` with what params, versions and networks give today.

    Raises:
        ManifestError: they differ.
    """
    stage, shots = Faces(params), dict[str, list[tuple[int, int]]]()
    facts = stage_facts(stage)
    for scene in tables.each_kept("scenes", Scene):
        shots.setdefault(scene.video_id, []).append((scene.start_frame, scene.end_frame))
    keys = {
        video.video_id: item_key(
            stage, VideoShots(video, "", tuple(sorted(shots[video.video_id]))), facts
        )
        for video in tables.each_kept("ingest", Video)
        if video.video_id in shots and len(spans_of(video)) == 1
    }
    for clip in clips.values():
        if keys.get(clip.video_id, clip.artifact) != clip.artifact:
            fix = "set them back, or run `dvc repro shards`"
            raise ManifestError(
                f"faces: params.yaml, a library or a network is not what clip {clip.clip_id} was "
                f"made with; {fix}"
            )


@dataclass(frozen=True, slots=True)
class _OneSample:
    """A sample and its clip in the item cache."""

    row: Sample | QuietSample
    clip: Clip
    cache: Cache

    def record(self) -> SampleRecord:
        facts, arrays = self._facts(), read_arrays(self._member("npz"))
        return SampleRecord(
            clip_id=self.row.clip_id,
            shard=self.row.shard,
            start_frame=self.row.start_frame,
            end_frame=self.row.end_frame,
            facts=facts,
            matrices=self._matrices(),
            points=not_following(arrays["landmarks"], arrays["interpolated"]),
            arrays={name: one for name, one in arrays.items() if name not in REBUILT},
            members=self._digests(),
        )

    def _member(self, suffix: str) -> Path:
        return self.cache.artifact_path(self.row.artifact, f"{self.row.clip_id}.{suffix}")

    def _facts(self) -> dict[str, Any]:
        path = self._member("json")
        facts = read_facts(path)
        assert canonical_json(facts) == path.read_text(encoding="utf-8"), "written by ourselves"
        return facts

    def _matrices(self) -> NDArray[np.float64]:
        """Return those of the whole clip."""
        npz = self.cache.artifact_path(self.clip.artifact, f"{self.clip.clip_id}.npz")
        return np.asarray(read_arrays(npz, ("matrices",))["matrices"], np.float64)

    def _digests(self) -> dict[str, Mapping[str, Any]]:
        stored = self.cache.lookup(self.row.artifact)
        assert stored is not None, "its JSON was just read"
        return {one: stored["files"][f"{self.row.clip_id}.{one}"] for one in MEMBERS}


def not_following(
    landmarks: NDArray[np.float32], interpolated: NDArray[np.bool_]
) -> dict[int, NDArray[np.float32]]:
    """Return the landmarks from which the others follow by one look at each frame.

    Args:
        landmarks: (T, L, 3).
        interpolated: (T,).

    Returns:
        Frame -> (L, 3): the first, those interpolated, and that in which the face is found again.
    """
    after = np.concatenate([[True], interpolated[:-1]])
    return {int(k): landmarks[k] for k in np.flatnonzero(after | interpolated)}
