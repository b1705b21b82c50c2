"""Lost reference pictures of H.264: the frame number of a slice tells how many came before it.

FFmpeg's decoder conceals such a loss without a mark on the picture.

Source: ITU-T H.264, 7.3.2.1.1 (sequence parameter set), 7.3.3 (slice header), 7.4.3 (frame_num).
"""

from pipeline.media.nal_units import Bits, length_size, units

_IDR, _SLICES, _SPS = 5, (1, 5), 7
_HIGH = frozenset({44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 144, 244})
"""Profiles whose parameter set states the chroma format."""
_HEADER = 64
"""Bytes of a slice that surely hold what is read of its header."""


class FrameNumbers:
    """Follows frame_num through the packets of one stream, in decoding order."""

    def __init__(self, extradata: bytes | None) -> None:
        self._length_size = length_size("h264", extradata)
        self._number_bits, self._plane_bits, self._gaps_allowed = 0, 0, False
        self._reference: int | None = None
        data = memoryview(extradata or b"")
        if self._length_size and len(data) > 6:
            self._read_configuration(data)
        else:
            for unit in units(data, 0):
                self._read_parameters(unit)

    def misses_reference(self, packet: memoryview) -> bool:
        """Return whether a reference picture between the packet before and this one is missing."""
        for unit in units(packet, self._length_size):
            kind = unit[0] & 31
            if kind == _SPS:
                self._read_parameters(unit)
            elif kind in _SLICES and self._number_bits:
                return self._follow(unit)
        return False

    def _follow(self, unit: memoryview) -> bool:
        bits = Bits(unit[1:_HEADER])
        try:
            for _ in range(3):  # first_mb_in_slice, slice_type, pic_parameter_set_id
                bits.golomb()
            bits.read(self._plane_bits)
            number = bits.read(self._number_bits)
        except IndexError:
            return False  # a damaged slice: the decoder will say so
        before = self._reference
        if before is None or unit[0] >> 5 & 3:  # a reference itself
            self._reference = number
        if before is None or unit[0] & 31 == _IDR or self._gaps_allowed:
            return False
        return number not in (before, (before + 1) % (1 << self._number_bits))

    def _read_configuration(self, data: memoryview) -> None:
        at = 6
        for _ in range(data[5] & 31):
            length = int.from_bytes(data[at : at + 2], "big")
            self._read_parameters(data[at + 2 : at + 2 + length])
            at += 2 + length

    def _read_parameters(self, unit: memoryview) -> None:
        if not len(unit) or unit[0] & 31 != _SPS:
            return
        bits = Bits(unit[1:])
        try:
            profile = bits.read(24) >> 16
            bits.golomb()  # seq_parameter_set_id
            planes = _skip_format(bits) if profile in _HIGH else 0
            number_bits = bits.golomb() + 4
            _skip_order(bits)
            bits.golomb()  # max_num_ref_frames
            self._gaps_allowed = bool(bits.read(1))
        except IndexError:
            return  # damaged: the one before stays
        self._number_bits, self._plane_bits = number_bits, planes


def _skip_format(bits: Bits) -> int:
    """Read over chroma format and scaling lists; return the bits of colour_plane_id."""
    chroma = bits.golomb()
    planes = 2 if chroma == 3 and bits.read(1) else 0
    bits.golomb()  # bit depth of luma and chroma
    bits.golomb()
    bits.read(1)
    if bits.read(1):  # seq_scaling_matrix_present_flag
        for number in range(12 if chroma == 3 else 8):
            if bits.read(1):
                _skip_scaling_list(bits, 16 if number < 6 else 64)
    return planes


def _skip_scaling_list(bits: Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            code = bits.golomb()
            following = (last + ((code + 1) // 2 if code % 2 else -(code // 2))) % 256
        last = following or last


def _skip_order(bits: Bits) -> None:
    """Read over the fields of the picture order count."""
    kind = bits.golomb()
    if kind == 0:
        bits.golomb()
    elif kind == 1:
        bits.read(1)
        for _ in range(2):
            bits.golomb()
        for _ in range(bits.golomb()):
            bits.golomb()
