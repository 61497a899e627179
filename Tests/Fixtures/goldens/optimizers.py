#!/usr/bin/env python3
"""Golden training steps in float64, computed by NumPy, of what PyTorch does not have: lion (Chen et al. 2023,
"Symbolic Discovery of Optimization Algorithms", algorithm 2) and L1 regularisation, g <- g + l1 sign(p).

usage: optimizers.py OUT_DIR [--seed N]     writes OUT_DIR/optimizer-lion.json and OUT_DIR/regularised-RULE.json
       optimizers.py --check OUT_DIR        computes PyTorch's OUT_DIR/optimizer-*.json, and says how far off it is

The cases have the form of those of generate.py; README.md beside this file gives the formulas.  The forward and
backward pass and the rules stand here a second time, so --check holds them against PyTorch's numbers.
"""
import argparse, json, pathlib
import numpy as np


def softmax(z):
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def gradients(P, x, y):
    """The outputs of tanh layers under a softmax, the mean cross-entropy, and its gradient for each (W, b) of P."""
    a = [x]
    for W, b in P[:-1]:
        a.append(np.tanh(a[-1] @ W.T + b))
    out = softmax(a[-1] @ P[-1][0].T + P[-1][1])
    loss = -(y * np.log(out)).sum(1).mean()
    delta, found = (out - y) / len(x), []
    for l in reversed(range(len(P))):
        found.insert(0, [delta.T @ a[l], delta.sum(0)])
        delta = delta @ P[l][0] * (1 - a[l] ** 2)
    return out, loss, found


def update(rule, p, g, s, t):
    """p after update t; s is what the rule remembers of it."""
    k = {"momentum": 0.0, "nesterov": False, "centered": False, "amsgrad": False, "l1": 0.0,
         "weightDecay": 0.01 if rule["type"] == "adamw" else 0.0, **rule}
    kind, lr, decay = k["type"], k["learningRate"], k["weightDecay"]
    g = g + k["l1"] * np.sign(p)
    if kind not in ("adamw", "lion"):
        g = g + decay * p
    zero = np.zeros_like(p)

    def mean(name, share, value):
        s[name] = share * s.get(name, zero) + (1 - share) * value
        return s[name]

    if kind == "sgd":
        s["v"] = v = k["momentum"] * s.get("v", zero) + g
        return p - lr * (g + k["momentum"] * v if k["nesterov"] else v)
    if kind == "adagrad":
        s["s"] = s.get("s", zero) + g * g
        return p - lr * g / (np.sqrt(s["s"]) + 1e-10)
    if kind == "rmsprop":
        variance = mean("s", 0.99, g * g)
        m = mean("m", 0.99, g)
        d = np.sqrt(variance - m * m if k["centered"] else variance) + 1e-8
        s["v"] = k["momentum"] * s.get("v", zero) + g / d
        return p - lr * s["v"]
    if kind in ("adam", "adamw"):
        m, v = mean("m", 0.9, g) / (1 - 0.9 ** t), mean("v", 0.999, g * g)
        s["largest"] = np.maximum(s.get("largest", zero), v)
        root = np.sqrt((s["largest"] if k["amsgrad"] else v) / (1 - 0.999 ** t))
        return (p if kind == "adam" else p - lr * decay * p) - lr * m / (root + 1e-8)
    if kind == "adadelta":
        d = np.sqrt(s.get("d", zero) + 1e-6) / np.sqrt(mean("s", 0.9, g * g) + 1e-6) * g
        mean("d", 0.9, d * d)
        return p - lr * d
    if kind == "adamax":
        s["s"] = np.maximum(0.999 * s.get("s", zero), np.abs(g) + 1e-8)
        return p - lr * mean("m", 0.9, g) / (1 - 0.9 ** t) / s["s"]
    if kind == "nadam":
        mu = [0.9 * (1 - 0.5 * 0.96 ** (i * 4e-3)) for i in range(1, t + 2)]
        step = mu[-1] * mean("m", 0.9, g) / (1 - np.prod(mu)) + (1 - mu[-2]) * g / (1 - np.prod(mu[:-1]))
        return p - lr * step / (np.sqrt(mean("v", 0.999, g * g) / (1 - 0.999 ** t)) + 1e-8)
    if kind == "rprop":
        agreement = np.sign(g) * np.sign(s.get("g", zero))
        size = s.get("step", zero + lr) * np.where(agreement > 0, 1.2, np.where(agreement < 0, 0.5, 1.0))
        s["step"] = np.clip(size, 1e-6, 50)
        s["g"] = np.where(agreement < 0, 0, g)
        return p - s["step"] * np.sign(s["g"])
    if kind == "lion":
        c = 0.9 * s.get("m", zero) + (1 - 0.9) * g
        mean("m", 0.99, g)
        return p - lr * (np.sign(c) + decay * p)
    raise SystemExit(f"unknown optimizer {kind}")


def trained(P, batches, rule):
    """What the steps on the batches compute, as `expect` of a case."""
    P = [[W.copy(), b.copy()] for W, b in P]
    states, losses, first = [[{}, {}] for _ in P], [], None
    named = lambda layers: [{"weights": W.tolist(), "bias": b.tolist()} for W, b in layers]
    for t, (x, y) in enumerate(batches, 1):
        out, loss, G = gradients(P, x, y)
        first = first or {"outputs": out.tolist(), "gradients": named(G)}
        losses.append(float(loss))
        for layer, found, state in zip(P, G, states):
            for i in range(2):
                layer[i] = update(rule, layer[i], found[i], state[i], t)
    return {**first, "losses": losses, "parametersAfter": named(P)}


def case(name, rule, seed):
    random = np.random.default_rng(seed)
    sizes = [6, 11, 5, 3]
    P = [[random.standard_normal((n, m)) / m ** 0.5, 0.1 * random.standard_normal(n)]
         for m, n in zip(sizes[:-1], sizes[1:])]
    P[0][0][:, 2] = 0  # where the sign is 0
    P[1][1][:] = 0
    batches = [(random.standard_normal((6, 6)), np.eye(3)[random.integers(3, size=6)]) for _ in range(8)]
    layers = [{"type": "dense", "units": len(b), "activation": "softmax" if l == 2 else "tanh",
               "weights": W.tolist(), "bias": b.tolist()} for l, (W, b) in enumerate(P)]
    return {"name": name, "scalar": "float64", "inputs": 6, "layers": layers, "loss": "crossEntropy",
            "optimizer": rule, "batches": [{"x": x.tolist(), "y": y.tolist()} for x, y in batches],
            "expect": trained(P, batches, rule)}


RULES = [
    {"type": "sgd", "learningRate": 0.1, "momentum": 0.9, "nesterov": True},
    {"type": "adagrad", "learningRate": 0.05},
    {"type": "rmsprop", "learningRate": 0.01, "momentum": 0.9, "centered": True},
    {"type": "adam", "learningRate": 0.01},
    {"type": "adamw", "learningRate": 0.01, "amsgrad": True},
    {"type": "adadelta", "learningRate": 1.0},
    {"type": "adamax", "learningRate": 0.01},
    {"type": "nadam", "learningRate": 0.01},
    {"type": "rprop", "learningRate": 0.01},
    {"type": "lion", "learningRate": 0.01},
]


def cases(seed):
    yield case("optimizer-lion", {"type": "lion", "learningRate": 0.01}, seed)
    for number, rule in enumerate(RULES, 1):
        yield case(f"regularised-{rule['type']}", {**rule, "weightDecay": 0.05, "l1": 0.02}, seed + number)


def check(folder):
    worst = 0.0
    for path in sorted(folder.glob("optimizer-*.json")):
        doc = json.loads(path.read_text())
        P = [[np.array(layer["weights"]), np.array(layer["bias"])] for layer in doc["layers"]]
        found = trained(P, [(np.array(b["x"]), np.array(b["y"])) for b in doc["batches"]], doc["optimizer"])
        flat = lambda e: np.concatenate([np.ravel(e["outputs"]), e["losses"]] + [
            np.ravel(values) for key in ("gradients", "parametersAfter") for layer in e[key]
            for values in (layer["weights"], layer["bias"])])
        error = np.abs(flat(found) - flat(doc["expect"])).max()
        worst = max(worst, error)
        print(f"{path.stem:40} {error:.1e}")
    return worst < 1e-12


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=20261122)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    if arguments.check:
        raise SystemExit(0 if check(arguments.out) else 1)
    for doc in cases(arguments.seed):
        (arguments.out / f"{doc['name']}.json").write_text(json.dumps(doc))
