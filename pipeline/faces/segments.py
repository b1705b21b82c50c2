"""Division of a track into clips: no frame lost, every clip between minimum and maximum."""


def ready_lengths(length: int, ended: bool, min_frames: int, max_frames: int) -> list[int]:
    """Return the lengths of the clips that can be taken from the front of `length` frames now.

    A full clip is taken as soon as the remainder is a clip of its own. When the track has ended the
    remainder is one clip, or two halves if it is longer than the maximum; a track shorter than the
    minimum is returned as it is, for the caller to reject. With max_frames >= 2 * min_frames
    nothing else is ever shorter than the minimum.
    """
    full = max(0, (length - min_frames) // max_frames)
    rest = length - full * max_frames
    if not ended:
        return [max_frames] * full
    if rest > max_frames:
        return [max_frames] * full + [rest - rest // 2, rest // 2]
    return [max_frames] * full + ([rest] if rest else [])
