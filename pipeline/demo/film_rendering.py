"""Renders a film of the scenario: speech and talking portraits as frames and sound on one clock."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from itertools import accumulate
from math import ceil

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.demo.articulation import articulate, still
from pipeline.demo.film_writer import Sound
from pipeline.demo.motion import move
from pipeline.demo.picture_faults import Painted, paint
from pipeline.demo.portrait import Framing, backdrop, framed
from pipeline.demo.scenario import Actor, Film, Shot, frame_at
from pipeline.demo.sound_faults import joined, shortened
from pipeline.demo.speech import Speech, speak
from pipeline.demo.talking_portrait import TalkingPortrait
from pipeline.faces.backend import Frame
from pipeline.faces.box import Box
from pipeline.faces.schemas import MESH468
from pipeline.tables.rows import FPS

BEFORE_S, AFTER_S = 0.36, 0.4
"""Still mouth before and after the speech; the sound is silent as long."""
ROOM_NOISE = 0.0006
LOUDNESS = 0.8


@dataclass(frozen=True, slots=True)
class PreparedShot:
    """One shot with everything rendered that does not depend on the frame."""

    frames: int
    """Length at 25 fps."""
    portraits: tuple[TalkingPortrait, ...]
    speaking: tuple[bool, ...]
    """Whose mouth moves to a text, whether that text is in the sound or not."""
    speaker: int | None
    """Index in `portraits` of the face whose speech is the sound; None: a voice-over."""
    backdrop: Frame | None
    heard: Speech | None
    heard_from_s: float
    """When the sound begins, counted from the shot's first frame."""

    def picture(self, time_s: float) -> Painted:
        """Paint the frame at a time counted from the shot's first frame."""
        if self.backdrop is not None:
            return _pan(self.backdrop, time_s), ()
        rendered = [portrait.render(time_s) for portrait in self.portraits]
        boxes = tuple(
            (one.box[0] + left, one.box[1], one.box[2] + left, one.box[3])
            for one, left in zip(rendered, self._lefts, strict=True)
        )
        return np.concatenate([one.image for one in rendered], axis=1), boxes

    def lips(self, face: int, time_s: float) -> NDArray[np.float64]:
        """Return the outer edge of a face's lips at a time of the shot, (P, 2), pixels."""
        points = self.portraits[face].landmarks(time_s)[list(MESH468.outer_lip.points), :2]
        return np.asarray(points + np.array([self._lefts[face], 0.0]))

    @property
    def _lefts(self) -> list[int]:
        widths = [one.portrait.image.shape[1] for one in self.portraits]
        return [0, *accumulate(widths)][: len(widths)]


@dataclass(frozen=True)
class PreparedFilm:
    """A film with speech and faces made, ready to be rendered frame by frame."""

    film: Film
    shots: tuple[PreparedShot, ...]
    other: PreparedShot | None = None

    @property
    def starts(self) -> list[int]:
        """First frame of every shot, at 25 fps, and the end of the film."""
        return [0, *accumulate(shot.frames for shot in self.shots)]

    @property
    def duration_s(self) -> Fraction:
        """Length of the film in seconds."""
        return Fraction(self.starts[-1], FPS)

    def shot_at(self, time_s: float) -> int:
        """Return the index of the shot that is shown at a time."""
        frame = frame_at(time_s)
        return next(i for i, end in enumerate(self.starts[1:]) if frame < end)

    def paint(self, shot: int, time_s: float) -> Painted:
        """Paint a shot at a time of the film, which may lie outside of the shot."""
        return self.shots[shot].picture(self._in_shot(shot, time_s))

    def lips(self, shot: int, face: int, time_s: float) -> NDArray[np.float64]:
        """Return the outer edge of a face's lips at a time of the film, (P, 2), pixels."""
        return self.shots[shot].lips(face, self._in_shot(shot, time_s))

    def _in_shot(self, shot: int, time_s: float) -> float:
        """Return the time of what was recorded: behind a jump cut, more than was shown."""
        fault = self.film.fault
        missing = fault.missing_before(frame_at(time_s)) if fault else 0
        return time_s + (missing - self.starts[shot]) / FPS

    def paint_other(self, time_s: float) -> Painted:
        """Paint the film's `other` shot at a time counted from its own beginning."""
        assert self.other, f"{self.film.uri}: no other shot"
        return self.other.picture(time_s)

    @cached_property
    def standing(self) -> Painted:
        """The picture at the beginning of the film's fault."""
        assert self.film.fault, f"{self.film.uri}: no fault"
        time_s = self.film.fault.start / FPS
        return self.paint(self.shot_at(time_s), time_s)

    def frames(
        self, seen: Callable[[float, tuple[Box, ...]], None]
    ) -> Iterator[tuple[Fraction, Frame]]:
        """Yield every frame with its time; call `seen` with time and face boxes."""
        for time_s in self.film.how.times_s(self.duration_s):
            picture, boxes = paint(self, self.film.fault, float(time_s))
            seen(float(time_s), boxes)
            if self.film.blur_px:
                picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), self.film.blur_px), np.uint8)
            yield time_s, picture

    def other_frames(self) -> Iterator[tuple[Fraction, Frame]]:
        """Yield the frames of the film's `other` shot, as long as the film."""
        for time_s in self.film.how.times_s(self.duration_s):
            yield time_s, self.paint_other(float(time_s))[0]

    def sound(self) -> Sound:
        """Return the sound of the whole film, on the picture's clock."""
        shots = zip(self.starts, self.shots, strict=False)
        own = self._speech(() if self.film.muted else shots)
        fault = self.film.fault
        if fault and fault.kind == "foreign_sound":
            own = joined(own, self.other_sound(), fault)
        if fault and fault.kind == "lost_sound":
            own = shortened(own, fault, self.film.offset_frames)
        return own

    def other_sound(self) -> Sound:
        """Return the sound of the film's `other` shot, as long as the film."""
        assert self.other, f"{self.film.uri}: no other shot"
        return self._speech([(0, self.other)])

    def _speech(self, shots: Iterable[tuple[int, PreparedShot]]) -> Sound:
        shots = list(shots)
        rate = next((shot.heard.rate_hz for _, shot in shots if shot.heard), 22_050)
        samples = np.zeros(ceil(self.duration_s * rate), np.float32)
        for start, shot in shots:
            if shot.heard is not None:
                _add_speech(samples, shot.heard, start / FPS + shot.heard_from_s)
        noise = np.random.default_rng(len(samples)).normal(0.0, ROOM_NOISE, len(samples))
        return Sound(samples + noise.astype(np.float32), rate)


def prepare_film(film: Film, seed: int) -> PreparedFilm:
    """Synthesize the speech and build the talking portraits of every shot."""
    shots = [_shot(film, shot, seed * 100 + index * 10) for index, shot in enumerate(film.shots)]
    assert all(shot.heard for shot in shots), f"{film.uri}: nobody is heard"
    other = _shot(film, film.other, seed * 100 + 90) if film.other else None
    prepared = PreparedFilm(film, tuple(shots), other)
    if film.fault:
        assert (film.fault.end or film.fault.start) <= prepared.starts[-1], f"{film.uri}: too short"
    return prepared


def _shot(film: Film, shot: Shot, seed: int) -> PreparedShot:
    spoken = [_speech_of(actor) if actor.text else None for actor in shot.actors]
    voice = _speech_of(shot.voice_over) if shot.voice_over else None
    speaker = _speaker(shot)
    heard = voice if speaker is None else spoken[speaker]
    lead_s = film.offset_frames / FPS
    seen_from_s = BEFORE_S + max(0.0, lead_s)
    longest_s = max((speech.duration_s for speech in (*spoken, voice) if speech), default=0.0)
    frames = ceil((seen_from_s + longest_s + AFTER_S + max(0.0, -lead_s)) * FPS)
    missing = film.fault.missing_frames if film.fault else 0
    width = film.size[0] // max(1, len(shot.actors))
    portraits = tuple(
        _talking_portrait(
            actor, speech, (width, film.size[1]), frames / FPS, seen_from_s, seed + index
        )
        for index, (actor, speech) in enumerate(zip(shot.actors, spoken, strict=True))
    )
    return PreparedShot(
        frames=frames - missing,
        portraits=portraits,
        speaking=tuple(speech is not None for speech in spoken),
        speaker=speaker,
        backdrop=None if portraits else backdrop(*film.size),
        heard=heard,
        heard_from_s=seen_from_s - lead_s,
    )


def _speaker(shot: Shot) -> int | None:
    if shot.voice_over:
        return None
    heard = (i for i, actor in enumerate(shot.actors) if actor.text and actor.heard)
    return next(heard, None)


def _speech_of(actor: Actor) -> Speech:
    return _said(actor.text, actor.voice, actor.words_per_minute)


@lru_cache(maxsize=64)
def _said(text: str, voice: str, words_per_minute: int) -> Speech:
    """Return a speech; equal ones are synthesized once, in a process that costs half a second."""
    return speak(text, voice, words_per_minute)


def _talking_portrait(
    actor: Actor,
    speech: Speech | None,
    size: tuple[int, int],
    duration_s: float,
    from_s: float,
    seed: int,
) -> TalkingPortrait:
    framing = Framing(*size, actor.face_px, actor.centre, actor.mirrored, actor.gain)
    lips = articulate(speech.phonemes, duration_s, from_s) if speech else still(duration_s)
    lips = lips.scaled(actor.effort)
    return TalkingPortrait(framed(actor.sitter, framing), lips, move(seed, duration_s, actor.pose))


def _add_speech(samples: NDArray[np.float32], speech: Speech, from_s: float) -> None:
    """Add speech in place, as loud as any other."""
    sound = speech.samples.astype(np.float32)
    sound *= LOUDNESS / np.abs(sound).max()
    first = round(from_s * speech.rate_hz)
    end = min(first + len(sound), len(samples))
    samples[first:end] += sound[: end - first]


def _pan(image: Frame, time_s: float) -> Frame:
    """Move slowly over a picture that is a tenth larger than the frame."""
    height, width = (round(side / 1.1) for side in image.shape[:2])
    x = (image.shape[1] - width) * (0.5 + 0.5 * np.sin(0.5 * time_s))
    y = (image.shape[0] - height) * (0.5 + 0.5 * np.cos(0.5 * time_s))
    shift = np.array([[1.0, 0.0, -x], [0.0, 1.0, -y]])
    return np.asarray(cv2.warpAffine(image, shift, (width, height)), np.uint8)
