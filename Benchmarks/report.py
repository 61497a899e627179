"""Shared by compare.py, scaling.py and roofline.py: runs programs that print a line of JSON, parses options, prints tables."""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
WORKLOADS = {
    kind: workloads
    for kind, workloads in json.loads((HERE / "workloads.json").read_text()).items()
    if kind != "comment"
}
UNAVAILABLE = 69


def note(text):
    print(text, file=sys.stderr, flush=True)


def cpus(threads):
    """The last CPUs that this process may use, because the first ones often serve interrupts."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < threads:
        sys.exit(f"{threads} threads need {threads} CPUs, but this process may use only {len(allowed)}")
    return allowed[-threads:]


def run(command, threads, limit=None):
    """Runs a command on `threads` CPUs. Returns its JSON object and None, or None and the reason."""
    own = cpus(threads)
    try:
        done = subprocess.run(
            [str(word) for word in command],
            capture_output=True,
            text=True,
            timeout=limit,
            preexec_fn=own and (lambda: os.sched_setaffinity(0, own)),
        )
    except FileNotFoundError:
        return None, "not built"
    except subprocess.TimeoutExpired:
        return None, f"more than {limit:g} s"
    if done.returncode == 0:
        return json.loads(done.stdout.splitlines()[-1]), None
    last = (done.stderr.strip() or f"exit status {done.returncode}").splitlines()[-1]
    return None, last.split(": ", 1)[-1] if done.returncode == UNAVAILABLE else f"failed: {last}"


def names(known):
    """Parses an option: some of `known`, separated by commas."""

    def parse(text):
        chosen = text.split(",")
        unknown = [name for name in chosen if name not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; expected some of {', '.join(known)}")
        return chosen

    return parse


def count(text):
    """Parses an option: a whole number, at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: expected a whole number, at least 1")
    return int(text)


def number(value, digits=3):
    """`digits` significant digits, without an exponent."""
    if value is None:
        return "–"
    decimals = max(0, digits - 1 - (len(f"{abs(value):.0f}") - 1 if abs(value) >= 1 else leading_zeros(value)))
    return f"{value:,.{decimals}f}"


def leading_zeros(value):
    """−1 for 0.12, −2 for 0.012, …"""
    return int(f"{value:e}".split("e")[1])


def print_table(header, rows, markdown=False):
    """Prints a table whose first column has words and whose other columns have numbers."""
    if markdown:
        print("| " + " | ".join(header) + " |")
        print("| --- |" + " ---: |" * (len(header) - 1))
        for row in rows:
            print("| " + " | ".join(row) + " |")
        return
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    for row in [header, *rows]:
        cells = [cell.rjust(width) for cell, width in zip(row, widths)]
        print("  ".join([row[0].ljust(widths[0]), *cells[1:]]).rstrip())
