#!/usr/bin/env python3
"""Writes csv.json: random tables as Python's csv module writes them, and their cells.

    python3 Tests/Fixtures/csv/generate.py
"""

import csv
import io
import json
import random
from pathlib import Path

PIECES = (
    ['"', '""', ",", ";", "|", "\t", " ", "'", "\\", "#", "=", "-", "."]
    + ["a", "B", "01", "1", "1e3", "-2.5", "NA", "nan", "True", "x y", "O'Neil"]
    # é as one scalar and as two, a vowel sign of its own, an emoji of several scalars, a wide and a no-break space.
    + ["\u00e9", "e\u0301", "\u0d4e", "\u200d", "\U0001f469\u200d\U0001f52c", "\u3000", "\u00a0", "\u65e5\u672c", "\u0000"]
)
ENDS = ["\n", "\r\n", "\r"]
MODES = {"minimal": csv.QUOTE_MINIMAL, "all": csv.QUOTE_ALL, "nonnumeric": csv.QUOTE_NONNUMERIC}


def cell(draw, mode, line_end):
    if mode == "nonnumeric" and draw.random() < 0.3:
        return draw.choice([draw.randint(-999, 999), round(draw.uniform(-9, 9), 3)])
    if draw.random() < 0.15:
        return ""
    # The module quotes a line break only where it is in the line end.
    breaks = ENDS if mode != "minimal" or line_end == "\r\n" else [line_end]
    text = "".join(draw.choice(PIECES + breaks) for _ in range(draw.randint(1, 6)))
    # Spaces around a cell count only within quotes.
    return text.strip(" \t") if mode == "minimal" else text


def table(seed):
    draw = random.Random(seed)
    mode, delimiter, line_end = draw.choice(list(MODES)), draw.choice(",;|\t"), draw.choice(ENDS)
    columns, has_header = draw.randint(1, 5), draw.random() < 0.5
    rows = [[cell(draw, mode, line_end) for _ in range(columns)] for _ in range(draw.randint(1, 6))]
    if has_header:
        # Names that no reader has to change: none is empty, and each is there once.
        rows.insert(0, [f"{cell(draw, 'minimal', line_end)}{column}" for column in range(columns)])
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, quoting=MODES[mode], lineterminator=line_end)
    writer.writerows(rows)
    contents = text.getvalue()
    if draw.random() < 0.3:
        contents = contents.removesuffix(line_end)
    cells = [[str(cell) for cell in row] for row in rows]
    assert [row for row in csv.reader(io.StringIO(contents, newline=""), delimiter=delimiter)] == cells
    return {"seed": seed, "mode": mode, "delimiter": delimiter, "header": has_header, "csv": contents, "cells": cells}


lines = ",\n".join(json.dumps(table(seed), separators=(",", ":")) for seed in range(400))
Path(__file__).with_name("csv.json").write_text(f"[\n{lines}\n]\n")
