#!/usr/bin/env python3
"""Writes problems.json: 30 regressions, a start for each, and the losses to which SciPy brings them from there, with the
number of its evaluations of L.

    python3 -m venv venv && venv/bin/pip install scipy
    venv/bin/python Tests/Fixtures/full-batch/generate.py

Parameters stand layer by layer, W row by row, then b. L = sum_r w_r l_r / sum w.
"""

import json
import math
import warnings
from pathlib import Path

import numpy as np
from scipy import optimize

random = np.random.default_rng(60)

ACTIVATIONS = {
    "tanh": (np.tanh, lambda z, a: 1 - a * a),
    "sigmoid": (lambda z: 1 / (1 + np.exp(-z)), lambda z, a: a * (1 - a)),
    "softplus": (lambda z: np.logaddexp(0, z), lambda z, a: 1 / (1 + np.exp(-z))),
    "identity": (lambda z: z, lambda z, a: np.ones_like(z)),
}


class Network:
    def __init__(self, units, activations):
        self.units, self.activations = units, activations
        self.count = sum(o * i + o for i, o in zip(units, units[1:]))

    def layers(self, p):
        at = 0
        for i, o, f in zip(self.units, self.units[1:], self.activations):
            W, b = p[at : at + o * i].reshape(o, i), p[at + o * i : at + o * i + o]
            at += o * i + o
            yield W, b, ACTIVATIONS[f]

    def forward(self, p, x):
        trace = [(None, x)]
        for W, b, (f, _) in self.layers(p):
            z = trace[-1][1] @ W.T + b
            trace.append((z, f(z)))
        return trace

    def jacobian(self, p, x):
        """[rows][outputs][parameters], forward mode: tangents of every parameter at once."""
        rows, at = len(x), 0
        a, tangent = x, np.zeros((rows, self.units[0], self.count))
        for W, b, (f, derivative) in self.layers(p):
            z = a @ W.T + b
            tangent = np.einsum("ji,rip->rjp", W, tangent)
            for j in range(len(b)):
                tangent[:, j, at + j * W.shape[1] : at + (j + 1) * W.shape[1]] += a
                tangent[:, j, at + W.size + j] += 1
            a = f(z)
            tangent *= derivative(z, a)[:, :, None]
            at += W.size + b.size
        return tangent


def problem(index):
    inputs, outputs = int(random.integers(1, 4)), int(random.integers(1, 3))
    hidden = [int(random.integers(2, 6)) for _ in range(int(random.integers(1, 3)))]
    units = [inputs, *hidden, outputs]
    activations = [["tanh", "sigmoid", "softplus"][int(random.integers(0, 3))] for _ in hidden] + ["identity"]
    if index % 5 == 4:
        activations[-1] = "sigmoid"
    net = Network(units, activations)
    rows = math.ceil(1.5 * net.count / outputs)
    x = np.round(random.uniform(-2, 2, (rows, inputs)), 4)
    teacher = random.normal(0, 1.5, (outputs, inputs))
    y = np.sin(x @ teacher.T) + 0.3 * (x @ teacher.T) + 0.05 * random.normal(size=(rows, outputs))
    if index % 5 == 4:
        y = 1 / (1 + np.exp(-2 * y))
    y = np.round(y, 4)
    weights = np.round(random.uniform(0.2, 2, rows), 3) if index % 3 == 2 else None
    loss = ["halfSquaredError", "meanSquaredError"][index % 2]
    start = np.round(random.normal(0, 0.7, net.count), 5)

    w = np.ones(rows) if weights is None else weights
    s = np.sqrt(w / w.sum() * (2 / outputs if loss == "meanSquaredError" else 1))[:, None]

    def residuals(p):
        return (s * (net.forward(p, x)[-1][1] - y)).ravel()

    def jacobian(p):
        return (s[:, :, None] * net.jacobian(p, x)).reshape(rows * outputs, net.count)

    def value(p):
        f = residuals(p)
        return 0.5 * f @ f, jacobian(p).T @ f

    slope = optimize.check_grad(lambda p: value(p)[0], lambda p: value(p)[1], start)
    assert slope < 1e-5, slope
    found, evaluations = {}, {}
    lm = optimize.least_squares(residuals, start, jacobian, method="lm", xtol=1e-12, ftol=1e-12, gtol=1e-12, max_nfev=20000)
    found["levenbergMarquardt"], evaluations["levenbergMarquardt"] = lm.cost, int(lm.nfev)
    for method in ["CG", "BFGS", "L-BFGS-B"]:
        options = {"maxiter": 1000} if method != "L-BFGS-B" else {"maxiter": 1000, "maxfun": 100000, "ftol": 1e-14}
        result = optimize.minimize(value, start, jac=True, method=method, tol=1e-8, options=options)
        found[method], evaluations[method] = result.fun, int(result.nfev)
    return {
        "units": units,
        "activations": activations,
        "loss": loss,
        "x": x.ravel().tolist(),
        "y": y.ravel().tolist(),
        "sampleWeights": None if weights is None else weights.tolist(),
        "start": start.tolist(),
        "startLoss": value(start)[0],
        "found": found,
        "evaluations": evaluations,
    }


warnings.simplefilter("ignore")
problems = [problem(index) for index in range(30)]
path = Path(__file__).with_name("problems.json")
path.write_text("[\n" + ",\n".join(json.dumps(p, separators=(",", ":")) for p in problems) + "\n]\n")
for p in problems:
    print(p["units"], p["startLoss"], {k: float(f"{v:.6g}") for k, v in p["found"].items()})
