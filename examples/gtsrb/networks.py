"""What the configurations are built of: classifiers, localization networks, and small parts.

Everything here takes and returns Keras tensors; images are floats in [0, 1], channels last.
"""

from __future__ import annotations

import keras
from keras import layers

from gtsrb.archives import NUM_CLASSES
from gtsrb.normalization import LocalContrastNormalization, Standardization
from keras_stn import SpatialTransformer

CHANNELS_LAST = {"data_format": "channels_last"}

# Keras's default of 0.99 remembers the last few hundred steps: with 136 steps an epoch, evaluation
# would run on statistics of a network that no longer exists.
BATCH_NORM_MOMENTUM = 0.9


def transformed(images, network, name="spatial_transformer", **arguments):
    """Images as a spatial transformer passes them on.

    Args:
        images: Images, or the pair of images to look at and the source to crop.
        network: The localization network.
        name: str.
        **arguments: Of `keras_stn.SpatialTransformer`.
    """
    # The article's head and fill: the recipe of docs/gtsrb.md was found with them.
    options = {"normalize_features": False, "fill_mode": "constant", **CHANNELS_LAST, **arguments}
    # Theta is asked for so that the model has it among its tensors: `models.Look` reads it there.
    warped, _ = SpatialTransformer(network, name=name, **options)(images, return_theta=True)
    return warped


def idsia_classifier(images):
    """Logits (batch, 43) of the article's IDSIA network with multi-scale features."""
    x, scales = images, []
    side = images.shape[1]
    for filters, kernel in ((100, 7), (150, 5), (250, 5)):
        x = layers.Conv2D(filters, kernel, padding="same", **CHANNELS_LAST)(x)
        x = layers.Activation("relu")(batch_norm()(x))
        x = layers.MaxPooling2D(2, **CHANNELS_LAST)(x)
        side //= 2
        scales.append(layers.MaxPooling2D(side // 2, **CHANNELS_LAST)(x))
    x = layers.Concatenate()([layers.Flatten()(scale) for scale in scales])
    x = layers.Dense(300)(x)
    x = layers.Activation("relu")(batch_norm()(x))
    x = dropout(0.7)(x)
    x = batch_norm(name="batch_norm_logits")(layers.Dense(NUM_CLASSES)(x))
    return logits(x)


def article_localizer(shape):
    """The article's localization network: features (batch, 100) of images of `shape`."""
    images = keras.Input(shape)
    x = layers.MaxPooling2D(2, **CHANNELS_LAST)(images)
    x = layers.Conv2D(100, 5, padding="same", activation="relu", **CHANNELS_LAST)(x)
    fine = layers.MaxPooling2D(2, **CHANNELS_LAST)(batch_norm()(x))
    x = layers.Conv2D(200, 5, padding="same", **CHANNELS_LAST)(fine)
    x = layers.Activation("relu")(batch_norm()(x))
    coarse = layers.MaxPooling2D(2, **CHANNELS_LAST)(x)
    scales = [
        layers.MaxPooling2D(4, **CHANNELS_LAST)(fine),
        layers.MaxPooling2D(2, **CHANNELS_LAST)(coarse),
    ]
    x = layers.Concatenate()([layers.Flatten()(scale) for scale in scales])
    x = layers.Activation("relu")(batch_norm()(layers.Dense(100)(x)))
    return keras.Model(images, dropout(0.1)(x), name="localization_network")


def constant_localizer(shape):
    """Zero for every image: the head can only learn its bias, one theta for all of them."""
    return keras.Sequential(
        [
            keras.Input(shape),
            layers.GlobalAveragePooling2D(**CHANNELS_LAST),
            layers.Rescaling(0.0),
        ],
        name="constant_features",
    )


def convolutional_localizer(shape, first, second, units):
    """The localization network of Moodstocks and Arcos-García: features (batch, units)."""
    return keras.Sequential(
        [
            keras.Input(shape),
            layers.MaxPooling2D(2, **CHANNELS_LAST),
            *_padded_convolution(first, 5),
            layers.MaxPooling2D(2, **CHANNELS_LAST),
            *_padded_convolution(second, 5),
            layers.MaxPooling2D(2, **CHANNELS_LAST),
            layers.Flatten(),
            layers.Dense(units, activation="relu"),
        ]
    )


def convolutional_classifier(images, stages, units):
    """Logits (batch, 43) of Moodstocks' network, with transformers between its convolutions.

    Args:
        images: The images.
        stages: For each convolution (filters, kernel, localizer): the spatial transformer in front
            of it, as the three numbers of `convolutional_localizer`, or None for none.
        units: int, the width of the dense layer.
    """
    x = LocalContrastNormalization()(images)
    for i, (filters, kernel, localizer) in enumerate(stages):
        if localizer is not None:
            name = "spatial_transformer" + ("" if i == 0 else f"_{i}")
            network = convolutional_localizer(x.shape[1:], *localizer)
            # With a plain head, the first steps of plain SGD throw three transformers out of the
            # images for good (docs/gtsrb-results.md).
            x = transformed(x, network, name, normalize_features=True)
        for layer in _padded_convolution(filters, kernel):
            x = layer(x)
        x = layers.MaxPooling2D(2, **CHANNELS_LAST)(x)
        x = LocalContrastNormalization()(x)
    x = layers.Dense(units, activation="relu")(layers.Flatten()(x))
    return logits(layers.Dense(NUM_CLASSES)(x))


def compact_localizer(shape):
    """Features (batch, 64) of thumbnails, for a hundredth of the article's arithmetic."""
    images = keras.Input(shape)
    x = Standardization()(images)
    for filters in (32, 64, 128):
        x = _normalized_convolution(x, filters, 3, strides=2)
    x = layers.Dense(64, use_bias=False)(layers.Flatten()(x))
    x = layers.Activation("relu")(batch_norm()(x))
    return keras.Model(images, x, name="localization_network")


def compact_classifier(images):
    """Logits (batch, 43) of a small network that sees each image in its own light, at 3 scales."""
    x = _normalized_convolution(Standardization()(images), 32, 5)
    x = layers.MaxPooling2D(2, **CHANNELS_LAST)(x)
    x = _normalized_convolution(_normalized_convolution(x, 64, 3), 64, 3)
    x = fine = layers.MaxPooling2D(2, **CHANNELS_LAST)(x)
    x = _normalized_convolution(_normalized_convolution(x, 128, 3), 128, 3)
    x = middle = layers.MaxPooling2D(2, **CHANNELS_LAST)(x)
    x = _normalized_convolution(x, 256, 3)
    coarse = layers.MaxPooling2D(2, **CHANNELS_LAST)(x)
    scales = [
        layers.Flatten()(coarse),
        layers.Flatten()(layers.MaxPooling2D(2, **CHANNELS_LAST)(middle)),
        layers.GlobalMaxPooling2D(**CHANNELS_LAST)(fine),
    ]
    x = dropout(0.5)(layers.Concatenate()(scales))
    x = layers.Activation("relu")(batch_norm()(layers.Dense(256, use_bias=False)(x)))
    return logits(layers.Dense(NUM_CLASSES)(dropout(0.5)(x)))


def logits(x):
    """`x` in float32, also under mixed precision: a loss is no place to save bits."""
    return layers.Activation("linear", dtype="float32", name="logits")(x)


def batch_norm(name=None):
    """Batch normalization that follows the network closely enough to evaluate every epoch."""
    return layers.BatchNormalization(momentum=BATCH_NORM_MOMENTUM, name=name)


def dropout(rate):
    """Dropout that a resumed run can repeat."""
    # Without a seed of its own the layer draws from the backend's global generator, which cannot
    # be put back when a run is resumed; `callbacks.RandomSeeds` sets this one anew every epoch.
    return layers.Dropout(rate, seed=0)


def _normalized_convolution(x, filters, kernel, strides=1):
    x = layers.Conv2D(filters, kernel, strides, padding="same", use_bias=False, **CHANNELS_LAST)(x)
    return layers.Activation("relu")(batch_norm()(x))


def _padded_convolution(filters, kernel):
    """A convolution with two pixels of zeros on every side, and its ReLU."""
    return [
        layers.ZeroPadding2D(2, **CHANNELS_LAST),
        layers.Conv2D(filters, kernel, activation="relu", **CHANNELS_LAST),
    ]
