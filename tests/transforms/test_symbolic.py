"""Families on symbolic tensors: nodes of functional models that can be saved."""

import keras
import numpy as np
import pytest

from keras_stn import transforms
from tests.backend import to_numpy
from tests.layers.models import Shift

FAMILIES = [
    *map(transforms.get, ("affine", "similarity", "projective", "thin_plate_spline")),
    transforms.Rotation((5, 7)),
    transforms.Displacement(3, units="pixels", extent=(5, 7)),
    transforms.Diffeomorphic(3, squarings=2),
    Shift(0.5),
]


def thetas(family):
    rng = np.random.default_rng(0)
    values = family.identity() + rng.normal(0, 0.1, (2, family.num_params()))
    return keras.ops.convert_to_tensor(values.astype("float32"))


@pytest.mark.parametrize("family", FAMILIES, ids=repr)
def test_grid_and_points_are_nodes(family, tmp_path):
    theta, points = keras.Input((family.num_params(),)), keras.Input((4, 2))
    outputs = [
        family.grid(theta, (5, 7), align_corners=False),
        family.transform_points(theta, points),
    ]
    assert [tuple(output.shape) for output in outputs] == [(None, 5, 7, 2), (None, 4, 2)]
    model = keras.Model([theta, points], outputs)
    values = thetas(family)
    targets = np.random.default_rng(1).uniform(-1, 1, (2, 4, 2)).astype("float32")
    targets = keras.ops.convert_to_tensor(targets)
    wanted = [family.grid(values, (5, 7), align_corners=False)]
    wanted.append(family.transform_points(values, targets))
    model.save(tmp_path / "model.keras")
    for made in (model, keras.saving.load_model(tmp_path / "model.keras")):
        for found, expected in zip(made([values, targets]), wanted, strict=True):
            np.testing.assert_allclose(to_numpy(found), to_numpy(expected), atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES[:3], ids=repr)
def test_matrices_inverses_and_compositions_are_nodes(family):
    theta = keras.Input((family.num_params(),))
    outputs = [family.matrix(theta), family.inverse(theta), family.compose(theta, theta)]
    model = keras.Model(theta, outputs)
    values = thetas(family)
    wanted = [family.matrix(values), family.inverse(values), family.compose(values, values)]
    for output, found, expected in zip(outputs, model(values), wanted, strict=True):
        np.testing.assert_allclose(to_numpy(found), to_numpy(expected), atol=1e-6)
        assert tuple(output.shape)[1:] == tuple(found.shape)[1:]
