"""Names of LatentSync's published weights <-> names in our network.

Only motion layers are named differently. A published file also carries every position table twice;
the tables are no weights: ours are computed, and a file's are compared with them.
"""

from collections.abc import Mapping

from torch import Tensor

OWN_PREFIX = "net."
MOTION = ".motion_modules."
POSITIONS = "pos_embed.pe"
_INNER = "temporal_transformer."
_PUBLIC_POSITIONS = ("attention_blocks.0.pos_encoder.pe", "attention_blocks.1.pos_encoder.pe")
_OWN_PARTS = {
    "attn1.": "attention_blocks.0.",
    "attn2.": "attention_blocks.1.",
    "norm1.": "norms.0.",
    "norm2.": "norms.1.",
    "norm3.": "ff_norm.",
}


def public_names(own: str) -> tuple[str, ...]:
    """Return the published names of one of our tensors: two for a position table, else one."""
    name = own.removeprefix(OWN_PREFIX)
    if MOTION not in name:
        return (name,)
    layer, rest = _split(name)
    if rest.endswith(POSITIONS):
        start = rest.removesuffix(POSITIONS)
        return tuple(f"{layer}{_INNER}{start}{end}" for end in _PUBLIC_POSITIONS)
    for part, public in _OWN_PARTS.items():
        rest = rest.replace(f".{part}", f".{public}")
    return (f"{layer}{_INNER}{rest}",)


def own_name(public: str) -> str:
    """Return our name of a published tensor; both tables of a pair have the same one."""
    if MOTION not in public:
        return OWN_PREFIX + public
    layer, rest = _split(public)
    rest = rest.removeprefix(_INNER)
    for end in _PUBLIC_POSITIONS:
        rest = rest.replace(end, POSITIONS)
    for part, name in _OWN_PARTS.items():
        rest = rest.replace(f".{name}", f".{part}")
    return OWN_PREFIX + layer + rest


def public_state(own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors on the CPU under their published names, float32, in plain memory order.

    They may lie in the network's memory, but no two in the same.
    """
    state = {}
    for key, tensor in own.items():
        flat = tensor.detach().float().cpu().contiguous().flatten()
        plain = flat.view(tensor.shape)  # a channels-last 1 x 1 kernel is contiguous, oddly strided
        first, *copies = public_names(key)
        state[first] = plain
        state |= {name: plain.clone() for name in copies}
    return state


def motion_layer(name: str) -> str | None:
    """Return the start of the name of a motion layer's tensor, up to the layer's number."""
    return _split(name)[0] if MOTION in name else None


def _split(name: str) -> tuple[str, str]:
    """Cut behind the motion layer's number."""
    block, _, rest = name.partition(MOTION)
    number, _, rest = rest.partition(".")
    return f"{block}{MOTION}{number}.", rest
