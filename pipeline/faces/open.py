"""Loads the face backend that params.yaml names, or the digests of its networks.

A backend is imported only when it is chosen: each needs a runtime that the other does not.
"""

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from pipeline.faces.backend import FaceBackend
from pipeline.media.versions import media_versions
from pipeline.params.curation import FacesParams


def open_backend(params: FacesParams) -> FaceBackend:
    """Load the backend that `params.backend` names.

    Raises:
        WeightsError: a model file is absent or altered.
    """
    if params.backend == "litert":
        from pipeline.faces.litert import LiteRTBackend

        return LiteRTBackend()
    from pipeline.faces.insightface import InsightFaceBackend

    return InsightFaceBackend(params.insightface_name, params.insightface_root)


def weights_of(params: FacesParams) -> Mapping[str, str]:
    """Return file name -> SHA-256 of a backend's networks without loading them.

    Raises:
        WeightsError: a model file is absent or altered.
    """
    if params.backend == "litert":
        from pipeline.faces.litert import installed_weights

        return installed_weights()
    from pipeline.faces.insightface import pack_sha256

    return pack_sha256(params.insightface_name, params.insightface_root)


def own_weights_of(params: FacesParams) -> Mapping[str, Path]:
    """Return file name -> path of those networks that lie where the user has them.

    Raises:
        WeightsError: a model file is absent.
    """
    if params.backend == "litert":
        return {}
    from pipeline.faces.insightface import pack_files

    files = pack_files(params.insightface_name, params.insightface_root)
    return {path.name: path for path in files}


def library_versions(backend: str) -> Mapping[str, str]:
    """Return library -> version of all that decides a clip's bytes, the backend's runtime included.

    Args:
        backend: as `FacesParams.backend`.
    """
    runtimes = ("ai-edge-litert",) if backend == "litert" else ("onnxruntime", "insightface")
    return {**media_versions(), **{name: version(name) for name in runtimes}}
