#!/usr/bin/env python3
"""Writes *.onnx as PyTorch, scikit-learn and tf2onnx export dense networks, and networks.json: rows, and what the frameworks
themselves make of them.

    python3 -m venv venv && venv/bin/pip install torch onnxscript scikit-learn skl2onnx onnx numpy
    venv/bin/python Tests/Fixtures/onnx/generate.py

keras.onnx follows tf2onnx's pattern (MatMul and Add; activations in basic operators), written here by onnx.helper; its
outputs are NumPy's.
"""

import json
import math
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from sklearn.datasets import load_iris
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from torch import nn

warnings.simplefilter("ignore")
torch.manual_seed(7)
random = np.random.default_rng(7)
here = Path(__file__).parent
networks = {}


def record(name, rows, outputs, classes=None):
    networks[name] = {
        "rows": np.asarray(rows, float).reshape(len(rows), -1).tolist(),
        "outputs": np.asarray(outputs, float).reshape(len(rows), -1).tolist(),
        "classes": classes,
    }


def save(name, model):
    (here / f"{name}.onnx").write_bytes(model.SerializeToString())


# PyTorch, by its older exporter and by dynamo's


class Block(nn.Module):
    """Images, a normalised layer, a block around which its input goes, and softmax."""

    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Linear(12, 6), nn.BatchNorm1d(6)
        self.inner, self.drop = nn.Linear(6, 6), nn.Dropout(0.3)
        self.rows, self.last = nn.LayerNorm(6), nn.Linear(6, 3, bias=False)

    def forward(self, x):
        h = nn.functional.silu(self.norm(self.first(torch.flatten(x, 1))))
        h = h + self.inner(self.drop(torch.relu(h)))
        return torch.softmax(self.last(self.rows(h)), -1)


activations = [
    nn.Sigmoid(), nn.Tanh(), nn.ReLU(), nn.LeakyReLU(), nn.ELU(), nn.SELU(), nn.GELU(), nn.GELU(approximate="tanh"),
    nn.SiLU(), nn.Softplus(), nn.Softsign(), nn.Mish(), nn.Hardsigmoid(), nn.Hardtanh(),
]  # fmt: skip
chain = nn.Sequential(*(part for f in activations for part in (nn.Linear(3, 3), f)), nn.Linear(3, 3), nn.LogSoftmax(1))
with torch.no_grad():
    for parameter in chain.parameters():
        parameter.mul_(1.5)  # lest the last outputs hardly depend on the row

block = Block()
block(torch.randn(50, 1, 3, 4) + 1)  # running statistics
for module, name, shape in ((block, "block", (5, 1, 3, 4)), (chain, "activations", (5, 3))):
    module.eval()
    x = torch.randn(shape)
    with torch.no_grad():
        y = module(x)
    if name == "activations":
        y = y.exp()  # of LogSoftmax Chainrule makes a softmax
    for dynamo in (False, True):
        path = here / f"torch-{name}-{'dynamo' if dynamo else 'script'}.onnx"
        if dynamo:
            options = {"dynamic_shapes": ({0: torch.export.Dim("batch")},), "external_data": False}
        else:
            options = {"dynamic_axes": {"x": {0: "batch"}}, "input_names": ["x"], "opset_version": 17}
        torch.onnx.export(module, (x,), path, dynamo=dynamo, verbose=False, **options)
        model = onnx.load(path)
        for node in model.graph.node:  # of dynamo: stack traces
            del node.metadata_props[:]
            node.doc_string = ""
        del model.graph.value_info[:]
        save(path.stem, model)
        record(path.stem, x, y)

# scikit-learn: the labels' branch beside the probabilities', scalers in front

x, y = load_iris(return_X_y=True)
rows = x[::30]
few = {"hidden_layer_sizes": (5,), "max_iter": 50, "random_state": 1}
names = np.array(["setosa", "versicolor", "virginica"])

model = make_pipeline(StandardScaler(), MLPClassifier(**few)).fit(x, y)
save("sklearn-classes", to_onnx(model, x[:1].astype(np.float32)))
record("sklearn-classes", rows, model.predict_proba(rows), ["0", "1", "2"])

model = MLPClassifier(activation="tanh", **few).fit(x, names[y])
save("sklearn-labels", to_onnx(model, x[:1].astype(np.float32), options={"zipmap": False}))
record("sklearn-labels", rows, model.predict_proba(rows), names.tolist())

model = MLPClassifier(activation="logistic", **few).fit(x, names[np.minimum(y, 1)])
save("sklearn-binary", to_onnx(model, x[:1].astype(np.float32)))
record("sklearn-binary", rows, model.predict_proba(rows), names[:2].tolist())

model = make_pipeline(StandardScaler(), MLPRegressor(activation="relu", **few)).fit(x, y)
save("sklearn-regressor", to_onnx(model, x[:1]))
record("sklearn-regressor", rows, model.predict(rows))

model = make_pipeline(MinMaxScaler(), MLPRegressor(activation="identity", **few)).fit(x, y)
save("sklearn-minmax", to_onnx(model, x[:1].astype(np.float32)))
record("sklearn-minmax", rows, model.predict(rows))

# Keras, as tf2onnx writes it


def erf(z):
    return np.vectorize(math.erf)(z)


layers = [
    ("gelu", lambda z: z * (1 + erf(z / math.sqrt(2))) / 2),
    ("swish", lambda z: z / (1 + np.exp(-z))),
    ("hard_sigmoid", lambda z: np.clip(z / 6 + 0.5, 0, 1)),
    ("softmax", lambda z: np.exp(z) / np.exp(z).sum(1, keepdims=True)),
]
nodes, tensors, last = [], {}, "dense_input"
rows = random.normal(size=(5, 4)).astype(np.float32)
a = rows.astype(float)


def tensor(name, value):
    tensors[name] = np.asarray(value, np.float32)
    return name


def node(operator, inputs, **attributes):
    output = f"StatefulPartitionedCall/{operator}_{len(nodes)}:0"
    nodes.append(helper.make_node(operator, inputs, [output], name=output[:-2], **attributes))
    return output


last = node("Cast", [last], to=TensorProto.FLOAT)
for number, (name, function) in enumerate(layers):
    w = random.normal(size=(a.shape[1], 3)).astype(np.float32)
    b = random.normal(size=3).astype(np.float32)
    z = a @ w + b
    a = function(z)
    last = node("MatMul", [last, tensor(f"dense_{number}/kernel", w)])
    last = node("Add", [last, tensor(f"dense_{number}/bias", b)])
    if name == "gelu":
        half = node("Mul", [last, tensor("half", 0.5)])
        ratio = node("Mul", [last, tensor("1/sqrt2", 1 / math.sqrt(2))])
        last = node("Mul", [half, node("Add", [node("Erf", [ratio]), tensor("one", 1)])])
    elif name == "swish":
        last = node("Mul", [node("Sigmoid", [last]), last])
    elif name == "hard_sigmoid":
        six = node("Clip", [node("Add", [last, tensor("three", 3)]), tensor("zero", 0), tensor("six", 6)])
        last = node("Mul", [six, tensor("1/6", 1 / 6)])
    else:
        last = node("Softmax", [last], axis=-1)
nodes[-1].output[0] = "dense"
graph = helper.make_graph(
    nodes,
    "tf2onnx",
    [helper.make_tensor_value_info("dense_input", TensorProto.FLOAT, ["unk__7", 4])],
    [helper.make_tensor_value_info("dense", TensorProto.FLOAT, ["unk__8", 3])],
    [numpy_helper.from_array(value, name) for name, value in tensors.items()],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], producer_name="tf2onnx", ir_version=8)
onnx.checker.check_model(model, full_check=True)
save("keras", model)
record("keras", rows, a)

(here / "networks.json").write_text(json.dumps(networks, indent=1) + "\n")
