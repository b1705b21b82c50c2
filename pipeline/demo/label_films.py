"""Films on which labels of the picture are measured: mouths that are covered, jump cuts.

Nothing is heard in them, so that nothing of them is kept: they change no sample that something is
trained from.
"""

from pipeline.demo.actors import ANNA, BELLA, GRACE, HOPE, alone, says
from pipeline.demo.fault_films import SMALL, small
from pipeline.demo.film_writer import Format
from pipeline.demo.occluders import Occluder, Stop
from pipeline.demo.scenario import Actor, Fault, Film


def _film(name: str, actor: Actor, said: str, fault: Fault, how: Format | None = None) -> Film:
    return Film(
        uri=f"parts/{name}",
        kind=fault.kind,
        shots=alone(says(small(actor), said)),
        size=SMALL,
        how=how or Format(),
        faults=(fault.kind,),
        keep=False,
        muted=True,
        fault=fault,
    )


HAND = Occluder(
    kind="hand",
    stops=(
        Stop(10, 0.4, 1.6),
        Stop(25, 0.72, 0.05),
        Stop(50, 0.7, 0.0),
        Stop(62, 0.0, 0.0),
        Stop(95, 0.04, 0.02),
        Stop(108, 0.3, 0.5),
    ),
)
MICROPHONE = Occluder(
    kind="microphone",
    stops=(
        Stop(30, 0.05, 0.48),
        Stop(42, 0.0, 0.0),
        Stop(80, 0.02, 0.02),
        Stop(92, 0.52, 0.1),
        Stop(115, 0.5, 0.2),
    ),
)
LABEL_FILMS = (
    _film(
        "hand passes.mp4",
        ANNA,
        "A bamboo flute may be a bit old, but Pam plays it well.",
        Fault(kind="occluder", occluder=HAND),
    ),
    _film(
        "microphone passes.mp4",
        HOPE,
        "Pepper and plums? Before my mother moved, we had both.",
        Fault(kind="occluder", occluder=MICROPHONE),
    ),
    _film(
        "jump cuts.mp4",
        BELLA,
        "Papa paints a boat above the bay, my brother may buy the frame, and Bob keeps a map of "
        "the farm. Perhaps we move in May, before the plum trees bloom.",
        Fault(
            kind="jump_cuts",
            start=30,
            jumps=((30, 3), (60, 12), (90, 50), (120, 5), (150, 25)),
        ),
    ),
    _film(
        "more jump cuts.mkv",
        GRACE,
        "Many people have a favourite room. Mine is above the pump, from where one may see Mom and "
        "Papa work by the barn, a brown pony, and five lambs. But on Monday, move up.",
        Fault(
            kind="jump_cuts",
            start=30,
            jumps=((30, 8), (60, 25), (90, 5), (120, 50), (150, 12), (180, 3)),
        ),
        Format(".mkv", audio_rate_hz=48_000),
    ),
)
