#!/usr/bin/env python3
"""Writes Sources/ChainruleData/DigitsData.swift and IrisData.swift from scikit-learn's copies.

    python3 -m venv venv && venv/bin/pip install scikit-learn
    venv/bin/python scripts/make-datasets.py
"""

from pathlib import Path

from sklearn.datasets import load_digits, load_iris

FOLDER = Path(__file__).resolve().parent.parent / "Sources" / "ChainruleData"
LEVELS = "0123456789abcdefg"


def write(name, comment, constant, lines):
    header = ["// Written by scripts/make-datasets.py.", ""] + [f"/// {line}".rstrip() for line in comment]
    body = [f'let {constant} = """'] + [f"  {line}" for line in lines] + ['  """', ""]
    (FOLDER / name).write_text("\n".join(header + body))


def digits():
    data = load_digits()
    return [
        "".join(LEVELS[int(level)] for level in image) + f" {label}"
        for image, label in zip(data.data, data.target)
    ]


def iris():
    data = load_iris()
    names = [name.removesuffix(" (cm)").replace(" ", "_") for name in data.feature_names]
    return [",".join(names + ["species"])] + [
        ",".join(f"{value:.1f}" for value in row) + f",{data.target_names[label]}"
        for row, label in zip(data.data, data.target)
    ]


write(
    "DigitsData.swift",
    [
        "One line per image: its 8 × 8 grey levels 0 … 16, row-major, as 0 … 9 and a … g; a space; its label.",
        "",
        "The test set of E. Alpaydin and C. Kaynak, \"Optical Recognition of Handwritten Digits\", UCI Machine",
        "Learning Repository, 1998, doi:10.24432/C50P49. Licensed under CC BY 4.0,",
        "https://creativecommons.org/licenses/by/4.0/; the notation is changed, the values are not.",
    ],
    "digitsText",
    digits(),
)
write(
    "IrisData.swift",
    [
        "CSV with a header; lengths and widths in cm.",
        "",
        "R. A. Fisher, \"The use of multiple measurements in taxonomic problems\", Annals of Eugenics 7, 1936;",
        "in the public domain. The values are those of the paper, as in scikit-learn.",
    ],
    "irisText",
    iris(),
)
