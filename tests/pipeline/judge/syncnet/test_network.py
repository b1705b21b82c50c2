import ast
import io
import json
import random
import traceback
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pipeline.errors import WeightsError
from pipeline.judge.syncnet import network as syncnet_network
from pipeline.judge.syncnet.network import (
    LIP_CHANNELS,
    FastTower,
    SyncNet,
    load_network,
    read_network,
)
from tests.pipeline.judge.syncnet.golden_syncnet import KEYS, network, save_state, state


def test_keys_and_shapes_are_those_of_the_published_file_in_its_order() -> None:
    own = SyncNet().state_dict()
    assert [(key, list(tensor.shape)) for key, tensor in own.items()] == list(KEYS.items())
    assert len(own) == 102


def test_fast_towers_compute_what_the_published_layers_compute() -> None:
    net = network("tweaked")
    frames = 255 * torch.rand(2, 3, 5, 224, 224, generator=torch.Generator().manual_seed(0))
    cepstra = 20 * torch.randn(3, 1, 13, 20, generator=torch.Generator().manual_seed(1))
    stacked = torch.zeros(2, LIP_CHANNELS, 224, 224)
    stacked[:, :15] = frames.transpose(1, 2).flatten(1, 2)
    with torch.inference_mode():
        torch.testing.assert_close(
            FastTower.lip(net)(stacked), net.forward_lip(frames), atol=1e-3, rtol=0
        )
        torch.testing.assert_close(
            FastTower.sound(net)(cepstra), net.forward_aud(cepstra), atol=1e-3, rtol=0
        )


def same_weights(one: SyncNet, other: SyncNet) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_a_published_file_loads_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "syncnet_v2.model"
    loaded = load_network(save_state(path))
    assert same_weights(loaded, network("tweaked"))
    assert not loaded.training


def test_a_file_in_the_old_format_without_batch_counters_loads(tmp_path: Path) -> None:
    kept = OrderedDict((k, v) for k, v in state("tweaked").items() if "num_batches" not in k)
    torch.save(kept, tmp_path / "old.model", _use_new_zipfile_serialization=False)
    assert same_weights(load_network(tmp_path / "old.model"), network("tweaked"))


def test_safetensors_load_too(tmp_path: Path) -> None:
    save_file(state("tweaked"), tmp_path / "syncnet.safetensors")
    assert same_weights(load_network(tmp_path / "syncnet.safetensors"), network("tweaked"))


def test_keys_that_do_not_fit_are_an_error_that_names_them(tmp_path: Path) -> None:
    path = save_state(tmp_path / "a.model", extra=torch.zeros(1))
    with pytest.raises(WeightsError, match=r"a\.model: .* 1 keys unknown: extra"):
        load_network(path)
    save_state(path, **{"netfclip.3.bias": torch.zeros(7)})
    with pytest.raises(WeightsError, match=r"of another shape: netfclip\.3\.bias"):
        load_network(path)
    kept = state("tweaked")
    del kept["netcnnaud.19.running_mean"]
    torch.save(kept, path)
    with pytest.raises(WeightsError, match=r"missing: netcnnaud\.19\.running_mean"):
        load_network(path)


@pytest.mark.parametrize(
    "content", [b"", b"no weights at all", b"PK\x03\x04 half a zip", b"<html>Not found</html>"]
)
@pytest.mark.parametrize("name", ["a.model", "a.safetensors"])
def test_a_damaged_file_is_an_error(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    kind = "PyTorch state dict" if name == "a.model" else "safetensors file"
    with pytest.raises(WeightsError, match=rf"{name}: not a {kind}; delete the file and remove"):
        load_network(tmp_path / name)


def test_a_cut_off_file_is_an_error(tmp_path: Path) -> None:
    path = save_state(tmp_path / "a.model")
    path.write_bytes(path.read_bytes()[:1_000_000])
    with pytest.raises(WeightsError, match="not a PyTorch state dict"):
        load_network(path)


class Runs:
    """Unpickling this would run code."""

    def __reduce__(self) -> tuple[object, ...]:
        return (json.loads, ("[]",))


def test_code_in_a_file_is_refused(tmp_path: Path) -> None:
    torch.save({"netcnnaud.0.weight": Runs()}, tmp_path / "a.model")
    with pytest.raises(WeightsError, match="not a PyTorch state dict") as refusal:
        load_network(tmp_path / "a.model")
    assert str(refusal.value) == (
        f"{tmp_path / 'a.model'}: not a PyTorch state dict; delete the file and remove its line "
        "from trusted.lock.json if it has one, or correct --weights or sync.syncnet_weights in "
        "params.yaml"
    )
    assert "weights_only" not in "".join(traceback.format_exception(refusal.value))


def test_bytes_damaged_anywhere_are_an_error_of_ours() -> None:
    rng, small = random.Random(0), []
    for zipped in (True, False):
        buffer = io.BytesIO()
        torch.save({"a": torch.zeros(3)}, buffer, _use_new_zipfile_serialization=zipped)
        small.append(buffer.getvalue())
    for number in range(600):
        content = bytearray(small[number % 2])
        for _ in range(rng.randint(1, 8)):
            content[rng.randrange(len(content))] = rng.randrange(256)
        with pytest.raises(WeightsError):
            read_network(bytes(content))


def test_a_constant_has_one_meaning_in_all_of_syncnet_s_modules() -> None:
    folder = Path(syncnet_network.__file__).parent
    paths = [path for path in folder.glob("[!_]*.py") if path.stem != "mfcc"]
    trees = [ast.parse(path.read_text()) for path in sorted(paths)]
    assert len(trees) == 6
    names = [
        target.id
        for tree in trees
        for line in tree.body
        if isinstance(line, ast.Assign)
        for target in line.targets
        if isinstance(target, ast.Name) and target.id.isupper()
    ]
    assert {"CROP_PX", "MIN_TRACK_FRAMES", "MIN_FRAMES_WITH_SOUND"} <= set(names)
    assert len(names) == len(set(names))


def test_nested_or_absent_weights_are_an_error(tmp_path: Path) -> None:
    torch.save({"state_dict": {"a": torch.zeros(1)}}, tmp_path / "a.model")
    with pytest.raises(WeightsError, match="flat mapping"):
        load_network(tmp_path / "a.model")
    with pytest.raises(WeightsError, match="no such file"):
        load_network(tmp_path / "b.model")
