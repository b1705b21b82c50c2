"""The bundled judge on synthetic voices: languages, variants, speeds, with and without music.

python -m benchmarks.voices

Landmarks of a talking portrait move to 3 to 8 seconds of eSpeak NG's speech; nothing is rendered
and no face is detected: this tests speech alone. The offsets are true by construction.
"""

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.signal import resample_poly

from pipeline.demo.articulation import articulate
from pipeline.demo.motion import move
from pipeline.demo.portrait import Framing, framed
from pipeline.demo.speech import Speech, speak
from pipeline.demo.talking_portrait import TalkingPortrait
from pipeline.judge.landmark.judge import LandmarkJudge
from pipeline.tables.rows import FPS, SAMPLE_RATE_HZ, SAMPLES_PER_FRAME

TEXTS = {
    "en-us": "A small boat with a blue sail moved past the pier, and nobody but the baker saw it.",
    "en-gb-x-rp": "Pepper and basil grow behind my mother's house, where few people ever walk by.",
    "de": "Am Morgen bringt mein Bruder Brot und Butter, bevor die Bahn am Park vorbeifährt.",
    "fr": "Le pommier perd ses premières fleurs quand ma mère ouvre la fenêtre de la chambre.",
    "es": "Mi abuela prepara pan blanco por la mañana y abre la puerta para que pase el viento.",
    "it": "Domani prima di pranzo compriamo una piccola barca bianca e partiamo per Palermo.",
    "ru": "Мой папа поймал большую рыбу, а мама быстро приготовила обед для всей семьи.",  # noqa: RUF001
    "pl": "Babcia piecze pyszny placek ze śliwkami, a potem parzymy mocną herbatę z miodem.",
    "tr": "Babam bu sabah büyük bir balık tuttu, annem de bize bol biberli bir yemek yaptı.",  # noqa: RUF001
    "ja": "まいばん ぼくは ぱんと ばなな を たべて、ままと ぱぱに ほんを よんで もらいます。",
    "cmn": "爸爸妈妈每天早晨買面包，妹妹跑到門外面看飛鳥。",  # noqa: RUF001
    "hi": "मेरे पापा बाज़ार से पपीता और बादाम लाए, फिर माँ ने मीठी खीर बनाई।",
}
VARIANTS = ("", "+f2", "+m3")
SPEEDS_WPM = (120, 150, 190)
MUSIC_SNR_DB = (None, 10.0, 0.0)


def clip(speech: Speech, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return landmarks (T, 468, 3) at 25 fps and 16 kHz sound of one spoken text, in sync."""
    portrait = TalkingPortrait(
        portrait=framed("astronaut", Framing(width=320, height=320, face_px=110.0)),
        articulation=articulate(speech.phonemes, speech.duration_s),
        motion=move(seed, speech.duration_s),
    )
    frames = int(speech.duration_s * FPS)
    shown = np.stack([portrait.landmarks(frame / FPS) for frame in range(frames)])
    samples = np.asarray(speech.samples, dtype=np.float64)
    scale = 32768.0 if speech.samples.dtype == np.int16 else 1.0
    sound = resample_poly(samples / scale, SAMPLE_RATE_HZ, speech.rate_hz)
    return shown, sound[: frames * SAMPLES_PER_FRAME]


def music(length: int, seed: int) -> NDArray[np.float64]:
    """Return a loop of made-up chords with a drum and a hi-hat."""
    rng, time = np.random.default_rng(seed), np.arange(length) / SAMPLE_RATE_HZ
    roots = 110 * 2 ** (rng.integers(0, 12, 64) / 12)
    root = roots[(time / 0.5).astype(int) % len(roots)]
    phase = 2 * np.pi * np.cumsum(root) / SAMPLE_RATE_HZ
    chord = sum(np.sin(phase * ratio) / ratio for ratio in (1, 1.26, 1.5, 2, 3))
    noise = rng.normal(size=length)
    return np.asarray(
        chord * np.exp(-4 * (time % 0.5))
        + noise * (np.exp(-40 * (time % 0.25)) + np.exp(-12 * ((time + 0.5) % 1.0)))
    )


def mixed(sound: NDArray[np.float64], snr_db: float | None, seed: int) -> NDArray[np.float64]:
    """Return the sound with music under it."""
    if snr_db is None:
        return sound
    under = music(len(sound), seed)
    gain = np.sqrt((sound**2).mean() / (under**2).mean()) * 10 ** (-snr_db / 20)
    return np.asarray(sound + gain * under)


def main() -> None:
    """Print offsets and probabilities per language, all variants and speeds together."""
    judge = LandmarkJudge.load()
    table = Table("language", "music", "clips", "within 1", "offset", "probability")
    for language, text in TEXTS.items():
        clips = [
            clip(speak(text, language + variant, speed), number)
            for number, variant in enumerate(VARIANTS)
            for speed in SPEEDS_WPM
        ]
        for snr in MUSIC_SNR_DB:
            found = [judge.score(p, mixed(s, snr, n)) for n, (p, s) in enumerate(clips)]
            right = [abs(one.offset_frames) <= 1 for one in found]
            offset = np.median([one.offset_subframe for one in found])
            probability = np.median([one.probability or 0.0 for one in found])
            label = "none" if snr is None else f"{snr:.0f} dB below"
            cells = (f"{sum(right)}", f"{offset:+.2f}", f"{probability:.3f}")
            table.add_row(language, label, str(len(found)), *cells)
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
