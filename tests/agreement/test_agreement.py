"""All backends agree on values and gradients, eager, compiled and portable.

Starts one process a backend, so it is run once, not once a backend.
"""

import importlib.util
import itertools
import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest

from tests import reference
from tests.agreement.cases import CASES, OUTPUT_SIZES, inputs, name

ROOT = pathlib.Path(__file__).parents[2]
BACKENDS = [
    backend
    for backend in ("tensorflow", "jax", "torch")
    if importlib.util.find_spec(backend) is not None
]
TOLERANCE = {"values": 2e-5, "to_image": 1e-4, "to_theta": 5e-4}

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: name(*case))


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What each backend computed: {backend: {name of the result: array}}."""
    folder = tmp_path_factory.mktemp("agreement")
    processes = {}
    for backend in ["numpy", *BACKENDS]:
        environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
        command = [sys.executable, "-m", "tests.agreement.cases", str(folder / f"{backend}.npz")]
        processes[backend] = subprocess.Popen(
            command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True
        )
    for backend, process in processes.items():
        _, errors = process.communicate(timeout=600)
        assert process.returncode == 0, f"{backend}: {errors}"
    return {backend: dict(np.load(folder / f"{backend}.npz")) for backend in processes}


def collect(results, case, kind):
    """The results of one kind of all backends and variants, {"backend/variant": array}."""
    wanted = re.compile(rf"{name(*case)}/(\w+)/{kind}")
    return {
        f"{backend}/{match[1]}": array
        for backend, arrays in results.items()
        for key, array in arrays.items()
        if (match := wanted.fullmatch(key))
    }


@every_case
@pytest.mark.parametrize("kind", TOLERANCE)
def test_backends_agree(results, kind, case):
    found = collect(results, case, kind)
    # PyTorch computes twice, NumPy no gradient.
    assert len(found) == len(BACKENDS) + ("torch" in BACKENDS) + (kind == "values")
    for (one, a), (other, b) in itertools.combinations(found.items(), 2):
        np.testing.assert_allclose(
            a, b, rtol=TOLERANCE[kind], atol=TOLERANCE[kind], err_msg=f"{one} and {other}"
        )


@every_case
def test_they_agree_on_the_truth(results, case):
    ndim, fill_mode, align_corners = case
    image, theta, _ = inputs(ndim)
    grid = reference.affine_grid(theta, OUTPUT_SIZES[ndim], align_corners)
    expected = reference.grid_sample(
        image, grid, fill_mode=fill_mode, fill_value=0.25, align_corners=align_corners
    )
    for one, values in collect(results, case, "values").items():
        np.testing.assert_allclose(values, expected, rtol=2e-5, atol=2e-5, err_msg=one)


def test_no_two_cases_are_the_same(results):
    # Guards the comparisons: an option that is ignored would make two cases equal.
    for ndim in (2, 3):
        cases = [case for case in CASES if case[0] == ndim]
        values = [results["numpy"][f"{name(*case)}/eager/values"] for case in cases]
        for a, b in itertools.combinations(values, 2):
            assert np.abs(a - b).max() > 1e-2
