#!/usr/bin/env python3
"""Writes schedules.json: learning rates, one an epoch, as PyTorch's lr_scheduler gives them.

    python3 -m venv venv && venv/bin/pip install torch
    venv/bin/python Tests/Fixtures/schedules/generate.py

A warm-up is LinearLR, followed by the schedule: through SequentialLR, and for a plateau, which SequentialLR has no
losses for, one after the other.  rates[t] is the rate of epoch t; losses[t] is what a plateau is told after it.
Its eps is 0, so that small rates are reduced as well as others; a one-cycle leaves the momentum alone.
"""

import json
import random
import warnings
from pathlib import Path

import torch
from torch.optim import SGD, lr_scheduler as schedulers

warnings.simplefilter("ignore")  # the optimizer is not stepped

RATE = 0.1


def scheduler(optimizer, rule, rate):
    """PyTorch's scheduler of the numbers of `rule`."""
    length, factor, minimum = rule.get("length"), rule.get("factor"), rule.get("minimum", 0)
    match rule["type"]:
        case "constant":
            return schedulers.ConstantLR(optimizer, factor=1, total_iters=0)
        case "step":
            return schedulers.StepLR(optimizer, length, **({"gamma": factor} if factor else {}))
        case "exponential":
            return schedulers.ExponentialLR(optimizer, factor)
        case "cosine":
            return schedulers.CosineAnnealingLR(optimizer, length, minimum)
        case "cosineRestarts":
            return schedulers.CosineAnnealingWarmRestarts(optimizer, length, rule.get("growth", 1), minimum)
        case "oneCycle":
            named = {"rise": "pct_start", "divisor": "div_factor", "finalDivisor": "final_div_factor"}
            numbers = {named[key]: value for key, value in rule.items() if key in named}
            return schedulers.OneCycleLR(optimizer, rate, total_steps=length, cycle_momentum=False, **numbers)
        case "plateau":
            numbers = {key: rule[key] for key in ("factor", "patience", "threshold", "cooldown") if key in rule}
            mode = "abs" if rule.get("absolute") else "rel"
            return schedulers.ReduceLROnPlateau(optimizer, threshold_mode=mode, min_lr=minimum, eps=0, **numbers)


def case(name, rule, epochs, rate=RATE, losses=None):
    optimizer = SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate)
    warm_up = rule.get("warmUp", 0)
    rise = None
    if warm_up:
        start = {"start_factor": rule["warmUpFactor"]} if "warmUpFactor" in rule else {}
        rise = schedulers.LinearLR(optimizer, total_iters=warm_up, **start)
    if rule["type"] == "plateau":
        main = None
    elif warm_up:
        main = schedulers.SequentialLR(optimizer, [rise, scheduler(optimizer, rule, rate)], [warm_up])
    else:
        main = scheduler(optimizer, rule, rate)

    rates = []
    for epoch in range(epochs):
        rates.append(optimizer.param_groups[0]["lr"])
        if main:
            if epoch + 1 < epochs:  # a one-cycle refuses to be stepped past its end
                main.step()
        elif epoch < warm_up:
            rise.step()
        else:
            if epoch == warm_up:
                plateau = scheduler(optimizer, rule, rate)
            plateau.step(losses[epoch])
    result = {"name": name, "learningRate": rate, "schedule": rule, "rates": rates}
    return result | ({"losses": losses} if losses else {})


def falling(epochs, seed, bottom, noise):
    """A noisy loss that falls towards `bottom`."""
    numbers = random.Random(seed)
    return [round(bottom + 1 / (1 + t) + noise * numbers.uniform(-1, 1), 6) for t in range(epochs)]


def cases():
    mains = {
        "constant": {"type": "constant"},
        "step": {"type": "step", "length": 7},
        "step half": {"type": "step", "length": 1, "factor": 0.5},
        "step up": {"type": "step", "length": 9, "factor": 1.5},
        "exponential": {"type": "exponential", "factor": 0.93},
        "exponential one": {"type": "exponential", "factor": 1.0},
        "cosine": {"type": "cosine", "length": 40},
        "cosine minimum": {"type": "cosine", "length": 33, "minimum": 0.004},
        "cosine one": {"type": "cosine", "length": 1, "minimum": 0.01},
        "cosine and back": {"type": "cosine", "length": 11, "minimum": 0.001},
        "cosine upwards": {"type": "cosine", "length": 20, "minimum": 0.3},
        "restarts": {"type": "cosineRestarts", "length": 8},
        "restarts one": {"type": "cosineRestarts", "length": 1, "minimum": 0.02},
        "restarts one doubled": {"type": "cosineRestarts", "length": 1, "growth": 2},
        "restarts doubled": {"type": "cosineRestarts", "length": 5, "growth": 2, "minimum": 0.001},
        "restarts tripled": {"type": "cosineRestarts", "length": 3, "growth": 3},
    }
    for name, rule in mains.items():
        yield case(name, rule, 60)
        yield case(f"{name}, warmed up", rule | {"warmUp": 6, "warmUpFactor": 0.1}, 60)
    yield case("warm-up by default", {"type": "cosine", "length": 20, "warmUp": 5}, 26)
    yield case("warm-up from the whole", {"type": "step", "length": 3, "warmUp": 4, "warmUpFactor": 1.0}, 12)
    yield case("warm-up of one", {"type": "exponential", "factor": 0.5, "warmUp": 1, "warmUpFactor": 0.01}, 9)
    yield case("another rate", {"type": "cosine", "length": 9, "minimum": 1e-6}, 20, rate=0.001)

    cycles = {
        "one-cycle": {"type": "oneCycle", "length": 50},
        "one-cycle of two": {"type": "oneCycle", "length": 2},
        "one-cycle of three": {"type": "oneCycle", "length": 3},
        "one-cycle numbers": {"type": "oneCycle", "length": 47, "rise": 0.45, "divisor": 7.0, "finalDivisor": 30.0},
        "one-cycle falling": {"type": "oneCycle", "length": 20, "rise": 0.0},
        "one-cycle rising": {"type": "oneCycle", "length": 20, "rise": 1.0},
        "one-cycle inverted": {"type": "oneCycle", "length": 20, "divisor": 0.5, "finalDivisor": 0.1},
    }
    for name, rule in cycles.items():
        yield case(name, rule, rule["length"])
        # PyTorch warms up to the rate / divisor, also where the cycle has no rise that would begin there.
        if rule.get("rise", 0.3) * rule["length"] > 1:
            yield case(f"{name}, warmed up", rule | {"warmUp": 5, "warmUpFactor": 0.2}, rule["length"] + 5)

    plateaus = {
        "plateau": {"type": "plateau"},
        "plateau patient": {"type": "plateau", "factor": 0.5, "patience": 3},
        "plateau at once": {"type": "plateau", "factor": 0.9, "patience": 0, "threshold": 0.0},
        "plateau cooling": {"type": "plateau", "factor": 0.5, "patience": 2, "cooldown": 4},
        "plateau relative": {"type": "plateau", "factor": 0.5, "patience": 2, "threshold": 0.05},
        "plateau absolute": {"type": "plateau", "factor": 0.5, "patience": 2, "threshold": 0.05, "absolute": True},
        "plateau minimum": {"type": "plateau", "factor": 0.3, "patience": 1, "minimum": 0.002},
        "plateau minimum above": {"type": "plateau", "factor": 0.3, "patience": 1, "minimum": 0.2},
    }
    for seed, (name, rule) in enumerate(plateaus.items()):
        for kind, bottom in (("", 0.4), (", losses below 0", -0.4)):
            losses = falling(60, seed, bottom, 0.03)
            yield case(name + kind, rule, 60, losses=losses)
            yield case(f"{name}{kind}, warmed up", rule | {"warmUp": 9, "warmUpFactor": 0.05}, 60, losses=losses)


def main():
    # One case a line.
    lines = ",\n".join(json.dumps(case) for case in cases())
    version = json.dumps(f"PyTorch {torch.__version__}")
    out = Path(__file__).with_name("schedules.json")
    out.write_text(f'{{"source": {version}, "cases": [\n{lines}\n]}}\n')


main()
