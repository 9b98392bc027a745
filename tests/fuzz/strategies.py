"""Inputs of the kinds that stages and scripts read: mostly right, wrong somewhere."""

import copy
import io
import itertools
import json
import struct
import zlib
from typing import Any

from classifier.config import STAGES
from classifier.data.augment.transforms import TRANSFORMS
from classifier.data.images import FORMATS
from tests.conftest import TINY
from tests.unit.test_lies import SOUND

import numpy as np
import pyarrow
from hypothesis import strategies as st
from PIL import Image

# Values that have broken programs: of every type of YAML and JSON, at the edges of what fits.
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([0, -1, 2**31, 2**32, 2**63, 2**64, 10**400, 1e-320, 1e300, float("inf"), float("nan"), -0.0]),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["", "\0", "\n", "\x1b[2J", "\u2028", "é", "e\u0301", "../x", "010", "1:30", "null", "~", "1e999"]),
    st.binary(max_size=8),
    st.dates(),
)
TREE = st.recursive(
    ODD,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def has_json(value: Any) -> Any:
    """What JSON can hold of a value: texts in the place of bytes and dates."""
    if isinstance(value, dict):
        return {str(key): has_json(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [has_json(inner) for inner in value]
    return value if isinstance(value, None | bool | int | float | str) else repr(value)


JSON = TREE.map(has_json)


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """`content` with bytes changed, cut out or put in, or cut off."""
    changed = bytearray(content)
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(changed)))
        what = draw(st.sampled_from(["change", "cut", "insert", "end"]))
        if what == "change" and at < len(changed):
            changed[at] = draw(st.integers(0, 255))
        elif what == "cut":
            del changed[at : at + draw(st.integers(1, 64))]
        elif what == "insert":
            changed[at:at] = draw(st.binary(max_size=8))
        else:
            del changed[at:]
    return bytes(changed)


def containers(value: Any) -> list[dict | list]:
    """A value and what is nested in it: its mappings and lists that have contents."""
    if not isinstance(value, dict | list) or not value:
        return []
    nested = value.values() if isinstance(value, dict) else value
    return [value, *(found for inner in nested for found in containers(inner))]


@st.composite
def altered(draw: st.DrawFn, document: Any, values: st.SearchStrategy = TREE) -> Any:
    """A copy of nested mappings and lists with some values replaced, left out or added, at any depth."""
    document = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        if not (targets := containers(document)):
            break
        target = draw(st.sampled_from(targets))
        keys = st.sampled_from(list(target)) | st.text(max_size=8) if isinstance(target, dict) else None
        key = draw(keys or st.integers(0, len(target) - 1))
        if draw(st.integers(0, 4)) == 0 and (keys is None or key in target):
            del target[key]
        else:
            target[key] = copy.deepcopy(draw(values))  # a list may be drawn again, to be put into itself
    return document


def whole_params() -> dict[str, dict[str, Any]]:
    """The sections of a valid params.yaml."""
    from tests.conftest import ROOT

    import yaml

    document = yaml.safe_load((ROOT / "recipes" / "cifar10.yaml").read_text())
    return {section: document[section] | TINY[section] for section in STAGES}


AUGMENT = st.dictionaries(
    st.sampled_from(list(TRANSFORMS)) | st.text(max_size=8),
    st.dictionaries(
        st.sampled_from(["p", "size", "padding", "degrees", "scale", "ratio", "kernel_size", "num_ops"]), TREE
    ),
    max_size=2,
)

SIDE = 12


def pictures() -> dict[str, bytes]:
    """A small picture in each format and in odd modes, as files."""
    pixels = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 4), dtype=np.uint8)
    found = {}
    for name in FORMATS:
        for mode in ("RGB", "RGBA", "L", "P", "1", "CMYK", "I;16"):
            picture = Image.fromarray(pixels)
            picture = Image.fromarray(pixels[..., 0].astype(np.uint16)) if mode == "I;16" else picture.convert("RGB")
            buffer = io.BytesIO()
            try:
                (picture if mode == "I;16" else picture.convert(mode)).save(buffer, name)
            except (OSError, ValueError, KeyError):
                continue  # this format has no such mode
            found[f"{name} {mode}"] = buffer.getvalue()
    return found


PICTURES = st.sampled_from(list(pictures().values())).flatmap(damaged)

# Sides of a canvas, of a frame in it, and where that lies.
SIDES = st.sampled_from([1, 2, 7, 12, 40])
CANVAS = st.tuples(SIDES, SIDES) | st.sampled_from([(65_535, 65_535), (20_000, 5_001), (65_535, 3), (2, 30_000)])
FRAME = st.sampled_from([0, 1, 3, 7, 12, 13, 40])
AT = st.tuples(st.integers(0, 12), st.integers(0, 12)) | st.just((65_535, 65_535))
COLOURS = bytes(range(0, 252, 21))  # four
NOISE = st.integers(0, 99).map(np.random.default_rng)


@st.composite
def gifs(draw: st.DrawFn) -> bytes:
    """An animation of up to three frames that need not fill its canvas, nor lie within it."""
    parts = [b"GIF89a", struct.pack("<HHBBB", *draw(CANVAS), 0x81, draw(st.integers(0, 4)), 0), COLOURS]
    for _ in range(draw(st.integers(0, 3))):
        how = draw(st.integers(0, 3)) << 2 | draw(st.booleans())  # disposal, and whether a colour is transparent
        parts.append(b"\x21\xf9\x04" + struct.pack("<BHBB", how, 0, draw(st.integers(0, 3)), 0))
        width, height, interlaced = draw(FRAME), draw(FRAME), draw(st.sampled_from([0, 0x40]))
        parts.append(b"\x2c" + struct.pack("<HHHHB", *draw(AT), width, height, interlaced))
        parts += [b"\x02", literal_lzw([p & 3 for p in draw(NOISE).bytes(width * height)]), b"\0"]
    return b"".join([*parts, b";"])


def literal_lzw(pixels: list[int]) -> bytes:
    """Pixels of two bits as a GIF's blocks: each a code of three bits, after codes that keep these from growing."""
    codes = [code for pixel in pixels for code in (4, pixel)] + [5]
    data = sum(code << 3 * i for i, code in enumerate(codes)).to_bytes(3 * len(codes) // 8 + 1, "little")
    return b"".join(bytes([len(block)]) + block for i in range(0, len(data), 255) if (block := data[i : i + 255]))


def chunk(kind: bytes, *content: bytes) -> bytes:
    """A chunk of a PNG."""
    whole = kind + b"".join(content)
    return struct.pack(">I", len(whole) - 4) + whole + struct.pack(">I", zlib.crc32(whole))


@st.composite
def apngs(draw: st.DrawFn) -> bytes:
    """An animated PNG: its first frame is its picture or comes after it; what is said of the frames may be wrong."""
    kind, channels = draw(st.sampled_from([(0, 1), (2, 3), (3, 1), (4, 2), (6, 4)]))
    whole, noise, numbers = draw(CANVAS), draw(NOISE), itertools.count()

    def pixels(width: int, height: int) -> bytes:
        lines = (b"\0" + noise.bytes(width * channels) for _ in range(height if width * height < 200_000 else 0))
        return zlib.compress(b"".join(lines))

    def control(size: tuple[int, int]) -> bytes:
        at, ways = draw(AT), (draw(st.integers(0, 3)), draw(st.integers(0, 2)))
        return chunk(b"fcTL", struct.pack(">IIIIIHHBB", next(numbers), *size, *at, 1, 10, *ways))

    count = draw(st.integers(0, 3))
    own = count > 0 and draw(st.booleans())  # whether the picture is the first frame
    claimed = draw(st.sampled_from([count, count, 0, 2**31]))
    parts = [b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", struct.pack(">IIBBBBB", *whole, 8, kind, 0, 0, 0))]
    parts += [chunk(b"PLTE", bytes(i % 251 for i in range(768)))] * (kind == 3)
    parts += [chunk(b"tRNS", noise.bytes(2 * channels))] * (kind < 4 and draw(st.booleans()))
    parts += [chunk(b"acTL", struct.pack(">II", claimed, 0)), *([control(whole)] * own)]
    parts.append(chunk(b"IDAT", pixels(*whole)))
    for _ in range(own, count):
        size = draw(st.just(whole) | st.tuples(FRAME, FRAME))
        parts += [control(size), chunk(b"fdAT", struct.pack(">I", next(numbers)), pixels(*size))]
    return b"".join([*parts, chunk(b"IEND")])


# Parquet: columns of the right and of other types, and metadata that fit or lie.
CELL = st.one_of(
    st.none(), st.fixed_dictionaries({"bytes": st.none() | st.binary(max_size=4), "path": st.none() | st.text()})
)
COLUMN = st.one_of(
    st.lists(CELL, min_size=3, max_size=3).map(
        lambda cells: pyarrow.array(cells, pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())]))
    ),
    st.lists(st.none() | st.integers(-1, 3), min_size=3, max_size=3).map(lambda v: pyarrow.array(v, pyarrow.int64())),
    st.lists(st.floats(), min_size=3, max_size=3).map(pyarrow.array),
    st.lists(st.text(st.characters(codec="utf-8"), max_size=4), min_size=3, max_size=3).map(pyarrow.array),
    st.lists(st.binary(max_size=4), min_size=3, max_size=3).map(pyarrow.array),
)
FEATURES = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": ["cat", "dog", "frog"]}}
DESCRIBED = altered(FEATURES, JSON) | JSON | st.just(FEATURES)


@st.composite
def tables(draw: st.DrawFn) -> pyarrow.Table:
    names = draw(st.lists(st.sampled_from(["image", "label", "label", "other"]), min_size=1, max_size=3))
    metadata = json.dumps({"info": {"features": draw(DESCRIBED)}})
    return pyarrow.table([draw(COLUMN) for _ in names], names).replace_schema_metadata({"huggingface": metadata})


BATCH = {"data": np.zeros((2, 3072), np.uint8), "labels": [0, 1], "filenames": [b"a.png", b"b.png"]}
CHECKPOINTS = altered(json.loads(json.dumps(SOUND)), JSON)

# dataset.json of a prepared dataset, with values that might be true.
LIES = JSON | st.integers(-1, 20) | st.sampled_from([0.5, 1, "0" * 64, ["0" * 64], "cat", "dog", "frog"])
