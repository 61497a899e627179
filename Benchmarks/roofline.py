#!/usr/bin/env python3
"""Compares a step of each workload with the limits of this machine: the roofline of Williams et al. (2009).

    roofline.py [--workloads W3,W4,…] [--seconds S] [--rounds N] [--markdown] [--picture FILE.svg]

One thread.  A step counts the operations of its products, and the bytes that the algorithm of docs/kernels.md reads and
writes.  The roof is the longer of the two times: operations at the measured peak, and bytes at the measured bandwidth for
the step's working set.  `in turn` adds both, the time to copy the batch, and Adam's square roots and quotients.
"""

import argparse
import math
from pathlib import Path

from report import HERE, WORKLOADS, count, names, note, number, print_table, run

BUILD = HERE.parent / "build" / "benchmarks"
STATES = {"sgd": 0, "momentum": 1, "adam": 2}  # arrays as large as the parameters
USUAL = {24 << 10: "L1", 384 << 10: "L2", 6 << 20: "L3", 384 << 20: "memory"}


class Step:
    """The operations and bytes of an update or a prediction."""

    def __init__(self, name):
        self.name = name
        self.trains = name in WORKLOADS["train"]
        w = WORKLOADS["train" if self.trains else "predict"][name]
        self.bits = 64 if w.get("scalar") == "float64" else 32
        size, rows, layers = self.bits // 8, w["batch" if self.trains else "rows"], w["layers"]
        pairs, units = list(zip(layers, layers[1:])), sum(layers[1:])
        parameters = sum((n + 1) * m for n, m in pairs)
        products = sum(n * m for n, m in pairs)
        if not self.trains:
            # z reads W. x is read; z and a of every unit are written and read.
            self.operations = 2 * rows * products
            self.bytes = size * (parameters + rows * (layers[0] + 4 * units))
            self.works_on = size * (parameters + rows * (layers[0] + 2 * units))
            self.data = self.works_on_data = self.roots = 0
            self.per_run = 1
            return
        states = STATES["momentum" if w["momentum"] else w["optimizer"]]
        first = layers[0] * layers[1]
        self.operations = 2 * rows * (3 * products - first)
        # z reads W, ∂L/∂a reads W except the first. An update reads and writes parameters and state. x is read twice more.
        # For each unit z is written and read, a is written and read by z, f′ and ∂L/∂W, δ is written twice and read 3 times.
        self.bytes = size * ((2 * parameters - first) + 2 * (1 + states) * parameters + rows * (2 * layers[0] + 11 * units))
        self.works_on = size * ((1 + states) * parameters + rows * (layers[0] + 3 * units))
        self.data, self.works_on_data = (size * n * (layers[0] + layers[-1]) for n in (rows, w["samples"]))
        self.roots = parameters if w["optimizer"] == "adam" else 0
        self.per_run = w["samples"] / rows

    def limits(self, machine):
        """Seconds: of the products, of the bytes, and of everything in turn."""
        products = self.operations / (machine[f"float{self.bits}"] * 1e9)
        kind = "triad" if self.trains else "read"
        memory = self.bytes / (machine[f"{kind}{self.works_on}"] * 1e9)
        in_turn = products + memory
        if self.trains:
            in_turn += self.data / (machine[f"read{self.works_on_data}"] * 1e9)
            in_turn += self.roots / (machine[f"roots{self.bits}"] * 1e9)
        return products, memory, in_turn


def measure(program, *words):
    result, reason = run([BUILD / program, *words], 1)
    if result is None:
        raise SystemExit(f"Benchmarks/c is {reason}. Build it with: scripts/bench roofline")
    return result


def best_of(options, steps):
    """The limits of the machine and the seconds of each step, the best of all interleaved rounds."""
    sizes = sorted({*USUAL, *(size for s in steps for size in (s.works_on, s.works_on_data) if size)})
    machine, seconds = {}, {}
    for turn in range(options.rounds):
        for key, value in measure("machine", 1, *sizes).items():
            machine[key] = value if key == "isa" else max(value, machine.get(key, 0))
        for s in steps:
            result = measure("bench", s.name, "--seconds", options.seconds)
            time = result["msPerEpoch"] / s.per_run / 1e3 if s.trains else result["usPerCall"] / 1e6
            seconds[s.name] = min(time, seconds.get(s.name, math.inf))
        note(f"round {turn + 1} of {options.rounds}")
    return machine, seconds


def prefixed(value):
    """276, 4.86 k, 2.16 M, …"""
    power = min(3, int(math.log10(value)) // 3)
    return f"{number(value / 1000**power)} {' kMG'[power]}".rstrip()


# ---- The picture --------------------------------------------------------------------------------

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 460, 60, 20, 20, 50
X, Y = (0.1, 200), (1, 200)  # operations a byte, GFLOP/s


def place(intensity, gflops):
    def share(value, bounds):
        return math.log(value / bounds[0]) / math.log(bounds[1] / bounds[0])

    x = LEFT + (WIDTH - LEFT - RIGHT) * share(intensity, X)
    return round(x, 1), round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share(gflops, Y), 1)


def picture(machine, seconds, steps):
    """SVG: the roofs, and for each workload a point, a line up to its roof, and a tick for `in turn`."""
    parts = []

    def text(x, y, words, anchor="start", size=12, color="#444"):
        parts.append(f'<text x="{x}" y="{y}" font-size="{size}" fill="{color}" text-anchor="{anchor}">{words}</text>')

    def line(a, b, color, width=1.5, dash=""):
        parts.append(
            f'<line x1="{a[0]}" y1="{a[1]}" x2="{b[0]}" y2="{b[1]}" stroke="{color}" stroke-width="{width}"'
            + (f' stroke-dasharray="{dash}"/>' if dash else "/>")
        )

    for value in (0.1, 1, 10, 100):
        line(place(value, Y[0]), place(value, Y[1]), "#ddd", 1)
        text(place(value, Y[0])[0], HEIGHT - BOTTOM + 18, f"{value:g}", "middle")
    for value in (1, 10, 100):
        line(place(X[0], value), place(X[1], value), "#ddd", 1)
        text(LEFT - 8, place(X[0], value)[1] + 4, f"{value:g}", "end")
    text(place(X[1], Y[0])[0], HEIGHT - 10, "operations per byte", "end", 13)
    text(LEFT, TOP - 6, "GFLOP/s", "middle", 13)

    for size, name in USUAL.items():
        rate = machine[f"triad{size}"]
        low, high = max(X[0], Y[0] / rate), machine["float32"] / rate
        line(place(low, low * rate), place(high, machine["float32"]), "#888")
        (x, y), end = place(low * 1.15, low * 1.15 * rate), place(high, high * rate)
        slope = math.degrees(math.atan2(end[1] - y, end[0] - x))
        y += 14 if name == "L3" else -5  # close to the label of L2
        parts.append(
            f'<text x="{x}" y="{y}" font-size="12" fill="#444" transform="rotate({slope:.1f} {x} {y})">'
            f"{name}, {number(rate, 2)} GB/s</text>"
        )
    for bits in (32, 64):
        peak = machine[f"float{bits}"]
        line(place(peak / machine[f"triad{24 << 10}"], peak), place(X[1], peak), "#888")
        text(WIDTH - RIGHT, place(X[1], peak)[1] + (-5 if bits == 32 else 14), f"float{bits}, {number(peak)} GFLOP/s", "end")

    for s in steps:
        products, memory, in_turn = s.limits(machine)
        (x, y), (_, roof), (_, tick) = (
            place(s.operations / s.bytes, s.operations / time / 1e9)
            for time in (seconds[s.name], max(products, memory), in_turn)
        )
        if y > HEIGHT - BOTTOM:
            continue
        color = "#b5541c" if s.bits == 64 else "#1c6bb5" if s.trains else "#2c8a4b"
        line((x, y), (x, roof), color, 1, "2 2")
        line((x - 5, tick), (x + 5, tick), color)
        parts.append(f'<circle cx="{x}" cy="{y}" r="4" fill="{color}"/>')
        if s.name in ("I1s", "I2s"):  # I1m and W4 are close
            text(x - 7, y + 5, s.name, "end", color=color)
        else:
            text(x + 7, y + 12, s.name, color=color)

    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">',
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
            *parts,
            "</svg>\n",
        ]
    )


# -------------------------------------------------------------------------------------------------


def main():
    every = [*WORKLOADS["train"], *WORKLOADS["predict"]]
    parser = argparse.ArgumentParser(prog="scripts/bench roofline", description=__doc__.splitlines()[0])
    parser.add_argument("--workloads", type=names(every), default=every, help=",".join(every))
    parser.add_argument("--seconds", type=float, default=1.0, help="seconds of each measurement (default: 1)")
    parser.add_argument("--rounds", type=count, default=3, help="number of measurements of each (default: 3)")
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table")
    parser.add_argument("--picture", type=Path, metavar="FILE.svg", help="also draw the roofline")
    options = parser.parse_args()

    steps = [Step(name) for name in options.workloads]
    machine, seconds = best_of(options, steps)
    rows = []
    for s in steps:
        products, memory, in_turn = s.limits(machine)
        shares = (products / time for time in (max(products, memory), in_turn, seconds[s.name]))
        rate = machine[f"{'triad' if s.trains else 'read'}{s.works_on}"]
        rows.append(
            [s.name, *map(prefixed, (s.operations, s.works_on, s.bytes)), number(rate, 2)]
            + [number(s.operations / s.bytes, 2), *(f"{100 * share:.0f} %" for share in shares)]
        )
    print_table(
        ["a step", "operations", "working set, B", "moves, B", "at GB/s", "op/byte", "roof", "in turn", "reached"],
        rows,
        options.markdown,
    )
    if options.picture:
        try:
            options.picture.write_text(picture(machine, seconds, steps))
        except OSError as error:
            raise SystemExit(f"{options.picture}: {error.strerror}") from None


main()
