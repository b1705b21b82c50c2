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
    from trainers.dubbing.video_options import DubResult, VideoOptions
    from trainers.talking_face.model import Precision, TalkingFaceModel

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
        Literal["self", "apart", "first"] | None,
        typer.Option(
            help="Faces shown: those to be changed, other ones, or the first; else as the model."
        ),
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
    overlap: Annotated[
        int | None,
        typer.Option(min=0, help="Frames shared by two windows; else 4, or what the model can."),
    ] = None,
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
    from trainers.dubbing.face_selection import ALL, MAIN
    from trainers.dubbing.video_options import VideoOptions

    if all_faces and face:
        raise ParamsError("--face and --all-faces: give one of them")
    face_params, scene_params = _workspace()
    options = VideoOptions(
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
    loaded = _model(model, device)
    given: dict[str, object] = {"steps": steps, "guidance": guidance}
    given |= {"temperature": temperature, "reference": reference}
    given |= {"overlap_frames": overlap, "seed": seed, "precision": _precision(loaded, precision)}
    _print_result(out, _dub(video, audio, out, loaded, _with_sampling(options, loaded, given)))


def _with_sampling(
    options: "VideoOptions", model: "TalkingFaceModel", given: "Mapping[str, object]"
) -> "VideoOptions":
    """Set the sampling options: as given, else of the model; print them."""
    from trainers.dubbing.sampling_options import sampling_options, shown_options

    asked = {name: value for name, value in given.items() if value is not None}
    dub = sampling_options(model, asked)
    console.print(shown_options(model, dub))
    return replace(options, dub=dub)


def _workspace() -> "tuple[FacesParams, ScenesParams]":
    """Return the face and shot parameters of this project, or the defaults outside of one."""
    from pipeline.params.curation import FacesParams, ScenesParams, load_params

    if not PARAMS.exists():
        return FacesParams(), ScenesParams()
    params = load_params(PARAMS)
    return params.faces, params.scenes


def _model(folder: Path, device: str) -> "TalkingFaceModel":
    from pipeline.errors import ParamsError
    from trainers.talking_face.model_file import stand_ins
    from trainers.trained_models import load_model

    place = _device(device)
    model = load_model(folder)
    try:
        model.to(place)
    except (RuntimeError, AssertionError) as error:  # no such device; AssertionError: no CUDA built
        raise ParamsError(f"--device {device}: {error}; try --device cpu") from error
    for name in stand_ins(model.facts):
        console.print(f"note: {name}: this model is a trial, not for use")
    return model


def _device(name: str) -> "torch.device":
    """Return the device asked for, else a GPU if there is one."""
    import torch

    from pipeline.errors import ParamsError

    if name and not re.fullmatch("cpu|cuda(:[0-9]{1,2})?", name):
        raise ParamsError(f"--device {name}: must be cpu, cuda or cuda:N, N the number of a GPU")
    return torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))


def _precision(model: "TalkingFaceModel", asked: str) -> str:
    """Return the precision asked for, or that of the device, and cast the weights to it."""
    from trainers.dubbing.precision import precision_for

    precision = precision_for(model.device) if asked == "auto" else cast("Precision", asked)
    model.cast(precision)
    return precision


def _list(video: Path, options: "VideoOptions") -> None:
    from trainers.dubbing.face_selection import face_listing, select_faces
    from trainers.dubbing.video_dubbing import find_faces

    faces = find_faces(video, options)
    console.print(face_listing(faces, select_faces(faces, options.faces)) or "no face")


def _dub(
    video: Path, audio: Path, out: Path, model: "TalkingFaceModel", options: "VideoOptions"
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
            return dub_video(video, audio, out, model, options, progress=progress)
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
