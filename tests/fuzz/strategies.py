"""Inputs of the kinds that stages and scripts read: mostly right, wrong somewhere."""

import io
import json
import string
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


@st.composite
def altered(draw: st.DrawFn, document: dict, values: st.SearchStrategy = TREE) -> dict:
    """A copy of a nested mapping with some values replaced, left out or added, at any depth."""
    document = {key: dict(value) if isinstance(value, dict) else value for key, value in document.items()}
    for _ in range(draw(st.integers(1, 3))):
        inner = [value for value in document.values() if isinstance(value, dict) and value]
        target = draw(st.sampled_from([document, *inner])) if inner else document
        key = draw(st.sampled_from(list(target)) | st.text(max_size=8)) if target else draw(st.text(max_size=8))
        if draw(st.integers(0, 4)) == 0:
            target.pop(key, None)
        else:
            target[key] = draw(values)
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

SIDE, SPLIT = 12, string.whitespace + ",;\"'"


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
