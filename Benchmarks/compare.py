#!/usr/bin/env python3
"""Compares Chainrule with other libraries ("peers") on the same CPUs, and prints one table for each number of threads.

    compare.py [--workloads W1a,W3,…] [--peers torch,jax,…] [--threads 1,2] [--rounds N] [--seconds S]
               [--quick] [--markdown] [--log FILE]

Each round runs every peer on every workload, each in its own process, and starts with a different peer.  The best round
counts: the least time of an epoch, the median of a prediction.  A peer that is not installed or not built is left
out, with a message.  scripts/bench peers sets everything up.
"""

import argparse
import json
import sys
from pathlib import Path

from report import HERE, WORKLOADS, count, names, note, number, print_table, run

ROOT = HERE.parent
BUILD = ROOT / "build"
PYTHON = BUILD / "peers" / "venv" / "bin" / "python"

# Chainrule in C and in Swift; the reference in Swift; then the peers.
PEERS = [
    "chainrule",
    "swift",
    "reference",
    "torch",
    "torch-fused",
    "jax",
    "sklearn",
    "onnxruntime",
    "openblas",
    "gsl",
    "fann",
]
THREADED = {"chainrule", "swift", "torch", "torch-fused", "jax", "sklearn", "openblas"}
# The reference would take minutes for an epoch of other workloads.
REFERENCE = {"W1a", "W2"}


def command(peer, workload, threads, seconds):
    """The command that times the peer; None if it lacks this workload or this number of threads."""
    trains = workload in WORKLOADS["train"]
    float64 = trains and WORKLOADS["train"][workload]["scalar"] == "float64"
    if threads > 1 and (peer not in THREADED or not trains):
        return None
    if peer == "chainrule":
        return [BUILD / "benchmarks" / "bench", workload, "--threads", threads, "--seconds", seconds]
    if peer == "swift":
        options = ["--workload", workload, "--threads", threads, "--seconds", seconds, "--json"]
        return [ROOT / ".build" / "release" / "chainrule", "bench", *options]
    if peer == "reference":
        return [HERE / ".build" / "release" / "reference", workload, "--seconds", seconds] if workload in REFERENCE else None
    if peer in ("openblas", "gsl", "fann"):
        program = "fann-double" if peer == "fann" and float64 else peer
        return [BUILD / "peers" / program, workload, threads, seconds]
    if (peer == "onnxruntime" and trains) or (peer == "torch-fused" and not trains):
        return None
    options = ["--threads", threads, "--seconds", seconds]
    return [PYTHON, HERE / "peers" / "peer.py", peer, workload, *options]


def time_of(result):
    """Milliseconds of an epoch, or microseconds of a prediction."""
    return result.get("msPerEpoch", result.get("usPerCallMedian"))


def measure(options, threads):
    """The best result for each workload and peer, and for the machine."""
    best, missing, machine = {}, set(), None
    for turn in range(options.rounds):
        limits, reason = run([BUILD / "benchmarks" / "machine", threads], threads)
        if limits is None:
            sys.exit(f"Benchmarks/c is {reason}. Build it with: scripts/bench peers")
        machine = limits if machine is None else {k: max(machine[k], v) for k, v in limits.items()}
        for workload in options.workloads:
            first = turn % len(options.peers)
            for peer in options.peers[first:] + options.peers[:first]:
                words = command(peer, workload, threads, options.seconds)
                if words is None or (peer, workload) in missing or peer in missing:
                    continue
                result, reason = run(words, threads, options.limit)
                if result is None:
                    absent = reason.startswith("not ")
                    missing.add(peer if absent else (peer, workload))
                    note(f"Skipping {peer}{'' if absent else f' on {workload}'}: {reason}")
                    continue
                if options.log:
                    with options.log.open("a") as log:
                        print(json.dumps({**result, "peer": peer, "round": turn + 1}), file=log)
                known = best.get((workload, peer))
                if known is None or time_of(result) < time_of(known):
                    best[workload, peer] = result
        note(f"round {turn + 1} of {options.rounds}, threads: {threads}")
    return best, machine


def report(options, threads, best, machine):
    print(
        f"\nThreads: {threads}. Peak of {machine['isa']}: {number(machine['float32'])} GFLOP/s float32, "
        f"{number(machine['float64'])} float64; triad in cache {number(machine['triad24576'])} GB/s, "
        f"in memory {number(machine['triad402653184'])} GB/s.\n"
        "Time of an epoch in ms or of a prediction in µs, and the multiple of Chainrule's time in C.\n"
    )
    peers = [p for p in options.peers if p != "chainrule" and any((w, p) in best for w in options.workloads)]
    rows = []
    for workload in options.workloads:
        own = best.get((workload, "chainrule"))
        row = [f"{workload} {'ms' if workload in WORKLOADS['train'] else 'µs'}"]
        row.append(number(time_of(own)) if own else "–")
        row.append(f"{own['percentOfPeak']:.0f} %" if own and own.get("percentOfPeak", 0) >= 1 else "–")
        for peer in peers:
            result = best.get((workload, peer))
            ratio = f" ({number(time_of(result) / time_of(own))}×)" if result and own else ""
            row.append(number(time_of(result)) + ratio if result else "–")
        if len(set(row[1:])) > 1:
            rows.append(row)
    print_table(["workload", "chainrule", "of peak", *peers], rows, options.markdown)
    sys.stdout.flush()


def main():
    workloads = [*WORKLOADS["train"], *WORKLOADS["predict"]]
    parser = argparse.ArgumentParser(prog="scripts/bench peers", description="Compares Chainrule with other libraries.")
    parser.add_argument("--workloads", type=names(workloads), default=workloads, help=",".join(workloads))
    parser.add_argument("--peers", type=names(PEERS), default=PEERS, help=",".join(PEERS))
    parser.add_argument("--threads", default="1,2", help="numbers of threads, such as 1,2 (default: 1,2)")
    parser.add_argument("--rounds", type=count, default=3, help="number of measurements of each (default: 3)")
    parser.add_argument("--seconds", type=float, default=2.0, help="seconds of each measurement (default: 2)")
    parser.add_argument("--limit", type=float, default=180.0, help="seconds after which a peer is stopped (default: 180)")
    parser.add_argument("--quick", action="store_true", help="one round of 0.3 s, stopped after 30 s")
    parser.add_argument("--markdown", action="store_true", help="print Markdown tables")
    parser.add_argument("--log", type=Path, help="append each measurement to this file as a line of JSON")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds, options.limit = 1, 0.3, 30.0
    if "chainrule" not in options.peers:
        options.peers = ["chainrule", *options.peers]
    for threads in map(int, options.threads.split(",")):
        report(options, threads, *measure(options, threads))


main()
