"""Errors: what was expected, what came, what to do."""

import re

import keras
import numpy as np
import pytest
from keras import layers

from keras_stn import AffineGridGenerator, BilinearSampler, GridSampler, SpatialTransformer
from keras_stn.transforms import Affine
from tests.layers.models import MeanFeatures, random_images

IMAGES = random_images(2, 8, 9, 1)
LAYERS = {"grid sampler": GridSampler, "spatial transformer": SpatialTransformer}


def sized(network, shape):
    """A spatial transformer built for images of `shape`."""
    return SpatialTransformer(network, data_format="channels_last").build(shape)


def sample(images_shape, grid_shape):
    return GridSampler(data_format="channels_last")(
        [np.zeros(images_shape, "float32"), np.zeros(grid_shape, "float32")]
    )


def generate(theta_shape, output_size=(4, 4)):
    return AffineGridGenerator(output_size)(np.zeros(theta_shape, "float32"))


TWO = layers.Lambda(lambda x: (x, x))
ERRORS = {
    # name: (call, expected, received, advice)
    "unbatched": (
        lambda: SpatialTransformer(data_format="channels_last")(IMAGES[0]),
        "`images` must have shape (batch, height, width, channels)",
        "images.shape=(8, 9, 1)",
        "images[None]",
    ),
    "grey": (
        lambda: SpatialTransformer(data_format="channels_first")(IMAGES[..., 0]),
        "`images` must have shape (batch, channels, height, width)",
        "images.shape=(2, 8, 9)",
        "images[..., None]",
    ),
    "empty": (
        lambda: SpatialTransformer(data_format="channels_last")(IMAGES[:, :0]),
        "no size 0",
        "images.shape=(2, 0, 9, 1)",
        "Add the missing axis",
    ),
    "list_of_images": (
        lambda: SpatialTransformer(data_format="channels_last")([IMAGES, IMAGES, IMAGES]),
        "`SpatialTransformer` must be called on images, or on the pair [images, source]",
        "3 inputs",
        "Pass one or two",
    ),
    "integers": (
        lambda: SpatialTransformer(data_format="channels_last")(np.ones((2, 8, 9, 1), "uint8")),
        "`images` must be floating point",
        "images.dtype=uint8",
        "Cast them",
    ),
    "integer_input": (
        lambda: SpatialTransformer(data_format="channels_last", interpolation="nearest")(
            keras.Input((8, 9, 1), dtype="int32")
        ),
        "`images` must be floating point",
        "images.dtype=int32",
        "Cast them",
    ),
    "size_of_a_volume": (
        lambda: SpatialTransformer(output_size=(3, 3, 3), data_format="channels_last")(IMAGES),
        "`output_size` must have as many axes as the images, 2",
        "output_size=(3, 3, 3), images.shape=(2, 8, 9, 1)",
        "Pass (height, width)",
    ),
    "function": (
        lambda: SpatialTransformer(lambda images: images),
        "`localization_network` must be a Keras layer or model",
        "localization_network=<function",
        "subclass of `keras.layers.Layer`",
    ),
    "class_not_instance": (
        lambda: SpatialTransformer(MeanFeatures),
        "`localization_network` must be a Keras layer or model",
        "localization_network=<class",
        "subclass of `keras.layers.Layer`",
    ),
    "features_of_unknown_size": (
        lambda: sized(layers.Flatten(), (None, None, None, 1)),
        "`localization_network` must return one tensor of features whose shape is known",
        "features=<KerasTensor shape=(None, None)",
        "global average pooling",
    ),
    "network_of_fixed_size": (
        lambda: sized(keras.Sequential([layers.Flatten(), layers.Dense(4)]), (None, None, None, 1)),
        "`localization_network` must take images of every size",
        "images.shape=(None, None, None, 1)",
        "layer that resizes",
    ),
    "two_features": (
        lambda: sized(TWO, (None, 8, 9, 1)),
        "`localization_network` must return one tensor",
        "features=(<KerasTensor",
        "End it with",
    ),
    "no_transforms": (
        lambda: SpatialTransformer(num_transforms=0),
        "`num_transforms` must be a positive integer",
        "num_transforms=0",
        "Pass 1",
    ),
    "half_a_transform": (
        lambda: SpatialTransformer(num_transforms=1.5),
        "`num_transforms` must be a positive integer",
        "num_transforms=1.5",
        "Pass 1",
    ),
    "unknown_family": (
        lambda: SpatialTransformer(transform="afine"),
        "`transform` must be one of 'translation'",
        "transform='afine'",
        "transform='affine'",
    ),
    "class_of_a_family": (
        lambda: SpatialTransformer(transform=Affine),
        "or an instance of `keras_stn.transforms.Transform`",
        "transform=<class",
        "transform='affine'",
    ),
    "no_pair": (
        lambda: GridSampler()(IMAGES),
        "`GridSampler` must be called on a list of two tensors, [images, grid]",
        "one tensor of shape (2, 8, 9, 1)",
        "Pass both in one list",
    ),
    "no_pair_symbolic": (
        lambda: BilinearSampler()(keras.Input((8, 9, 1))),
        "`BilinearSampler` must be called on a list of two tensors",
        "one tensor of shape (None, 8, 9, 1)",
        "Pass both in one list",
    ),
    "three": (
        lambda: GridSampler()([IMAGES, IMAGES, IMAGES]),
        "`GridSampler` must be called on a list of two tensors",
        "3 inputs of shape (2, 8, 9, 1), (2, 8, 9, 1), (2, 8, 9, 1)",
        "Pass both in one list",
    ),
    "batches": (
        lambda: sample((2, 8, 9, 1), (3, 4, 4, 2)),
        "`images` and `grid` must have the same batch size",
        "images.shape=(2, 8, 9, 1), grid.shape=(3, 4, 4, 2)",
        "Pass one grid for all images",
    ),
    "grid_of_a_volume": (
        lambda: sample((2, 8, 9, 1), (2, 4, 4, 3)),
        "`grid` must have shape (batch, ..., 2)",
        "grid.shape=(2, 4, 4, 3)",
        "(x, y)",
    ),
    "integers_between_pixels": (
        lambda: GridSampler()([IMAGES.astype("int32"), np.zeros((2, 4, 4, 2), "float32")]),
        "`images` must be floating point",
        "images.dtype=int32",
        "interpolation='nearest'",
    ),
    "theta_of_five": (
        lambda: generate((2, 5)),
        "`theta` must have shape (batch, 6) or (batch, 2, 3)",
        "theta.shape=(2, 5)",
        "6 units",
    ),
    "theta_of_an_image_for_a_volume": (
        lambda: generate((2, 6), (4, 4, 4)),
        "`theta` must have shape (batch, 12) or (batch, 3, 4)",
        "theta.shape=(2, 6)",
        "12 units",
    ),
    "theta_without_batch": (
        lambda: generate((6,)),
        "`theta` must have shape (batch, 6)",
        "theta.shape=(6,)",
        "6 units",
    ),
}


@pytest.mark.parametrize("case", ERRORS.values(), ids=ERRORS.keys())
def test_says_what_was_expected_what_came_and_what_to_do(case):
    call, *parts = case
    expected, received, advice = map(re.escape, parts)
    with pytest.raises(ValueError, match=rf"(?s){expected}.*Received: .*{received}.*{advice}"):
        call()


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS.keys())
@pytest.mark.parametrize(
    ("name", "value"),
    [("interpolation", "cubic"), ("fill_mode", "zeros"), ("data_format", "channels")],
)
def test_unknown_words(layer, name, value):
    wanted = rf"`{name}` must be one of '.*Received: {name}='{value}'.*Choose one"
    with pytest.raises(ValueError, match=wanted):
        layer(**{name: value})


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS.keys())
def test_fill_value_is_a_number(layer):
    wanted = r"`fill_value` must be a number.*Received: fill_value='0'.*Pass for example"
    with pytest.raises(ValueError, match=wanted):
        layer(fill_value="0")


@pytest.mark.parametrize(
    "output_size", [(0, 4), (-1, 4), (4.0, 4.0), (4,), (4, 4, 4, 4), 4, "44", (True, 4), None]
)
@pytest.mark.parametrize("layer", [AffineGridGenerator, SpatialTransformer])
def test_output_size_holds_positive_integers(layer, output_size):
    if layer is SpatialTransformer and output_size is None:
        assert SpatialTransformer(output_size=None).output_size is None
        return
    received = re.escape(f"Received: output_size={output_size!r}. Pass for example")
    wanted = rf"`output_size` must hold 2 or 3 positive integers.*{received}"
    with pytest.raises(ValueError, match=wanted):
        layer(output_size=output_size)


def test_a_network_keeps_its_own_errors():
    network = layers.Dense(4, name="own")
    network.build((None, 3))
    with pytest.raises(ValueError, match="incompatible with the layer: expected axis -1"):
        sized(network, (None, 8, 9, 1))
