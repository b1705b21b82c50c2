"""The torch device that LIPFORGE_GPU names."""

from pipeline.params.environment import environment


def torch_device() -> str:
    """Return LIPFORGE_GPU as torch names it: `cpu` or `cuda:INDEX`; unset takes the first GPU.

    CUDA_VISIBLE_DEVICES (Ray sets it per worker) is obeyed by CUDA itself.
    """
    import torch  # seconds

    wanted = environment().gpu
    if wanted == "cpu" or not torch.cuda.is_available():
        return "cpu"
    return f"cuda:{wanted}"
