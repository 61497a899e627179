#!/usr/bin/env python3
"""Writes keras-*.onnx as Keras exports dense networks, by tf2onnx, and keras.json: rows, and the outputs that onnxruntime
computes of them.

    python3 -m venv venv && venv/bin/pip install tensorflow-cpu tf2onnx onnx onnxruntime
    venv/bin/python Tests/Fixtures/onnx/exported/generate-keras.py
"""

import json
import os
import warnings
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
warnings.simplefilter("ignore")

import keras
import numpy as np
import onnx
import onnxruntime
from keras import activations, layers

onnxruntime.set_default_logger_severity(4)
keras.utils.set_random_seed(13)
here = Path(__file__).parent
random = np.random.default_rng(13)
cases = {}


def record(name, model, x, runs=True):
    """Saves the model as Keras exports it, and what onnxruntime makes of the rows; where that cannot run it, what Keras makes."""
    for weights in model.trainable_weights:  # bias and slopes are 0 at first
        weights.assign_add(random.normal(0, 0.5, weights.shape))
    outputs = np.asarray(model(x))
    path = here / f"keras-{name}.onnx"
    model.export(path, format="onnx", verbose=False)
    file = onnx.load(path)
    del file.graph.value_info[:]
    path.write_bytes(file.SerializeToString())
    if runs:
        expected = outputs
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        outputs = session.run(None, {file.graph.input[0].name: x})[0]
        np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-5)
    cases[f"keras-{name}"] = {
        "outputs": np.asarray(outputs, float).reshape(len(x), -1).tolist(),
        "rows": x.reshape(len(x), -1).astype(float).tolist(),
    }


def sequential(shape, *parts):
    model = keras.Sequential([keras.Input(shape), *parts])
    model(np.zeros((1, *shape), np.float32))
    return model


x4 = random.normal(size=(5, 4)).astype(np.float32) * 2

names = """celu elu exponential gelu hard_sigmoid hard_silu hard_tanh leaky_relu linear log_sigmoid mish relu relu6 selu sigmoid
silu soft_shrink softmax softplus softsign squareplus tanh tanh_shrink""".split()
for name in names:
    # These two come out with Expm1 and Erfc, which ONNX does not have.
    runs = name not in ("celu", "gelu")
    record(f"dense-{name.replace('_', '-')}", sequential((4,), layers.Dense(3, activation=name)), x4, runs)
record("dense-gelu-tanh", sequential((4,), layers.Dense(3, activation=lambda z: activations.gelu(z, approximate=True))), x4)

normalization = layers.Normalization(mean=[0.5, -1, 2, 0], variance=[1, 0.3, 4, 2])
batch = layers.BatchNormalization()
batch.build((None, 3))
batch.moving_mean.assign([0.5, -1, 2])
batch.moving_variance.assign([1, 0.3, 4])
first = layers.BatchNormalization()
first.build((None, 4))
first.moving_mean.assign([0.5, -1, 2, 0])
first.moving_variance.assign([1, 0.3, 4, 2])
plain = layers.BatchNormalization(center=False, scale=False, epsilon=1e-5)
plain.build((None, 3))
plain.moving_variance.assign([1, 0.3, 4])

models = {
    "flatten": ((2, 3), [layers.Flatten(), layers.Dense(4, activation="relu"), layers.Dense(2)]),
    "image": ((4, 3, 1), [layers.Rescaling(1 / 255), layers.Flatten(), layers.Dense(4, activation="relu"), layers.Dense(3, activation="softmax")]),
    "reshape": ((2, 3), [layers.Reshape((6,)), layers.Dense(2)]),
    "dropout": ((4,), [layers.Dropout(0.2), layers.Dense(3, activation="relu"), layers.Dropout(0.5), layers.Dense(1, activation="sigmoid")]),
    "noise": ((4,), [layers.GaussianNoise(0.1), layers.Dense(3, activation="tanh"), layers.AlphaDropout(0.1), layers.Dense(1)]),
    "batch-norm": ((4,), [layers.Dense(3, use_bias=False), batch, layers.Activation("relu"), layers.Dense(2)]),
    "batch-norm-first": ((4,), [first, layers.Dense(3, activation="relu"), layers.Dense(2)]),
    "batch-norm-plain": ((4,), [layers.Dense(3), plain, layers.ReLU(), layers.Dense(2)]),
    "layer-norm": ((4,), [layers.Dense(3), layers.LayerNormalization(), layers.Activation("relu"), layers.Dense(2)]),
    "layer-norm-plain": ((4,), [layers.Dense(3), layers.LayerNormalization(center=False, scale=False), layers.Dense(2)]),
    "layer-norm-scale": ((4,), [layers.Dense(3), layers.LayerNormalization(center=False), layers.Dense(2)]),
    "layer-norm-center": ((4,), [layers.Dense(3), layers.LayerNormalization(scale=False, epsilon=1e-5), layers.Dense(2)]),
    "normalization": ((4,), [normalization, layers.Dense(3, activation="elu"), layers.Dense(1)]),
    "no-bias": ((4,), [layers.Dense(3, activation="selu", use_bias=False), layers.Dense(2, activation="softmax", use_bias=False)]),
    "relu-layer": ((4,), [layers.Dense(3), layers.ReLU(), layers.Dense(2), layers.Softmax()]),
    "relu-capped": ((4,), [layers.Dense(3), layers.ReLU(max_value=2.0), layers.Dense(2)]),
    "leaky-relu-layer": ((4,), [layers.Dense(3), layers.LeakyReLU(negative_slope=0.1), layers.Dense(2)]),
    "elu-layer": ((4,), [layers.Dense(3), layers.ELU(alpha=0.5), layers.Dense(2)]),
    "prelu": ((4,), [layers.Dense(3), layers.PReLU(), layers.Dense(2)]),
    "prelu-shared": ((4,), [layers.Dense(3), layers.PReLU(shared_axes=[1]), layers.Dense(2)]),
    "deep": ((4,), [layers.Dense(5, activation="swish"), layers.Dense(4, activation="tanh"), layers.Dense(3, activation="softplus"), layers.Dense(2, activation="sigmoid")]),
    "unit-norm": ((4,), [layers.Dense(3), layers.UnitNormalization(), layers.Dense(2)]),
    "convolution": ((4, 1), [layers.Conv1D(2, 2), layers.Flatten(), layers.Dense(2)]),
    "double": ((4,), [layers.Dense(3, activation="relu", dtype="float64"), layers.Dense(2, dtype="float64")]),
}
for name, (shape, parts) in models.items():
    x = random.normal(size=(5, *shape)).astype(np.float32)
    if name == "image":
        x = random.integers(0, 256, (5, *shape)).astype(np.float32)
    # Of Normalization, the exporter leaves out the numbers.
    record(name, sequential(shape, *parts), x, runs=name != "normalization")

inputs = keras.Input((4,))
h = layers.Dense(3, activation="relu")(inputs)
h = layers.Add()([h, layers.Dense(3, activation="tanh")(h)])
model = keras.Model(inputs, layers.Dense(2)(h))
model(x4)
record("residual", model, x4)

(here / "keras.json").write_text(json.dumps(cases, indent=1, sort_keys=True) + "\n")
