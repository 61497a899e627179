#!/usr/bin/env python3
"""Writes npy.json: .npy files as NumPy writes them, in hexadecimal, and the numbers that it reads from them.

    python3 -m venv venv && venv/bin/pip install numpy
    venv/bin/python Tests/Fixtures/npy/generate.py
"""

import io
import json
import struct
import zipfile
from pathlib import Path

import numpy as np

VALUES = {
    "b1": [0, 1, 1, 0, 1, 1],
    "i1": [-128, 127, 0, -1, 5, 6],
    "i2": [-32768, 32767, 0, -1, 258, 6],
    "i4": [-(2**31), 2**31 - 1, 0, -1, 16909060, 6],
    "i8": [-(2**63), 2**53 + 2, 0, -1, 72623859790382856, 6],
    "u1": [0, 255, 1, 2, 128, 6],
    "u2": [0, 65535, 1, 2, 258, 6],
    "u4": [0, 2**32 - 1, 1, 2, 16909060, 6],
    "u8": [0, 2**64 - 2048, 1, 2, 72623859790382856, 6],
    # A subnormal, the least normal and the largest half.
    "f2": [-0.0, 2.0**-24, 2.0**-14, 65504, -1.0009765625, 1023 * 2.0**-24],
    "f4": [-0.0, 0.1, -2.5e-39, 3e38, 1 / 3, 6],
    "f8": [-0.0, 0.1, -2.5e-308, 1e300, 1 / 3, 6],
}


def case(name, array, version=None, allow_pickle=False):
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version=version, allow_pickle=allow_pickle)
    return {"name": name, "hex": file.getvalue().hex()}


def accepted(name, array, version=None):
    # The text of a double, since not every reader of JSON keeps all of its digits.
    return case(name, array, version) | {
        "shape": list(array.shape),
        "values": [repr(float(x)) for x in array.ravel().tolist()],
    }


floats = np.arange(12, dtype="<f4")
arrays = [
    accepted(order + kind, np.array(values).astype(order + kind).reshape(2, 3))
    for kind, values in VALUES.items()
    for order in "<>"
]
arrays += [
    accepted(f"{order}{kind} in Fortran order, format {n}", np.asfortranarray(array), (n, 0))
    for place, (kind, values) in enumerate(VALUES.items())
    for order in "<>"
    for n, array in [(1 + place % 3, np.array(values).astype(order + kind).reshape(3, 2))]
]
cube = np.arange(24, dtype="<i2").reshape(2, 3, 4)
arrays += [accepted(f"three dimensions in Fortran order, format {n}", np.asfortranarray(cube), (n, 0)) for n in (1, 2, 3)]
arrays += [accepted(f"format {n}", floats.reshape(3, 4), (n, 0)) for n in (1, 2, 3)]
arrays.append(accepted("one dimension", floats))
arrays.append(accepted("three dimensions", floats.reshape(2, 3, 2)))


def labels(name, array, version=None):
    """A column of class labels; text as NumPy gives it, without the NULs after it."""
    texts = [x.decode() if isinstance(x, bytes) else str(int(x)) if isinstance(x, (bool, int)) else x for x in array.ravel().tolist()]
    return case(name, array, version) | {"labels": texts}


words = ["setosa", "", "versicolor", "Nö", "日本", "a\0b", "01", "1", "1e3", "é", " x ", "🙂", "a,\n\"b", "setosa"]
ascii_words = ["setosa", "", "a\0b", "01", "1", "setosa", " x "]
labels = [
    labels("<U", np.array(words, dtype="<U10")),
    labels(">U", np.array(words, dtype=">U12")),
    labels("a column of U, format 3", np.array(words[:4], dtype="<U10").reshape(4, 1), (3, 0)),
    labels("a column of U in Fortran order", np.asfortranarray(np.array(words[:4], dtype="<U10").reshape(4, 1))),
    labels("S", np.array([word.encode() for word in ascii_words])),
    labels("S of UTF-8", np.array([word.encode() for word in words])),
    labels("bool", np.array([True, False, True])),
    labels("<i8", np.array([2**53, 2**53 + 1, -(2**63), 2**63 - 1, 7, 2**53])),
    labels(">u8", np.array([2**53, 2**53 + 1, 2**64 - 1, 0], dtype=">u8")),
    labels("i1", np.array([-128, 127, 0], dtype="i1")),
]

refused = [
    case("complex", np.array([[1, 2j]])),
    case("text", np.array([["a", "bc"]])),
    case("structured", np.zeros(2, dtype=[("x", "<f4"), ("y", "<i4")])),
    case("a single number", np.array(1.5)),
    case("no rows", np.zeros((0, 3))),
    case("dates", np.array(["2020-01-01"], dtype="datetime64[D]")),
    case("time differences", np.array([1], dtype="timedelta64[s]")),
    case("void", np.zeros(2, dtype="V4")),
    case("long doubles", np.zeros(2, dtype="longdouble")),
    case("objects", np.array(["a", 1], dtype=object), allow_pickle=True),
]


def archive(name, save, limit=None):
    """An .npz of x, 3 × 2, and y, 3; sizes from `limit` bytes on take zip64."""
    file = io.BytesIO()
    usual = zipfile.ZIP64_LIMIT
    zipfile.ZIP64_LIMIT = limit or usual
    save(file, x=np.arange(6, dtype=">f8").reshape(3, 2), y=np.array([0.5, 1.5, -2], dtype="<f4"))
    zipfile.ZIP64_LIMIT = usual
    contents = bytearray(file.getvalue())
    if limit:
        # zipfile leaves the numbers of the directory beside those of 64 bits; a large archive has only these.
        struct.pack_into("<HHLL", contents, len(contents) - 14, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)
        assert sorted(np.load(io.BytesIO(contents))) == ["x", "y"]
    return {"name": name, "hex": contents.hex()}


def unnamed():
    file = io.BytesIO()
    np.savez(file, np.arange(6).reshape(3, 2), np.array([1, 0, 1]))
    return {"name": "without names", "hex": file.getvalue().hex()}


def texts():
    file = io.BytesIO()
    np.savez_compressed(file, Inputs=np.arange(8).reshape(4, 2), OUTPUTS=np.array(["b", "a", "01", "b"]))
    return {"name": "text targets", "hex": file.getvalue().hex()}


archives = [
    archive("stored", np.savez),
    archive("deflated", np.savez_compressed),
    archive("stored with zip64", np.savez, 1),
    archive("deflated with zip64", np.savez_compressed, 1),
    unnamed(),
    texts(),
]

path = Path(__file__).with_name("npy.json")
path.write_text(json.dumps({"accepted": arrays, "labels": labels, "refused": refused, "archives": archives}, indent=1) + "\n")
