#!/usr/bin/env python3
"""Runs the library's full-batch methods on problems.json and prints, for each, the medians of our loss and of our evaluations
over SciPy's: the table of docs/full-batch.md.

    cmake -S . -B build/cmake && cmake --build build/cmake
    python3 Tests/Fixtures/full-batch/compare.py build/cmake/libchainrule.so
"""

import ctypes as c
import json
import statistics
import sys
from pathlib import Path

PEERS = {
    "levenbergMarquardt": "levenbergMarquardt",
    "fletcherReeves": "CG",
    "polakRibiere": "CG",
    "bfgs": "BFGS",
    "lbfgs": "L-BFGS-B",
}
ENDINGS = ["iterations", "gradient", "step", "loss", "noProgress", "stop"]


class Initializer(c.Structure):
    _fields_ = [("kind", c.c_int), ("value", c.c_double)]


class Layer(c.Structure):
    _fields_ = [("units", c.c_size_t), ("activation", c.c_int), ("no_bias", c.c_bool), ("weights", Initializer),
                ("bias", Initializer), ("kind", c.c_int), ("rate", c.c_double), ("epsilon", c.c_double),
                ("momentum", c.c_double), ("span", c.c_size_t), ("function", c.c_void_p), ("derivative", c.c_void_p),
                ("context", c.c_void_p)]  # fmt: skip


class Description(c.Structure):
    _fields_ = [("scalar", c.c_int), ("inputs", c.c_size_t), ("layer_count", c.c_size_t), ("layers", c.POINTER(Layer)),
                ("kernel_set", c.c_char_p)]  # fmt: skip


class Minimization(c.Structure):
    _fields_ = [("loss", c.c_int), ("method", c.c_int), ("iterations", c.c_size_t), ("gradient_tolerance", c.c_double),
                ("step_tolerance", c.c_double), ("loss_tolerance", c.c_double), ("memory", c.c_size_t),
                ("history", c.c_size_t), ("progress", c.c_void_p), ("context", c.c_void_p)]  # fmt: skip


class Minimum(c.Structure):
    _fields_ = [("loss", c.c_double), ("gradient", c.c_double), ("iterations", c.c_size_t), ("evaluations", c.c_size_t),
                ("ending", c.c_int)]  # fmt: skip


def array(values):
    return (c.c_double * len(values))(*values)


class Library:
    def __init__(self, path):
        self.core = c.CDLL(path)
        self.core.chainrule_minimizer_options_default.restype = Minimization

    def call(self, name, *arguments):
        error = c.create_string_buffer(4096)
        status = getattr(self.core, "chainrule_" + name)(*arguments, error)
        assert status == 0, (name, status, error.raw[:300])

    def named(self, what, name):
        value = c.c_int()
        self.call(what + "_named", name.encode(), c.byref(value))
        return value

    def minimize(self, problem, method):
        units, rows = problem["units"], len(problem["x"]) // problem["units"][0]
        layers = (Layer * (len(units) - 1))()
        for layer, count, activation in zip(layers, units[1:], problem["activations"]):
            layer.units, layer.activation = count, self.named("activation", activation).value
        network, minimizer, minimum = c.c_void_p(), c.c_void_p(), Minimum()
        self.call("network_create", c.byref(Description(1, units[0], len(layers), layers, None)), c.byref(network))
        start = array(problem["start"])
        self.call("network_set_parameters_f64", network, start, c.c_size_t(len(start)))
        settings = self.core.chainrule_minimizer_options_default(self.named("method", method))
        settings.loss = self.named("loss", problem["loss"]).value
        weights = array(problem["sampleWeights"]) if problem["sampleWeights"] else None
        self.call("minimizer_create", network, c.byref(settings), c.byref(minimizer))
        self.call("minimizer_run_f64", minimizer, array(problem["x"]), array(problem["y"]), weights, c.c_size_t(rows),
                  c.byref(minimum))  # fmt: skip
        self.core.chainrule_minimizer_free(minimizer)
        self.core.chainrule_network_free(network)
        return minimum


library = Library(sys.argv[1])
problems = json.loads(Path(__file__).with_name("problems.json").read_text())
print(f"{'method':20} {'loss':>6} {'evaluations':>11}  {'median loss':>11} {'SciPy`s':>9}  endings")
for method, peer in PEERS.items():
    found = [library.minimize(problem, method) for problem in problems]
    theirs = [problem["found"][peer] for problem in problems]
    losses = statistics.median(m.loss / t for m, t in zip(found, theirs))
    efforts = statistics.median(m.evaluations / p["evaluations"][peer] for m, p in zip(found, problems))
    endings = {e: sum(m.ending == i for m in found) for i, e in enumerate(ENDINGS)}
    endings = ", ".join(f"{count} {e}" for e, count in endings.items() if count)
    print(f"{method:20} {losses:6.3f} {efforts:11.3f}  {statistics.median(m.loss for m in found):11.3e} "
          f"{statistics.median(theirs):9.3e}  {endings}")  # fmt: skip
