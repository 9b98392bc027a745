"""Damage of a JPEG that decoders paint over: what its markers tell without decoding.

libjpeg fills with grey what a damaged file lacks, and says so in warnings that Pillow does not pass on. The markers of
a file show that a scan was cut, shifted or overwritten where that changes their number, order or kind: always where the
file has restart markers or several scans, else where a marker appears that has no place there. A value that was changed
into another valid one cannot be told from an image.
"""

import re
import struct

_MARKER = re.compile(rb"\xff+([^\x00\xff])")
_STUFFED = re.compile(rb"\xff\x00")  # how a byte 0xFF is written in a scan, and nowhere else
SOI, EOI, SOS, DRI, DNL, TEM = 0xD8, 0xD9, 0xDA, 0xDD, 0xDC, 0x01
RESTARTS = range(0xD0, 0xD8)
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
TABLES = {0xC4, 0xCC, 0xDB, *range(0xE0, 0xF0), 0xFE}


def require_whole(data: bytes) -> None:
    """Look at all markers of the JPEG in `data` up to its end.

    Raises:
        ValueError: saying what is damaged.
    """
    position, interval, mcus = 2, 0, 0
    components: set[int] = set()
    scanned: set[int] = set()
    while True:
        match = _MARKER.search(data, position)
        if not match:
            raise ValueError("it ends before its end-of-image marker")
        if scanned and _STUFFED.search(data, position, match.start()):
            raise ValueError("pixels lie outside of its scans")
        marker, position = match[1][0], match.end()
        if marker == EOI:
            break
        if marker in (SOI, TEM) or marker in RESTARTS:
            continue
        (length,) = struct.unpack_from(">H", data, position) if position + 2 <= len(data) else (0,)
        segment = data[position + 2 : position + length]
        if length < 2 or position + length > len(data):
            raise ValueError("it ends within its header")
        position += length
        if marker in FRAMES:
            components = {*segment[6::3]} if len(segment) > 6 else set()
            mcus = _count_mcus(segment)
        elif marker == DRI and len(segment) >= 2:
            (interval,) = struct.unpack_from(">H", segment)
        elif marker == SOS:
            names = {*segment[1 : 1 + 2 * segment[0] : 2]} if segment else set()
            position = _end_of_scan(data, position, interval, mcus if names == components else 0)
            scanned |= names
        elif marker not in TABLES and marker != DNL:
            raise ValueError(f"it has the marker {marker:#x}, which no part of an image begins with")
    if not components <= scanned:
        raise ValueError("it ends before all of its colours")


def _end_of_scan(data: bytes, position: int, interval: int, mcus: int) -> int:
    """Where the scan from `position` on ends, of `mcus` blocks if that is not 0, `interval` between restart markers."""
    restarts = 0
    while match := _MARKER.search(data, position):
        if match[1][0] not in RESTARTS:
            break
        if not interval or match[1][0] != RESTARTS[restarts % 8]:
            raise ValueError("its restart markers are not in order: a part is missing or overwritten")
        restarts, position = restarts + 1, match.end()
    if interval and mcus and restarts < (expected := -(-mcus // interval) - 1):
        raise ValueError(f"it has {restarts} restart markers of {expected}: a part is missing")
    return match.start() if match else len(data)


def _count_mcus(frame: bytes) -> int:
    """How many minimal coded units the scan of all components has; 0 where that cannot be told."""
    if len(frame) < 9:
        return 0
    height, width = struct.unpack_from(">HH", frame, 1)
    factors = [(frame[i] >> 4, frame[i] & 15) for i in range(7, len(frame), 3)]
    across, down = (1, 1) if len(factors) == 1 else (max(h for h, _ in factors), max(v for _, v in factors))
    return -(-width // (8 * across)) * -(-height // (8 * down)) if across and down else 0
