"""Exported C has the bits of `chainrule predict`: compiled for this machine and called from Python, and by its self-test under
QEMU for other CPUs.  The stack and flash in its comment agree with gcc's listings."""

import ctypes
import re
import shutil
import subprocess

import numpy as np
import pytest
from program import ACTIVATIONS, chainrule, predict

COMPILERS = [name for name in ("gcc", "clang") if shutil.which(name)] or [name for name in ("cc",) if shutil.which(name)]
WARNINGS = ["-Wall", "-Wextra", "-pedantic", "-Wconversion", "-Werror"]
OPTIONS = ["-std=c99", *WARNINGS]
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


# ---- Other CPUs ------------------------------------------------------------------------------------

# Options of `chainrule train`; together they have every activation and every kind of layer.
NETWORKS = {
    **{name: ["iris", "--hidden", "8", "--activation", name] for name in ACTIVATIONS},
    "blocks": ["iris", "--hidden", "8,8,8,8", "--normalization", "batch", "--residual", "--dropout", 0.1, "--activation", "gelu"],
    "rows": ["iris", "--hidden", "8,8", "--normalization", "layer", "--activation", "mish"],
    "wide": ["digits", "--hidden", "64,64", "--activation", "gelu"],
    "quantities": ["table.csv", "--target", "y", "--header", "--hidden", "6", "--activation", "silu", "--scale-targets"],
}

# A machine: its compiler, the compiler's options, and the command that runs its programs.  arm has newlib: software
# floating point with the full and the nano library, and hardware floating point.
MACHINES = {
    "host": ("gcc", [], []),
    "arm": ("arm-none-eabi-gcc", "-march=armv7-a -mthumb -mfloat-abi=soft --specs=rdimon.specs".split(), ["qemu-arm"]),
    "arm-nano": ("arm-none-eabi-gcc", "-march=armv5te -marm -mfloat-abi=soft --specs=nano.specs --specs=rdimon.specs".split(),
                 ["qemu-arm"]),
    "arm-vfp": ("arm-none-eabi-gcc", "-march=armv7-a+vfpv4 -mfloat-abi=hard --specs=rdimon.specs".split(), ["qemu-arm"]),
    "riscv64": ("riscv64-linux-gnu-gcc", ["-static"], ["qemu-riscv64"]),
    "aarch64": ("aarch64-linux-gnu-gcc", ["-static"], ["qemu-aarch64"]),
}
# Microcontrollers: the files are only compiled.
CONTROLLERS = {
    "cortex-m0": ("arm-none-eabi-gcc", "-mcpu=cortex-m0 -mthumb".split(), []),
    "cortex-m4f": ("arm-none-eabi-gcc", "-mcpu=cortex-m4 -mthumb -mfpu=fpv4-sp-d16 -mfloat-abi=hard".split(), []),
}


def machine(name):
    """The compiler with its options, and the command that runs its programs. Skips the test if one is missing."""
    compiler, options, runner = (MACHINES | CONTROLLERS)[name]
    for program in [compiler, *runner]:
        if not shutil.which(program):
            pytest.skip(f"{program} is missing; install it with scripts/setup --interop")
    return [compiler, *OPTIONS, *options], runner


@pytest.fixture(scope="module", params=["float32", "float64"])
def networks(request, tmp_path_factory):
    """A folder with the source and header of each network of NETWORKS."""
    folder = tmp_path_factory.mktemp(request.param)
    with open(folder / "table.csv", "w") as table:
        print("a,b,y", file=table)
        for a in range(20):
            print(f"{a / 7:.3f},{a * a % 11},{3000 + 100 * a}", file=table)
    for name, options in NETWORKS.items():
        data = folder / options[0] if options[0].endswith(".csv") else options[0]
        chainrule("train", data, *options[1:], "--scalar", request.param, "--epochs", 2, "--quiet", "--save", folder / "model")
        chainrule("export", folder / "model", "--to", "c", "--name", f"net_{name}", "--output", folder / f"{name}.c", "--header-file",
                  folder / f"{name}.h")
    return folder


@pytest.mark.parametrize("name", MACHINES)
def test_self_tests_pass_on_other_machines(networks, tmp_path, name):
    compile, runner = machine(name)
    for network in NETWORKS:
        # -O0 once, where functions are called instead of inlined.
        level = "-O0" if network == "tanh" else "-O2"
        subprocess.run([*compile, level, "-DCHAINRULE_SELF_TEST", networks / f"{network}.c", "-lm", "-o", tmp_path / "program"],
                       check=True)
        report = subprocess.run([*runner, tmp_path / "program"], capture_output=True, text=True)
        assert re.fullmatch(rf"net_{network}: (\d+) of \1 outputs are the model's\n", report.stdout), (network, report.stdout)
        assert report.returncode == 0


@pytest.mark.parametrize("name", ["arm", "arm-nano"])
def test_the_library_has_no_exact_fma(networks, tmp_path, name):
    """The reason for the file's own fma: with newlib's the outputs differ, and the self-test prints their bits."""
    compile, runner = machine(name)
    if "float32" in networks.name:
        pytest.skip("newlib's fmaf is exact for these numbers")
    subprocess.run([*compile, "-O2", "-DCHAINRULE_SELF_TEST", "-DCHAINRULE_OWN_FMA=0", networks / "gelu.c", "-lm", "-o",
                    tmp_path / "program"], check=True)
    report = subprocess.run([*runner, tmp_path / "program"], capture_output=True, text=True)
    assert report.returncode == 1
    found = re.match(r"row 1, outputs\[0\]: the bits are 0x([0-9a-f]{16}), expected 0x([0-9a-f]{16})\n", report.stdout)
    assert found and found[1] != found[2], report.stdout


# ---- The header ------------------------------------------------------------------------------------

LANGUAGES = {"C": ["gcc", "-x", "c", "-std=c99"], "C++": ["g++", "-x", "c++", "-std=c++17"]}


@pytest.mark.parametrize("of_program", LANGUAGES)
@pytest.mark.parametrize("of_source", LANGUAGES)
def test_the_header_serves_c_and_cpp(networks, tmp_path, of_source, of_program):
    if not (shutil.which("gcc") and shutil.which("g++")):
        pytest.skip("gcc or g++ is missing")
    real = "float" if "float32" in networks.name else "double"
    (tmp_path / "main").write_text(
        f'#include "gelu.h"\n#include "gelu.h"\nint main(void) {{\n  {real} inputs[4] = {{1, 2, 3, 4}}, outputs[3];\n'
        "  net_gelu(inputs, outputs);\n  return outputs[0] >= 0 ? 0 : 1;\n}\n")
    header = networks / "gelu.h"
    subprocess.run([*LANGUAGES[of_source], *WARNINGS, "-include", header, "-c", networks / "gelu.c", "-o", tmp_path / "net.o"],
                   check=True)
    subprocess.run([*LANGUAGES[of_program], *WARNINGS, "-I", networks, "-c", tmp_path / "main", "-o", tmp_path / "main.o"],
                   check=True)
    subprocess.run(["gcc", tmp_path / "main.o", tmp_path / "net.o", "-lm", "-o", tmp_path / "program"], check=True)
    subprocess.run([tmp_path / "program"], check=True)


# ---- Stack and flash -------------------------------------------------------------------------------


def deepest(listing, function):
    """The stack bytes of the deepest chain of calls, from the graph of gcc's -fcallgraph-info=su.  Frames of functions in other
    files are unknown and count 0."""
    nodes = re.findall(r'node: \{ title: "([^"]*)" label: "([^"]*)"', listing)
    frames = {name: int(frame[1]) for name, label in nodes if (frame := re.search(r"(\d+) bytes", label))}
    calls = {}
    for caller, callee in re.findall(r'edge: \{ sourcename: "([^"]*)" targetname: "([^"]*)"', listing):
        calls.setdefault(caller, []).append(callee)

    def depth(name):
        return frames.get(name, 0) + max(map(depth, calls.get(name, [])), default=0)

    assert function in frames
    return depth(function)


@pytest.mark.parametrize("level", ["-O0", "-Os", "-O1", "-O2", "-O3", "-O3 -march=native", "-O2 -DCHAINRULE_OWN_FMA=1"])
@pytest.mark.parametrize("name", MACHINES | CONTROLLERS)
def test_the_comment_states_stack_and_flash(networks, tmp_path, name, level):
    compile, _ = machine(name)
    if "native" in level and name != "host":
        pytest.skip("only for the host")
    if "clang" in subprocess.run([compile[0], "--version"], capture_output=True, text=True).stdout:
        pytest.skip("only gcc writes the call graph")
    tools = compile[0].removesuffix("gcc")
    for network in ("gelu", "wide" if "native" in level else "blocks"):
        text = (networks / f"{network}.c").read_text()
        assert text[:text.index("inputs: ")].split("stack: ")[1] in (networks / f"{network}.h").read_text()
        stack, slow, buffers = map(int, re.search(r"stack: at most (\d+) bytes .*, (\d+) with -O0; (\d+) of them", text).groups())
        constants, code = map(int, re.search(r"flash: (\d+) bytes of constants, and at most (\d+) bytes of code", text).groups())
        subprocess.run([*compile, *level.split(), "-fcallgraph-info=su", "-c", networks / f"{network}.c", "-o", "net.o"], check=True,
                       cwd=tmp_path)
        listing = next(tmp_path.glob("*.ci")).read_text()
        depth = deepest(listing, f"net_{network}")
        assert depth <= (slow if level == "-O0" else stack), network
        assert buffers <= depth or level not in ("-O0", "-Os"), network  # Small buffers may be in registers.

        rows = subprocess.run([tools + "size", "net.o"], check=True, capture_output=True, text=True, cwd=tmp_path).stdout
        flash, data, bss = map(int, rows.splitlines()[1].split()[:3])
        assert (data, bss) == (0, 0), network  # Everything can be in flash.
        if level in ("-Os", "-O2"):
            assert constants / 2 < flash <= constants + code, network
        if level == "-O0":  # No constant is part of the code.
            symbols = subprocess.run([tools + "nm", "-S", "net.o"], check=True, capture_output=True, text=True, cwd=tmp_path).stdout
            sizes = [int(line.split()[1], 16) for line in symbols.splitlines() if re.search(" [rR] cr_", line)]
            assert sum(sizes) == constants, network
