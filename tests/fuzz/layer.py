"""`SpatialTransformer` with random arguments: shapes, the identity, finite values, and saving."""

import json

import keras
import numpy as np
from hypothesis import strategies as st

from keras_stn import SpatialTransformer, transforms
from tests import reference
from tests.backend import to_numpy, traced
from tests.fuzz.inputs import assert_within, channels_last, seeds, special, ties
from tests.layers.models import MeanFeatures
from tests.ops.inputs import move_channels
from tests.transforms.cases import CASES

SIZES = {2: [(1, 1), (5, 7), (6, 1)], 3: [(3, 4, 5), (1, 2, 3)]}
OUTPUT_SIZES = {2: [None, (4, 3), (1, 1)], 3: [None, (2, 3, 2)]}
CHANNELS = 2


def has(family, method):
    """Whether a family overrides a method of `Transform`."""
    return getattr(type(family), method) is not getattr(transforms.Transform, method)


@st.composite
def cases(draw):
    """Arguments of the layer, the images' sizes, numbers for the head's bias, and a seed."""
    family, ndim = draw(st.sampled_from(CASES))
    interpolation = draw(st.sampled_from(["bilinear", "bilinear", "bicubic", "nearest"]))
    num_transforms = draw(st.sampled_from([1, 1, 3]))
    composes = has(family, "compose") and num_transforms == 1
    bounds = [None, "default", {"shift": 0.5}, "pair"]
    arguments = {
        "transform": family,
        "output_size": draw(st.sampled_from(OUTPUT_SIZES[ndim])),
        "num_transforms": num_transforms,
        "num_looks": draw(st.sampled_from([1, 1, 2])) if composes else 1,
        "bounds": draw(st.sampled_from(bounds)),
        "normalize_features": draw(st.booleans()),
        "theta_gain": draw(st.sampled_from([1.0, 0.1])),
        "interpolation": interpolation,
        "fill_mode": draw(st.sampled_from(reference.FILL_MODES)),
        "fill_value": draw(st.sampled_from([0.0, -1.5])),
        "align_corners": draw(st.booleans()),
        "antialias": interpolation == "bilinear" and draw(st.booleans()),
        "theta_regularizer": draw(st.sampled_from([None, "l2"])),
        "data_format": draw(st.sampled_from(["channels_last", "channels_first"])),
    }
    own_network = draw(st.sampled_from([True, True, True, False]))
    sizes = draw(st.sampled_from(SIZES[ndim]))
    wild = draw(st.lists(special, max_size=4))
    return arguments, own_network, sizes, wild, draw(seeds)


def look(stn, images):
    """The warped images and theta, as arrays; NumPy warns of what overflows."""
    with np.errstate(all="ignore"):
        results = traced(lambda images: stn(images, return_theta=True))(images)
    return [to_numpy(result) for result in results]


def without_network(stn):
    """The configuration, but for the network's: that tells how it was built, too."""
    return {k: v for k, v in stn.get_config().items() if k != "localization_network"}


def check(case):
    """Raises where a promise of the layer does not hold."""
    arguments, own_network, sizes, wild, seed = case
    rng, data_format = np.random.default_rng(seed), arguments["data_format"]
    keras.utils.set_random_seed(seed)
    images = rng.normal(size=(2, *sizes, CHANNELS)).astype("float32")
    arrays = keras.ops.convert_to_tensor(move_channels(images, data_format))
    identity = np.tile(
        arguments["transform"].identity(len(sizes)), arguments["num_transforms"]
    ).reshape(-1, arguments["transform"].num_params(len(sizes)))
    if arguments["bounds"] == "pair":
        arguments = {
            **arguments,
            "bounds": [(identity[0] - 0.5).tolist(), (identity[0] + 1).tolist()],
        }
    network = MeanFeatures(4, data_format) if own_network else None
    stn = SpatialTransformer(network, **arguments)
    stn.build(tuple(arrays.shape))
    shapes = stn.compute_output_shape(arrays.shape, return_theta=True)
    warped, theta = look(stn, arrays)
    assert (warped.shape, theta.shape) == shapes
    check_identity(warped, theta, images, identity, arguments)

    for weight in stn.trainable_variables:
        weight.assign(weight + rng.normal(0, 0.3, weight.shape))
    bias = to_numpy(stn.head.bias).copy()
    for number in wild:
        bias[rng.integers(len(bias))] = number
    stn.head.bias.assign(bias)
    warped, theta = look(stn, arrays)
    assert (warped.shape, theta.shape) == shapes
    check_values(warped, theta, images, identity, arguments)

    config = json.dumps(keras.layers.serialize(stn))
    again = keras.layers.deserialize(json.loads(config))
    assert without_network(again) == without_network(stn)
    again.set_weights(stn.get_weights())
    for result, before in zip(look(again, arrays), (warped, theta), strict=True):
        np.testing.assert_array_equal(result, before)


def check_identity(warped, theta, images, identity, arguments):
    """A new layer passes the images through, resized."""
    np.testing.assert_allclose(
        theta.reshape(2, *identity.shape), np.stack([identity] * 2), atol=1e-6
    )
    if arguments["antialias"]:
        return
    sizes, align_corners = images.shape[1:-1], arguments["align_corners"]
    grid = reference.identity_grid(arguments["output_size"] or sizes, align_corners)
    clear = np.ones(grid.shape[:-1], bool)
    if arguments["interpolation"] == "nearest":
        clear = ~ties(grid, sizes, align_corners)
    options = ("interpolation", "fill_mode", "fill_value", "align_corners")
    expected = reference.grid_sample(
        images, np.stack([grid] * 2), **{name: arguments[name] for name in options}
    )
    warped = channels_last(warped, arguments["data_format"])
    crops = np.moveaxis(warped, 1, 0) if arguments["num_transforms"] > 1 else [warped]
    for crop in crops:
        np.testing.assert_allclose(crop[:, clear], expected[:, clear], atol=3e-4)


def check_values(warped, theta, images, identity, arguments):
    """Warped images within the range of what they are made of, and theta within its bounds."""
    assert np.isfinite(warped).all()
    if arguments["interpolation"] != "bicubic":
        fill_value = arguments["fill_value"] if arguments["fill_mode"] == "constant" else None
        assert_within(channels_last(warped, arguments["data_format"]), images, fill_value)
    if isinstance(arguments["bounds"], list) and arguments["num_looks"] == 1:
        low, high = np.array(arguments["bounds"])
        theta = theta.reshape(2, *identity.shape)
        outside = (theta < low - 1e-5) | (theta > high + 1e-5)
        assert not outside.any()
