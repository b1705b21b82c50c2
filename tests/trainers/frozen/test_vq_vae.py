"""The VQ autoencoder: published names and shapes, and the ways to load it."""

import pytest
import torch

from pipeline.errors import ParamsError, WeightsError
from trainers.frozen import vq_files
from trainers.frozen.vq_files import load_autoencoder
from trainers.frozen.vq_vae import own_state, published_state, vq_f4

SMALL = {"widths": (32, 64, 96), "entries": 16}
PUBLISHED = {
    "encoder.conv_in.weight": (128, 3, 3, 3),
    "encoder.down.0.block.1.conv2.weight": (128, 128, 3, 3),
    "encoder.down.0.downsample.conv.weight": (128, 128, 3, 3),
    "encoder.down.1.block.0.nin_shortcut.weight": (256, 128, 1, 1),
    "encoder.down.2.block.0.conv1.weight": (512, 256, 3, 3),
    "encoder.mid.block_1.norm1.weight": (512,),
    "encoder.mid.attn_1.norm.weight": (512,),
    "encoder.mid.attn_1.q.weight": (512, 512, 1, 1),
    "encoder.mid.attn_1.proj_out.bias": (512,),
    "encoder.mid.block_2.conv2.bias": (512,),
    "encoder.norm_out.weight": (512,),
    "encoder.conv_out.weight": (3, 512, 3, 3),
    "decoder.conv_in.weight": (512, 3, 3, 3),
    "decoder.up.2.block.2.conv1.weight": (512, 512, 3, 3),
    "decoder.up.2.upsample.conv.weight": (512, 512, 3, 3),
    "decoder.up.1.block.0.nin_shortcut.weight": (256, 512, 1, 1),
    "decoder.up.0.block.0.nin_shortcut.weight": (128, 256, 1, 1),
    "decoder.norm_out.bias": (128,),
    "decoder.conv_out.weight": (3, 128, 3, 3),
    "quantize.embedding.weight": (8192, 3),
    "quant_conv.weight": (3, 3, 1, 1),
    "post_quant_conv.bias": (3,),
}
"""Of the published vq-f4, some of each kind."""


def test_the_published_names_and_shapes_are_those_of_the_network():
    with torch.device("meta"):
        state = published_state(vq_f4().state_dict())
    shapes = {name: tuple(one.shape) for name, one in state.items()}
    assert {name: shapes.get(name) for name in PUBLISHED} == PUBLISHED
    assert not [name for name in shapes if "upsample" in name and name.startswith("decoder.up.0")]
    assert len(shapes) == len(vq_f4(**SMALL).state_dict())


def test_published_weights_become_ours_and_ours_published_again():
    own = vq_f4(**SMALL).state_dict()
    back = own_state(published_state(own) | {"loss.discriminator.main.0.weight": torch.zeros(1)})
    assert back.keys() == own.keys()
    assert all(torch.equal(back[name], one) for name, one in own.items())


class Callback:
    """Stands for a class of Lightning, which is not here."""


def test_a_published_checkpoint_loads_from_a_file_and_other_weights_are_refused(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(vq_files, "vq_f4", lambda: vq_f4(**SMALL))
    model = vq_f4(**SMALL)
    path = tmp_path / "model.ckpt"
    torch.save({"state_dict": published_state(model.state_dict()), "callbacks": Callback()}, path)
    part = load_autoencoder(f"vq-f4:{path}")
    faces = torch.rand(1, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        expected = model.quant_conv(model.encoder(faces))
    latents = part.network.encode(faces)
    assert torch.equal(latents, expected)
    assert part.network.decode(latents).shape == (1, 3, 32, 32)
    assert latents.shape == (1, 3, 8, 8)
    assert part.sha256.keys() == {"model.ckpt"}
    for other in ("other", "encoder.mid.attn_1.other.weight"):
        torch.save({"state_dict": {other: torch.zeros(1)}}, path)
        with pytest.raises(WeightsError, match="not the weights of this network"):
            load_autoencoder(f"vq-f4:{path}")
    torch.save({"state_dict": {1: torch.zeros(1)}}, path)
    with pytest.raises(WeightsError, match="holds no weights under 'state_dict'"):
        load_autoencoder(f"vq-f4:{path}")


def test_the_stand_in_says_so_and_a_mistyped_name_lists_the_known_ones():
    assert load_autoencoder("stand-in:vq-f4").is_stand_in
    with pytest.raises(ParamsError, match="known: vq-f4:FILE, stand-in:vq-f4, pixels-8"):
        load_autoencoder("vq-f8")
    with pytest.raises(ParamsError, match="'vq-f4:' names no file"):
        load_autoencoder("vq-f4:")
