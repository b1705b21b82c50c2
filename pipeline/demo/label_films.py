"""Films on which labels of the picture are measured: mouths that are covered, jump cuts.

Nothing is heard in them, so that nothing of them is kept: they change no sample that something is
trained from.
"""

from pipeline.demo.actors import ANNA, BELLA, GRACE, HOPE, alone, says
from pipeline.demo.fault_films import SMALL, small
from pipeline.demo.film_writer import Format
from pipeline.demo.occluders import Occluder, Stop
from pipeline.demo.scenario import Fault, Film

LABEL_FILMS = (
    Film(
        uri="parts/hand passes.mp4",
        kind="occluder",
        shots=alone(says(small(ANNA), "A bamboo flute may be a bit old, but Pam plays it well.")),
        size=SMALL,
        faults=("occluder",),
        keep=False,
        muted=True,
        fault=Fault(
            kind="occluder",
            occluder=Occluder(
                kind="hand",
                stops=(
                    Stop(10, 0.4, 1.6),
                    Stop(25, 0.72, 0.05),
                    Stop(50, 0.7, 0.0),
                    Stop(62, 0.0, 0.0),
                    Stop(95, 0.04, 0.02),
                    Stop(108, 0.3, 0.5),
                ),
            ),
        ),
    ),
    Film(
        uri="parts/microphone passes.mp4",
        kind="occluder",
        shots=alone(says(small(HOPE), "Pepper and plums? Before my mother moved, we had both.")),
        size=SMALL,
        faults=("occluder",),
        keep=False,
        muted=True,
        fault=Fault(
            kind="occluder",
            occluder=Occluder(
                kind="microphone",
                stops=(
                    Stop(30, 0.05, 0.48),
                    Stop(42, 0.0, 0.0),
                    Stop(80, 0.02, 0.02),
                    Stop(92, 0.52, 0.1),
                    Stop(115, 0.5, 0.2),
                ),
            ),
        ),
    ),
    Film(
        uri="parts/jump cuts.mp4",
        kind="jump_cuts",
        shots=alone(
            says(
                small(BELLA),
                "Papa paints a boat above the bay, my brother may buy the frame, and Bob keeps a "
                "map of the farm. Perhaps we move in May, before the plum trees bloom.",
            )
        ),
        size=SMALL,
        faults=("jump_cuts",),
        keep=False,
        muted=True,
        fault=Fault(
            kind="jump_cuts",
            start=30,
            jumps=((30, 3), (60, 12), (90, 50), (120, 5), (150, 25)),
        ),
    ),
    Film(
        uri="parts/more jump cuts.mkv",
        kind="jump_cuts",
        shots=alone(
            says(
                small(GRACE),
                "Many people have a favourite room. Mine is above the pump, from where one may "
                "see Mom and Papa work by the barn, a brown pony, and five lambs. But on Monday, "
                "move up.",
            )
        ),
        size=SMALL,
        how=Format(".mkv", audio_rate_hz=48_000),
        faults=("jump_cuts",),
        keep=False,
        muted=True,
        fault=Fault(
            kind="jump_cuts",
            start=30,
            jumps=((30, 8), (60, 25), (90, 5), (120, 50), (150, 12), (180, 3)),
        ),
    ),
)
