#!/usr/bin/env python3
"""Writes metrics.json: outputs, targets and what scikit-learn's metrics say of them.

    python3 -m venv venv && venv/bin/pip install scikit-learn
    venv/bin/python Tests/Fixtures/metrics/generate.py
"""

import json
from pathlib import Path

import numpy as np
from sklearn import metrics

random = np.random.default_rng(20)


def classification(rows, classes, noise):
    """Outputs are the noisy one-hot targets: the larger the noise, the more rows are wrong."""
    actual = random.integers(0, classes, rows)
    actual[:classes] = np.arange(classes)
    outputs = np.round(np.eye(classes)[actual] + noise * random.normal(size=(rows, classes)), 6)
    predicted = outputs.argmax(axis=1)
    return {
        "labels": [f"class {index}" for index in range(classes)],
        "actual": actual.tolist(),
        "outputs": outputs.ravel().tolist(),
        "accuracy": metrics.accuracy_score(actual, predicted),
        "confusion": metrics.confusion_matrix(actual, predicted).ravel().tolist(),
        "recall": metrics.recall_score(actual, predicted, average=None).tolist(),
    }


def binary(rows):
    """One output column, thresholded at 1/2."""
    actual = random.integers(0, 2, rows)
    outputs = np.round(random.uniform(size=rows), 6)
    predicted = (outputs > 0.5).astype(int)
    return {
        "actual": actual.tolist(),
        "outputs": outputs.tolist(),
        "accuracy": metrics.accuracy_score(actual, predicted),
        "confusion": metrics.confusion_matrix(actual, predicted).ravel().tolist(),
    }


def regression(rows, columns, noise):
    scale, shift = 10.0 ** np.arange(columns), 100.0 * np.arange(columns)
    targets = np.round(shift + scale * random.normal(size=(rows, columns)), 6)
    outputs = np.round(targets + noise * scale * random.normal(size=(rows, columns)), 6)
    return {"columns": columns, "targets": targets.ravel().tolist(), "outputs": outputs.ravel().tolist()} | scores(
        targets, outputs
    )


def constant(outputs):
    targets = np.full((len(outputs), 1), 3.0)
    outputs = np.array(outputs).reshape(-1, 1)
    return {"columns": 1, "targets": targets.ravel().tolist(), "outputs": outputs.ravel().tolist()} | scores(
        targets, outputs
    )


def scores(targets, outputs):
    return {
        "meanAbsoluteError": metrics.mean_absolute_error(targets, outputs),
        "rootMeanSquaredError": metrics.root_mean_squared_error(targets, outputs),
        "r2": metrics.r2_score(targets, outputs),
    }


fixture = {
    "classification": [classification(60, 3, 0.4), classification(200, 10, 0.6), classification(30, 2, 2.0)],
    "binary": [binary(50)],
    "regression": [
        regression(40, 1, 0.3),
        regression(40, 3, 0.5),
        regression(25, 2, 3.0),
        constant([3.0, 3.0, 3.0]),
        constant([3.0, 2.5, 3.0]),
    ],
}
Path(__file__).with_name("metrics.json").write_text(json.dumps(fixture) + "\n")
