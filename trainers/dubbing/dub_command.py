"""`lipforge dub VIDEO AUDIO -o OUT`. Imports nothing heavy until it runs."""

import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer
from rich.console import Console

from pipeline.engine.command import run_main
from pipeline.params.bounds import MAX_GUIDANCE, MAX_SEED, MAX_STEPS

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from pipeline.params.curation import FacesParams, ScenesParams
    from trainers.dubbing.precision import Precision
    from trainers.dubbing.video_options import DubResult, VideoOptions
    from trainers.systems.latentsync.bundle import LdmBundle

PARAMS = Path("params.yaml")
LINE_EVERY_S = 10.0
"""Between two notes of progress in a log; a terminal has a bar."""
MODEL = Path("models/train_ldm")
console = Console(highlight=False, markup=False, soft_wrap=True)


def dub(
    video: Annotated[Path, typer.Argument(help="Any video with a face.")],
    audio: Annotated[Path, typer.Argument(help="Any sound, or a video whose sound is taken.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The output, .mp4 or .mkv.")],
    model: Annotated[Path, typer.Option(help="Folder of a trained model.")] = MODEL,
    steps: Annotated[
        int | None, typer.Option(min=1, max=MAX_STEPS, help="DDIM steps; else as the model says.")
    ] = None,
    guidance: Annotated[
        float | None,
        typer.Option(
            min=1.0, max=MAX_GUIDANCE, help="By sound, 1 is none; else as the model says."
        ),
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(min=0, max=1, help="Of the noise; else as the model says.")
    ] = None,
    reference: Annotated[
        Literal["self", "apart"] | None,
        typer.Option(help="Faces shown: those to be changed, or other ones; else as the model."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Of the noise.")] = 1247,
    face: Annotated[
        list[int] | None,
        typer.Option(
            "--face", "--track", help="Number of a face, repeatable; else each shot's main one."
        ),
    ] = None,
    all_faces: Annotated[bool, typer.Option("--all-faces", help="Dub every face.")] = False,
    list_faces: Annotated[
        bool, typer.Option("--list-faces", help="Print the faces of the video and stop.")
    ] = False,
    longer: Annotated[
        Literal["loop", "freeze", "cut"],
        typer.Option(help="Sound longer than video: back and forth, last picture, or cut sound."),
    ] = "loop",
    shorter: Annotated[
        Literal["cut", "keep"],
        typer.Option(help="Sound shorter than video: cut the video, or keep its rest, silent."),
    ] = "cut",
    overlap: Annotated[int, typer.Option(min=0, help="Frames shared by two windows.")] = 4,
    crf: Annotated[int, typer.Option(min=1, max=51, help="x264 quality; lower is better.")] = 7,
    precision: Annotated[
        Literal["auto", "fp32", "bf16", "fp16"],
        typer.Option(help="Of the network; auto: bf16 on a GPU (fp16 on an old one), else fp32."),
    ] = "auto",
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N; a GPU if there is one.")] = "",
) -> None:
    """Make the lips of a video follow a sound; everything else stays as it is."""
    if not list_faces:
        console.print(f"{out}: loading")
    from pipeline.errors import ParamsError
    from trainers.dubbing.face_generation import DubOptions
    from trainers.dubbing.face_selection import ALL, MAIN
    from trainers.dubbing.video_options import VideoOptions

    if all_faces and face:
        raise ParamsError("--face and --all-faces: give one of them")
    face_params, scene_params = _workspace()
    options = VideoOptions(
        dub=DubOptions(overlap_frames=overlap, seed=seed),
        faces=ALL if all_faces else tuple(face) if face else MAIN,
        longer=longer,
        shorter=shorter,
        crf=crf,
        face_params=face_params,
        scene_params=scene_params,
    )
    if list_faces:
        _list(video, options)
        return
    bundle = _model(model, device)
    given: dict[str, object] = {"steps": steps, "guidance": guidance}
    given |= {"temperature": temperature, "reference": reference}
    given |= {"precision": _precision(bundle, precision)}
    _print_result(out, _dub(video, audio, out, bundle, _with_sampling(options, bundle, given)))


def _with_sampling(
    options: "VideoOptions", bundle: "LdmBundle", sampling: "Mapping[str, object]"
) -> "VideoOptions":
    """Set the sampling options: as given, else of the model, else the authors'; print them."""
    given = {name: value for name, value in sampling.items() if value is not None}
    dub = replace(options.dub, **{**bundle.facts.get("sampling", {}), **given})
    how = f"guidance {dub.guidance}, temperature {dub.temperature}, {dub.precision}"
    console.print(f"{dub.steps} steps, {how}")
    return replace(options, dub=dub)


def _workspace() -> "tuple[FacesParams, ScenesParams]":
    """Return the face and shot parameters of this project, or the defaults outside of one."""
    from pipeline.params.curation import FacesParams, ScenesParams, load_params

    if not PARAMS.exists():
        return FacesParams(), ScenesParams()
    params = load_params(PARAMS)
    return params.faces, params.scenes


def _model(folder: Path, device: str) -> "LdmBundle":
    from pipeline.errors import ParamsError
    from trainers.dubbing.provenance import stand_ins
    from trainers.systems.latentsync.bundle import load_bundle

    place = _device(device)
    bundle = load_bundle(folder)
    try:
        bundle.to(place)
    except (RuntimeError, AssertionError) as error:  # no such device; AssertionError: no CUDA built
        raise ParamsError(f"--device {device}: {error}; try --device cpu") from error
    for name in stand_ins(bundle):
        console.print(f"note: {name}: this model is a trial, not for use")
    return bundle


def _device(name: str) -> "torch.device":
    """Return the device asked for, else a GPU if there is one."""
    import torch

    from pipeline.errors import ParamsError

    if name and not re.fullmatch("cpu|cuda(:[0-9]{1,2})?", name):
        raise ParamsError(f"--device {name}: must be cpu, cuda or cuda:N, N the number of a GPU")
    return torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))


def _precision(bundle: "LdmBundle", asked: str) -> str:
    """Return the precision asked for, or that of the device, and cast the weights to it."""
    from trainers.dubbing.precision import cast_bundle, precision_for

    device = next(bundle.unet.parameters()).device
    precision = precision_for(device) if asked == "auto" else cast("Precision", asked)
    cast_bundle(bundle, precision)
    return precision


def _list(video: Path, options: "VideoOptions") -> None:
    from trainers.dubbing.face_selection import face_listing, select_faces
    from trainers.dubbing.video_dubbing import find_faces

    faces = find_faces(video, options)
    console.print(face_listing(faces, select_faces(faces, options.faces)) or "no face")


def _dub(
    video: Path, audio: Path, out: Path, bundle: "LdmBundle", options: "VideoOptions"
) -> "DubResult":
    import torch
    from tqdm import tqdm

    from pipeline.errors import ParamsError
    from trainers.dubbing.video_dubbing import dub_video

    every_s = 0.1 if sys.stderr.isatty() else LINE_EVERY_S
    with tqdm(unit="frame", desc="dub", mininterval=every_s) as bar:
        shown = ""

        def progress(phase: str, done: int, total: int) -> None:
            nonlocal shown
            if shown != phase:
                shown = phase
                bar.set_description(phase, refresh=False)
                bar.reset(total)
            bar.update(done - bar.n)

        try:
            return dub_video(video, audio, out, bundle, options, progress=progress)
        except torch.OutOfMemoryError as error:
            fix = "try --guidance 1 or --precision fp16, or --device cpu"
            raise ParamsError(f"the GPU's memory is full; {fix}") from error


def _print_result(out: Path, dubbed: "DubResult") -> None:
    from trainers.dubbing.face_selection import face_listing

    console.print(face_listing(dubbed.faces, dubbed.selected))
    console.print(
        f"{out}: {dubbed.num_frames} frames at 25 fps, {dubbed.dubbed_frames} dubbed, "
        f"{dubbed.resumed_frames} of an earlier run; sound {dubbed.sound_codec}, {_how(dubbed)}"
    )


def _how(dubbed: "DubResult") -> str:
    """Say what became of the sound's samples."""
    if dubbed.sound_copied:
        return "copied"
    clipped = f"samples beyond full scale clipped: {dubbed.sound_clipped}"
    changes = [clipped] if dubbed.sound_clipped else []
    changes += [] if dubbed.sound_exact else ["rounded to 24 bits"]
    return ", ".join(changes) or "without loss"


def main() -> None:
    """`python -m trainers.dubbing.dub_command`."""
    run_main(lambda: typer.run(dub), takes_arguments=True)


if __name__ == "__main__":
    main()
