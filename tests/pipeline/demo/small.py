"""Films of the demo corpus in small: every fault of clock, container and picture, seconds long."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from pipeline.demo.catalogue import BROKEN_FILES
from pipeline.demo.corpus import render_files
from pipeline.demo.film_writer import Format
from pipeline.demo.motion import Pose
from pipeline.demo.scenario import Actor, BrokenFile, Fault, Film, Shot
from pipeline.demo.truth import FaultKind

HOPE = Actor(sitter="hopper", text="Papa, Mama.", voice="en-us", face_px=60.0, centre=(0.5, 0.55))
ANNA = replace(HOPE, sitter="astronaut", text="Bob, Mom.", centre=(0.5, 0.45))
SILENT = replace(HOPE, text="")
MIME = replace(HOPE, text="She sees his city.", heard=False)
ALONE = (Shot(actors=(HOPE,)),)


def film(uri: str, kind: str = "talking", how: Format | None = None, **more: object) -> Film:
    details: dict[str, Any] = {"shots": ALONE, "size": (240, 180), **more}
    return Film(uri=uri, kind=kind, how=how or Format(), **details)


FILMS = (
    film("plain.mp4"),
    film("early.mkv", how=Format(".mkv", audio_rate_hz=48_000, channels=2), offset_frames=7),
    film("late.avi", how=Format(".avi", "mpeg4", "pcm_s16le", 16_000), offset_frames=-12),
    film("vp8.webm", how=Format(".webm", "libvpx", "libopus", 48_000)),
    film("thirty.mp4", how=Format(fps=Fraction(30))),
    film("ntsc.mkv", how=Format(".mkv", fps=Fraction(24_000, 1001))),
    film("variable.mp4", how=Format(variable_fps=True)),
    film("turned.mp4", how=Format(rotation_deg=90), size=(180, 240)),
    film("late start.mkv", how=Format(".mkv", audio_start_s=0.32)),
    film("mute.mp4", "no_audio", Format(audio_codec=""), keep=False),
    film("cuts.mp4", "cuts", shots=(*ALONE, Shot(actors=(ANNA,)), *ALONE)),
    film("pair.mp4", "two_people", shots=(Shot(actors=(ANNA, SILENT)),), size=(480, 180)),
    film(
        "mimed.mp4",
        "two_people",
        shots=(Shot(actors=(MIME, ANNA)),),
        size=(480, 180),
        offset_frames=3,
    ),
    film("silent.mp4", "silent", shots=(Shot(actors=(SILENT,), voice_over=HOPE),), keep=False),
    film("dubbed.mp4", "dubbed", shots=(Shot(actors=(HOPE,), voice_over=ANNA),), keep=False),
    film("blurred.mp4", "blur", blur_px=5.0, keep=False),
    film("tiny.mp4", "tiny", shots=(Shot(actors=(replace(HOPE, face_px=14.0),)),), keep=False),
    film(
        "profile.mp4",
        "profile",
        shots=(Shot(actors=(replace(HOPE, pose=Pose(yaw_deg=72.0)),)),),
        keep=False,
    ),
    film("nobody.mp4", "no_face", shots=(Shot(voice_over=HOPE),), keep=False),
)


def in_part(kind: FaultKind, start: int = 0, end: int | None = None, **more: object) -> Film:
    """47 frames, or 47 and 49, with a fault in a stretch; speech from frame 9 to 37."""
    fault = Fault(kind=kind, start=start, end=end, damaged_frames=5)
    details: dict[str, Any] = {"uri": f"{kind}.mp4", "kind": kind, **more}
    return film(fault=fault, **details)


TWO = (Shot(actors=(HOPE,)), Shot(actors=(ANNA,)))
VOICE = Shot(voice_over=replace(ANNA, text="Sister Cecily sees this city."))
FAULT_FILMS = (
    in_part("foreign_sound", 24, other=VOICE),
    in_part("lost_sound", 20, 30, offset_frames=-5),
    in_part("other_person", 20, 32, other=Shot(actors=(replace(ANNA, text=""),))),
    in_part("dissolve", 40, 55, shots=TWO),
    in_part("fade", 40, 55, shots=TWO),
    in_part("frozen", 15, 35),
    in_part("covered_mouth", 25),
    in_part("hole", 20, 30, how=Format(".mkv", gop_frames=10, b_frames=False), uri="hole.mkv"),
    in_part("damaged", 12, 20, how=Format(gop_frames=20, b_frames=False)),
    in_part("clock_restarts", 20, 20, how=Format(".ts", gop_frames=20), uri="restart.ts"),
    in_part("second_picture", 0, 0, how=Format(b_frames=False), other=Shot()),
    in_part(
        "second_sound", 0, 0, how=Format(".mkv", b_frames=False), uri="tracks.mkv", other=VOICE
    ),
)


def _of_small(broken: BrokenFile) -> BrokenFile:
    return replace(broken, source="plain.mp4" if broken.source else "")


def render_small(out: Path, workers: int | None = None) -> Path:
    render_files(
        out, FILMS, [_of_small(broken) for broken in BROKEN_FILES], seed=3, workers=workers
    )
    return out
