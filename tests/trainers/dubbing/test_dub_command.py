"""`lipforge dub` as a command."""

import subprocess
import sys

import numpy as np
import pytest
import soundfile
import torch
import typer
from typer.testing import CliRunner

from pipeline.errors import ParamsError, SourceError, WeightsError
from tests.trainers.dubbing.scene import LEFT, Squares, bundle, film, voice
from trainers.dubbing import provenance
from trainers.dubbing import video_dubbing as module
from trainers.dubbing.dub_command import dub
from trainers.systems.latentsync.bundle import save_bundle


@pytest.fixture
def command(monkeypatch, workspace):
    monkeypatch.setattr(module, "open_backend", lambda params: Squares([LEFT]))
    monkeypatch.setattr(provenance, "weights_of", lambda params: {})
    app = typer.Typer()
    app.command()(dub)
    film(workspace / "v.mp4", 4)
    voice(workspace / "a.wav", 4)
    return lambda *given: CliRunner().invoke(app, ["v.mp4", "a.wav", "-o", "out.mp4", *given])


def test_the_entry_point_adds_the_command_and_loads_no_network_for_it():
    code = (
        "import sys, typer, pipeline.cli as c; app = typer.Typer(); c.add_commands(app); "
        "print([one.name for one in app.registered_commands], 'torch' in sys.modules)"
    )
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert made.stdout.strip() == "['dub'] False"


def test_a_model_folder_is_used_and_named_as_a_trial(command, workspace):
    model = bundle()
    save_bundle(
        workspace / "model",
        model.unet,
        {
            **model.facts,
            "frames": 4,
            "resolution_px": 256,
            "sampling": {"steps": 2, "guidance": 1.0, "temperature": 0.0},
            "sha256": {"vae": {}, "whisper": {}},
        },
    )
    made = command("--model", "model", "--steps", "1", "--overlap", "2")
    assert made.exit_code == 0, made.output
    # asked for, and the model's, and the device's
    assert "1 steps, guidance 1.0, temperature 0.0, fp32" in made.output
    assert "note: vae=stand-in:blocks: this model is a trial" in made.output
    assert "* face 0: shot 0, 0.00-0.16 s, 60 px" in made.output
    assert "out.mp4: 4 frames at 25 fps, 4 dubbed, 0 of an earlier run; sound flac" in made.output


def test_the_faces_are_listed_without_a_model(command, workspace):
    made = command("--list-faces")
    assert (made.exit_code, made.output) == (0, "* face 0: shot 0, 0.00-0.16 s, 60 px\n")
    assert not (workspace / "out.mp4").exists()


def test_a_full_gpu_is_one_message_with_its_fix(command, workspace, monkeypatch):
    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory")

    facts = {"frames": 4, "resolution_px": 256, "sha256": {"vae": {}, "whisper": {}}}
    model = bundle()
    save_bundle(workspace / "model", model.unet, {**model.facts, **facts})
    monkeypatch.setattr(module, "dub_video", full)
    made = command("--model", "model")
    assert isinstance(made.exception, ParamsError)
    assert "--precision fp16" in str(made.exception)


def test_contradictions_are_refused(command):
    made = command("--face", "0", "--all-faces")
    assert isinstance(made.exception, ParamsError)
    assert "--all-faces" in str(made.exception)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--guidance", "inf"),
        ("--guidance", "nan"),
        ("--guidance", "101"),
        ("--seed", str(2**63)),
        ("--steps", "1001"),
    ],
)
def test_impossible_numbers_are_refused_before_any_work(command, workspace, option, value):
    made = command(option, value)
    assert made.exit_code == 2
    assert f"Invalid value for '{option}'" in made.output
    assert sorted(one.name for one in workspace.glob("*.mp4*")) == ["v.mp4"]


@pytest.mark.parametrize("name", ["meta", "mps", "tpu", "cuda:", "cuda:0:1", "cpu:0"])
def test_a_device_of_another_kind_is_refused_before_any_work(command, workspace, name):
    made = command("--device", name, "--model", "nowhere")
    assert isinstance(made.exception, ParamsError)
    assert str(made.exception).startswith(f"--device {name}: must be cpu, cuda or cuda:N")


def test_the_last_line_tells_what_became_of_the_sound(command, workspace):
    model = bundle()
    sampling = {"steps": 1, "guidance": 1.0}
    facts = {"frames": 4, "resolution_px": 256, "sampling": sampling}
    facts["sha256"] = {"vae": {}, "whisper": {}}
    save_bundle(workspace / "model", model.unet, {**model.facts, **facts})
    loud = np.zeros(2560)
    loud[[7, 9]] = 1.5, -3.0
    for subtype, told in [
        ("PCM_16", "sound flac, without loss"),
        ("FLOAT", "sound flac, samples beyond full scale clipped: 2"),
    ]:
        soundfile.write(workspace / "a.wav", loud, 16_000, subtype)
        made = command("--model", "model", "--seed", str(2**63 - 1), "--overlap", "2")
        assert made.exit_code == 0, made.output
        assert made.stdout.splitlines()[-1].endswith(told)
        assert all(f"{phase}: " in made.stderr for phase in ("shots", "faces", "dub")), "progress"


def test_what_is_missing_is_named(command):
    assert isinstance(command("--model", "nowhere").exception, WeightsError)
    made = command("--list-faces", "--face", "4")
    assert isinstance(made.exception, SourceError)
    assert "--face 4: no such face" in str(made.exception)
