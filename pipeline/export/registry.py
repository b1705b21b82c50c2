"""All layouts by name."""

from collections.abc import Callable, Mapping

from pipeline.export.formats.energon import Energon
from pipeline.export.formats.file_lists import Folders, KeySync, LatentSync, Wav2Lip
from pipeline.export.formats.hallo import Hallo
from pipeline.export.formats.huggingface import HuggingFace
from pipeline.export.formats.litdata import LitData
from pipeline.export.formats.mds import Mds
from pipeline.export.formats.musetalk import MuseTalk
from pipeline.export.layout import ExportLayout, ExportTarget

LAYOUTS: Mapping[str, Callable[[ExportTarget], ExportLayout]] = {
    "wav2lip": Wav2Lip,
    "latentsync": LatentSync,
    "musetalk": MuseTalk,
    "keysync": KeySync,
    "hallo": Hallo,
    "folders": Folders,
    "huggingface": HuggingFace,
    "energon": Energon,
    "mds": Mds,
    "litdata": LitData,
}
