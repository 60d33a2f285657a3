"""What the callbacks leave as it was: the training, the models, the users' own methods."""

import keras
import pytest
from keras import layers

from keras_stn import callbacks
from keras_stn.callbacks.recording import Recorder
from keras_stn.regularizers import LogScale
from tests.backend import BACKEND, to_numpy
from tests.callbacks.models import IMAGES, QUICK, TARGETS, classifier, spatial_transformer, watch


class Counting(layers.Layer):
    """Counts its calls in a variable and in a random seed, in inference too."""

    def __init__(self):
        super().__init__()
        self.seeds = keras.random.SeedGenerator(7)

    def build(self, shape):
        self.count = self.add_weight(name="count", initializer="zeros", trainable=False)

    def call(self, x):
        self.count.assign(self.count + 1)
        return x + 0.01 * keras.random.normal(keras.ops.shape(x), seed=self.seeds)


def trained(make_callbacks):
    keras.utils.set_random_seed(3)
    stn = spatial_transformer(theta_regularizer=LogScale(0.1))
    model = keras.Sequential(
        [
            keras.Input((8, 9, 1)),
            stn,
            Counting(),
            layers.Flatten(),
            layers.BatchNormalization(),
            layers.Dropout(0.3),
            layers.Dense(2),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), "mse", metrics=["mae"], jit_compile=QUICK)
    history = model.fit(
        IMAGES,
        TARGETS,
        batch_size=2,
        epochs=3,
        verbose=0,
        callbacks=make_callbacks(),
    ).history
    return model, history


@pytest.mark.gradient
def test_training_is_bitwise_the_same(tmp_path):
    def watched():
        return [
            callbacks.LocalizerMonitor(IMAGES, TARGETS, patience=1),
            callbacks.TransformerGallery(IMAGES, tmp_path, max_images=1, animation=None),
        ]

    (plain, history), (model, seen) = trained(list), trained(watched)
    assert len(plain.variables) == len(model.variables)
    for a, b in zip(plain.variables, model.variables, strict=True):
        assert to_numpy(a).tobytes() == to_numpy(b).tobytes(), a.path
    for a, b in zip(plain.optimizer.variables, model.optimizer.variables, strict=True):
        assert to_numpy(a).tobytes() == to_numpy(b).tobytes(), a.path
    assert {name: seen[name] for name in history} == history
    assert len(seen["stn_theta_spread"]) == 3
    assert len(list(tmp_path.glob("*.png"))) == 4


@pytest.mark.gradient
def test_models_are_left_as_they_were():
    stn = spatial_transformer(theta_regularizer="l2")
    model = classifier(stn, rate=0.1)
    model.fit(IMAGES, TARGETS, verbose=0)
    function, before = model.train_function, [to_numpy(v).copy() for v in model.variables]
    attributes = {layer.name: set(vars(layer)) for layer in model.layers}
    sentinel = None
    if BACKEND == "torch":
        sentinel = [v.value.grad.clone() for v in model.trainable_variables]
    watch(model, callbacks.LocalizerMonitor(IMAGES, TARGETS), to_numpy(stn.head.bias))
    assert model.train_function is function
    assert {layer.name: set(vars(layer)) for layer in model.layers} == attributes
    for variable, value in zip(model.variables, before, strict=True):
        assert to_numpy(variable).tobytes() == value.tobytes()
    if BACKEND == "torch":
        for variable, gradient in zip(model.trainable_variables, sentinel, strict=True):
            assert (variable.value.grad == gradient).all()
    model(IMAGES)  # no tracer of the gradient's pass is among the losses of the next
    assert to_numpy(model.losses[0]) > 0


class Failing(layers.Layer):
    fails = False

    def call(self, x):
        if self.fails:
            raise ZeroDivisionError("on purpose")
        return x


def test_the_watch_ends_with_an_error():
    stn, failing = spatial_transformer(), Failing()
    model = keras.Sequential([keras.Input((8, 9, 1)), stn, failing])
    failing.fails = True
    with pytest.raises(ZeroDivisionError, match="on purpose"):
        Recorder(model, IMAGES).record()
    assert not {"sampling_grid", "_warp"} & set(vars(stn))
    failing.fails = False
    assert set(Recorder(model, IMAGES).record()) == {stn.name}


def test_a_method_of_the_users_own_comes_back():
    stn = spatial_transformer()
    model = classifier(stn)
    own = stn.sampling_grid
    stn.sampling_grid = own
    Recorder(model, IMAGES).record()
    assert vars(stn)["sampling_grid"] is own


@pytest.mark.gradient
def test_what_the_loss_does_not_depend_on_has_no_gradient():
    stn = spatial_transformer(interpolation="nearest")
    found = Recorder(classifier(stn), IMAGES, TARGETS).gradients()
    assert [v.path for v, _ in found[:-2]] == [v.path for v in stn.trainable_variables]
    assert all(g is None or not g.any() for _, g in found[:-2])
    assert all(g.any() for _, g in found[-2:])
