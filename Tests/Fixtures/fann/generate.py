#!/usr/bin/env python3
"""Writes fann.json: training data in many layouts, and the numbers that libfann reads from them.

    apt-get install libfann2
    python3 Tests/Fixtures/fann/generate.py
"""

import ctypes
import json
import random
import tempfile
from pathlib import Path

class TrainData(ctypes.Structure):
    """struct fann_train_data of libfann 2.2."""

    _fields_ = [
        ("error", ctypes.c_int),
        ("error_log", ctypes.c_void_p),
        ("error_text", ctypes.c_void_p),
        ("rows", ctypes.c_uint),
        ("inputs", ctypes.c_uint),
        ("outputs", ctypes.c_uint),
        ("input", ctypes.POINTER(ctypes.POINTER(ctypes.c_double))),
        ("output", ctypes.POINTER(ctypes.POINTER(ctypes.c_double))),
    ]


fann = ctypes.CDLL("libdoublefann.so.2")
fann.fann_read_train_from_file.argtypes = [ctypes.c_char_p]
fann.fann_read_train_from_file.restype = ctypes.POINTER(TrainData)

FIXED = [
    "3 2 1\n0 1\n0.5\n-15 0.25\n2\n5 6\n-0.125\n",
    "3 2 1\n0 1\n0.5\n\n-1.5e1\t.25 \r\n  2 \n5 6\n-0.125",
    # One number a line, all on one line, several rows a line, a line break within a row.
    "3\n2\n1\n0\n1\n0.5\n-15\n0.25\n2\n5\n6\n-0.125\n",
    "3 2 1 0 1 0.5 -15 0.25 2 5 6 -0.125",
    "3 2 1\n0 1 0.5 -15 0.25 2\n5 6 -0.125\n",
    "3 2 1\n0\n1 0.5 -15\n0.25 2 5 6\n-0.125\n",
    # The header over several lines, after blank ones, with signs and zeros.
    "\n\n  3 2\n\n 1 0 1 0.5 -15 0.25 2 5 6 -0.125\n",
    "+3 002 1\n0 1 0.5 -15 0.25 2 5 6 -0.125\n",
    # Every kind of number and of whitespace; blanks after the last number.
    "3 2 1\n+0 1.\n5E-1\n-0x1.Ep3 0X1p-2\n+2.0e+0\n5e0 0x6\n-.125\n",
    "3\t2\v1\f0\r1\r0.5\r-15\r0.25\r2\r5\r6\r-0.125\r",
    "3 2 1\r\n0 1\r\n0.5\r\n-15 0.25\r\n2\r\n5 6\r\n-0.125\r\n",
    "3 2 1\n0 1\n0.5\n-15 0.25\n2\n5 6\n-0.125 \n\n \t\n",
    "2 1 1\n1e-320 4.9e-324\n1.7976931348623157e308 123456789012345678901234567890\n",
    "1 2 1\n0.1 0.30000000000000004 2.2250738585072011e-308\n",
]


def laid_out(seed):
    """Random numbers, in random notations, with random whitespace between them."""
    draw = random.Random(seed)
    rows, inputs, outputs = draw.randint(1, 5), draw.randint(1, 4), draw.randint(1, 3)
    formats = [repr, "{:+.3e}".format, "{:.6f}".format, "{:G}".format, float.hex, lambda x: f"{round(x)}"]
    words = [f"{rows}", f"{inputs}", f"{outputs}"]
    for _ in range(rows * (inputs + outputs)):
        words.append(draw.choice(formats)(draw.choice([1, -1]) * 10 ** draw.uniform(-6, 6)))
    spaces = [" ", "  ", "\t", "\n", "\r\n", "\n\n", " \n "]
    return "".join(word + draw.choice(spaces) for word in words)


def read(text):
    with tempfile.NamedTemporaryFile() as file:
        file.write(text.encode())
        file.flush()
        data = fann.fann_read_train_from_file(file.name.encode())
    assert data, text
    rows = range(data[0].rows)
    return {
        "text": text,
        # The text of a double, since not every reader of JSON keeps all of its digits.
        "inputs": [[repr(x) for x in data[0].input[row][: data[0].inputs]] for row in rows],
        "outputs": [[repr(y) for y in data[0].output[row][: data[0].outputs]] for row in rows],
    }


files = [read(text) for text in FIXED + [laid_out(seed) for seed in range(60)]]
lines = ",\n".join(json.dumps(file) for file in files)
Path(__file__).with_name("fann.json").write_text(f"[\n{lines}\n]\n")
