"""The demo corpus: every file, who is in it, what is wrong with it."""

from dataclasses import replace
from fractions import Fraction

from pipeline.demo.actors import ANNA, BELLA, GRACE, HOPE, alone, beside, listens, says
from pipeline.demo.fault_films import FAULT_FILMS
from pipeline.demo.film_writer import Format
from pipeline.demo.label_films import LABEL_FILMS
from pipeline.demo.motion import Pose
from pipeline.demo.scenario import BrokenFile, Film, Shot

NTSC_FILM = Fraction(24_000, 1001)
FILMS = (
    Film(
        uri="anna/interview.mp4",
        kind="talking",
        shots=alone(
            says(
                ANNA,
                "My brother bought five big apples. We always move above the bay in May. "
                "Papa makes warm bread in the morning, and Mom has a bowl of plums on the table. "
                "After that we all walk up to the farm, past the pond, and bathe by the old pump.",
            )
        ),
    ),
    Film(
        uri="grace/interview.mp4",
        kind="talking",
        shots=alone(
            says(
                GRACE,
                "Please open the window. Our mother has a fabulous view of the harbour. "
                "A large barge from Panama brought palm oil, pepper and a hundred bags of barley. "
                "My father marks every boat on a map, and by evening half of the paper is black.",
            )
        ),
        how=Format(audio_rate_hz=48_000, channels=2),
        faults=("stereo_48k",),
    ),
    Film(
        uri="anna/four early.mkv",
        kind="talking",
        shots=alone(
            says(
                BELLA,
                "Bon matin, ma belle amie. Nous avons vu un beau bateau blanc, puis un vapeur. "
                "Papa a mangé une pomme au bord de la mare. Ma maman prépare un bon repas à midi. "
                "Par beau temps, on part à la plage avec Barbara et Paul, on bavarde, on ramasse "
                "du bois.",
                "fr+f3",
            )
        ),
        how=Format(".mkv", audio_rate_hz=44_100, channels=2),
        offset_frames=4,
        faults=("shifted", "stereo_44k1"),
    ),
    Film(
        uri="cuts/three shots.mp4",
        kind="cuts",
        shots=(
            *alone(says(ANNA, "Paul makes pepper soup for everyone. It is often warm.")),
            *alone(says(GRACE, "But a farmer from Poland brought more bread and plums.")),
            *alone(says(BELLA, "Maybe Bob follows the map. Above the river you may walk.")),
        ),
        faults=("cuts",),
    ),
    Film(
        uri="pairs/only one speaks.mp4",
        kind="two_people",
        shots=(
            Shot(
                actors=(
                    says(ANNA, "You move that box and I open the bottom of the old blue lamp."),
                    GRACE,
                )
            ),
        ),
        size=(640, 360),
        faults=("silent_face",),
    ),
    Film(
        uri="pairs/the other one speaks.mp4",
        kind="two_people",
        shots=(
            Shot(
                actors=(
                    listens(HOPE, "Sure, that makes sense. Really? Yes, go on.", effort=0.3),
                    says(
                        beside(BELLA),
                        "My mother bought a big boat. We moved it up the river by the farm.",
                    ),
                )
            ),
        ),
        size=(480, 270),
        faults=("listening_face",),
    ),
    Film(
        uri="pairs/both mouths move.mp4",
        kind="two_people",
        shots=(
            Shot(
                actors=(
                    says(beside(GRACE), "Before we move, my family will buy a few more boxes."),
                    listens(ANNA, "The kids took their skates and ran to the ice again."),
                )
            ),
            Shot(
                actors=(
                    listens(ANNA, "She has less than thirty days, as this letter says."),
                    says(beside(GRACE), "Maybe Papa will paint our old wooden fence brown."),
                )
            ),
        ),
        size=(480, 270),
        offset_frames=2,
        faults=("cuts", "miming_face", "shifted"),
    ),
    Film(
        uri="silent/mouth shut.mp4",
        kind="silent",
        shots=(
            Shot(
                actors=(HOPE,),
                voice_over=says(
                    HOPE, "Nobody here moves a lip, but a voice from above speaks on and on."
                ),
            ),
        ),
        faults=("silent_face",),
        keep=False,
    ),
    Film(
        uri="grace/five late.avi",
        kind="talking",
        shots=alone(
            says(
                HOPE,
                "Meine Mutter backt am Abend Brot. Wir wollen oben am Wasser Urlaub machen. "
                "Am Morgen malt Papa ein Bild von einem braunen Pferd, aber am Abend mag er es "
                "nicht mehr. Mein Bruder baut am Bach ein Boot aus Pappe, und alle Affen im Park "
                "haben Spaß daran.",
                "de",
            )
        ),
        how=Format(".avi", "mpeg4", "pcm_s16le", audio_rate_hz=16_000),
        offset_frames=-5,
        faults=("shifted",),
    ),
    Film(
        uri="anna/nine early.webm",
        kind="talking",
        shots=alone(
            says(
                ANNA,
                "We may bomb the exam, but Mom will never worry. Papa always found a way home. "
                "A farmer by the road had a map and a lamp. He pointed up to the top of the "
                "mountain, past a barn, a palm and a broken bridge. My part of the plan was to "
                "carry the bag, and I may say it was half empty before we were halfway up.",
                "en-us+f4",
                165,
            )
        ),
        how=Format(".webm", "libvpx", "libopus", audio_rate_hz=48_000),
        offset_frames=9,
        faults=("shifted",),
    ),
    Film(
        uri="grace/eleven late – ñandú.mp4",  # noqa: RUF001 - a hostile name on purpose
        kind="talking",
        shots=alone(
            says(
                GRACE,
                "Mi abuela compra pan para mamá. Un hombre famoso bebe agua por la mañana. "
                "Papá prepara una sopa de papas, y mi primo abre la puerta para mirar el mar. "
                "Por la tarde vamos a la plaza, bailamos un poco y hablamos de barcos, mapas y "
                "palomas.",
                "es+f2",
            )
        ),
        offset_frames=-11,
        faults=("shifted", "hostile_name"),
    ),
    Film(
        uri="rates/thirty.mp4",
        kind="talking",
        shots=alone(
            says(
                HOPE,
                "Five boys were moving a piano up the old bumpy ramp above our wooden barn. "
                "Half of the band was already there and began to play a march by heart. "
                "Papa clapped, my baby brother banged on a pan, and a lamb by the apple tree "
                "jumped for fun.",
            )
        ),
        how=Format(fps=Fraction(30)),
        faults=("fps_30",),
    ),
    Film(
        uri="rates/film's rate.mkv",
        kind="talking",
        shots=alone(
            says(
                BELLA,
                "La mamma prepara una buona pizza. Poi beviamo vino bianco vicino al mare. "
                "Papà porta il pane, la bambina mangia una mela, e il mio bravo amico Pablo ama "
                "parlare della sua barca. Domani mattina andiamo al parco, impariamo a ballare "
                "e compriamo pepe e prezzemolo.",
                "it+f2",
            )
        ),
        how=Format(".mkv", fps=NTSC_FILM, audio_rate_hz=48_000),
        offset_frames=2,
        faults=("fps_23.976", "shifted", "hostile_name"),
    ),
    Film(
        uri="rates/variable.mp4",
        kind="talking",
        shots=alone(
            says(
                ANNA,
                "Above all, we hope for a warm summer. My father bought a farm by the pub. "
                "There is a pond with a palm, a barn for the ponies and a path up to the marble "
                "arch. My Mom has planned to plant basil, parsley and pumpkins, and Bob may build "
                "a bath.",
            )
        ),
        how=Format(variable_fps=True),
        faults=("fps_variable",),
    ),
    Film(
        uri="phone/upright.mp4",
        kind="talking",
        shots=alone(
            says(
                replace(GRACE, face_px=110.0, centre=(0.5, 0.5)),
                "Maybe we should call Bob and Fiona. They have a beautiful map of Rome. "
                "Bob is apt to forget the bags, but he is a marvellous partner on a march. "
                "Pack a warm jumper, a lamp and a pan. We may camp by the palm farm, above the "
                "river, and be back on Monday afternoon.",
                "en-us+f5",
            )
        ),
        size=(360, 480),
        how=Format(rotation_deg=90),
        faults=("rotated",),
    ),
    Film(
        uri="phone/late start.mkv",
        kind="talking",
        shots=alone(
            says(
                BELLA,
                "A small boat appeared from a foggy bay. Its brave owner waved at us. "
                "He had a box of bananas, a black lamp and a very big umbrella. "
                "My mother asked him to come up to the house, and before supper he told us "
                "how a calm morning may become a bad afternoon.",
            )
        ),
        how=Format(".mkv", audio_start_s=0.32, audio_rate_hz=48_000, channels=2),
        faults=("audio_starts_late",),
    ),
    Film(
        uri="cuts/there and back.mkv",
        kind="cuts",
        shots=(
            *alone(says(HOPE, "Some people move up to a farm and buy a pony for fun.")),
            *alone(says(BELLA, "My family would rather have a flat above a pub in Rome.")),
            *alone(says(HOPE, "Whatever you buy, have a warm room for Mom and Papa.")),
        ),
        how=Format(".mkv", audio_rate_hz=48_000),
        offset_frames=-3,
        faults=("cuts", "shifted"),
    ),
    Film(
        uri="dubbed/other words.mp4",
        kind="dubbed",
        shots=(
            Shot(
                actors=(
                    says(ANNA, "Mom. Papa. Bob. Move. Above the barn, a map of Peru may help."),
                ),
                voice_over=says(
                    ANNA,
                    "Six thick sticks are still sticking in the city as she reads "
                    "his sister this thin list",
                    "en-us+f1",
                    170,
                ),
            ),
        ),
        faults=("dubbed",),
        keep=False,
    ),
    Film(
        uri="poor/blurred.mp4",
        kind="blur",
        shots=alone(says(GRACE, "Our empty room was foggy. Blame my poor vision for all of it.")),
        blur_px=7.4,
        faults=("blur",),
        keep=False,
    ),
    Film(
        uri="poor/tiny.mp4",
        kind="tiny",
        shots=alone(
            says(
                replace(HOPE, face_px=25.0, centre=(0.5, 0.5)),
                "Far away, at the other bank of a river, a woman spoke of a bomb.",
            )
        ),
        faults=("tiny_face",),
        keep=False,
    ),
    Film(
        uri="poor/profile.mp4",
        kind="profile",
        shots=alone(
            says(
                replace(HOPE, pose=Pose(yaw_deg=80.0), centre=(0.55, 0.54)),
                "Look how far a woman may move her head. Above her arm you see but one eye.",
            )
        ),
        faults=("profile",),
        keep=False,
    ),
    Film(
        uri="empty/rocket.mp4",
        kind="no_face",
        shots=(Shot(voice_over=says(HOPE, "Before we boarded, a huge rocket was moved up.")),),
        faults=("no_face",),
        keep=False,
    ),
    Film(
        uri="broken/no sound.mp4",
        kind="no_audio",
        shots=alone(says(HOPE, "Nobody will ever hear it.")),
        size=(320, 240),
        how=Format(audio_codec=""),
        faults=("no_audio",),
        keep=False,
    ),
    *FAULT_FILMS,
    *LABEL_FILMS,
)
BROKEN_FILES = (
    BrokenFile(uri="broken/zero.mp4", kind="zero_bytes", faults=("zero_bytes",)),
    BrokenFile(
        uri="broken/not a video.mp4",
        kind="not_media",
        content=b"This is a text file whose name claims to be a video.\n" * 40,
        faults=("not_media",),
    ),
    BrokenFile(
        uri="broken/cut off.mp4",
        kind="truncated",
        source="anna/interview.mp4",
        share=0.6,
        faults=("truncated",),
    ),
    BrokenFile(
        uri="copies/interview.mp4",
        kind="duplicate",
        source="anna/interview.mp4",
        faults=("duplicate", "equal_name"),
    ),
)
