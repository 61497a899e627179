#!/usr/bin/env python3
"""Writes the initial inputs of the fuzzer, one folder for each target: small files that the reader accepts.

    python3 generate.py
"""

import gzip
import io
import json
import struct
import zipfile
from pathlib import Path

here = Path(__file__).parent
fixtures = here.parents[1] / "Fixtures"


def write(target, name, contents):
    folder = here / target
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(contents)


def fnv1a64(*parts):
    h = 0xCBF29CE484222325
    for part in parts:
        for byte in part:
            h = (h ^ byte) * 0x100000001B3 % 2**64
    return f"fnv1a64:{h:016x}"


def safetensors(tensors, dtype, metadata):
    """A safetensors file. Each tensor is a pair of a shape and values."""
    code = {"F16": "e", "F32": "f", "F64": "d"}[dtype]
    header, data = {"__metadata__": metadata}, b""
    for name, (shape, values) in tensors.items():
        packed = struct.pack(f"<{len(values)}{code}", *values)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(packed)]}
        data += packed
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def model(dtype, inputs, layers, tensors, training=None, **names):
    """A model file (docs/file-format.md); with `training`, a checkpoint."""
    scalar, code = {"F32": ("float32", "f"), "F64": ("float64", "d")}[dtype]
    architecture = {"formatVersion": 1, "version": "0.1.0", "scalar": scalar, "inputs": inputs, "layers": layers}
    text = json.dumps(architecture | names, separators=(",", ":"))
    data = b"".join(struct.pack(f"<{len(values)}{code}", *values) for _, values in tensors.values())
    texts = [text] if training is None else [text, json.dumps(training)]
    checksum = fnv1a64(*(text.encode() for text in texts), data)
    metadata = {"format": "chainrule", "chainrule": text, "checksum": checksum}
    if training is not None:
        metadata["training"] = texts[1]
    return safetensors(tensors, dtype, metadata)


def dense(units, activation, bias=True):
    return {"type": "dense", "units": units, "activation": activation, "bias": bias}


def models():
    layers = [
        dense(2, "tanh") | {"weightsInitializer": {"kind": "uniform", "value": 0.5}},
        dense(1, "identity", bias=False),
    ]
    tensors = {
        "layers.0.weights": ([2, 2], [0.5, -1, 2, 0.25]),
        "layers.0.bias": ([2], [0, 1]),
        "layers.1.weights": ([1, 2], [1, -1]),
    }
    for dtype in "F32", "F64":
        write("model", f"dense-{dtype}", model(dtype, 2, layers, tensors, features=["a", "b"]))
    layers = [
        {"type": "scaling"},
        dense(2, "silu"),
        {"type": "batchNorm", "momentum": 0.1, "epsilon": 1e-5},
        {"type": "activation", "activation": "relu"},
        {"type": "dropout", "rate": 0.25},
        {"type": "layerNorm", "epsilon": 1e-5},
        {"type": "residual", "span": 3},
        dense(2, "softmax"),
    ]
    tensors = {
        "layers.0.mean": ([1], [1]),
        "layers.0.deviation": ([1], [2]),
        "layers.1.weights": ([2, 1], [1, -1]),
        "layers.1.bias": ([2], [0, 0]),
        "layers.2.gamma": ([2], [1, 1]),
        "layers.2.beta": ([2], [0, 0]),
        "layers.2.mean": ([2], [0, 1]),
        "layers.2.variance": ([2], [1, 2]),
        "layers.5.gamma": ([2], [1, 1]),
        "layers.5.beta": ([2], [0, 0]),
        "layers.7.weights": ([2, 2], [1, 2, 3, 4]),
        "layers.7.bias": ([2], [0, 0]),
    }
    write("model", "every-kind", model("F32", 1, layers, tensors, classes=["ja", "n\u00f6"]))


def checkpoints():
    """A checkpoint of the trainer in Target.checkpoint."""
    tensors = {
        f"{array}layers.0.{name}": values
        for array in ("", "optimizer.v.", "epoch.", "best.")
        for name, values in {"weights": ([1, 2], [0.5, -1]), "bias": ([1], [0.25])}.items()
    }
    training = {
        "formatVersion": 1, "arrays": ["optimizer.v", "epoch", "best"], "optimizer": "sgd", "learningRate": 0.1,
        "steps": 3, "epochs": 1, "fresh": False, "powers": {"beta1": 1.0, "beta2": 1.0, "mu": 1.0, "decay": 1.0},
        "plateau": {"observed": False, "best": 0.0, "stale": 0, "cooling": 0, "reductions": 0},
        "accumulated": {"batches": 0, "weight": 0.0},
        "epoch": {"seed": "0", "inOrder": False, "inParts": False, "position": 2, "rows": 4, "loss": 0.5, "weight": 2.0},
        "note": "{}",
    }
    write("checkpoint", "in-epoch", model("F32", 2, [dense(1, "tanh")], tensors, training))


def plain_safetensors():
    """Tensors with PyTorch's names. The first byte is the number of layers, see Target.safetensors."""
    values = {"0.weight": ([2, 1], [0.5, -1]), "0.bias": ([2], [0, 1]), "2.weight": ([1, 2], [1, 2]), "2.bias": ([1], [0])}
    norm = {"1.weight": ([2], [1, 2]), "1.bias": ([2], [0, 1])}
    running = {"1.running_mean": ([2], [0, 0]), "1.running_var": ([2], [1, 1])}
    write("safetensors", "dense", b"\2" + safetensors(values, "F32", {"format": "pt"}))
    write("safetensors", "layer-norm", b"\3" + safetensors(values | norm, "F64", {}))
    write("safetensors", "batch-norm", b"\3" + safetensors(values | norm | running, "F32", {}))
    write("safetensors", "half", b"\1" + safetensors({"fc.weight": ([1, 2], [1, 2])}, "F16", {}))


def graphs():
    for name in "sklearn-minmax", "sklearn-labels", "sklearn-classes":
        write("onnx", name, (fixtures / "onnx" / f"{name}.onnx").read_bytes())


def tables():
    """The first byte selects the reading options, see Target.csv."""
    texts = {
        "plain": b"\x00a,b,class\n1,2.5,x\n-3e2,4,y\n5,.5,x\n",
        "quoted": b'\x00"a ""q""",b\r\n"1","2"\r\n3,"4"\r\n',
        "semicolons": b"\x03\xef\xbb\xbfa;b\n1;2\n\n3;4",
        "spaces": b"\x0a1 2 3\r4 5 6\r",
        "any": b"\x80n,d,y\nred,2024-03-01,0\nblue,NA,1\n,2024-03-02T12:30,0\n",
        "dates": b"\x80d,y\n03/01/2024,1\n1-Mar-2024,2\n1.3.24,T\n",
        "missing": b"\xc0n,m,y\nred,1,0\nblue,NA,1\n,3,0\n",
    }
    for name, text in texts.items():
        write("csv", name, text)


def arrays():
    def idx(kind, *dimensions):
        return bytes([0, 0, kind, len(dimensions)]) + b"".join(struct.pack(">I", d) for d in dimensions)

    write("idx", "labels", idx(0x08, 3) + bytes([0, 2, 1]))
    write("idx", "shorts", idx(0x0B, 2) + struct.pack(">2h", 1, 0))
    write("idx", "images", idx(0x08, 2, 2, 2) + bytes(range(8)))
    write("idx", "doubles", idx(0x0E, 2, 1) + struct.pack(">2d", 0.5, -1))

    def npy(kind, shape, data, version=1):
        header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
        size = struct.pack("<H" if version == 1 else "<I", len(header))
        return b"\x93NUMPY" + bytes([version, 0]) + size + header + data

    columns = npy("<f8", (2, 2), struct.pack("<4d", 0, 1, 2, 3))
    for name, method in ("stored", zipfile.ZIP_STORED), ("deflated", zipfile.ZIP_DEFLATED):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", method) as archive:
            archive.writestr(zipfile.ZipInfo("x.npy"), columns, method)
            archive.writestr(zipfile.ZipInfo("y.npy"), npy("|u1", (2,), b"\0\1"), method)
        write("npz", name, packed.getvalue())
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(zipfile.ZipInfo("Inputs.npy"), columns)
        archive.writestr(zipfile.ZipInfo("OUTPUTS.npy"), npy("<U2", (2,), "ja\u00e9\0".encode("utf-32-le")))
    write("npz", "text", packed.getvalue())
    write("gz", "npy", gzip.compress(columns, mtime=0))
    write("gz", "idx", gzip.compress(idx(0x08, 3) + bytes([0, 2, 1]), mtime=0))
    write("gz", "csv", gzip.compress(b"a,b\n1,2\n", mtime=0) + gzip.compress(b"3,4\n", mtime=0))
    write("gz", "fann", b"2 1 1\n0\n1\n0.5\n-1e-1\n")
    write("fann", "two-rows", b"2 2 1\n0 1\n1\n1 0\n-1\n")
    write("fann", "one-row", b"1 1 1\n\n0.5\n1e2")
    write("fann", "free-form", b"2\n 2 1 +0 -0x1.8p1\r\n1\t5.\n.5 1E2\n\n")

    write("npy", "floats", npy("<f4", (2, 2), struct.pack("<4f", 0, 1, 2, -0.5)))
    write("npy", "big-endian", npy(">i2", (3,), struct.pack(">3h", 0, 1, 2), version=2))
    write("npy", "halves", npy("<f2", (2, 1, 2), struct.pack("<4e", 0, 1, 2, 0.5), version=3))
    write("npy", "booleans", npy("|b1", (2,), b"\0\1"))


def steps():
    write("step", "sigmoid-mse-batch1.json", (fixtures / "goldens" / "cases" / "sigmoid-mse-batch1.json").read_bytes())
    layers = [
        {"type": "scaling", "mean": [1], "deviation": [2]},
        dense(2, "tanh") | {"weights": [[1], [-1]], "bias": [0, 1]},
        {"type": "dropout", "rate": 0.5},
        {"type": "activation", "activation": "relu"},
        {"type": "residual", "span": 2},
        {"type": "batchNorm", "gamma": [1, 2], "beta": [0, 1], "mean": [0, 0], "var": [1, 1]},
        {"type": "layerNorm", "gamma": [1, 2], "beta": [0, 1]},
        dense(1, "sigmoid") | {"weights": [[1, 2]], "bias": None},
    ]
    adam = {"type": "adam", "learningRate": 0.01, "weightDecay": 0.1, "amsgrad": True}
    batches = [{"x": [[1], [2]], "y": [[0], [1]], "sampleWeights": [1, 2]}]
    step = {"inputs": 1, "layers": layers, "loss": "binaryCrossEntropy", "optimizer": adam, "batches": batches}
    write("step", "every-kind.json", json.dumps(step | {"seed": 1, "gradientClipNorm": 1}).encode())


models()
checkpoints()
graphs()
plain_safetensors()
tables()
arrays()
steps()
