#!/usr/bin/env python3
"""Writes metrics.json: outputs, targets and what scikit-learn's metrics say of them.

    python3 -m venv venv && venv/bin/pip install scikit-learn
    venv/bin/python Tests/Fixtures/metrics/generate.py
"""

import json
import warnings
from pathlib import Path

import numpy as np
from scipy import stats
from sklearn import metrics

# Undefined metrics are what some cases are about.
warnings.simplefilter("ignore")
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
        "medianAbsoluteError": metrics.median_absolute_error(targets, outputs),
        "r2": number(metrics.r2_score(targets, outputs)),
        "explainedVariance": metrics.explained_variance_score(targets, outputs),
        "meanAbsolutePercentageError": metrics.mean_absolute_percentage_error(targets, outputs),
    }


def number(value):
    """None stands for NaN, which JSON does not have."""
    return None if np.isnan(value) else float(value)


def given(targets, outputs):
    targets, outputs = np.array(targets, float), np.array(outputs, float)
    return {
        "columns": targets.shape[1],
        "targets": targets.ravel().tolist(),
        "outputs": outputs.ravel().tolist(),
    } | scores(targets, outputs)


def class_scores(actual, outputs):
    """Outputs are probabilities, a column a class, or one column for class 1 of two."""
    actual, outputs = np.array(actual), np.array(outputs)
    columns = 1 if outputs.ndim == 1 else outputs.shape[1]
    labels = list(range(max(2, columns)))
    predicted = (outputs > 0.5).astype(int) if columns == 1 else outputs.argmax(axis=1)
    two = len(labels) == 2
    score = outputs if columns == 1 else outputs[:, 1] if two else outputs

    def area(average):
        if two:
            return number(metrics.roc_auc_score(actual, score))
        return number(metrics.roc_auc_score(actual, score, multi_class="ovr", average=average, labels=labels))

    def area_of(label):
        own = outputs[:, label] if columns > 1 else outputs if label == 1 else -outputs
        return number(metrics.roc_auc_score(actual == label, own))

    expected = {
        "columns": columns,
        "actual": actual.tolist(),
        "outputs": outputs.ravel().tolist(),
        "accuracy": metrics.accuracy_score(actual, predicted),
        "balancedAccuracy": metrics.balanced_accuracy_score(actual, predicted),
        "support": np.bincount(actual, minlength=len(labels)).tolist(),
        "averaged": {},
        # scikit-learn takes a single column for two classes, and wants no k that cannot fail.
        "topAccuracy": [
            metrics.top_k_accuracy_score(actual, outputs, k=k, labels=labels)
            for k in ([1] if columns == 1 else [] if two else labels[1:])
        ],
        "areaUnderROC": {average: area(average) for average in ["macro", "micro", "weighted"]},
        "areaUnderROCOf": [area_of(label) for label in labels],
        "logLoss": metrics.log_loss(actual, outputs, labels=labels),
        "logLossOfFloats": metrics.log_loss(actual, outputs.astype(np.float32), labels=labels),
        "calibration": calibration(actual, outputs),
    }
    if two:
        expected["brierScore"] = metrics.brier_score_loss(actual, score, pos_label=1)
        if (actual == 1).any():
            expected["averagePrecision"] = metrics.average_precision_score(actual, score)
            expected["bestF1"] = max(
                metrics.f1_score(actual, score > threshold, zero_division=0)
                for threshold in [0, *np.unique(score)]
            )
    for name in ["precision", "recall", "f1"]:
        score_of = getattr(metrics, name + "_score")
        per_class = score_of(actual, predicted, labels=labels, average=None, zero_division=np.nan)
        expected[name] = [number(value) for value in per_class]
        expected["averaged"][name] = {
            average: score_of(actual, predicted, average=average, zero_division=0)
            for average in ["macro", "micro", "weighted"]
        }
    return expected


def calibration(actual, outputs, bins=15):
    """Guo et al. 2017, equations 3 and 5, which scikit-learn lacks: the bins as [rows, confidence, accuracy]."""
    if outputs.ndim == 1:
        outputs = np.stack([1 - outputs, outputs], axis=1)
    confidence, correct = outputs.max(axis=1), outputs.argmax(axis=1) == actual
    found = {"error": 0, "bins": []}
    for m in range(1, bins + 1):
        inside = (confidence > (m - 1) / bins) & (confidence <= m / bins)
        if not inside.any():
            found["bins"].append([0, None, None])
            continue
        mean, accuracy = confidence[inside].mean(), correct[inside].mean()
        found["error"] += inside.mean() * abs(accuracy - mean)
        found["bins"].append([int(inside.sum()), mean, accuracy])
    return found


def multilabel(actual, outputs, threshold=0.5):
    """Each output is the probability of a label."""
    actual, outputs = np.array(actual), np.array(outputs)
    given = (outputs > threshold).astype(int)
    expected = {
        "labels": actual.shape[1],
        "threshold": threshold,
        "targets": actual.ravel().tolist(),
        "outputs": outputs.ravel().tolist(),
        "subsetAccuracy": metrics.accuracy_score(actual, given),
        "hammingLoss": metrics.hamming_loss(actual, given),
        "averagedF1": {
            average: metrics.f1_score(actual, given, average=average, zero_division=0)
            for average in ["micro", "macro", "samples"]
        },
        "areaUnderROC": [number(metrics.roc_auc_score(a, o)) for a, o in zip(actual.T, outputs.T)],
        "support": actual.sum(axis=0).tolist(),
    }
    for name in ["precision", "recall", "f1"]:
        per_label = getattr(metrics, name + "_score")(actual, given, average=None, zero_division=np.nan)
        expected[name] = [number(value) for value in per_label]
    return expected


def softmax(z):
    e = np.exp(z)
    return e / e.sum(axis=1, keepdims=True)


def eighths(rows, classes):
    """Probabilities in multiples of 1/8, so that many are equal and their sums are exact."""
    cuts = np.sort(random.integers(0, 9, (rows, classes - 1)), axis=1)
    return np.diff(cuts, axis=1, prepend=0, append=8) / 8


def learned(rows, classes, noise, biased=None):
    actual = random.integers(0, classes, rows)
    z = 2 * np.eye(classes)[actual] + noise * random.normal(size=(rows, classes))
    if biased is not None:
        z[:, biased] -= 9
    return class_scores(actual, np.round(softmax(z) * 2**20) / 2**20)


fixture = {
    "classification": [classification(60, 3, 0.4), classification(200, 10, 0.6), classification(30, 2, 2.0)],
    "binary": [binary(50)],
    "regression": [
        regression(40, 1, 0.3),
        regression(40, 3, 0.5),
        regression(25, 2, 3.0),
        constant([3.0, 3.0, 3.0]),
        constant([3.0, 2.5, 3.0]),
        constant([3.5, 3.5, 3.5]),
        given([[2.0, -1.0]], [[2.5, -1.0]]),
        given([[0.0], [0.5], [-4.0]], [[0.25], [0.5], [-3.0]]),
        given([[1.0, 5.0], [2.0, 5.0], [4.0, 5.0]], [[1.5, 5.0], [2.5, 6.0], [4.5, 5.0]]),
    ],
}
ties = eighths(40, 4)
fixture["scores"] = {
    "three classes": learned(60, 3, 1.0),
    "ten classes": learned(200, 10, 1.5),
    "two classes": learned(50, 2, 2.0),
    "ties": class_scores(random.integers(0, 4, 40), ties),
    "all equal": class_scores([0, 1, 2, 3, 3], np.full((5, 4), 0.25)),
    "a class never predicted": learned(40, 3, 1.0, biased=1),
    "a class that does not occur": class_scores(random.choice([0, 1, 3], 40), ties),
    "a class that neither occurs nor is predicted": class_scores(
        [0, 1, 0, 1], [[0.75, 0.25, 0.0], [0.5, 0.25, 0.25], [0.25, 0.5, 0.25], [0.125, 0.75, 0.125]]
    ),
    "one output": class_scores(random.integers(0, 2, 50), np.round(random.uniform(size=50), 6)),
    "one output with ties": class_scores(random.integers(0, 2, 50), random.integers(0, 9, 50) / 8),
    "one output, one class": class_scores([1, 1, 1], [0.25, 0.75, 0.5]),
    "a single row": class_scores([1], [[0.25, 0.5, 0.25]]),
    "certain, and wrong": class_scores([0, 1, 2, 0], [[1.0, 0, 0], [1, 0, 0], [0, 0, 1], [0, 1, 0]]),
}

labels = (random.uniform(size=(60, 4)) < [0.5, 0.3, 0.1, 0.7]).astype(int)
probabilities = np.round(np.clip(0.6 * labels + 0.4 * random.uniform(size=(60, 4)) - 0.05, 0, 1), 6)
rare = (random.uniform(size=(25, 3)) < [0.3, 0.0, 1.0]).astype(int)
fixture["multilabel"] = {
    "four labels": multilabel(labels, np.round(random.uniform(size=(60, 4)) * 0.6 + 0.4 * labels, 6)),
    "another threshold": multilabel(labels, probabilities, threshold=0.25),
    "a label without rows, and one of all rows": multilabel(rare, random.integers(0, 9, (25, 3)) / 8),
    "rows without labels": multilabel(np.zeros((5, 2), int), np.round(random.uniform(size=(5, 2)) * 0.4, 6)),
    "one row, all right": multilabel([[1, 0, 1]], [[0.75, 0.25, 0.5625]]),
}
fixture["studentQuantiles"] = {str(n): stats.t.ppf(0.975, n) for n in [*range(1, 31), 99, 100, 999, 10_000]}
Path(__file__).with_name("metrics.json").write_text(json.dumps(fixture) + "\n")
