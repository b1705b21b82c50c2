"""Which tracks of a file are its picture and its sound: one rule for all stages and commands.

Picture: cover art, thumbnails and tracks of one frame are no films. Of the films the one with the
default flag is taken; of several with it (or none) the one with the most frames; of about equally
many the largest picture; then the first.

Sound: of the tracks with the default flag the first that is not silent; else of all tracks the
first that is not silent; else the first with the default flag; else the first.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import av
from av.stream import Disposition

STILL = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
SAME_COUNT = 0.9
"""A track with at least this share of the most frames has equally many: two tracks of one
recording seldom end on the same frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """What the choice depends on, for one track of picture or sound."""

    index: int
    """Of the stream in its container."""
    packets: int = 0
    default: bool = False
    still: bool = False
    """Marked as cover art, a thumbnail or a still image."""
    decodable: bool = True
    pixels: int = 0

    @classmethod
    def of(cls, stream: av.VideoStream | av.AudioStream, packets: int) -> "Track":
        """Return the facts of a stream of which so many packets were read."""
        context, pixels = stream.codec_context, 0
        if isinstance(stream, av.VideoStream) and context is not None:
            pixels = stream.codec_context.width * stream.codec_context.height
        return cls(
            index=stream.index,
            packets=packets,
            default=bool(stream.disposition & Disposition.default),
            still=bool(stream.disposition & STILL),
            decodable=context is not None,
            pixels=pixels,
        )


@dataclass(frozen=True, slots=True)
class ChosenTrack:
    """A track that was chosen, and why."""

    track: Track
    number: int
    """Counted from 1 among the tracks of its kind, cover art left out."""
    of: int
    why: str

    def remark(self, kind: str) -> str:
        """Return the choice in plain words; empty where there was none to make."""
        if self.of < 2:
            return ""
        return f"{self.of} {kind} tracks, number {self.number} is used: {self.why}"


def choose_video(tracks: Sequence[Track]) -> ChosenTrack | None:
    """Return the track that is the film, or None where there is none but cover art."""
    moving = [track for track in tracks if not track.still]
    films = _best(moving, lambda one: one.decodable and one.packets > 1, lambda one: one.packets)
    if not films:
        return None
    flagged, why = _flagged(films)
    most = max(track.packets for track in flagged)
    equal = [track for track in flagged if track.packets >= SAME_COUNT * most]
    if len(equal) < len(flagged):
        why = why or "it has the most frames"
    used = max(equal, key=lambda track: (track.pixels, -track.index))
    reason = why or ("its picture is the largest" if len(films) > 1 else "the other is a still")
    return ChosenTrack(used, moving.index(used) + 1, len(moving), reason)


def choose_audio(tracks: Sequence[Track], audible: Callable[[Track], bool]) -> ChosenTrack | None:
    """Return the track that is the sound, or None where no track holds a packet.

    Args:
        audible: whether a track is more than silence; asked only where there is a choice.
    """
    filled = _best(tracks, lambda one: one.decodable and one.packets > 0)
    if not any(track.packets for track in filled):
        return None
    flagged, why = _flagged(filled)
    for group in (flagged, filled) if len(filled) > 1 else ():
        used = next((track for track in group if audible(track)), None)
        if used is not None:
            if used not in flagged:
                why = "the default one is silent"
            elif used is not group[0] or not why:
                why = why if len(flagged) == 1 else "it is the first that is not silent"
            return ChosenTrack(used, tracks.index(used) + 1, len(tracks), why)
    return ChosenTrack(
        flagged[0], tracks.index(flagged[0]) + 1, len(tracks), why or "all are silent"
    )


def _best(tracks: Sequence[Track], *wishes: Callable[[Track], object]) -> list[Track]:
    """Return the tracks that fulfil the first wish that any fulfils, else all."""
    for wish in wishes:
        if fulfilling := [track for track in tracks if wish(track)]:
            return fulfilling
    return list(tracks)


def _flagged(tracks: Sequence[Track]) -> tuple[list[Track], str]:
    """Return the tracks with the default flag, and why if that leaves one; else all of them."""
    flagged = [track for track in tracks if track.default]
    if len(flagged) == 1 and len(tracks) > 1:
        return flagged, "it is the default one"
    return flagged or list(tracks), ""
