"""Which tracks are read: one rule for picture and sound, the same for all readers."""

from fractions import Fraction

import av
import numpy as np
import pytest
from av.stream import Disposition

from pipeline.media.audio import decode_audio
from pipeline.media.excerpt import frames_between
from pipeline.media.frames import frames_at_25fps
from pipeline.media.probe import probe
from pipeline.media.shots import find_shots
from pipeline.media.tracks import Track, choose_audio, choose_video
from pipeline.params.curation import ScenesParams


def write_tracks(path, pictures, sounds):
    """Write tracks of one colour or one tone each.

    Args:
        pictures: (grey level, frames, (width, height), default flag).
        sounds: (amplitude, frequency in Hz, default flag).
    """
    with av.open(path, "w") as container:
        made = []
        for _, _, size, default in pictures:
            stream = container.add_stream("mpeg4", rate=25, options={"g": "12"})
            stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
            stream.disposition = Disposition.default if default else Disposition(0)
            made.append(stream)
        for *_, default in sounds:
            stream = container.add_stream("aac", rate=16_000, layout="mono")
            stream.disposition = Disposition.default if default else Disposition(0)
            made.append(stream)
        packets = []
        for stream, (level, count, (width, height), _) in zip(made, pictures, strict=False):
            for number in range(count):
                image = np.full((height, width, 3), level, np.uint8)
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                frame.pts, frame.time_base = number, Fraction(1, 25)
                packets += stream.encode(frame)
            packets += stream.encode(None)
        for stream, (amplitude, hertz, _) in zip(made[len(pictures) :], sounds, strict=True):
            wave = amplitude * np.sin(2 * np.pi * hertz * np.arange(64_000) / 16_000)
            for begin in range(0, 64_000, 1024):
                block = wave[None, begin : begin + 1024].astype(np.float32)
                frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), "fltp", "mono")
                frame.sample_rate, frame.pts = 16_000, begin
                packets += stream.encode(frame)
            packets += stream.encode(None)
        for packet in sorted(packets, key=lambda one: float(one.dts * one.time_base)):
            container.mux(packet)
    return path


TONE = [(0.3, 400, True)]
SMALL, LARGE = (64, 48), (128, 96)
FILMS = {
    "the default flag": [(60, 100, LARGE, False), (200, 100, SMALL, True)],
    "of two default flags the more frames": [(60, 50, LARGE, True), (200, 100, SMALL, True)],
    "without flags the more frames": [(200, 100, SMALL, False), (60, 50, LARGE, False)],
    "of equally many the largest picture": [(60, 100, SMALL, True), (200, 98, LARGE, True)],
    "no single picture": [(60, 1, LARGE, True), (200, 100, SMALL, False)],
}


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
@pytest.mark.parametrize("case", FILMS)
def test_probe_frames_excerpt_and_shots_read_the_same_picture(tmp_path, case, suffix):
    path = write_tracks(tmp_path / f"x.{suffix}", FILMS[case], TONE)
    facts = probe(path)
    assert abs(float(next(frames_at_25fps(path)).mean()) - 200) < 4
    assert abs(float(next(frames_between(path, facts, 40, 41)).mean()) - 200) < 4
    size = next(one[2] for one in FILMS[case] if one[0] == 200)
    assert (facts.width, facts.height) == size
    assert facts.video_tracks == 2
    assert FILMS[case][facts.video_track - 1][0] == 200
    assert any(f"number {facts.video_track} is used" in remark for remark in facts.remarks)


def test_cuts_are_those_of_the_track_that_is_read(tmp_path):
    """The other track changes its colour in the middle."""
    plain = [(90, 100, SMALL, True)]
    path = write_tracks(tmp_path / "x.mkv", [(10, 100, SMALL, False), *plain], TONE)
    assert len(find_shots(path, ScenesParams())) == 1


SOUNDS = {
    "the default flag": [(0.3, 700, False), (0.3, 400, True)],
    "no silence": [(0.0, 700, False), (0.3, 400, True)],
    "no silence, though it is the default": [(0.0, 700, True), (0.3, 400, False)],
    "of two default flags the first": [(0.3, 400, True), (0.3, 700, True)],
    "of two default flags the first that is heard": [(0.0, 700, True), (0.3, 400, True)],
    "without flags the first": [(0.3, 400, False), (0.3, 700, False)],
}


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
@pytest.mark.parametrize("case", SOUNDS)
def test_the_sound_is_the_default_track_that_is_not_silent(tmp_path, case, suffix):
    path = write_tracks(tmp_path / f"x.{suffix}", [(90, 100, SMALL, True)], SOUNDS[case])
    facts = probe(path)
    heard = decode_audio(path, 0.0, 64_000).astype(float)
    spectrum = np.abs(np.fft.rfft(heard))
    assert spectrum.argmax() / 4 == pytest.approx(400, abs=2)
    assert (facts.audio_tracks, SOUNDS[case][facts.audio_track - 1][1]) == (2, 400)
    assert any(f"2 audio tracks, number {facts.audio_track}" in text for text in facts.remarks)


def test_cover_art_is_no_track_of_moving_pictures():
    cover = Track(index=0, packets=1, default=True, still=True, pixels=10**6)
    film = Track(index=1, packets=100, pixels=100)
    chosen = choose_video([cover, film])
    assert chosen is not None
    assert (chosen.track, chosen.number, chosen.of) == (film, 1, 1)
    assert chosen.remark("video") == ""
    assert choose_video([cover]) is None


def test_a_track_without_packets_is_not_chosen_and_all_silent_ones_are_one():
    empty, full = Track(index=0, default=True), Track(index=1, packets=9)
    chosen = choose_audio([empty, full], lambda track: True)
    assert chosen is not None
    assert chosen.track == full
    assert choose_audio([empty], lambda track: True) is None
    silent = choose_audio([full, Track(index=2, packets=9, default=True)], lambda track: False)
    assert silent is not None
    assert silent.track.index == 2


def test_a_second_mp4_behind_the_first_is_said(tmp_path):
    path = write_tracks(tmp_path / "x.mp4", [(90, 50, SMALL, True)], TONE)
    first = path.read_bytes()
    path.write_bytes(first + first)
    assert probe(path).remarks == [f"a second mp4 begins at byte {len(first)} and is not read"]
