"""What the spatial transformers of a model do with a batch, and their gradients.

Nothing here leaves a trace in the model: variables, metrics, random seeds, losses, the optimizer
and compiled training functions stay as they are.
"""

from __future__ import annotations

import contextlib
import dataclasses

import keras
import numpy as np
from keras import ops

from keras_stn.callbacks.differentiation import differentiate
from keras_stn.layers import SpatialTransformer
from keras_stn.ops import identity_grid

# Places a side at which areas are measured.
LATTICE = 9


@dataclasses.dataclass
class Recording:
    """One pass of a batch through one spatial transformer, as NumPy arrays.

    The axis K of the transforms is there always, also where the layer has a single one.

    Attributes:
        theta: (batch, K, num_params).
        grid: The sampling grid (batch, K, *output_size, n).
        lattice: The sampling grid of a small output, (batch, K, 9, ..., 9, n).
        identity: The identity's lattice, (9, ..., 9, n).
        source: The images that were sampled, channels last.
        crops: What came out, (batch, K, *output_size, channels).
        align_corners: As the grids were made with.
    """

    theta: np.ndarray
    grid: np.ndarray
    lattice: np.ndarray
    identity: np.ndarray
    source: np.ndarray
    crops: np.ndarray
    align_corners: bool


def spatial_transformers(model):
    """The model's spatial transformers by name, however deep they are nested.

    Layers of one name are numbered: `crop`, `crop_2`.

    Raises:
        ValueError: There is none.
    """
    found = {}
    for layer in _inner_layers(model, set()):
        if isinstance(layer, SpatialTransformer):
            name, count = layer.name, 1
            while name in found:
                count += 1
                name = f"{layer.name}_{count}"
            found[name] = layer
    if not found:
        raise ValueError(
            "The model must hold a `SpatialTransformer`. Received: model="
            f"{model.name!r} with none, however deep. Add one, or leave this callback out."
        )
    return found


def _inner_layers(layer, seen):
    """All the layers inside a layer, each once, in the order in which they were given to it."""
    # Not `model.layers`: that has what lies directly in a model, and no other layer has it at all.
    for inner in layer._layers:
        if id(inner) not in seen:
            seen.add(id(inner))
            yield inner
            yield from _inner_layers(inner, seen)


def check_batch(images, least=1):
    """Raises `ValueError` unless `images` holds `least` images or more; returns how many it holds.

    `images`: whatever the model takes: an array, or arrays in lists and dictionaries.
    """
    shapes = [tuple(np.shape(array)) for array in keras.tree.flatten(images)]
    lengths = {shape[0] if shape else 0 for shape in shapes}
    if len(lengths) != 1 or min(lengths) < least or any(len(shape) < 2 for shape in shapes):
        raise ValueError(
            f"`images` must be one batch of at least {least} image{'s' * (least > 1)}, as the "
            f"model takes it. Received: images of shape {', '.join(map(str, shapes)) or 'none'}. "
            "Pass for example the first of the validation set: images=x_val[:16]."
        )
    return lengths.pop()


class Recorder:
    """A fixed batch, to be sent through a model again and again.

    Args:
        model: A built Keras model.
        images: A batch as the model takes it.
        targets: What its loss takes with them, for gradients only.
    """

    def __init__(self, model, images, targets=None):
        self.model = model
        self.images = images
        self.targets = targets
        self._compiled = {}

    def record(self):
        """The `Recording` of each spatial transformer that the model calls, by name.

        Of a layer that is called several times, the last call.
        """
        model, variables = self.model, self.model.variables
        layers = spatial_transformers(model)

        def calls_of(values, images):
            calls = {}
            with contextlib.ExitStack() as stack:
                for name, layer in layers.items():
                    stack.enter_context(
                        _replaced(layer, "sampling_grid", _grids(layer, name, calls))
                    )
                    stack.enter_context(_replaced(layer, "_warp", _warps(layer, name, calls)))
                stack.enter_context(keras.StatelessScope(zip(variables, values, strict=True)))
                model(images, training=False)
            return calls

        try:
            calls = self._compile(calls_of, variables)(_tensors(variables), _tensors(self.images))
        except (TypeError, ValueError) as error:
            shapes = [tuple(np.shape(array)) for array in keras.tree.flatten(self.images)]
            raise ValueError(
                "`images` must be a batch that the model can be called on. Received: images of "
                f"shape {', '.join(map(str, shapes))}, at which model {model.name!r} raised "
                f"{type(error).__name__}. Check their size and data format: they are what `fit` "
                "passes to the model, a batch at a time."
            ) from error
        return {name: _recording(layers[name], calls[name]) for name in layers if name in calls}

    def gradients(self):
        """The loss's gradient to each trainable variable: pairs of the variable and an array.

        None where the loss does not depend on the variable. As in inference, without dropout.
        """
        model, trainable = self.model, self.model.trainable_variables
        own = {id(variable) for variable in trainable}
        others = [variable for variable in model.variables if id(variable) not in own]

        def loss(values, fixed, images, targets):
            mapping = [*zip(trainable, values, strict=True), *zip(others, fixed, strict=True)]
            # The penalties that layers add are collected anew.
            with keras.StatelessScope(mapping, collect_losses=True):
                predicted = model(images, training=False)
                return model.compute_loss(x=images, y=targets, y_pred=predicted, training=False)

        derivative = self._compile(differentiate(loss), [*trainable, None, *others])
        found = derivative(
            _tensors(trainable), _tensors(others), _tensors(self.images), _tensors(self.targets)
        )
        return [
            (variable, None if gradient is None else ops.convert_to_numpy(gradient))
            for variable, gradient in zip(trainable, found, strict=True)
        ]

    def _compile(self, function, variables):
        """`function`, or on JAX the same compiled, the first one made of these variables.

        JAX compiles in any case: operation by operation, which takes ten times longer.
        """
        if keras.backend.backend() != "jax":
            return function
        import jax

        key = (function.__name__, *map(id, variables))
        return self._compiled.setdefault(key, jax.jit(function))


def _tensors(arrays):
    return keras.tree.map_structure(ops.convert_to_tensor, arrays)


@contextlib.contextmanager
def _replaced(layer, name, method):
    """`layer.name` is `method` in the block: of this one instance, not of its class."""
    # Not by `setattr`: Keras looks at what is set on a layer.
    own = vars(layer)
    before = own.get(name)
    own[name] = method
    try:
        yield
    finally:
        if before is None:
            del own[name]
        else:
            own[name] = before


def _grids(layer, name, calls):
    sampling_grid = layer.sampling_grid

    def watched(theta, output_size, image_size=None):
        grid = sampling_grid(theta, output_size, image_size)
        size = (LATTICE,) * len(tuple(output_size))
        lattice = sampling_grid(theta, size, output_size if image_size is None else image_size)
        calls[name] = {"theta": theta, "grid": grid, "lattice": lattice}
        return grid

    return watched


def _warps(layer, name, calls):
    warp = layer._warp

    def watched(images, theta, output_size):
        crops = warp(images, theta, output_size)
        calls[name].update(source=images, crops=crops)
        return crops

    return watched


def _recording(layer, call):
    arrays = {key: ops.convert_to_numpy(value) for key, value in call.items()}
    # NumPy's own kinds of float only: bfloat16 is none.
    arrays = {key: array.astype("float32") for key, array in arrays.items()}
    if layer.num_transforms == 1:
        for key in ("theta", "grid", "lattice", "crops"):
            arrays[key] = arrays[key][:, None]
    if layer.data_format == "channels_first":
        # With several transforms, `grid_sample` puts their axis after the channels.
        single = layer.num_transforms == 1
        arrays["source"] = np.moveaxis(arrays["source"], 1, -1)
        arrays["crops"] = np.moveaxis(arrays["crops"], 2 if single else 1, -1)
    size = arrays["lattice"].shape[2:-1]
    identity = identity_grid(size, align_corners=layer.align_corners)
    identity = ops.convert_to_numpy(identity)
    return Recording(**arrays, identity=identity, align_corners=layer.align_corners)
