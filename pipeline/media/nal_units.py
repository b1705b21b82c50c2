"""The units of an H.264 or HEVC packet, and the bits of one.

Source: ITU-T H.264, annex B and 7.3.1; ISO/IEC 14496-15, 5.3.3.1 (avcC) and 8.3.3.1 (hvcC).
"""

from collections.abc import Iterator

_LENGTH_AT = {"h264": 4, "hevc": 21}
"""Byte of the decoder configuration whose last two bits hold the size of a length, minus one."""

_HEVC_PARAMETERS = 32
"""First type of unit that is no slice."""
PADDING = 64
"""Zeros that may end a unit: some multiplexers fill up with a few."""


def length_size(codec: str, extradata: bytes | memoryview | None) -> int:
    """Return how many bytes state the length of each unit; 0 where start codes divide them."""
    data, at = memoryview(extradata or b""), _LENGTH_AT[codec]
    return (data[at] & 3) + 1 if len(data) > at and data[0] == 1 else 0


def units(packet: memoryview, length_bytes: int) -> Iterator[memoryview]:
    """Yield the units of a packet, their header byte first; damaged lengths end it early."""
    if not length_bytes:
        yield from _between_start_codes(packet)
        return
    at = 0
    while at + length_bytes < len(packet):
        length = int.from_bytes(packet[at : at + length_bytes], "big")
        at += length_bytes
        if not length:
            return
        yield packet[at : at + length]
        at += length


def _between_start_codes(data: memoryview) -> Iterator[memoryview]:
    raw = bytes(data)
    at = raw.find(b"\0\0\1")
    while at >= 0:
        end = raw.find(b"\0\0\1", at + 3)
        unit = data[at + 3 : end if end >= 0 else len(raw)]
        if len(unit):
            yield unit
        at = end


def holds_zeros(packet: memoryview, length_bytes: int) -> bool:
    """Return whether a slice of HEVC holds a run of zeros, as where a disk lost a part of the file.

    No unit holds three zeros in a row: a byte that prevents start codes is put between them. The
    decoder reads over it without notice.
    """
    for unit in units(packet, length_bytes):
        if unit[0] >> 1 & 63 < _HEVC_PARAMETERS:
            data = bytes(unit)
            whole = data.rstrip(b"\0")
            if len(data) - len(whole) > PADDING or b"\0\0\0" in whole:
                return True
    return False


class Bits:
    """Reads the bits of a unit; the bytes that prevent start codes are taken out."""

    def __init__(self, unit: bytes | memoryview) -> None:
        data = bytes(unit).replace(b"\0\0\3", b"\0\0")
        self._value, self._left = int.from_bytes(data, "big"), 8 * len(data)

    def read(self, count: int) -> int:
        """Return the next `count` bits as a number; IndexError at the end."""
        if count > self._left:
            raise IndexError("the unit ends")
        self._left -= count
        return self._value >> self._left & ((1 << count) - 1)

    def golomb(self) -> int:
        """Return the next unsigned Exp-Golomb code; IndexError where there is none."""
        zeros = 0
        while not self.read(1):
            zeros += 1
        return (1 << zeros) - 1 + self.read(zeros)
