"""ONNX's own backend tests through `chainrule import`: each case gives its expected outputs or is refused.

onnx_backend.json lists the outcomes; `pytest Tests/interop --regenerate` writes it.  The first input of a case is the rows; the
others, which are operands, become constants.  Cases whose rows are not numbers of at least two dimensions are skipped.
"""

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.backend.test.loader import load_model_tests

from program import CHAINRULE, predict

LIST = Path(__file__).parent / "onnx_backend.json"
KINDS = ("node", "simple", "pytorch-converted", "pytorch-operator")
LARGEST = 20_000  # numbers in the rows


def tensors(folder, kind):
    """The inputs or outputs of a data set in files; None for a value that is not a tensor."""
    values = []
    while (path := folder / f"{kind}_{len(values)}.pb").exists():
        tensor = onnx.TensorProto()
        try:
            tensor.ParseFromString(path.read_bytes())
            values.append(numpy_helper.to_array(tensor))
        except Exception:
            values.append(None)
    return values


def contents(case):
    """The model, inputs and outputs of a case."""
    if case.model_dir is None:
        inputs, outputs = [
            [np.asarray(value) if isinstance(value, (np.ndarray, np.generic)) else None for value in values]
            for values in case.data_sets[0]
        ]
        return case.model, inputs, outputs
    data = Path(case.model_dir) / "test_data_set_0"
    return onnx.load(Path(case.model_dir) / "model.onnx"), tensors(data, "input"), tensors(data, "output")


def outcome(case, folder):
    """"imported", the reason of a refusal, or None for a case without rows."""
    model, inputs, outputs = contents(case)
    names = [i.name for i in model.graph.input if i.name not in {t.name for t in model.graph.initializer}]
    if not inputs or not outputs or any(value is None for value in [*inputs, *outputs]):
        return None
    x, expected = inputs[0], outputs[0]
    numbers = x.dtype.kind in "fiu" and expected.dtype.kind == "f"
    if not numbers or x.ndim < 2 or not 0 < x.size <= LARGEST or len(names) < len(inputs):
        return None
    for name, value in list(zip(names, inputs))[1:]:
        model.graph.initializer.append(numpy_helper.from_array(value, name))
        model.graph.input.remove(next(i for i in model.graph.input if i.name == name))
    path, saved = folder / f"{case.name}.onnx", folder / f"{case.name}.safetensors"
    path.write_bytes(model.SerializeToString())
    output = ["--output-name", model.graph.output[0].name] if len(model.graph.output) > 1 else []
    run = subprocess.run([CHAINRULE, "import", path, "--save", saved, *output], capture_output=True, text=True)
    if run.returncode:
        assert run.returncode == 65, f"{case.name}: {run.stderr}"
        return run.stderr.strip().removeprefix(f"chainrule: {path}: ")

    rows = x.reshape(len(x), -1)
    found = predict(saved, rows if rows.dtype.kind == "f" else rows.astype(np.int64))
    if any(node.op_type == "LogSoftmax" for node in model.graph.node):
        expected = np.exp(expected)  # the model gives probabilities for LogSoftmax
    expected = expected.reshape(len(x), -1)
    tolerance = (2e-3 if x.dtype == np.float16 else 2e-6) * max(1, np.abs(expected).max())
    assert found.shape == expected.shape and np.abs(found - expected).max() <= tolerance, case.name
    return "imported"


def test_each_case_is_imported_or_refused_as_listed(tmp_path, request):
    cases = [case for kind in KINDS for case in load_model_tests(kind=kind)]
    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(lambda case: outcome(case, tmp_path), cases))
    found = {case.name: outcome for case, outcome in zip(cases, outcomes) if outcome}
    if request.config.getoption("--regenerate"):
        LIST.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    listed = json.loads(LIST.read_text())
    assert {name: (listed.get(name), found.get(name)) for name in listed | found if listed.get(name) != found.get(name)} == {}
