"""Model files and Python's safetensors: NumPy recomputes predictions from the arrays of a model file, and Chainrule reads files
that Python writes, models as docs/file-format.md specifies and plain tensors with PyTorch's names."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from program import chainrule, predict
from safetensors import TensorSpec, safe_open, serialize_file
from safetensors.numpy import save_file

TOLERANCE = {"float32": 2e-5, "float64": 1e-12}
PARAMETERS = ("weights", "bias", "gamma", "beta", "mean", "variance", "deviation")


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


ACTIVATIONS = {
    "identity": lambda z: z,
    "relu": lambda z: np.maximum(z, 0),
    "tanh": np.tanh,
    "silu": lambda z: z / (1 + np.exp(-z)),
    "gelu": lambda z: z * (1 + np.vectorize(math.erf)(z / math.sqrt(2))) / 2,
    "softmax": softmax,
}


def forward(layers, tensors, x):
    """The outputs of a network for rows x, computed in float64 from its architecture and tensors."""
    values = [x.astype(np.float64)]
    for index, layer in enumerate(layers):
        p = {name: tensors[key].astype(np.float64) for name in PARAMETERS if (key := f"layers.{index}.{name}") in tensors}
        x, kind = values[-1], layer["type"]
        if kind == "dense":
            x = ACTIVATIONS[layer["activation"]](x @ p["weights"].T + p.get("bias", 0))
        elif kind == "activation":
            x = ACTIVATIONS[layer["activation"]](x)
        elif kind == "batchNorm":
            x = p["gamma"] * (x - p["mean"]) / np.sqrt(p["variance"] + layer["epsilon"]) + p["beta"]
        elif kind == "layerNorm":
            mean, variance = x.mean(axis=1, keepdims=True), x.var(axis=1, keepdims=True)
            x = p["gamma"] * (x - mean) / np.sqrt(variance + layer["epsilon"]) + p["beta"]
        elif kind == "scaling":
            x = (x - p["mean"]) / p["deviation"]
        elif kind == "residual":
            x = x + values[index - layer["span"]]
        else:
            assert kind == "dropout"
        values.append(x)
    return values[-1]


def read(path):
    """The metadata, the architecture and the tensors of a model file."""
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
        return metadata, json.loads(metadata["chainrule"]), {name: file.get_tensor(name) for name in file.keys()}


def close(actual, expected, scalar):
    np.testing.assert_allclose(actual, expected, rtol=TOLERANCE[scalar], atol=TOLERANCE[scalar])


# ---- Models that Chainrule writes -----------------------------------------------------------------


def train(path, scalar, *options):
    chainrule("train", "iris", "--preset", "plain", "--epochs", 2, "--scalar", scalar, *options, "--quiet", "--save", path)


NETWORKS = {
    "plain": ["--hidden", "5", "--activation", "silu"],
    "batch": ["--hidden", "8,8", "--normalization", "batch", "--dropout", "0.2", "--residual", "--activation", "tanh"],
    "layer": ["--hidden", "8,7", "--normalization", "layer", "--activation", "gelu"],
}
# Each with its kinds of layer; scaling has a test below.
KINDS = {
    "plain": {"dense"},
    "batch": {"dense", "batchNorm", "activation", "dropout", "residual"},
    "layer": {"dense", "layerNorm", "activation"},
}


def rows(scalar, count=9, inputs=4):
    return np.random.default_rng(1).uniform(-2, 7, (count, inputs)).astype(scalar)


@pytest.mark.parametrize("scalar", ["float32", "float64"])
@pytest.mark.parametrize("network", NETWORKS)
def test_arrays_are_the_parameters(tmp_path, network, scalar):
    path = tmp_path / "model.safetensors"
    train(path, scalar, *NETWORKS[network])
    _, architecture, tensors = read(path)
    assert architecture["scalar"] == scalar
    assert architecture["classes"] == ["setosa", "versicolor", "virginica"]
    assert {layer["type"] for layer in architecture["layers"]} == KINDS[network]
    assert {tensor.dtype for tensor in tensors.values()} == {np.dtype(scalar)}
    assert tensors["layers.0.weights"].shape[1] == architecture["inputs"] == 4

    report = json.loads(chainrule("inspect", path, "--json"))
    learned = ("weights", "bias", "gamma", "beta")
    assert report["parameters"] == sum(t.size for name, t in tensors.items() if name.endswith(learned))

    x = rows(scalar)
    close(predict(path, x), forward(architecture["layers"], tensors, x), scalar)


# ---- Models that Python writes -------------------------------------------------------------------


@pytest.fixture
def page(tmp_path, monkeypatch):
    """Runs the Python of docs/file-format.md that changes a tensor, in a folder with a model."""
    monkeypatch.chdir(tmp_path)

    def run(scalar):
        train("model.safetensors", scalar, *NETWORKS["batch"])
        text = (Path(__file__).parents[2] / "docs/file-format.md").read_text()
        names = {}
        codes = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
        exec(next(code for code in codes if "def checksum" in code), names)
        return names

    return run


@pytest.mark.parametrize("scalar", ["float32", "float64"])
def test_the_page_on_files_halves_weights(page, scalar):
    page(scalar)
    _, architecture, tensors = read("halved.safetensors")
    before = read("model.safetensors")[2]
    assert np.array_equal(tensors["layers.0.weights"], before["layers.0.weights"] / 2)
    x = rows(scalar)
    close(predict("halved.safetensors", x), forward(architecture["layers"], tensors, x), scalar)


@pytest.mark.parametrize("scalar", ["float32", "float64"])
def test_python_can_put_a_scaling_layer_before_the_others(page, scalar):
    path, checksum = "model.safetensors", page(scalar)["checksum"]
    metadata, architecture, tensors = read(path)
    layers = architecture["layers"]
    tensors = {
        f"layers.{int(index) + 1}.{name}": values
        for (_, index, name), values in ((key.split("."), values) for key, values in tensors.items())
    }
    tensors["layers.0.mean"] = np.array([5.8, 3.1, 3.8, 1.2], scalar)
    tensors["layers.0.deviation"] = np.array([0.8, 0.4, 1.8, 0.8], scalar)
    layers.insert(0, {"type": "scaling"})
    metadata["chainrule"] = json.dumps(architecture, separators=(",", ":"))
    metadata["userMetadata"] = "größe\n{}"
    metadata["checksum"] = checksum(metadata, tensors)
    save_file(tensors, path, metadata=metadata)

    x = rows(scalar)
    close(predict(path, x), forward(layers, tensors, x), scalar)
    metadata["userMetadata"] += " "
    save_file(tensors, path, metadata=metadata)
    with pytest.raises(AssertionError, match="checksum: the contents have"):
        predict(path, x)


# ---- Plain tensors -------------------------------------------------------------------------------


def perceptron(numbers):
    """Sequential(Linear, BatchNorm1d, ReLU, Linear without bias, LayerNorm, Tanh, …, Linear, Softmax) as PyTorch saves it."""
    tensors = {}
    for index, kind, shape in [(0, "linear", (8, 3)), (1, "norm", (8,)), (3, "linear", (6, 8)), (4, "norm", (6,)),
                               (10, "linear", (3, 6))]:
        tensors[f"net.{index}.weight"] = numbers.uniform(-1, 1, shape) if kind == "linear" else numbers.uniform(0.5, 2, shape)
        if index != 3:
            tensors[f"net.{index}.bias"] = numbers.uniform(-1, 1, shape[0])
    tensors["net.1.running_mean"] = numbers.uniform(-1, 1, 8)
    tensors["net.1.running_var"] = numbers.uniform(0.25, 4, 8)
    return tensors


# The same network as Chainrule's layers.
LAYERS = [
    {"type": "dense", "activation": "identity"},
    {"type": "batchNorm", "epsilon": 1e-5},
    {"type": "activation", "activation": "relu"},
    {"type": "dense", "activation": "identity"},
    {"type": "layerNorm", "epsilon": 1e-5},
    {"type": "activation", "activation": "tanh"},
    {"type": "dense", "activation": "softmax"},
]
PREFIXES = {"net.0": 0, "net.1": 1, "net.3": 3, "net.4": 4, "net.10": 6}
NAMES = {"bias": "beta", "weight": "gamma", "running_mean": "mean", "running_var": "variance"}


def named(tensors):
    """The tensors with Chainrule's names."""
    result = {}
    for key, values in tensors.items():
        prefix, name = key.rsplit(".", 1)
        dense = LAYERS[PREFIXES[prefix]]["type"] == "dense"
        result[f"layers.{PREFIXES[prefix]}.{name.replace('weight', 'weights') if dense else NAMES[name]}"] = values
    return result


def rounded(values, dtype):
    """The values rounded to a type: their bits, and their values."""
    if dtype != "bfloat16":
        values = values.astype(dtype)
        return values, values
    bits = (values.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
    return bits, (bits.astype(np.uint32) << 16).view(np.float32)


def spec(dtype, values):
    return TensorSpec(dtype=dtype, shape=values.shape, data_ptr=values.ctypes.data, data_len=values.nbytes)


DTYPES = ["float32", "float64", "float16", "bfloat16", "float16 bfloat16 float32", "float32 float64"]


@pytest.mark.parametrize("dtypes", [names.split() for names in DTYPES], ids="+".join)
def test_plain_tensors_become_a_model(tmp_path, dtypes):
    plain, path = tmp_path / "plain.safetensors", tmp_path / "model.safetensors"
    stored, tensors, specs = {}, {}, {}
    for number, (name, values) in enumerate(perceptron(np.random.default_rng(2)).items()):
        dtype = dtypes[number % len(dtypes)]
        stored[name], tensors[name] = rounded(values, dtype)
        specs[name] = spec(dtype, stored[name])
    batches = np.array(1234, np.int64)
    specs["net.1.num_batches_tracked"] = spec("int64", batches)
    serialize_file(specs, plain, {"format": "pt"})

    chainrule("import", plain, "--activations", "identity,relu,identity,tanh,softmax", "--save", path)
    scalar = "float64" if "float64" in dtypes else "float32"
    _, architecture, own = read(path)
    assert architecture["scalar"] == scalar
    assert [layer["type"] for layer in architecture["layers"]] == [layer["type"] for layer in LAYERS]
    expected = named(tensors)
    assert own.keys() == expected.keys()
    for name, values in expected.items():
        assert np.array_equal(own[name], values) and own[name].dtype == scalar, name

    x = rows(scalar, inputs=3)
    close(predict(path, x), forward(LAYERS, expected, x), scalar)


def test_transposed_weights_are_refused(tmp_path):
    """Weights as [inputs, units], for `x @ W`. Square layers can't be distinguished."""
    plain = tmp_path / "plain.safetensors"
    save_file({"0.weight": np.ones((3, 5)), "0.bias": np.ones(5)}, plain)
    with pytest.raises(AssertionError, match=r"0\.bias: shape \[5\]; expected \[3\]"):
        chainrule("import", plain, "--activations", "relu", "--save", tmp_path / "model.safetensors")
