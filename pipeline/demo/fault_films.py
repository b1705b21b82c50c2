"""Films that are good in part: one fault each, in a stretch that the truth names.

Frames are those of the 25 fps grid. Every film has at least one good stretch that is longer than
the shortest clip (3 s) by more than the tolerance of the comparison.
"""

from dataclasses import replace

from pipeline.demo.actors import ANNA, BELLA, GRACE, HOPE, alone, says
from pipeline.demo.film_writer import Format
from pipeline.demo.scenario import Actor, Fault, Film, Shot

SMALL = (320, 240)


def small(actor: Actor) -> Actor:
    """Place an actor in a small picture."""
    return replace(actor, face_px=76.0, centre=(0.5, 0.5))


def _voice(text: str, voice: str) -> Shot:
    return Shot(voice_over=says(HOPE, text, voice, 165))


FAULT_FILMS = (
    Film(
        uri="parts/foreign voice.mp4",
        kind="foreign_sound",
        shots=alone(
            says(
                small(ANNA),
                "Mom bought a pumpkin and five plums. Then we may bake a fabulous pie for Bob, "
                "Amy.",
            )
        ),
        size=SMALL,
        faults=("foreign_sound",),
        fault=Fault(kind="foreign_sound", start=100),
        other=_voice(
            "Sister Cecily says she has seen the sixth ship as it left this lake, and thirty "
            "others ask her since then",
            "en-us+f5",
        ),
    ),
    Film(
        uri="parts/lost sound.mp4",
        kind="lost_sound",
        shots=alone(
            says(
                small(GRACE),
                "Peppermint tea for both of you? A warm cup may help before we move the piano up "
                "to my room above. Fine by me.",
            )
        ),
        size=SMALL,
        faults=("lost_sound", "shifted"),
        offset_frames=-5,
        fault=Fault(kind="lost_sound", start=90, end=100),
    ),
    Film(
        uri="parts/another person.mp4",
        kind="other_person",
        shots=alone(
            says(
                small(BELLA),
                "Move over, Bob. Papa found an amber button by the pier. Maybe we can buy him a "
                "beer.",
            )
        ),
        size=SMALL,
        faults=("other_person",),
        fault=Fault(kind="other_person", start=90, end=102),
        other=Shot(actors=(small(GRACE),)),
    ),
    Film(
        uri="parts/dissolve.mp4",
        kind="dissolve",
        shots=(
            *alone(says(small(HOPE), "Our family may spend May by the Baltic, above a bay.")),
            *alone(says(small(ANNA), "Uncle Abe brews beer and bakes brown bread in Bavaria.")),
        ),
        size=SMALL,
        faults=("dissolve",),
        fault=Fault(kind="dissolve", start=93, end=118),
    ),
    Film(
        uri="parts/fade.mkv",
        kind="fade",
        shots=(
            *alone(says(small(BELLA), "Paper boats bob up and down in a puddle before my home.")),
            *alone(says(small(GRACE), "Every Monday five farmers meet in a pub by the bamboo.")),
        ),
        size=SMALL,
        how=Format(".mkv"),
        faults=("fade",),
        fault=Fault(kind="fade", start=98, end=123),
    ),
    Film(
        uri="parts/standing picture.mp4",
        kind="frozen",
        shots=alone(
            says(
                small(HOPE),
                "A baboon from the valley above may eat your papaya. Hide every plum, every apple "
                "and all your bread from him.",
            )
        ),
        size=SMALL,
        faults=("frozen",),
        fault=Fault(kind="frozen", start=95, end=170),
    ),
    Film(
        uri="parts/hole.mkv",
        kind="hole",
        shots=alone(
            says(
                small(ANNA),
                "We forgot my umbrella by the embankment. Perhaps Pam found it. The map says we "
                "move up, over a bumpy footpath, before we meet them.",
            )
        ),
        size=SMALL,
        how=Format(".mkv", audio_rate_hz=48_000, b_frames=False),
        faults=("hole",),
        fault=Fault(kind="hole", start=100, end=150),
    ),
    Film(
        uri="parts/hand on the mouth.mp4",
        kind="covered_mouth",
        shots=alone(
            says(
                small(GRACE),
                "Bamboo forests may be warm. Move the lamp above the table, Fiona, but be prompt.",
            )
        ),
        size=SMALL,
        faults=("covered_mouth",),
        fault=Fault(kind="covered_mouth", start=95),
    ),
    Film(
        uri="parts/damaged.mp4",
        kind="damaged",
        shots=alone(
            says(
                small(BELLA),
                "From my window you may view the Baltimore bay. Both of my brothers have moved up "
                "here, above a pub.",
            )
        ),
        size=SMALL,
        how=Format(gop_frames=25, b_frames=False),
        faults=("damaged",),
        fault=Fault(kind="damaged", start=103, end=125),
    ),
    Film(
        uri="parts/clock restarts.ts",
        kind="clock_restarts",
        shots=alone(
            says(
                small(HOPE),
                "Pablo bought a violin and a viola. Maybe his mother plays one of them above a "
                "bar, but never for me.",
            )
        ),
        size=SMALL,
        how=Format(".ts", audio_rate_hz=48_000, gop_frames=45),
        faults=("clock_restarts",),
        fault=Fault(kind="clock_restarts", start=90, end=90),
    ),
    Film(
        uri="tracks/second picture.mp4",
        kind="second_picture",
        shots=alone(says(small(ANNA), "Above a beam we have found a very old map of Bombay.")),
        size=SMALL,
        how=Format(b_frames=False),
        faults=("second_picture",),
        fault=Fault(kind="second_picture", end=0),
        other=Shot(),
    ),
    Film(
        uri="tracks/second sound.mkv",
        kind="second_sound",
        shots=alone(says(small(BELLA), "My boss may move to Boston, before a new job appears.")),
        size=SMALL,
        how=Format(".mkv", audio_rate_hz=48_000, b_frames=False),
        faults=("second_sound",),
        fault=Fault(kind="second_sound", end=0),
        other=_voice("Since Easter she has seen thirty ducks in the city", "de+m3"),
    ),
)
