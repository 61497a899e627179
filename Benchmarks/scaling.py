#!/usr/bin/env python3
"""Measures an epoch by width, depth, batch size and number of threads.

    scaling.py [--threads 1,2] [--seconds S] [--markdown]

Everything else is as in workload W5. Tables by width, depth and batch size use 8192 rows.
"""

import argparse
import os

from report import HERE, number, print_table, run

BENCH = HERE.parent / "build" / "benchmarks" / "bench"
SAMPLES = 8192


def measure(workload, threads, seconds, *options):
    result, reason = run([BENCH, workload, "--threads", threads, "--seconds", seconds, *options], threads)
    if result is None:
        raise SystemExit(f"Benchmarks/c is {reason}. Build it with: scripts/bench scaling")
    return result


def main():
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    parser = argparse.ArgumentParser(prog="scripts/bench scaling", description=__doc__.splitlines()[0])
    parser.add_argument("--threads", help="numbers of threads, such as 1,2 (default: 1, 2, 4, … all CPUs)")
    parser.add_argument("--seconds", type=float, default=1.0, help="seconds of each measurement (default: 1)")
    parser.add_argument("--markdown", action="store_true", help="print Markdown tables")
    options = parser.parse_args()
    doubling = sorted({2**k for k in range(10) if 2**k <= available} | {available})
    counts = [int(count) for count in options.threads.split(",")] if options.threads else doubling

    def table(varied, network, variants):
        """variants: the name and the options of bench, for each. One column for each number of threads."""
        print(f"\nBy {varied}: {network}\n")
        rows = []
        for name, *changes in variants:
            results = [measure("W5", t, options.seconds, "--samples", SAMPLES, *changes) for t in counts]
            row = [name, number(results[0]["usPerUpdate"])]
            for result in results:
                row += [number(result["msPerEpoch"]), f"{result['percentOfPeak']:.0f} %"]
            rows.append(row)
        header = [varied, "µs an update"]
        for count in counts:
            header += [f"ms, threads: {count}", "of peak"]
        print_table(header, rows, options.markdown)

    widths = [16, 32, 64, 128, 256, 512, 1024, 2048]
    table("width", "W-W-W, batches of 128", [(str(w), "--layers", f"{w},{w},{w}") for w in widths])
    depths = [1, 2, 4, 8, 16]
    layers = {depth: ",".join(["256"] * (depth + 1)) for depth in depths}
    table("depth", "256-…-256, batches of 128", [(str(d), "--layers", layers[d]) for d in depths])
    batches = [1, 4, 16, 32, 64, 128, 256, 512, 1024]
    table("batch", "784-512-256-10", [(str(b), "--batch", b) for b in batches])

    print("\nBy threads: an epoch in ms, and the speed-up\n")
    rows = []
    for workload in ["W2", "W3", "W4", "W5", "W6", "W7"]:
        times = [measure(workload, t, options.seconds)["msPerEpoch"] for t in counts]
        rows.append([workload, *(f"{number(time)} ({times[0] / time:.2f}×)" for time in times)])
    print_table(["workload", *(f"threads: {t}" for t in counts)], rows, options.markdown)


main()
