#!/usr/bin/env python3
"""Computes the coefficients of Sources/CChainrule/kernels/coefficients.c and prints them with their errors.

    python3 -m venv venv && venv/bin/pip install mpmath numpy
    venv/bin/python scripts/minimax.py

Each polynomial minimises the maximal error, weighted to be the relative error of the function that uses it, by Remez's
exchange on a fine grid of Chebyshev points.  Then its coefficients are rounded to the type, and moved by single and
paired rounding steps as long as that reduces the error.
"""

import re

import numpy as np
from mpmath import mp, mpf

mp.dps = 50


def round_to(x, bits):
    """x rounded to this number of bits (to nearest; no coefficient is denormal)."""
    mantissa, exponent = mp.frexp(x)
    return mp.ldexp(mp.nint(mp.ldexp(mantissa, bits)), exponent - bits)


def literal(x):
    """x as a hexadecimal literal of C."""
    return re.sub(r"\.?0*p", "p", float(x).hex())


def chebyshev(a, b, count=400):
    """Chebyshev points of [a, b]; an even number, to exclude the middle."""
    return [(a + b) / 2 + (b - a) / 2 * mp.cos(mp.pi * (2 * i + 1) / (2 * count)) for i in range(count)][::-1]


def value(polynomial, x):
    return mp.polyval(polynomial[::-1], x)


def extrema(errors, count):
    """The indices of `count` alternating extrema, including the largest."""
    runs = []
    for i, e in enumerate(errors):
        if runs and (errors[runs[-1]] > 0) == (e > 0):
            if abs(e) > abs(errors[runs[-1]]):
                runs[-1] = i
        else:
            runs.append(i)
    while len(runs) > count:
        runs.pop(0 if abs(errors[runs[0]]) < abs(errors[runs[-1]]) else -1)
    return runs


def remez(xs, f, weight, degree):
    """The polynomial with the least max |weight (f - p)| over xs, and its errors there.

    At the points of alternation p(x) ± E / weight(x) = f(x). Then the points move to the extrema of the error.
    """
    count = degree + 2
    points = [i * (len(xs) - 1) // (count - 1) for i in range(count)]
    while True:
        rows = [[xs[i] ** j for j in range(degree + 1)] + [(-1) ** k / weight[i]] for k, i in enumerate(points)]
        *p, level = mp.lu_solve(mp.matrix(rows), mp.matrix([f[i] for i in points]))
        errors = [w * (y - value(p, x)) for x, y, w in zip(xs, f, weight)]
        worst = max(map(abs, errors))
        if worst <= abs(level) * mpf("1.001"):
            return p, errors
        points = extrema(errors, count)


def rounded(coefficients, bits, errors, sensitivity):
    """The coefficients, each rounded up or down (or one step further) to minimise the largest error.

    errors: those of the exact coefficients; sensitivity[j]: their derivative by coefficient j.
    """
    sensitivity = np.array(sensitivity, dtype=float)
    result = [round_to(c, bits) for c in coefficients]
    steps = [mp.ldexp(1, mp.frexp(c)[1] - bits) for c in coefficients]
    change = np.array([float(r - c) for r, c in zip(result, coefficients)])
    errors = np.array(errors, dtype=float) + change @ sensitivity
    moves = [[(j, s)] for j in range(len(result)) for s in (-1, 1)]
    moves += [m + n for m in moves for n in moves if m[0][0] < n[0][0]]
    while True:
        changes = [sum(s * float(steps[j]) * sensitivity[j] for j, s in move) for move in moves]
        after = [np.max(np.abs(errors + change)) for change in changes]
        best = int(np.argmin(after))
        if after[best] >= np.max(np.abs(errors)):
            return result, np.max(np.abs(errors))
        errors = errors + changes[best]
        for j, s in moves[best]:
            result[j] += s * steps[j]


def fit(name, xs, f, weight, bits, degree):
    """Fits a polynomial, rounds its coefficients and prints them."""
    exact, errors = remez(xs, f, weight, degree)
    sensitivity = [[-w * x**j for x, w in zip(xs, weight)] for j in range(degree + 1)]
    coefficients, error = rounded(exact, bits, errors, sensitivity)
    limit = float(max(map(abs, errors)))
    print(f"{name}: error 2^{np.log2(error):.2f}, with exact coefficients 2^{np.log2(limit):.2f}")
    print("    " + ", ".join(map(literal, coefficients)))


def constants(bits, head):
    """log 2 = high + low; the high part has `head` bits, so that its product with an exponent is exact."""
    high = round_to(mp.log(2), head)
    low = round_to(mp.log(2) - high, bits)
    print(f"log 2 = {literal(high)} + {literal(low)}, log2 e = {literal(round_to(1 / mp.log(2), bits))}")


def exponential(bits, degree):
    """(e^r - 1 - r) / r²; minimises the relative error of e^r - 1."""
    half = mp.log(2) / 2 * mpf("1.0001")
    xs = chebyshev(-half, half)
    f = [(mp.expm1(x) - x) / x**2 for x in xs]
    fit("exp", xs, f, [x**2 / abs(mp.expm1(x)) for x in xs], bits, degree)


def logarithm(bits, degree):
    """(log((1+s)/(1-s)) - 2s) / s³ in z = s²; minimises the relative error of the logarithm."""
    s = (mp.sqrt(2) - 1) / (mp.sqrt(2) + 1) * mpf("1.0001")
    zs = chebyshev(mpf(0), s**2)
    f = [(2 * mp.atanh(mp.sqrt(z)) - 2 * mp.sqrt(z)) / mp.sqrt(z) ** 3 for z in zs]
    fit("log", zs, f, [mp.sqrt(z) ** 3 / (2 * mp.atanh(mp.sqrt(z))) for z in zs], bits, degree)


def mills(bits, degree, center, end):
    """(y + 1) e^(y²/2) Φ(-y) in w = (y - center) / (y + center), 0 ≤ y ≤ end."""
    ws = chebyshev(mpf(-1), (mpf(end) - center) / (end + center))
    ys = [center * (1 + w) / (1 - w) for w in ws]
    f = [(y + 1) * mp.exp(y**2 / 2) * mp.erfc(y / mp.sqrt(2)) / 2 for y in ys]
    fit("normal_cdf", ws, f, [1 / y for y in f], bits, degree)


# The centers are near those with the least error, where the rounding error of c₀ is small.
for name, bits, head, exp_degree, log_degree, mills_degree, center, end in (
    ("float", 24, 15, 4, 2, 10, mpf("3.375"), 15),
    ("double", 53, 42, 9, 6, 22, mpf("5.375"), 39),
):
    print(name)
    constants(bits, head)
    exponential(bits, exp_degree)
    logarithm(bits, log_degree)
    mills(bits, mills_degree, center, end)
