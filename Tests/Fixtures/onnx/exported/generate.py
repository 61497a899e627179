#!/usr/bin/env python3
"""Writes *.onnx as PyTorch's two exporters and skl2onnx write the idioms of dense networks, and cases.json: rows, and the
outputs that onnxruntime computes of them.

    python3 -m venv venv && venv/bin/pip install torch onnxscript scikit-learn skl2onnx pandas onnx onnxruntime
    venv/bin/python Tests/Fixtures/onnx/exported/generate.py
"""

import json
import logging
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pandas
import torch
from skl2onnx import convert_sklearn, to_onnx
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, SGDClassifier
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, Normalizer, OneHotEncoder, RobustScaler, StandardScaler
from torch import nn

warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)
onnxruntime.set_default_logger_severity(4)
here = Path(__file__).parent
random = np.random.default_rng(11)
cases = {}


def record(name, model, feeds, names=None, like_softmax=False):
    """Saves the model, and what onnxruntime makes of the feeds: of several outputs, the last."""
    path = here / f"{name}.onnx"
    for node in model.graph.node:  # of dynamo: stack traces
        del node.metadata_props[:]
        node.doc_string = ""
    del model.graph.value_info[:]
    del model.metadata_props[:]
    model.doc_string = ""
    path.write_bytes(model.SerializeToString())
    outputs = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, feeds)[-1]
    if isinstance(outputs, list):  # of ZipMap
        outputs = [list(row.values()) for row in outputs]
    first = next(iter(feeds.values()))
    outputs = np.asarray(outputs, float).reshape(len(first), -1)
    if like_softmax:  # of LogSoftmax the model gives the probabilities
        outputs = np.exp(outputs)
    columns = [np.asarray(values).reshape(len(values), -1) for values in feeds.values()]
    case = {"outputs": outputs.tolist()}
    if names:
        cells = np.concatenate([c.astype(object) for c in columns], 1)
        case["csv"] = "".join(",".join(map(str, row)) + "\n" for row in [names, *cells])
    else:
        case["rows"] = np.concatenate(columns, 1).astype(float).tolist()
    cases[name] = case


# PyTorch


class Function(nn.Module):
    """f(modules, x)"""

    def __init__(self, f, *modules):
        super().__init__()
        self.f, self.parts = f, nn.ModuleList(modules)

    def forward(self, x):
        return self.f(self.parts, x)


def after_dense(f, outputs=3):
    return Function(lambda m, x: f(m[0](x)), nn.Linear(2, outputs))


torch.manual_seed(5)
x2 = torch.randn(5, 2) * 3
modules = {
    "squeeze": (after_dense(lambda z: z.squeeze(-1), 1), x2),
    "column": (after_dense(lambda z: z[:, 0], 1), x2),
    "columns": (after_dense(lambda z: z[:, 1:3], 4), x2),
    "one-of-two": (after_dense(lambda z: torch.softmax(z, 1)[:, 1], 2), x2),
    "view": (Function(lambda m, x: m[0](x.view(x.size(0), -1)), nn.Linear(6, 2)), torch.randn(5, 2, 3)),
    "layer-norm": (nn.Sequential(nn.Linear(2, 4), nn.LayerNorm(4)), x2),
    "weight-norm": (nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(2, 4)), nn.ReLU()), x2),
    "clamp": (after_dense(lambda z: z.clamp(min=0)), x2),
    "clamp-max": (after_dense(lambda z: z.clamp(max=0.5)), x2),
    "relu6": (nn.Sequential(nn.Linear(2, 3), nn.ReLU6(), nn.Linear(3, 2)), x2),
    "maximum": (after_dense(lambda z: torch.maximum(z, torch.zeros(1))), x2),
    "where": (after_dense(lambda z: torch.where(z > 0, z, torch.zeros(1))), x2),
    "where-slope": (after_dense(lambda z: torch.where(z > 0, z, 0.2 * z)), x2),
    "threshold": (nn.Sequential(nn.Linear(2, 3), nn.Threshold(0, 0)), x2),
    "leaky": (nn.Sequential(nn.Linear(2, 3), nn.LeakyReLU(0.3), nn.Linear(3, 1)), x2),
    "prelu": (nn.Sequential(nn.Linear(2, 3), nn.PReLU(), nn.Linear(3, 1)), x2),
    "prelu-each": (nn.Sequential(nn.Linear(2, 3), nn.PReLU(3), nn.Linear(3, 1)), x2),
    "celu": (nn.Sequential(nn.Linear(2, 3), nn.CELU(), nn.CELU(2.0)), x2),
    "softplus-beta": (nn.Sequential(nn.Linear(2, 3), nn.Softplus(beta=2)), x2),
    "abs": (after_dense(lambda z: z.abs()), x2),
    "negative-scale": (after_dense(lambda z: z * -3 + 2), x2),
    "reversed": (after_dense(lambda z: 1 - z), x2),
    "bytes": (
        Function(lambda m, x: m[0](x.float() / 255), nn.Linear(2, 3)),
        torch.randint(0, 255, (5, 2)).to(torch.uint8),
    ),
    "half": (nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)).half(), x2.half()),
    "log-softmax": (after_dense(lambda z: torch.log_softmax(z, 1)), x2),
    "matmul": (Function(lambda m, x: x @ m[0].weight.t() + m[0].bias, nn.Linear(2, 3)), x2),
    "standardised": (
        Function(lambda m, x: m[0]((x - torch.tensor([1.0, 2])) / torch.tensor([3.0, 4])), nn.Linear(2, 3)),
        x2,
    ),
    "hard-swish": (nn.Sequential(nn.Linear(2, 3), nn.Hardswish()), x2),
    "einsum": (Function(lambda m, x: torch.einsum("bi,oi->bo", x, m[0].weight), nn.Linear(2, 3)), x2),
    "conv": (nn.Sequential(nn.Conv1d(1, 2, 2), nn.Flatten(), nn.Linear(4, 2)), torch.randn(5, 1, 3)),
    "lstm": (Function(lambda m, x: m[0](x)[0][:, -1], nn.LSTM(2, 3, batch_first=True)), torch.randn(5, 4, 2)),
    "two-heads": (Function(lambda m, x: (m[0](x), m[1](x)), nn.Linear(2, 3), nn.Linear(2, 1)), x2),
}
for name, (module, x) in modules.items():
    module.eval()
    for dynamo in (False, True):
        if dynamo and name == "lstm":
            continue
        path = here / "temporary.onnx"
        if dynamo:
            options = {"dynamic_shapes": ({0: torch.export.Dim("batch")},), "external_data": False}
        else:
            options = {"dynamic_axes": {"x": {0: "batch"}}, "input_names": ["x"], "opset_version": 16}
        torch.onnx.export(module, (x,), path, dynamo=dynamo, verbose=False, **options)
        model = onnx.load(path)
        path.unlink()
        feeds = {model.graph.input[0].name: x.numpy()}
        record(f"torch-{name}-{'dynamo' if dynamo else 'script'}", model, feeds, like_softmax=name == "log-softmax")

# PyTorch as it is by default: the values in another file

wide = nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 1)).eval()
torch.onnx.export(wide, (x2,), here / "torch-default.onnx", verbose=False)
model = onnx.load(here / "torch-default.onnx", load_external_data=False)
record("torch-default", model, {model.graph.input[0].name: x2.numpy()})

# scikit-learn

x, y = load_iris(return_X_y=True)
x = x.astype(np.float32)
few = {"hidden_layer_sizes": (3,), "max_iter": 20, "random_state": 1}
several = np.c_[y == 0, y > 0, y == 1].astype(int)
whole = (x * 10).astype(np.int64)
gaps = x.copy()
gaps[::7, 1] = np.nan
models = {
    "logistic": (LogisticRegression().fit(x, y), x, {}),
    "logistic-binary": (LogisticRegression().fit(x, np.minimum(y, 1)), x, {}),
    "logistic-no-zipmap": (LogisticRegression().fit(x, y), x, {"zipmap": False}),
    "linear": (LinearRegression().fit(x, y), x, {}),
    "ridge": (Ridge().fit(x, np.c_[y, -y]), x, {}),
    "standard-logistic": (make_pipeline(StandardScaler(), LogisticRegression()).fit(x, y), x, {}),
    "minmax-clip": (make_pipeline(MinMaxScaler(clip=True), MLPRegressor(**few)).fit(x[::2], y[::2]), x, {}),
    "maxabs": (make_pipeline(MaxAbsScaler(), MLPRegressor(**few)).fit(x, y), x, {}),
    "robust": (make_pipeline(RobustScaler(), MLPRegressor(**few)).fit(x, y), x, {}),
    "imputer": (make_pipeline(SimpleImputer(), StandardScaler(), MLPRegressor(**few)).fit(gaps, y), x, {}),
    "integers": (MLPRegressor(**few).fit(whole, y), whole, {}),
    "multilabel": (MLPClassifier(**few).fit(x, several), x, {}),
    "multilabel-no-zipmap": (MLPClassifier(**few).fit(x, several), x, {"zipmap": False}),
    "normalizer": (make_pipeline(Normalizer(), MLPRegressor(**few)).fit(x, y), x, {}),
    "one-vs-rest": (OneVsRestClassifier(LogisticRegression()).fit(x, y), x, {}),
    "sgd": (SGDClassifier(loss="log_loss", random_state=1).fit(x, y), x, {}),
}
for name, (model, inputs, options) in models.items():
    record(f"sklearn-{name}", to_onnx(model, inputs[:1], options={id(model): options} if options else None), {"X": inputs[::30]})

# Tables

rows = 60
table = pandas.DataFrame(
    {
        "age": random.normal(40, 10, rows).astype(np.float32),
        "colour": random.choice(["red", "green", "blue, dark"], rows),
        "height": random.normal(170, 10, rows).astype(np.float32),
        "doors": random.integers(2, 6, rows),
        "maker": random.choice(["a", "b"], rows),
    }
)
types = {"f": FloatTensorType, "O": StringTensorType, "i": Int64TensorType}
numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
ignoring = OneHotEncoder(handle_unknown="ignore")
labels = random.integers(0, 2, rows)
tables = {
    "mixed": (["age", "colour", "height", "maker"], MLPClassifier(**few), [("n", numbers, ["age", "height"]), ("c", ignoring, ["colour", "maker"])]),
    "categories-first": (["age", "colour", "height"], LogisticRegression(), [("c", ignoring, ["colour"]), ("n", StandardScaler(), ["age", "height"])]),
    "integers": (["age", "doors", "height"], MLPRegressor(**few), [("n", "passthrough", ["age", "height"]), ("c", OneHotEncoder(), ["doors"])]),
    "drop": (["age", "colour"], MLPRegressor(**few), [("n", StandardScaler(), ["age"]), ("c", OneHotEncoder(drop="first"), ["colour"])]),
}
for name, (columns, model, parts) in tables.items():
    used = table[columns]
    model = make_pipeline(ColumnTransformer(parts), model).fit(used, labels)
    initial = [(c, types[np.asarray(used[c]).dtype.kind if used[c].dtype != object and str(used[c].dtype) != "str" else "O"]([None, 1])) for c in columns]
    feeds = {c: np.asarray(used[c][:6]).reshape(-1, 1) for c in columns}
    feeds = {c: v.astype(object) if v.dtype.kind in "OUT" else v for c, v in feeds.items()}
    record(f"sklearn-table-{name}", convert_sklearn(model, initial_types=initial), feeds, columns)
    lines = cases[f"sklearn-table-{name}"]["csv"].splitlines()
    cases[f"sklearn-table-{name}"]["csv"] = "\n".join(l.replace("blue, dark", '"blue, dark"') for l in lines) + "\n"

(here / "cases.json").write_text(json.dumps(cases, indent=1, sort_keys=True) + "\n")
