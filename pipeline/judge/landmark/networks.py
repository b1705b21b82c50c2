"""The judge's networks, run by ONNX Runtime on one thread: loaded in 0.1 s, torch takes 1.5 s.

Each of them is two small convolutional branches into one space. They are trained in torch
(`trainers/systems/landmark_judge/network.py`, the same arithmetic; a test compares the two). Here
batch normalisation and the spread of the visual features are folded into the convolutions.

Shape suffixes: T frames, V = 121 visual features, S = 4 T mel steps, M = 40 mel bands, D embedding,
O outputs, I inputs and K taps of a convolution.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import WeightsError
from pipeline.judge.landmark.features import NUM_MELS, VISUAL_SIZE
from pipeline.weights.onnx_sessions import open_on_cpu

MARGIN_FRAMES = 5
"""Receptive field of one embedding, in frames to either side (the sum of all
kernels). That of the first and last ones includes the padding beyond the clip's ends; the ends of
both streams coincide at offset 0, so these embeddings would favour 0 for any audio."""
BATCH_NORM_EPSILON = 1e-5
"""Added to the variance: torch's default, with which the networks are trained."""
OPSET, IR_VERSION = 17, 8
"""Of the ONNX graph; read by every ONNX Runtime since 1.12."""

Floats = NDArray[np.float32]
Arrays = Mapping[str, NDArray[Any]]
"""Weights of one network, by the names that torch gives them."""


@dataclass(frozen=True, slots=True)
class _Layer:
    """A convolution, batch normalisation and a ReLU."""

    name: str
    stride: int = 1
    dilation: int = 1
    residual: bool = False
    """Whether its input is added to its output."""


_VISUAL = (
    _Layer("visual.0"),
    _Layer("visual.1.layer", residual=True),
    _Layer("visual.2.layer", dilation=2, residual=True),
)
_AUDIO = (
    _Layer("audio.0"),
    _Layer("audio.1", stride=2),
    _Layer("audio.2", stride=2),
    _Layer("audio.3.layer", residual=True),
    _Layer("audio.4.layer", dilation=2, residual=True),
)
_VISUAL_HEAD, _AUDIO_HEAD = "visual.3", "audio.5"
_SPREAD = "visual_std"
_NOT_USED = "num_batches_tracked"
"""Ends the names of torch's counters."""


class OnnxNetworks:
    """Some networks of equal shape, as one graph on one CPU thread."""

    def __init__(self, members: Sequence[Arrays]) -> None:
        """Build the graph.

        Raises:
            WeightsError: the arrays are not those of such networks.
        """
        self._session = open_on_cpu(_model(members))
        self._count = len(members)

    def embed(self, shape_TV: Floats, mel_SM: Floats) -> tuple[list[Floats], list[Floats]]:
        """Return per network unit vectors (T - 10, D) of picture and of sound.

        Args:
            shape_TV: centred mouth shapes.
            mel_SM: normalised log-mels.
        """
        streams = {"picture": shape_TV.T[None], "sound": mel_SM.T[None]}
        streams = {name: np.ascontiguousarray(values) for name, values in streams.items()}
        vectors = [_unit_vectors(found[0]) for found in self._session.run(None, streams)]
        return vectors[: self._count], vectors[self._count :]


def _unit_vectors(x_DT: Floats) -> Floats:
    inner_TD = x_DT[:, MARGIN_FRAMES:-MARGIN_FRAMES].T
    length_T1 = np.linalg.norm(inner_TD, axis=1, keepdims=True)
    return np.asarray(inner_TD / np.maximum(length_T1, 1e-12), np.float32)


def _model(members: Sequence[Arrays]) -> bytes:
    """Return the ONNX file: inputs `picture` (1, V, T), `sound` (1, M, S); outputs (1, D, T)."""
    from onnx import TensorProto, helper  # 0.06 s: only where a clip is judged

    graphs = [_Graph(index, arrays) for index, arrays in enumerate(members)]
    outputs = [one.picture() for one in graphs] + [one.sound() for one in graphs]
    if unknown := [name for one in graphs for name in one.unknown()]:
        raise WeightsError(f"weights of the landmark judge: not of its networks: {unknown}")
    graph = helper.make_graph(
        [node for one in graphs for node in one.nodes],
        "landmark_judge",
        [
            helper.make_tensor_value_info("picture", TensorProto.FLOAT, [1, VISUAL_SIZE, "T"]),
            helper.make_tensor_value_info("sound", TensorProto.FLOAT, [1, NUM_MELS, "S"]),
        ],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [tensor for one in graphs for tensor in one.tensors],
    )
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
    return bytes(model.SerializeToString())


class _Graph:
    """Collects the nodes of one network; every method returns the name of what it computes."""

    def __init__(self, index: int, arrays: Arrays) -> None:
        self.nodes: list[Any] = []
        self.tensors: list[Any] = []
        self._index, self._arrays = index, arrays
        self._read: set[str] = set()

    def picture(self) -> str:
        spread_V1 = self._array(_SPREAD)[:, None]
        return self._branch("picture", _VISUAL, _VISUAL_HEAD, spread_V1)

    def sound(self) -> str:
        return self._branch("sound", _AUDIO, _AUDIO_HEAD, np.ones(1))

    def unknown(self) -> list[str]:
        """Return the names of arrays that no layer has read."""
        left = sorted(set(self._arrays) - self._read)
        return [name for name in left if not name.endswith(_NOT_USED)]

    def _branch(
        self, value: str, layers: Sequence[_Layer], head: str, spread: NDArray[np.float64]
    ) -> str:
        for layer in layers:
            weight_OIK, bias_O = self._folded(layer.name)
            if layer is layers[0]:
                weight_OIK = weight_OIK / spread
            convolved = self._convolution(value, layer.name, weight_OIK, bias_O, layer)
            found = self._node("Relu", f"{layer.name}.relu", [convolved])
            if layer.residual:
                found = self._node("Add", f"{layer.name}.add", [value, found])
            value = found
        weight_OIK, bias_O = self._array(f"{head}.weight"), self._array(f"{head}.bias")
        return self._convolution(value, head, weight_OIK, bias_O, _Layer(head))

    def _folded(self, layer: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return weight (O, I, K) and bias (O,) of convolution and batch normalisation together."""
        variance_O = self._array(f"{layer}.1.running_var")
        gain_O = self._array(f"{layer}.1.weight") / np.sqrt(variance_O + BATCH_NORM_EPSILON)
        bias_O = self._array(f"{layer}.1.bias") - gain_O * self._array(f"{layer}.1.running_mean")
        return self._array(f"{layer}.0.weight") * gain_O[:, None, None], bias_O

    def _convolution(
        self,
        value: str,
        name: str,
        weight_OIK: NDArray[np.float64],
        bias_O: NDArray[np.float64],
        layer: _Layer,
    ) -> str:
        kernel = weight_OIK.shape[2]
        padding = layer.dilation * (kernel - 1) // 2
        return self._node(
            "Conv",
            name,
            [value, self._tensor(f"{name}.w", weight_OIK), self._tensor(f"{name}.b", bias_O)],
            kernel_shape=[kernel],
            pads=[padding, padding],
            strides=[layer.stride],
            dilations=[layer.dilation],
        )

    def _array(self, name: str) -> NDArray[np.float64]:
        self._read.add(name)
        try:
            return self._arrays[name].astype(np.float64)
        except KeyError as error:
            raise WeightsError(f"weights of the landmark judge: no {name!r} inside") from error

    def _node(self, kind: str, name: str, inputs: Sequence[str], **attributes: Any) -> str:
        from onnx import helper

        output = f"{self._index}.{name}"
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def _tensor(self, name: str, values: NDArray[np.float64]) -> str:
        from onnx import numpy_helper

        name = f"{self._index}.{name}"
        self.tensors.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name
