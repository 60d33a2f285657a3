"""What the monitor warns of, and what not."""

import warnings

import keras
import numpy as np
import pytest
from keras import layers

from keras_stn import SpatialTransformer, callbacks
from keras_stn.callbacks.recording import spatial_transformers
from tests.callbacks.models import (
    IDENTITY,
    IMAGES,
    TARGETS,
    classifier,
    differing,
    spatial_transformer,
    watch,
)
from tests.layers.models import AFFINE


def test_a_healthy_localizer_is_left_in_peace():
    stn = spatial_transformer()
    model = classifier(stn)
    differing(stn)
    turned = [[0.9, 0.1, 0, -0.1, 0.9, 0.1], [0.8, 0.1, 0, -0.1, 0.8, 0.1]]
    _, texts = watch(model, callbacks.LocalizerMonitor(IMAGES, patience=1), *turned)
    assert texts == [[], []]


@pytest.mark.gradient
@pytest.mark.parametrize("patience", [1, 2])
def test_no_warning_after_the_first_steps_of_training(patience):
    model = classifier(spatial_transformer(), rate=0.05)
    monitor = callbacks.LocalizerMonitor(IMAGES, TARGETS, patience=patience)
    with warnings.catch_warnings():
        warnings.simplefilter("error", callbacks.LocalizerWarning)
        model.fit(IMAGES, TARGETS, batch_size=3, epochs=2, verbose=0, callbacks=[monitor])


@pytest.mark.gradient
def test_a_dead_network_is_noticed_in_training():
    # As in code that zeroes one kernel more than the head's: the bias of the head learns, and moves
    # theta for all images alike.
    network = keras.Sequential(
        [
            layers.Flatten(),
            layers.Dense(4, kernel_initializer="zeros", activation="relu"),
            layers.Dense(4, activation="relu"),
        ]
    )
    model = classifier(SpatialTransformer(network, data_format="channels_last"), rate=0.1)
    monitor = callbacks.LocalizerMonitor(IMAGES, TARGETS)
    text = "After epoch 2.* is dead: theta is the same for all images, and moves.*starts at zero"
    with pytest.warns(callbacks.LocalizerWarning, match=text):
        history = model.fit(IMAGES, TARGETS, epochs=2, verbose=0, callbacks=[monitor]).history
    assert history["stn_theta_spread"] == [0.0, 0.0]


def test_a_dead_localizer_after_the_patience_and_once():
    model = classifier(spatial_transformer())
    monitor = callbacks.LocalizerMonitor(IMAGES, patience=2)
    _, texts = watch(model, monitor, *[AFFINE] * 4)
    assert [len(t) for t in texts] == [0, 1, 0, 0]
    (name,) = spatial_transformers(model)
    start = f"After epoch 2, the localizer of `{name}` is dead: theta is the same for all images"
    assert texts[1][0].startswith(start + ", and it does not move. Look inside")


def test_it_is_told_again_after_it_recovered():
    stn = spatial_transformer()
    model = classifier(stn)
    point, whole = [0.01, 0, 0, 0, 0.01, 0], IDENTITY
    monitor = callbacks.LocalizerMonitor(IMAGES, patience=1)
    differing(stn, 1e-3)
    _, texts = watch(model, monitor, point, point, whole, point, point)
    assert [len(t) for t in texts] == [1, 0, 0, 1, 0]
    # A new training starts anew.
    _, texts = watch(model, monitor, point)
    assert [len(t) for t in texts] == [1]


ILL = {
    "point": (
        [0.05, 0, 0, 0, 0.05, 0],
        r"is collapsing: the crop has 0\.0025 of the image's .*Log",
    ),
    "line": ([1, 0, 0, 1, 0.002, 0], r"is collapsing: the crop has 0\.00\d+ of .* 1/16 a side"),
    "flipped point": ([-0.05, 0, 0, 0, 0.05, 0], r"is collapsing: .* less than 1/16 a side"),
    "blown up": ([20, 0, 0, 0, 20, 0], r"is collapsing: .* 4e\+02 times the image's area"),
    "left": ([0.5, 0, 2, 0, 0.5, 0], r"is leaving the image: the crop has 100% .*OutsideImage"),
    "nan": ([np.nan, 0, 0, 0, 1, 0], r"is not finite: theta is NaN or infinite.*clipnorm"),
    "infinite": ([1, 0, np.inf, 0, 1, 0], r"is not finite: theta is NaN or infinite"),
}


@pytest.mark.parametrize("name", ILL)
def test_ill_thetas(name):
    theta, match = ILL[name]
    stn = spatial_transformer()
    model = classifier(stn)
    differing(stn, 1e-4)
    _, (texts,) = watch(model, callbacks.LocalizerMonitor(IMAGES, patience=1), theta)
    assert len(texts) == 1
    with pytest.raises(AssertionError, match=match):
        raise AssertionError(texts[0])


@pytest.mark.parametrize("scale", [0.07, 15.0])
def test_the_zoom_is_one_of_sides(scale):
    stn = spatial_transformer()
    model = classifier(stn)
    differing(stn, 1e-4)
    monitor = callbacks.LocalizerMonitor(IMAGES, patience=1, max_outside=1.0)
    _, texts = watch(model, monitor, [scale, 0, 0, 0, scale, 0])
    assert texts == [[]]


def test_what_is_not_finite_is_told_at_once():
    model = classifier(spatial_transformer())
    _, texts = watch(model, callbacks.LocalizerMonitor(IMAGES, patience=5), *[[np.nan] * 6] * 2)
    assert [len(t) for t in texts] == [1, 0]


def test_limits_are_the_users():
    stn = spatial_transformer()
    model = classifier(stn)
    differing(stn, 1e-4)
    theta = [0.3, 0, 0.85, 0, 0.3, 0]  # a third of the image a side, a quarter of it outside
    for limits, kinds in [
        ({}, []),
        ({"max_zoom": 3}, ["collapsing"]),
        ({"max_outside": 0.1}, ["leaving the image"]),
    ]:
        monitor = callbacks.LocalizerMonitor(IMAGES, patience=1, **limits)
        _, (texts,) = watch(model, monitor, theta)
        assert [text.split(" is ", 1)[1].split(":")[0] for text in texts] == kinds


def test_of_several_crops_the_ill_one_is_named():
    stn = spatial_transformer(num_transforms=3)
    model = classifier(stn)
    differing(stn, 1e-4)
    theta = [*IDENTITY, 0.02, 0, 0, 0, 0.02, 0, *IDENTITY]
    _, (texts,) = watch(model, callbacks.LocalizerMonitor(IMAGES, patience=1), theta)
    assert len(texts) == 1
    assert "is collapsing: crop 1 (of 0 to 2) has 0.000" in texts[0]
    theta = [*theta[6:12], *IDENTITY, *theta[6:12]]
    _, (texts,) = watch(model, callbacks.LocalizerMonitor(IMAGES, patience=1), theta)
    assert "is collapsing: the worst of crop 0 and 2 (of 0 to 2) has 0.000" in texts[0]


@pytest.mark.gradient
def test_zero_gradient_is_death_too():
    stn = spatial_transformer(interpolation="nearest")
    model = classifier(stn)
    differing(stn)
    monitor = callbacks.LocalizerMonitor(IMAGES, TARGETS, patience=1)
    _, (texts,) = watch(model, monitor, IDENTITY)
    assert len(texts) == 1
    assert "is dead: the gradient of the loss to the localizer is zero" in texts[0]
    assert "interpolation='nearest', which has no gradient" in texts[0]


def test_a_frozen_localizer_may_stand_still():
    model = classifier(spatial_transformer(trainable=False))
    _, texts = watch(model, callbacks.LocalizerMonitor(IMAGES, patience=1), AFFINE, AFFINE)
    assert texts == [[], []]
