#!/usr/bin/env python3
"""Times one Python library on one workload and prints one line of JSON.

    peer.py PEER WORKLOAD [--threads N] [--seconds S]

PEER is torch (eager), torch-fused (with fused optimizers), jax (one compiled function for an epoch) or sklearn; for
predictions torch, jax, sklearn or onnxruntime.  Exit status: 0 done, 69 the library is not installed or can't run the
workload.
"""

import argparse
import json
import os
import resource
import sys
import time
import warnings
from pathlib import Path

UNAVAILABLE = 69
BRIEFEST = 1e-3  # seconds; shorter epochs are timed only by the wall clock

parser = argparse.ArgumentParser()
parser.add_argument("peer", choices=["torch", "torch-fused", "jax", "sklearn", "onnxruntime"])
parser.add_argument("workload")
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--seconds", type=float, default=2.0)
arguments = parser.parse_args()

# Set the number of threads before loading a library.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = str(arguments.threads)
os.environ["JAX_PLATFORMS"] = "cpu"
if arguments.threads == 1:
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
else:  # otherwise two OpenMP threads may spin on one CPU
    os.environ["OMP_PROC_BIND"] = "true"
    os.environ["OMP_PLACES"] = "threads"
warnings.filterwarnings("ignore")


def unavailable(reason):
    print(f"{arguments.peer}: {reason}", file=sys.stderr)
    sys.exit(UNAVAILABLE)


try:
    import numpy as np
except ImportError as error:
    unavailable(f"not installed ({error})")

# ---- The workload -------------------------------------------------------------------------------------

workloads = json.loads((Path(__file__).resolve().parent.parent / "workloads.json").read_text())
trains = arguments.workload in workloads["train"]
if not trains and arguments.workload not in workloads["predict"]:
    parser.error(f"unknown workload {arguments.workload}; see workloads.json")
w = workloads["train" if trains else "predict"][arguments.workload]
layers = w["layers"]
shapes = list(zip(layers, layers[1:]))
scalar = np.float64 if w.get("scalar") == "float64" else np.float32
rows = w["samples"] if trains else w["rows"]


def make_features():
    if w.get("data") == "xor":
        return np.tile(np.array([[0, 0], [1, 0], [0, 1], [1, 1]], scalar), (rows // 4, 1))
    return np.random.default_rng(1).standard_normal((rows, layers[0]), dtype=scalar)


def make_targets(x):
    """Class numbers for the cross-entropy, otherwise rows × outputs numbers."""
    if w["data"] == "xor":
        return (x[:, :1] != x[:, 1:]).astype(scalar)
    if w["data"] == "classes":
        return x[:, : layers[-1]].argmax(1).astype(np.int64)
    return np.tanh(x[:, : layers[-1]])


def batches_of(*arrays):
    return [tuple(a[i : i + w["batch"]] for a in arrays) for i in range(0, rows, w["batch"])]


def draw_parameters():
    draw = np.random.default_rng(0)
    return [((draw.uniform(-1, 1, (m, n)) / np.sqrt(m)).astype(scalar), np.zeros(n, scalar)) for m, n in shapes]


# ---- PyTorch ------------------------------------------------------------------------------------------


def torch_network(torch):
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    activations = {"sigmoid": torch.nn.Sigmoid, "tanh": torch.nn.Tanh, "relu": torch.nn.ReLU}
    modules = []
    for index, (m, n) in enumerate(shapes):
        modules.append(torch.nn.Linear(m, n))
        last = index == len(shapes) - 1
        activation = activations.get(w["output"] if last else w["hidden"])  # cross_entropy includes softmax
        if activation:
            modules.append(activation())
    return torch.nn.Sequential(*modules).to(torch.float64 if scalar is np.float64 else torch.float32)


def train_torch(x, y):
    import torch

    network = torch_network(torch)
    functional = torch.nn.functional
    loss_of = functional.cross_entropy if w["loss"] == "crossEntropy" else functional.mse_loss
    fused = True if arguments.peer == "torch-fused" else None
    if w["optimizer"] == "adam":
        optimizer = torch.optim.Adam(network.parameters(), lr=w["learningRate"], fused=fused)
    else:
        optimizer = torch.optim.SGD(network.parameters(), lr=w["learningRate"], momentum=w["momentum"], fused=fused)
    batches = batches_of(torch.from_numpy(x), torch.from_numpy(y))

    def epoch():
        for features, targets in batches:
            optimizer.zero_grad(set_to_none=True)
            loss = loss_of(network(features), targets)
            loss.backward()
            optimizer.step()
        return loss.item()

    return epoch


def predict_torch(x):
    import torch

    network, x = torch_network(torch).eval(), torch.from_numpy(x)

    def predict():
        with torch.inference_mode():
            return network(x)

    return predict


# ---- JAX ----------------------------------------------------------------------------------------------


def jax_forward(jax, parameters, a):
    """z of the last layer."""
    activate = {"sigmoid": jax.nn.sigmoid, "tanh": jax.numpy.tanh, "relu": jax.nn.relu}[w["hidden"]]
    for W, b in parameters[:-1]:
        a = activate(a @ W + b)
    W, b = parameters[-1]
    return a @ W + b


def train_jax(x, y):
    import jax
    import jax.numpy as jnp

    if scalar is np.float64:
        jax.config.update("jax_enable_x64", True)
    parameters = jax.tree_util.tree_map(jnp.asarray, draw_parameters())
    zeros = jax.tree_util.tree_map(jnp.zeros_like, parameters)
    rate, momentum = w["learningRate"], w["momentum"]

    def loss_of(parameters, features, targets):
        z = jax_forward(jax, parameters, features)
        if w["loss"] == "crossEntropy":
            return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(z), targets[:, None], 1))
        a = jax.nn.sigmoid(z) if w["output"] == "sigmoid" else z
        return jnp.mean((a - targets) ** 2)

    def adam(state, g):
        t = state["t"] + 1
        m = jax.tree_util.tree_map(lambda m, g: 0.9 * m + 0.1 * g, state["m"], g)
        v = jax.tree_util.tree_map(lambda v, g: 0.999 * v + 0.001 * g * g, state["v"], g)
        step, scale = rate / (1 - 0.9**t), 1 - 0.999**t
        p = jax.tree_util.tree_map(
            lambda p, m, v: p - step * m / (jnp.sqrt(v / scale) + 1e-8), state["p"], m, v
        )
        return {"p": p, "m": m, "v": v, "t": t}

    def descent(state, g):
        m = jax.tree_util.tree_map(lambda m, g: momentum * m + g, state["m"], g) if momentum else g
        p = jax.tree_util.tree_map(lambda p, m: p - rate * m, state["p"], m)
        return {"p": p, "m": m} if momentum else {"p": p}

    def step(state, batch):
        loss, g = jax.value_and_grad(loss_of)(state["p"], *batch)
        return (adam if w["optimizer"] == "adam" else descent)(state, g), loss

    state = {"p": parameters}
    if w["optimizer"] == "adam":
        state |= {"m": zeros, "v": jax.tree_util.tree_map(jnp.copy, zeros), "t": jnp.zeros((), scalar)}
    elif momentum:
        state |= {"m": zeros}

    if y.dtype == np.int64:
        y = y.astype(np.int32)
    batch, whole = w["batch"], rows // w["batch"]
    scanned = tuple(jnp.asarray(a[: whole * batch].reshape(whole, batch, *a.shape[1:])) for a in (x, y))
    rest = tuple(jnp.asarray(a[whole * batch :]) for a in (x, y)) if rows % batch else None

    def run_epoch(state, scanned, rest):
        state, losses = jax.lax.scan(step, state, scanned)
        if rest is not None:
            state, _ = step(state, rest)
        return state, losses[-1]

    compiled = jax.jit(run_epoch, donate_argnums=0)

    def epoch():
        nonlocal state
        state, loss = compiled(state, scanned, rest)
        jax.block_until_ready(state)
        return float(loss)

    return epoch


def predict_jax(x):
    import jax

    parameters = jax.tree_util.tree_map(jax.numpy.asarray, draw_parameters())
    compiled = jax.jit(lambda parameters, x: jax_forward(jax, parameters, x))
    x = jax.numpy.asarray(x)
    return lambda: compiled(parameters, x).block_until_ready()


# ---- scikit-learn -------------------------------------------------------------------------------------


def train_sklearn(x, y):
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    options = dict(
        hidden_layer_sizes=tuple(layers[1:-1]),
        activation={"sigmoid": "logistic"}.get(w["hidden"], w["hidden"]),
        solver=w["optimizer"],
        alpha=0.0,
        batch_size=w["batch"],
        learning_rate_init=w["learningRate"],
        max_iter=1,
        shuffle=False,
    )
    if w["optimizer"] == "sgd":
        options |= dict(momentum=w["momentum"], nesterovs_momentum=False)
    if w["loss"] == "meanSquaredError" and w["output"] == "identity":
        network = MLPRegressor(**options)
        targets, known = y[:, 0] if y.shape[1] == 1 else y, {}
    else:  # scikit-learn has only the log loss for a sigmoid output
        network = MLPClassifier(**options)
        targets = (y[:, 0] if y.ndim == 2 else y).astype(np.int64)
        known = {"classes": np.unique(targets)}

    def epoch():
        network.partial_fit(x, targets, **known)
        return network.loss_

    return epoch


def predict_sklearn(x):
    from sklearn.neural_network import MLPRegressor

    network = MLPRegressor(hidden_layer_sizes=tuple(layers[1:-1]), max_iter=1, batch_size=64)
    draw = np.random.default_rng(0)
    network.fit(
        draw.standard_normal((256, layers[0]), dtype=np.float32),
        draw.standard_normal((256, layers[-1]), dtype=np.float32),
    )
    return lambda: network.predict(x)


# ---- ONNX Runtime -------------------------------------------------------------------------------------


def predict_onnxruntime(x):
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    nodes, constants, name = [], [], "x"
    for index, (W, b) in enumerate(draw_parameters()):
        constants += [numpy_helper.from_array(W, f"W{index}"), numpy_helper.from_array(b, f"b{index}")]
        nodes.append(helper.make_node("Gemm", [name, f"W{index}", f"b{index}"], [f"z{index}"]))
        name = f"z{index}"
        if index < len(shapes) - 1:
            nodes.append(helper.make_node("Relu", [name], [f"a{index}"]))
            name = f"a{index}"
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [rows, layers[0]])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [rows, layers[-1]])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = arguments.threads, 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return lambda: session.run(None, {"x": x})


# ---- Measuring, as Benchmarks/c/measure.c does --------------------------------------------------------

TRAIN = {"torch": train_torch, "torch-fused": train_torch, "jax": train_jax, "sklearn": train_sklearn}
PREDICT = {
    "torch": predict_torch,
    "jax": predict_jax,
    "sklearn": predict_sklearn,
    "onnxruntime": predict_onnxruntime,
}


def time_epochs(epoch):
    """The seconds of each epoch, and the last loss."""
    epoch()  # compiles and touches the memory
    start = time.perf_counter()
    loss = epoch()
    times = [time.perf_counter() - start]
    if times[0] > 2 * arguments.seconds:
        return times, loss
    end = time.perf_counter() + arguments.seconds
    while len(times) < 3 or time.perf_counter() < end:
        cpu, wall = time.process_time(), time.perf_counter()
        loss = epoch()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        times.append(cpu if arguments.threads == 1 and BRIEFEST < cpu < wall else wall)
    return times, loss


def time_predictions(predict):
    end = time.perf_counter() + max(0.2, arguments.seconds / 10)
    while time.perf_counter() < end:
        predict()
    times = []
    end = time.perf_counter() + arguments.seconds
    while len(times) < 3 or time.perf_counter() < end:
        start = time.perf_counter_ns()
        predict()
        times.append((time.perf_counter_ns() - start) * 1e-9)
    return times


def main():
    make = (TRAIN if trains else PREDICT).get(arguments.peer)
    if not make:
        unavailable(f"does not {'train' if trains else 'predict'} {arguments.workload} here")
    x = make_features()
    try:
        run = make(x, make_targets(x)) if trains else make(x)
    except ImportError as error:
        unavailable(f"not installed ({error})")

    result = {"peer": arguments.peer, "workload": arguments.workload, "threads": arguments.threads}
    if trains:
        times, loss = time_epochs(run)
        best = min(times)
        result |= {
            "msPerEpoch": 1e3 * best,
            "msPerEpochMedian": 1e3 * float(np.median(times)),
            "usPerUpdate": 1e6 * best / -(-rows // w["batch"]),
            "samplesPerSecond": rows / best,
            "loss": loss,
        }
    else:
        times = time_predictions(run)
        result |= {
            "usPerCallMedian": 1e6 * float(np.median(times)),
            "usPerCall": 1e6 * min(times),
            "usPerCall99": 1e6 * float(np.percentile(times, 99)),
        }
    result["repetitions"] = len(times)
    result["peakMemoryMiB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(result))


main()
