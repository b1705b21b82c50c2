"""ONNX Runtime on one thread: the stages use every core by processes."""

from typing import Any


def one_thread() -> Any:
    """Return the options of a session that uses one thread."""
    import onnxruntime  # 0.1 s: only where a network is run

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return options


def open_on_cpu(model: str | bytes) -> Any:
    """Load a network for one thread of the CPU.

    Args:
        model: path of the file, or its bytes.
    """
    import onnxruntime

    providers = ["CPUExecutionProvider"]
    return onnxruntime.InferenceSession(model, sess_options=one_thread(), providers=providers)
