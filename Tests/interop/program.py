"""Runs the program under test, which the environment variable CHAINRULE names."""

import json
import os
import re
import subprocess
from pathlib import Path

import numpy as np

CHAINRULE = os.environ.get("CHAINRULE", "chainrule")

# The names in the catalogue's list of elementwise activations.
ACTIVATIONS = re.findall(
    r"^  X\(\w+, *(\w+),",
    re.search(
        r"define CHAINRULE_ELEMENTWISE_ACTIVATIONS\(X\)(.*?)\n\n",
        (Path(__file__).parents[2] / "include" / "chainrule" / "catalog.h").read_text(), re.S)[1], re.M)


def chainrule(*arguments, text=""):
    """Runs the program and returns its standard output."""
    run = subprocess.run([CHAINRULE, *map(str, arguments)], input=text, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return run.stdout


def predict(model, rows):
    """The predictions of a model file, rows × outputs, without rounding."""
    table = "\n".join(",".join(map(repr, row)) for row in rows.tolist())
    predictions = map(json.loads, chainrule("predict", model, "-", "--json", text=table).splitlines())
    return np.array([p["outputs"] if "outputs" in p else list(p["probabilities"].values()) for p in predictions], rows.dtype)
