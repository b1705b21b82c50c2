"""Tables of as many clips as wanted, written column by column: the input of the driver's stages.

Ten clips of six seconds a film, as `benchmarks.synthetic_workspace`, but with values that differ
from clip to clip and from frame to frame, so that a table is as large as one of real clips; and
without an item cache, so that a million clips take two minutes and no file but the tables.
"""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.engine.manifest import schema_of
from pipeline.tables.rows import FPS, Clip, Quality, Sample, Scene, SyncScore, SyncStretch, Video
from pipeline.tables.run_tables import table_path

CLIPS_PER_FILM = 10
CLIP_FRAMES = 150
ROWS = 65_536
"""Rows a group, as the stages write them."""
Columns = Mapping[str, Any]
"""Name -> one value for all rows, or an array with one per row."""


def write_tables(data: Path, clips: int) -> None:
    """Write the tables of all stages up to `quality`, with `clips` clips of clips / 10 films."""
    films = sorted(_hex(number) for number in range(-(-clips // CLIPS_PER_FILM)))
    _write(data, "ingest", Video, _videos(films))
    _write(data, "scenes", Scene, _scenes(films))
    videos = np.repeat(np.array(films), CLIPS_PER_FILM)[:clips]
    places = np.tile(np.arange(CLIPS_PER_FILM), len(films))[:clips]
    ids = np.array([_hex(f"{v}|{n}")[:20] for v, n in zip(videos, places, strict=True)])
    start = places * CLIP_FRAMES
    _write(data, "faces", Clip, _clips(videos, ids, places, start))
    _write(data, "stretches", SyncStretch, _stretches(videos, ids, places, start))
    ids = np.sort(ids)
    _write(data, "sync", SyncScore, _scores(ids))
    _write(data, "quality", Quality, _qualities(ids))


def write_samples(data: Path) -> None:
    """Write the table of `shards` for all that `select` kept."""
    chosen = pq.read_table(table_path(data, "select"))
    chosen = chosen.filter(pa.compute.equal(chosen["status"], "kept"))
    copied = ("clip_id", "source_clip_id", "video_id", "start_frame", "end_frame", "split")
    columns = {name: np.array(chosen[name].to_pylist()) for name in copied}
    frames = columns["end_frame"] - columns["start_frame"]
    order = np.argsort(columns["clip_id"])
    rest = {"shard": "train/000000.tar", "num_frames": frames, "rescored_confidence": 5.0}
    again = {"offset_applied_frames": 0.0, "rescored_offset_frames": 0.0}
    whole: dict[str, Any] = {**columns, **rest, **again}
    ordered = {k: v[order] if isinstance(v, np.ndarray) else v for k, v in whole.items()}
    _write(data, "shards", Sample, [{**ordered, "item_id": ordered["clip_id"]}])


def _hex(content: object) -> str:
    return hashlib.sha256(str(content).encode()).hexdigest()


def _write(data: Path, stage: str, row_type: type[Any], groups: Any) -> None:
    schema, path = schema_of(row_type), table_path(data, stage)
    path.parent.mkdir(parents=True, exist_ok=True)
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for columns in groups:
            writer.write_table(_table(columns, schema), row_group_size=ROWS)


def _table(columns: Columns, schema: pa.Schema) -> pa.Table:
    rows = len(columns["item_id"])
    known = {"part": 0, "status": "kept", "reason": "", "detail": "", "cache_key": "0" * 64}
    if "artifact" in schema.names:
        known["artifact"] = "0" * 64
    return pa.table([_column({**known, **columns}, f, rows) for f in schema], schema=schema)


def _column(columns: Columns, field: pa.Field, rows: int) -> pa.Array:
    value = columns.get(field.name, _empty(field.type))
    if isinstance(value, np.ndarray) and value.ndim == 2:
        edges = np.arange(rows + 1, dtype=np.int32) * value.shape[1]
        return pa.ListArray.from_arrays(edges, value.ravel())
    if isinstance(value, np.ndarray):
        return pa.array(value.tolist() if value.dtype.kind == "U" else value, field.type)
    return pa.array([value] * rows, field.type)


def _empty(kind: pa.DataType) -> Any:
    if pa.types.is_list(kind):
        return []
    return "" if pa.types.is_string(kind) else False if pa.types.is_boolean(kind) else 0


def _videos(films: list[str]) -> Iterator[Columns]:
    names = np.array(films)
    frames = CLIPS_PER_FILM * CLIP_FRAMES
    uris = np.array([f"{name[:2]}/{name}.mp4" for name in films])
    yield {
        "item_id": uris,
        "uri": uris,
        "video_id": names,
        "duration_s": frames / FPS,
        "num_frames": frames,
        "video_codec": "h264",
        "audio_codec": "aac",
        "container": "mov,mp4",
    }


def _scenes(films: list[str]) -> Iterator[Columns]:
    names = np.array(films)
    end = CLIPS_PER_FILM * CLIP_FRAMES
    yield {"item_id": names, "video_id": names, "start_frame": 0, "end_frame": end}


def _clips(
    videos: NDArray[Any], ids: NDArray[Any], places: NDArray[Any], start: NDArray[Any]
) -> Iterator[Columns]:
    for one in _groups(len(ids)):
        yield {
            "item_id": videos[one],
            "part": places[one],
            "clip_id": ids[one],
            "video_id": videos[one],
            "track": places[one],
            "start_frame": start[one],
            "end_frame": start[one] + CLIP_FRAMES,
            "num_frames": CLIP_FRAMES,
            "backend": "litert",
            "landmark_schema": "mesh468",
            "crop_px": 256,
            "face_px": _drawn(one).uniform(60, 400, len(ids[one])),
            "landmark_score": 0.99,
            "num_faces_in_scene": 1,
        }


def _stretches(
    videos: NDArray[Any], ids: NDArray[Any], places: NDArray[Any], start: NDArray[Any]
) -> Iterator[Columns]:
    for one in _groups(len(ids)):
        yield {
            "item_id": videos[one],
            "part": places[one],
            "clip_id": ids[one],
            "video_id": videos[one],
            "start_frame": start[one],
            "end_frame": start[one] + CLIP_FRAMES,
            "kind": "in_sync",
            "offset_frames": _drawn(one).normal(0, 1, len(ids[one])).round(3),
            "probability": _drawn(one).uniform(0.5, 1, len(ids[one])).round(4),
        }


def _scores(ids: NDArray[Any]) -> Iterator[Columns]:
    for one in _groups(len(ids)):
        draw, rows = _drawn(one), len(ids[one])
        yield {
            "item_id": ids[one],
            "clip_id": ids[one],
            "judge": "landmark",
            "mode": "masked",
            "offset_frames": draw.integers(-5, 6, rows),
            "offset_subframe": draw.normal(0, 1, rows),
            "confidence": draw.uniform(1, 9, rows),
            "min_distance": draw.uniform(0.1, 1, rows),
            "probability": draw.uniform(0.5, 1, rows),
            "drift_frames": draw.normal(0, 0.2, rows),
            "curve": draw.uniform(0, 9, (rows, 31)),
        }


def _qualities(ids: NDArray[Any]) -> Iterator[Columns]:
    for one in _groups(len(ids)):
        draw, rows = _drawn(one), len(ids[one])
        hashes = [_hex(name) for name in ids[one]]
        yield {
            "item_id": ids[one],
            "clip_id": ids[one],
            "face_px": draw.uniform(60, 400, rows),
            "sharpness": draw.uniform(20, 400, rows),
            "luma_mean": draw.uniform(60, 190, rows),
            "yaw_deg": draw.uniform(0, 35, rows),
            "pitch_deg": draw.uniform(0, 20, rows),
            "roll_deg": draw.uniform(0, 5, rows),
            "jitter": draw.uniform(0.001, 0.01, rows),
            "mouth_movement": draw.uniform(0.02, 0.1, rows),
            "landmark_score": 0.99,
            "speech_share": draw.uniform(0.6, 1, rows),
            "snr_db": draw.uniform(5, 40, rows),
            "picture_hash": np.array([name[:16] for name in hashes]),
            "audio_hash": np.array([name[16:32] for name in hashes]),
            "roll_by_frame": _series(draw, rows, -5, 5),
            "change_by_frame": _series(draw, rows, 2, 6),
            "cover_by_frame": _series(draw, rows, 0, 0.15),
            "speech_by_frame": _series(draw, rows, 0.6, 1),
        }


def _series(draw: np.random.Generator, rows: int, low: float, high: float) -> NDArray[Any]:
    """Return one value per frame, of about 1000 different ones, as 3 significant digits are."""
    step = (high - low) / 1000
    return np.round(low + step * draw.integers(0, 1000, (rows, CLIP_FRAMES)), 5)


def _groups(rows: int) -> Iterator[slice]:
    for start in range(0, rows, ROWS):
        yield slice(start, min(start + ROWS, rows))


def _drawn(one: slice) -> np.random.Generator:
    return np.random.default_rng(one.start)
