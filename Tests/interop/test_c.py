"""The C that `chainrule export` writes, compiled and called from Python, has the bits of `chainrule predict`."""

import ctypes
import shutil
import subprocess

import numpy as np
import pytest
from program import chainrule, predict

COMPILERS = [name for name in ("gcc", "clang") if shutil.which(name)] or [name for name in ("cc",) if shutil.which(name)]
OPTIONS = ["-std=c99", "-Wall", "-Wextra", "-pedantic", "-Wconversion", "-Werror"]
LEVELS = [["-O0"], ["-O2"], ["-std=gnu99", "-O3", "-march=native"]]


@pytest.mark.parametrize("level", LEVELS, ids=" ".join)
@pytest.mark.parametrize("compiler", COMPILERS or [pytest.param("", marks=pytest.mark.skip("there is no C compiler"))])
@pytest.mark.parametrize("scalar", ["float32", "float64"])
def test_c_has_the_bits_of_the_model(tmp_path, scalar, compiler, level):
    model, source, library, program = (tmp_path / name for name in ("model.safetensors", "model.c", "model.so", "model"))
    chainrule("train", "iris", "--epochs", 3, "--hidden", "16,16", "--normalization", "batch", "--residual", "--activation",
              "gelu", "--scalar", scalar, "--quiet", "--save", model)
    chainrule("export", model, "--to", "c", "--name", "classify", "--output", source)
    build = [compiler, *OPTIONS, *level, source, "-lm", "-o"]
    subprocess.run([*build, library, "-shared", "-fPIC"], check=True)
    classify = ctypes.CDLL(str(library)).classify

    rows = np.random.default_rng(3).uniform(-2, 8, (50, 4)).astype(scalar)
    outputs = np.empty((50, 3), scalar)
    for x, y in zip(rows, outputs):
        classify(x.ctypes.data_as(ctypes.c_void_p), y.ctypes.data_as(ctypes.c_void_p))
    assert np.array_equal(outputs, predict(model, rows))

    subprocess.run([*build, program, "-DCHAINRULE_SELF_TEST"], check=True)
    report = subprocess.run([program], capture_output=True, text=True)
    assert (report.returncode, report.stdout) == (0, "classify: 12 of 12 outputs are the model's\n")
