#!/usr/bin/env python3
"""Writes preprocessing.json: what scikit-learn makes of features, categories and class weights, and how rows
are to be parted.

    python3 -m venv venv && venv/bin/pip install scikit-learn
    venv/bin/python Tests/Fixtures/preprocessing/generate.py
"""

import json
import math
import warnings
from pathlib import Path

import numpy as np
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler
from sklearn.utils.class_weight import compute_class_weight

# A single row has no spread, which is what one case is about.
warnings.simplefilter("ignore")
random = np.random.default_rng(7)


def flat(matrix):
    """Row-major; None stands for NaN, which JSON does not have."""
    return [None if isinstance(x, float) and math.isnan(x) else x for x in np.asarray(matrix).ravel().tolist()]


# Scaling


def scaling(train, other, ranges=((0, 1), (-1, 1), (2, 5.5))):
    train, other = np.array(train, float), np.array(other, float)
    standard = StandardScaler().fit(train)
    expected = {
        "columns": train.shape[1],
        "train": flat(train),
        "other": flat(other),
        "mean": flat(standard.mean_),
        "standardDeviation": flat(standard.scale_),
        "standardizedTrain": flat(standard.transform(train)),
        "standardizedOther": flat(standard.transform(other)),
        "ranges": [],
    }
    for low, high in ranges:
        scaler = MinMaxScaler((low, high)).fit(train)
        expected["ranges"].append(
            {
                "low": low,
                "high": high,
                "minimum": flat(scaler.data_min_),
                "maximum": flat(scaler.data_max_),
                "train": flat(scaler.transform(train)),
                "other": flat(scaler.transform(other)),
            }
        )
    return expected


def spread(rows):
    """Columns of very different scales and offsets."""
    return random.normal(size=(rows, 4)) * [1, 1e-6, 1e5, 3] + [0, 0, -2e5, 1000]


constant = random.normal(size=(20, 4))
constant[:, 1] = 0.1  # whose mean is not exact
constant[:, 2] = 0
constant[:, 3] = -12345.678

# Missing values

STRATEGIES = {"mean": "mean", "median": "median", "mostFrequent": "most_frequent"}


def imputation(train, other):
    train, other = np.array(train, float), np.array(other, float)
    expected = {"columns": train.shape[1], "train": flat(train), "other": flat(other), "strategies": {}}
    for name, strategy in (STRATEGIES | {"constant": "constant"}).items():
        imputer = SimpleImputer(strategy=strategy, fill_value=-7.5 if strategy == "constant" else None).fit(train)
        expected["strategies"][name] = {
            "values": flat(imputer.statistics_),
            "train": flat(imputer.transform(train)),
            "other": flat(imputer.transform(other)),
        }
    return expected


def holes(matrix, fraction):
    matrix = np.round(matrix, 3)
    matrix[random.uniform(size=matrix.shape) < fraction] = np.nan
    return matrix


nan = np.nan
few = random.integers(-2, 3, (25, 3)).astype(float)
few[random.uniform(size=few.shape) < 0.2] = nan

# Categories


def one_hot(train, other):
    train, other = np.array(train, object), np.array(other, object)
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False).fit(train)
    return {
        "train": train.tolist(),
        "other": other.tolist(),
        "categories": [categories.tolist() for categories in encoder.categories_],
        "encodedTrain": flat(encoder.transform(train)),
        "encodedOther": flat(encoder.transform(other)),
    }


# A table with missing numbers and missing categories, column by column.

table = [
    ["12.5", "red", "4", "S", "10.5"],
    ["", "blue", "NA", "M", "11.25"],
    ["7.25", "", "4", "M", "9.5"],
    ["nan", "green", "6", "?", "8.5"],
    ["1.5", "blue", "5", "L", "12.5"],
    ["3", "red", "n/a", "M", "7.75"],
]
other_table = [["", "green", "", "", "1.5"], ["100", "NULL", "-3", "S", "2.5"]]


def encoded(strategy):
    """The features of both tables: columns 1 and 3 are numbers, 2 and 4 categories."""

    def cells(rows, column):
        missing = ["", "na", "nan", "n/a", "null", "?"]
        return [[nan if row[column].lower() in missing else row[column]] for row in rows]

    parts = []
    for column in range(4):
        train, other = cells(table, column), cells(other_table, column)
        if column % 2 == 0:
            train, other = np.array(train, float), np.array(other, float)
            imputer = SimpleImputer(strategy=strategy).fit(train)
            parts.append((imputer.transform(train), imputer.transform(other)))
        else:
            train, other = np.array(train, object), np.array(other, object)
            imputer = SimpleImputer(strategy="most_frequent").fit(train)
            encoder = OneHotEncoder(sparse_output=False).fit(imputer.transform(train))
            parts.append(tuple(encoder.transform(imputer.transform(rows)) for rows in (train, other)))
    return {name: flat(np.hstack([part[i] for part in parts])) for i, name in enumerate(["train", "other"])}


# Class weights


def class_weights(labels):
    classes = sorted(set(labels))
    weights = compute_class_weight("balanced", classes=np.array(classes), y=np.array(labels))
    return {"labels": labels, "weights": dict(zip(classes, weights.tolist()))}


# Parts of the rows: SplitMix64, Lemire's bounded draw, Fisher–Yates from the last place, written from their papers.

MASK = 2**64 - 1


def order(rows, seed):
    state = seed

    def draw():
        nonlocal state
        state = (state + 0x9E3779B97F4A7C15) & MASK
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return z ^ (z >> 31)

    def below(bound):
        while True:
            product = draw() * bound
            if (product & MASK) >= 2**64 % bound:
                return product >> 64

    places = list(range(rows))
    for last in range(rows - 1, 0, -1):
        other = below(last + 1)
        places[last], places[other] = places[other], places[last]
    return places


def folds(labels, count, seed, stratified):
    rows = order(len(labels), seed)
    dealt = sorted(rows, key=lambda row: labels[row]) if stratified else rows  # sorted() is stable
    return {
        "labels": labels,
        "count": count,
        "seed": seed,
        "stratified": stratified,
        "validation": [[row for row in rows if row in set(dealt[fold::count])] for fold in range(count)],
    }


def stratified_split(labels, fraction, seed):
    """The held-out rows: a class's share rounded down, then up where the remainder is largest; 1 … n - 1 of n."""
    rows = order(len(labels), seed)
    counts = {label: labels.count(label) for label in sorted(set(labels))}
    held, remainders = {}, []
    for label, n in counts.items():
        share = n * fraction
        held[label] = 0 if n == 1 else min(max(math.floor(share), 1), n - 1)
        if n > 1 and held[label] < share and held[label] + 1 <= n - 1:
            remainders.append((held[label] - share, label))
    missing = math.floor(len(labels) * fraction + 0.5) - sum(held.values())
    for _, label in sorted(remainders)[: max(0, missing)]:
        held[label] += 1
    test = []
    for row in rows:
        if held[labels[row]] > 0:
            held[labels[row]] -= 1
            test.append(row)
    return {
        "labels": labels,
        "fraction": fraction,
        "seed": seed,
        "test": test,
        "train": [row for row in rows if row not in set(test)],
    }


mixed = [int(label) for label in random.choice([0, 1, 2, 3], 60, p=[0.6, 0.25, 0.1, 0.05])]
rare = [0] * 30 + [1] * 2 + [2] + [3] * 7

fixture = {
    "scaling": [
        scaling(spread(30), spread(7)),
        scaling(constant, random.normal(size=(5, 4))),
        scaling([[1.0, -2.0, 0.0]], [[3.0, 4.0, 5.0]]),
        scaling(1e8 + random.normal(size=(50, 2)), 1e8 + random.normal(size=(4, 2))),
        # A range of 2⁻⁵² is none to MinMaxScaler, which Chainrule takes for what it is.
        scaling([[1.0], [1 + 2**-52], [1.0]], [[1.5]], ranges=()),
    ],
    "imputation": [
        imputation(holes(random.normal(size=(20, 3)), 0.3), holes(random.normal(size=(6, 3)), 0.5)),
        imputation(holes(random.normal(size=(21, 2)) * 1e6, 0.1), [[nan, nan], [1, nan]]),
        imputation(few, [[nan, nan, nan]]),
        imputation([[3, 1, nan], [1, nan, nan], [3, 1, 4], [1, 2, nan], [nan, 2, nan]], [[nan, nan, nan]]),
    ],
    "oneHot": [
        one_hot(
            [["red", "S"], ["blue", "M"], ["red", "L"], ["green", "M"]],
            [["blue", "S"], ["pink", "M"], ["red", "XL"]],
        ),
        one_hot([["a"]], [["a"], ["b"]]),
    ],
    "table": {
        "csv": "\n".join(",".join(row) for row in [["size", "colour", "doors", "class size", "price"]] + table) + "\n",
        "other": "\n".join(
            ",".join(row[i] for i in [3, 1, 4, 0, 2])
            for row in [["size", "colour", "doors", "class size", "price"]] + other_table
        )
        + "\n",
        "encoded": {name: encoded(strategy) for name, strategy in STRATEGIES.items()},
    },
    "classWeights": [class_weights(["b", "a", "b", "b", "c"]), class_weights([f"{label}" for label in mixed])],
    "folds": [
        folds(mixed, 5, 1, False),
        folds(mixed, 5, 1, True),
        folds(mixed, 7, 2, True),
        folds(rare, 4, 3, True),
        folds(rare, 40, 3, False),
    ],
    "splits": [
        stratified_split(mixed, 0.2, 1),
        stratified_split(mixed, 0.37, 2),
        stratified_split(rare, 0.1, 3),
        stratified_split(rare, 0.95, 4),
        stratified_split([0, 1] * 10, 0.25, 5),
    ],
}
Path(__file__).with_name("preprocessing.json").write_text(json.dumps(fixture) + "\n")
