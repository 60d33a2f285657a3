"""Methods of families on symbolic tensors: nodes of functional models that can be saved."""

import keras
import numpy as np
import pytest

from keras_stn import ops, transforms
from tests.backend import to_numpy
from tests.layers.models import Shift

FAMILIES = [
    *map(transforms.get, ("affine", "similarity", "projective", "thin_plate_spline")),
    transforms.Rotation((5, 7)),
    transforms.Displacement(3, units="pixels", extent=(5, 7)),
    transforms.Diffeomorphic(3, squarings=2),
    Shift(0.5),  # a user's own
]
every_family = pytest.mark.parametrize("family", FAMILIES, ids=repr)


def methods(family, theta, points, boxes):
    """What each method of a family makes, the arguments by position and by keyword."""
    made = [
        family.grid(theta, (5, 7), align_corners=False),
        family.grid(theta=theta, output_size=np.array([5, 7])),
        family.transform_points(theta, points),
        family.transform_points(theta, points=points),
        family.transform_boxes(theta, boxes),
        family.transform_boxes(boxes=boxes, theta=theta),
    ]
    if hasattr(family, "parts") or isinstance(family, transforms.Projective):
        made += [family.matrix(theta), family.inverse(theta=theta)]
        made += [family.compose(theta, theta), family.compose(theta, inner=theta)]
    return made


def values(family, batch=2, seed=0):
    rng = np.random.default_rng(seed)
    theta = family.identity() + rng.normal(0, 0.1, (batch, family.num_params()))
    places = rng.uniform(-1, 1, (batch, 4, 2)), rng.uniform(-1, 1, (batch, 5, 4))
    return [keras.ops.convert_to_tensor(x.astype("float32")) for x in (theta, *places)]


@every_family
def test_every_method_is_a_node(family, tmp_path):
    inputs = [keras.Input(x.shape[1:]) for x in values(family)]
    outputs = methods(family, *inputs)
    given = values(family)
    wanted = methods(family, *given)
    for output, expected in zip(outputs, wanted, strict=True):
        assert tuple(output.shape) == (None, *expected.shape[1:])
        assert output.dtype == keras.backend.standardize_dtype(expected.dtype)
    model = keras.Model(inputs, outputs)
    model.save(tmp_path / "model.keras")
    for made in (model, keras.saving.load_model(tmp_path / "model.keras")):
        for found, expected in zip(made(given), wanted, strict=True):
            np.testing.assert_allclose(to_numpy(found), to_numpy(expected), atol=1e-6)


def test_a_model_of_boxes_predicts():
    theta, boxes = keras.Input((6,)), keras.Input((None, 4))
    model = keras.Model([theta, boxes], transforms.Affine().transform_boxes(theta, boxes))
    assert tuple(model.output.shape) == (None, None, 4)
    thetas, _, places = values(transforms.Affine(), batch=5)
    wanted = transforms.Affine().transform_boxes(thetas, places)
    found = model.predict([to_numpy(thetas), to_numpy(places)], batch_size=2, verbose=0)
    np.testing.assert_allclose(found, to_numpy(wanted), atol=1e-6)


def test_matrices_stay_matrices_in_the_model():
    affine, matrices = transforms.Affine(), keras.Input((2, 3))
    outputs = [affine.inverse(matrices), affine.compose(matrices, matrices)]
    assert [tuple(output.shape) for output in outputs] == [(None, 6), (None, 6)]
    theta = to_numpy(values(affine)[0]).reshape(2, 2, 3)
    found = keras.Model(matrices, outputs)(theta)
    np.testing.assert_allclose(to_numpy(found[0]), to_numpy(affine.inverse(theta)), atol=1e-6)


def test_real_points_beside_a_symbolic_theta(tmp_path):
    points = np.array([[[0.5, 0.25], [-1, 1]]], "float32")
    theta = keras.Input((2,))
    model = keras.Model(theta, transforms.Translation().transform_points(theta, points))
    model.save(tmp_path / "model.keras")
    shifts = np.array([[1, 0], [0, 2], [3, 3]], "float32")
    for made in (model, keras.saving.load_model(tmp_path / "model.keras")):
        np.testing.assert_array_equal(to_numpy(made(shifts)), shifts[:, None] + points)


def test_a_batch_that_one_input_knows():
    theta, points = keras.Input((6,)), keras.Input(batch_shape=(8, 5, 2))
    moved = transforms.Affine().transform_points(theta, points)
    assert tuple(moved.shape) == (8, 5, 2)
    moved = transforms.Affine().transform_points(theta, np.zeros((8, 5, 2), "float32"))
    assert tuple(moved.shape) == (8, 5, 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: transforms.Similarity().matrix(keras.Input((5,))),
            r"`theta` must have shape \(batch, 4\) or \(batch, 7\) .*theta.shape=\(None, 5\)\.",
        ),
        (
            lambda: transforms.Affine().inverse(keras.Input((5,))),
            r"`theta` must have shape \(batch, 6\) .*theta.shape=\(None, 5\)\. Pass 6 numbers",
        ),
        (
            lambda: transforms.Affine().transform_points(keras.Input((6,)), keras.Input((2,))),
            r"`points` must have shape \(batch, N, 2\)\. Received: points.shape=\(None, 2\)\. Put",
        ),
        (
            lambda: transforms.Affine().grid(keras.Input((6,)), (None, None)),
            r"`output_size` must hold 2 or 3 positive integers.*\(None, None\)\. Pass",
        ),
        (
            lambda: ops.normalized_to_pixels(keras.Input((5, 3)), (4, 4)),
            r"`points` must have 2 coordinates.*points.shape=\(None, 5, 3\)\. Put \(x, y\)",
        ),
    ],
)
def test_errors_are_those_of_a_call(call, message):
    with pytest.raises(ValueError, match=rf"(?s)^{message}"):
        call()


def test_functions_are_nodes(tmp_path):
    points = keras.Input((None, 2))
    pixels = ops.normalized_to_pixels(points, image_size=np.array([5, 9]))
    model = keras.Model(points, [pixels, ops.pixels_to_normalized(pixels, (5, 9))])
    assert [tuple(output.shape) for output in model.outputs] == [(None, None, 2)] * 2
    model.save(tmp_path / "model.keras")
    given = np.array([[[-1, 0], [0.5, 1]]], "float32")
    for made in (model, keras.saving.load_model(tmp_path / "model.keras")):
        found, back = made(given)
        np.testing.assert_allclose(to_numpy(found), [[[0, 2], [6, 4]]], atol=1e-6)
        np.testing.assert_allclose(to_numpy(back), given, atol=1e-6)


def test_the_data_format_is_that_of_the_day(tmp_path):
    images, grid = keras.Input((4, 5, 3)), keras.Input((7, 2))
    model = keras.Model([images, grid], ops.grid_sample(images, grid))
    wanted = keras.config.image_data_format()
    model.save(tmp_path / "model.keras")
    keras.config.set_image_data_format("channels_first")
    try:
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        assert tuple(loaded([np.zeros((2, 4, 5, 3)), np.zeros((2, 7, 2))]).shape) == (2, 7, 3)
    finally:
        keras.config.set_image_data_format(wanted)
