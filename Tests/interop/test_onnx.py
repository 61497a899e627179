"""Random networks through ONNX: exported files are valid, onnxruntime agrees with `chainrule predict`, and `chainrule import`
restores the same bits.

This file writes the models, as docs/file-format.md specifies.  The environment variable CHAINRULE names the program.
"""

import csv
import io
import json
import os
import random
import subprocess

import numpy as np
import onnx
import onnxruntime
import pytest
from program import ACTIVATIONS
from safetensors.numpy import save_file

CHAINRULE = os.environ.get("CHAINRULE", "chainrule")
CASES = 200
ROWS = 6
PARAMETERS = ("weights", "bias", "gamma", "beta", "mean", "variance", "deviation")


class Network:
    """The layers of a model file and their parameters."""

    def __init__(self, seed):
        self.choice = random.Random(seed)
        self.numbers = np.random.default_rng(seed)
        self.type = np.float64 if seed % 2 else np.float32
        self.layers, self.tensors = [], {}
        self.inputs = self.width = self.choice.randint(1, 8)
        self.add_layers(self.choice.randint(1, 6), depth=2)
        self.dense(self.choice.randint(1, 5), self.choice.choice(["softmax", *ACTIVATIONS]))
        # At least one network has each activation.
        if seed < 2 * len(ACTIVATIONS):
            self.layers[-1]["activation"] = ACTIVATIONS[seed // 2]

    def uniform(self, low, high, *shape):
        return self.numbers.uniform(low, high, shape or self.width).astype(self.type)

    def add(self, kind, parameters, **fields):
        for name, values in parameters.items():
            self.tensors[f"layers.{len(self.layers)}.{name}"] = values
        self.layers.append({"type": kind, **fields})

    def dense(self, units, activation):
        limit = (6 / (self.width + units)) ** 0.5
        parameters = {"weights": self.uniform(-limit, limit, units, self.width)}
        if bias := self.choice.random() < 0.7:
            parameters["bias"] = self.uniform(-1, 1, units)
        self.width = units
        self.add("dense", parameters, units=units, activation=activation, bias=bias)

    def add_layers(self, count, depth):
        for _ in range(count):
            kind = self.choice.choice("dense dense activation dropout batchNorm layerNorm scaling residual".split())
            norm = {"gamma": self.uniform(0.5, 1.5), "beta": self.uniform(-1, 1)}
            if kind == "dense":
                self.dense(self.choice.randint(1, 16), self.choice.choice(ACTIVATIONS))
            elif kind == "activation":
                self.add(kind, {}, activation=self.choice.choice(ACTIVATIONS))
            elif kind == "dropout":
                self.add(kind, {}, rate=0.5)
            elif kind == "batchNorm":
                statistics = {"mean": self.uniform(-1, 1), "variance": self.uniform(0.25, 4)}
                self.add(kind, norm | statistics, momentum=0.1, epsilon=self.choice.choice([1e-5, 1e-3]))
            elif kind == "layerNorm":
                self.add(kind, norm, epsilon=self.choice.choice([1e-5, 0.1]))
            elif kind == "scaling":
                self.add(kind, {"mean": self.uniform(-1, 1), "deviation": self.uniform(0.5, 2)})
            elif depth > 0:
                first, width = len(self.layers), self.width
                self.add_layers(self.choice.randint(0, 2), depth - 1)
                self.dense(width, self.choice.choice(ACTIVATIONS))
                self.add(kind, {}, span=len(self.layers) - first)

    def save(self, path):
        architecture = {
            "formatVersion": 1,
            "version": "0.1.0",
            "scalar": np.dtype(self.type).name,
            "inputs": self.inputs,
            "layers": self.layers,
        }
        text = json.dumps(architecture)
        metadata = {"format": "chainrule", "chainrule": text, "checksum": self.checksum(text)}
        save_file(self.tensors, path, metadata)

    def checksum(self, text):
        names = [f"layers.{i}.{p}" for i in range(len(self.layers)) for p in PARAMETERS]
        h = 0xCBF29CE484222325
        for part in [text.encode(), *(self.tensors[name].tobytes() for name in names if name in self.tensors)]:
            for byte in part:
                h = (h ^ byte) * 0x100000001B3 % 2**64
        return f"fnv1a64:{h:016x}"

    def tolerance(self):
        """The tolerance relative to the largest output, or to 1 if that is larger.  erf and epsilon are float32 in a float64
        graph, which limits it to 1e-6; otherwise float64 has 1e-12."""
        kinds = {layer["type"] for layer in self.layers}
        activations = {layer.get("activation") for layer in self.layers}
        if self.type == np.float32 or "gelu" in activations or kinds & {"batchNorm", "layerNorm"}:
            return 1e-6
        return 1e-12


def chainrule(*arguments):
    return subprocess.run([CHAINRULE, *map(str, arguments)], check=True, capture_output=True, text=True).stdout


def predict(model, rows):
    lines = csv.reader(io.StringIO(chainrule("predict", model, rows)))
    next(lines)
    return np.array([[float(cell) for cell in line[1:]] for line in lines])


@pytest.mark.parametrize("seed", range(CASES))
def test_random_network(seed, tmp_path):
    network = Network(seed)
    network.save(tmp_path / "model.safetensors")
    x = network.uniform(-2, 2, ROWS, network.inputs)
    (tmp_path / "rows.csv").write_text("".join(",".join(map(str, row.tolist())) + "\n" for row in x))
    expected = predict(tmp_path / "model.safetensors", tmp_path / "rows.csv")

    chainrule("export", tmp_path / "model.safetensors", "--to", "onnx", "--output", tmp_path / "model.onnx")
    model = onnx.load(tmp_path / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found = session.run(None, {"input": x})[0]
    assert found.dtype == network.type and found.shape == expected.shape
    assert np.abs(found - expected).max() <= network.tolerance() * max(1, np.abs(expected).max())

    if seed % 4 == 0:
        chainrule("import", tmp_path / "model.onnx", "--save", tmp_path / "again.safetensors")
        assert (predict(tmp_path / "again.safetensors", tmp_path / "rows.csv") == expected).all()
