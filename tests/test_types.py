"""Public names are annotated, and mypy finds the mistakes in a user's program."""

import importlib.util
import os
import re
import subprocess
import sys
import typing
from pathlib import Path

import pytest

from keras_stn import _types, transforms
from keras_stn.ops import sampling
from keras_stn.transforms import fields
from tests import public_api

ROOT = Path(__file__).parents[1]

# Mistakes end in a comment with mypy's code for them.
PROGRAM = '''
from typing import Any, assert_type

import keras
import numpy as np
from numpy.typing import NDArray

import keras_stn
from keras_stn import SpatialTransformer, callbacks, ops, regularizers, transforms, visualization

images = np.zeros((2, 8, 8, 1), "float32")
theta = np.zeros((2, 6), "float32")

# Whatever has a shape is a tensor; nested lists are, too; a size is anything like an integer.
grid = ops.affine_grid(theta, (4, 4))
ops.affine_grid(keras.Input((6,)), np.shape(images)[1:3], align_corners=False)
ops.affine_grid([[1.0, 0, 0, 0, 1, 0]], [np.int64(4), keras.ops.shape(images)[1]])
ops.identity_grid(np.array([4, 4]))
ops.normalized_to_pixels([[0.0, 0.5]], image_size=(4, 4))
ops.affine_grid("identity", (4, 4))  # arg-type
ops.affine_grid(theta, 4)  # arg-type
ops.affine_grid(theta, (4.0, 4.0))  # arg-type
ops.affine_grid(theta, (4, 4), True)  # call-arg
ops.affine_grid(theta)  # call-arg
ops.identity_grid(None)  # arg-type

ops.grid_sample(images, grid, interpolation="bicubic", fill_mode="reflect", data_format=None)
ops.grid_sample(images, grid, interpolation="cubic")  # arg-type
ops.grid_sample(images, grid, fill_mode="zeros")  # arg-type
ops.grid_sample(images, grid, data_format="NHWC")  # arg-type
ops.grid_sample(images, grid, fill_value="black")  # arg-type
ops.grid_sample(images, grid, padding_mode="zeros")  # call-arg
ops.grid_sample(images)  # call-arg

# Decorated methods keep their signatures.
affine = transforms.Affine()
assert_type(affine.identity(), NDArray[np.float32])
assert_type(affine.num_params(ndim=3), int)
assert_type(affine.get_config(), dict[str, Any])
affine.grid(affine.compose(theta, affine.inverse(theta)), output_size=(4, 4))
affine.transform_points(theta, points=np.zeros((2, 5, 2)))
affine.transform_points(theta, np.zeros((2, 5, 2)), align_corners=True)  # call-arg
affine.transform_boxes(theta)  # call-arg
affine.grid(theta, "image")  # arg-type

flow = transforms.Displacement(units="pixels")
assert_type(flow.with_extent((31.0, 63)), transforms.Displacement)
flow.grid(np.zeros((1, 4, 4, 2)))
flow.transform_points(np.zeros((1, 4, 4, 2)), np.zeros((1, 5, 2)), align_corners=False)
transforms.Displacement(units="voxels")  # arg-type
transforms.Diffeomorphic(control_points="many")  # arg-type
assert_type(transforms.get("similarity"), transforms.Transform)
assert_type(transforms.get(transforms.serialize(flow)), transforms.Transform)
transforms.get("afine")  # arg-type
low, high = transforms.named_bounds(affine, zoom=2, shift=0.5)
assert_type(low, NDArray[np.float64])
transforms.named_bounds(affine, zoom="twice")  # arg-type


class Shear(transforms.Transform):
    """A family of the user's own."""

    def num_params(self, ndim: int = 2) -> int:
        return 1


layer = SpatialTransformer(keras.layers.Flatten(), Shear(), output_size=(4, 4), name="stn")
SpatialTransformer(transform="rotation", bounds={"rotation": 0.5})
SpatialTransformer(theta_regularizer=[regularizers.LogScale(), "l2"], bounds=(-1.0, 1.0))
SpatialTransformer(fill_mode="zeros")  # arg-type
SpatialTransformer(transform="rigid")  # arg-type
SpatialTransformer(bounds="wide")  # arg-type
keras_stn.GridSampler(interpolation="cubic")  # arg-type
keras_stn.BilinearSampler(fill_mode="border")  # arg-type
keras_stn.AffineGridGenerator("large")  # arg-type
regularizers.BendingEnergy(transform="splines")  # arg-type

monitor = callbacks.LocalizerMonitor({"left": images}, patience=1)
assert_type(monitor.reports[0]["stn"].gradient, float | None)
callbacks.LocalizerMonitor(images, patience="long")  # arg-type
gallery = callbacks.TransformerGallery([images], "pictures", animation=None)
callbacks.TransformerGallery(images, 3)  # arg-type
visualization.plot_transforms(images, grid, images, titles=["a", "b"]).savefig("a.png")
visualization.plot_sampling_grid(images, grid, lines="all")  # arg-type
visualization.animate_theta(images, theta, transform="affine", interpolation="linear")  # arg-type
'''


def without_annotations(signature):
    """The parameters, and "return", that have none."""
    found = [p.name for p in signature.parameters.values() if p.annotation is p.empty]
    return found + ["return"] * (signature.return_annotation is signature.empty)


def test_every_public_name_is_annotated():
    bare = {path: without_annotations(found) for path, found in public_api.signatures()}
    # Its constructor is Python's.
    assert bare.pop("keras_stn.callbacks.LocalizerWarning") == ["args", "kwargs", "return"]
    assert len(bare) > 150
    assert {path: names for path, names in bare.items() if names} == {}


@pytest.mark.parametrize(
    ("literal", "values"),
    [
        (_types.Interpolation, sampling.INTERPOLATIONS),
        (_types.FillMode, sampling.FILL_MODES),
        (_types.DataFormat, sampling.DATA_FORMATS),
        (_types.Units, fields.UNITS),
        (_types.Family, transforms._FAMILIES),
    ],
)
def test_types_of_modes_have_all_values(literal, values):
    assert typing.get_args(literal) == tuple(values)


@pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="mypy is not installed")
def test_mypy_passes_and_finds_the_mistakes_of_a_user(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")
    config = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *config, "-p", "keras_stn", "-m", "program"],
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    found = re.findall(r"^(.+):(\d+): error: .*  \[(.+)\]$", done.stdout, re.MULTILINE)
    lines = [line.partition("  # ") for line in PROGRAM.splitlines()]
    wanted = [("program.py", str(i), code) for i, (_, _, code) in enumerate(lines, 1) if code]
    assert found == wanted, done.stdout + done.stderr
