"""Compares onnxruntime's outputs of exported networks with `chainrule predict`, by depth and scale of the weights: dense layers
of 16 units, alternating activations, Glorot uniform weights times the scale.  The environment variable CHAINRULE names the
program.  docs/onnx.md has the results.

Prints for each scalar type the largest difference, relative to the largest output (to 1 if that is smaller).
"""

import pathlib
import tempfile

import numpy as np
import onnxruntime
from test_onnx import ELEMENTWISE, ROWS, Network, chainrule, predict

DEPTHS = (1, 2, 4, 8, 16, 32)
SCALES = (0.5, 1, 2, 4)
SEEDS = 4
# Without gelu, because its erf is float32 in a float64 graph; the tests measure it.
ACTIVATIONS = [name for name in ELEMENTWISE if name != "gelu"]


def difference(scalar, depth, scale, seed, folder):
    network = Network(int(scalar == "float64") + 2 * 1000)
    network.layers, network.tensors, network.inputs, network.width = [], {}, 8, 8
    network.numbers = np.random.default_rng([depth, seed])
    for layer in range(depth):
        network.dense(16, ACTIVATIONS[(layer + seed * 5) % len(ACTIVATIONS)])
    network.dense(4, "identity")
    for name in network.tensors:
        if name.endswith("weights"):
            network.tensors[name] *= network.type(scale)
    network.save(folder / "model.safetensors")
    x = network.uniform(-2, 2, ROWS, network.inputs)
    (folder / "rows.csv").write_text("".join(",".join(map(str, row.tolist())) + "\n" for row in x))
    chainrule("export", folder / "model.safetensors", "--to", "onnx", "--output", folder / "model.onnx")
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    expected, found = predict(folder / "model.safetensors", folder / "rows.csv"), session.run(None, {"input": x})[0]
    return np.abs(found - expected).max() / max(1, np.abs(expected).max())


def main():
    with tempfile.TemporaryDirectory() as folder:
        for scalar in ("float32", "float64"):
            print(f"{scalar}: depth, then the largest difference with weights times {', '.join(map(str, SCALES))}")
            for depth in DEPTHS:
                cells = [max(difference(scalar, depth, scale, seed, pathlib.Path(folder)) for seed in range(SEEDS))
                         for scale in SCALES]
                print(f"{depth:5}", *(f"{cell:9.1e}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
