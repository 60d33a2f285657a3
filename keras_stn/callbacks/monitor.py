"""Is the localizer alive? What spatial transformers do, epoch by epoch, and what to do about it."""

from __future__ import annotations

import dataclasses
import warnings
from typing import Any

import keras
import numpy as np

from keras_stn._types import Batch
from keras_stn.callbacks.diagnosis import diagnose
from keras_stn.callbacks.measures import areas, norm, outside
from keras_stn.callbacks.recording import Recorder, check_batch, spatial_transformers


class LocalizerWarning(UserWarning):
    """A localizer that does not learn, or that learns what it should not."""


@dataclasses.dataclass
class LocalizerReport:
    """One spatial transformer at the end of one epoch, over the monitor's images.

    Attributes:
        theta_mean: (K, num_params), K the layer's `num_transforms`: the mean over the images.
        theta_spread: (K, num_params): the standard deviation over the images.
        outside: (K,): the share of the samples that lies outside the image.
        area: (K,): the share of the image's area (or volume) that a crop covers, the median over
            the images.
        gradient: float, the norm of the loss's gradient to the localizer, or None without targets.
        rest_gradient: The same for all of the model that is no localizer.
    """

    theta_mean: np.ndarray
    theta_spread: np.ndarray
    outside: np.ndarray
    area: np.ndarray
    gradient: float | None = None
    rest_gradient: float | None = None


class LocalizerMonitor(keras.callbacks.Callback):
    """Tells how the localizers of a model's spatial transformers are, and warns of ill ones.

    At the end of each epoch a fixed batch of images goes through the model, as in inference. For
    each `SpatialTransformer`, however deep it is nested, `logs` then holds, for `History`,
    `CSVLogger` and the callbacks that come after this one:

    | key | meaning |
    |---|---|
    | `stn_theta_mean` | mean over the images, root mean square of its distance from the identity |
    | `stn_theta_spread` | standard deviation over the images, root mean square over theta |
    | `stn_outside` | share of the samples that lies outside the image |
    | `stn_area` | share of the image's area that a crop covers, median over the images |
    | `stn_localizer_gradient` | norm of the loss's gradient to the localization network and head |
    | `stn_rest_gradient` | norm of the gradient to the rest of the model |

    Several spatial transformers have their names in place of `stn`. Theta itself, parameter by
    parameter, is in `reports`.

    A `LocalizerWarning` is issued once for each of these, until the localizer recovers from it:

    - *dead*: theta is the same for all images, or the localizer's gradient is zero while that of
      the rest is not;
    - *collapsing*: half of the crops, or more, show less than `1 / max_zoom` of the image a side,
      or more than `max_zoom`;
    - *leaving the image*: more than `max_outside` of the samples lie outside;
    - *not finite*: theta is NaN or infinite.

    Training itself stays as it is, bit by bit.

    Args:
        images: A batch as the model takes it, at least two different images: 16 will do.
        targets: What `fit` would get with these images; None leaves out the gradients.
        patience: int. How many epochs in a row a localizer must look ill before the warning. It
            starts at the same identity for every image but has left it after its first steps: 1
            warns at the end of the first epoch; use more where training starts with a very small
            learning rate. Thetas that are not finite are told at once.
        max_zoom: float, greater than 1.
        max_outside: float between 0 and 1.

    Raises:
        ValueError: An argument is not one of the above, or the model has no spatial transformer.

    Example:
        >>> import keras
        >>> import numpy as np
        >>> from keras_stn import SpatialTransformer, callbacks
        >>> images = np.random.default_rng(0).uniform(size=(4, 8, 8, 1)).astype("float32")
        >>> network = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(4)])
        >>> stn = SpatialTransformer(network, data_format="channels_last")
        >>> model = keras.Sequential([keras.Input((8, 8, 1)), stn])
        >>> model.compile("sgd", "mse")
        >>> monitor = callbacks.LocalizerMonitor(images)
        >>> history = model.fit(images, 0 * images, verbose=0, callbacks=[monitor])
        >>> history.history["stn_theta_spread"][0] > 0
        True
        >>> monitor.reports[0][stn.name].theta_mean.shape
        (1, 6)
    """

    def __init__(
        self,
        images: Batch,
        targets: Batch | None = None,
        *,
        patience: int = 2,
        max_zoom: float = 16.0,
        max_outside: float = 0.5,
    ) -> None:
        super().__init__()
        count = check_batch(images, least=2)
        if all(_all_equal(array) for array in keras.tree.flatten(images)):
            raise ValueError(
                "`images` must differ from each other, or theta has to be the same for all. "
                f"Received: {count} images, all alike. Pass some of the validation set."
            )
        _check_targets(targets, count)
        _check_limits(patience, max_zoom, max_outside)
        self.images = images
        self.targets = targets
        self.patience = patience
        self.max_zoom = max_zoom
        self.max_outside = max_outside
        self._forget()

    def _forget(self) -> None:
        #: One dictionary an epoch, from the names of the layers to their `LocalizerReport`.
        self.reports: list[dict[str, LocalizerReport]] = []
        self._previous: dict[str, np.ndarray] = {}
        self._epochs_ill: dict[tuple[str, str], int] = {}

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Looks for the spatial transformers, and where theta starts."""
        self._forget()
        self._recorder = Recorder(self.model, self.images, self.targets)
        if not self.model.built:  # TensorFlow builds it in its first step
            return
        self._previous = {name: seen.theta for name, seen in self._recorder.record().items()}

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Reports, and warns."""
        layers = spatial_transformers(self.model)
        norms, rest = self._gradient_norms(layers)
        reports = {}
        for name, seen in self._recorder.record().items():
            report = _report(seen, norms.get(name), rest)
            reports[name] = report
            ndim = seen.grid.shape[-1]
            if logs is not None:
                prefix = "stn" if len(layers) == 1 else name
                logs.update(_scalars(prefix, report, layers[name].transform.identity(ndim)))
            before, self._previous[name] = self._previous.get(name), seen.theta
            found = diagnose(
                layers[name],
                report,
                ndim=ndim,
                moved=None if before is None else not np.array_equal(before, seen.theta),
                max_zoom=self.max_zoom,
                max_outside=self.max_outside,
            )
            self._warn(epoch, name, found)
        if logs is not None and rest is not None:
            logs["stn_rest_gradient"] = rest
        self.reports.append(reports)

    def _gradient_norms(self, layers):
        """The norm of each localizer's gradient, by name, and that of the rest of the model."""
        if self.targets is None:
            return {}, None
        found = self._recorder.gradients()
        owners = {id(v): name for name, x in layers.items() for v in x.trainable_variables}
        norms = {
            name: norm(gradient for v, gradient in found if owners.get(id(v)) == name)
            for name in layers
        }
        return norms, norm(gradient for v, gradient in found if id(v) not in owners)

    def _warn(self, epoch, name, found):
        for kind in {kind for layer, kind in self._epochs_ill if layer == name} - set(found):
            del self._epochs_ill[name, kind]
        for kind, text in found.items():
            count = self._epochs_ill.get((name, kind), 0) + 1
            self._epochs_ill[name, kind] = count
            if count == (1 if kind == "not finite" else self.patience):
                message = f"After epoch {epoch + 1}, the localizer of `{name}` is {kind}: {text}"
                warnings.warn(message, LocalizerWarning, stacklevel=2)


def _report(seen, gradient, rest_gradient):
    theta = seen.theta.astype("float64")  # equal thetas have a spread of exactly 0
    with np.errstate(invalid="ignore", over="ignore"):  # theta need not be finite
        return LocalizerReport(
            theta_mean=theta.mean(axis=0),
            theta_spread=theta.std(axis=0),
            outside=outside(seen.grid),
            area=np.median(areas(seen.lattice, seen.identity), axis=0),
            gradient=gradient,
            rest_gradient=rest_gradient,
        )


def _scalars(prefix, report, identity):
    values = {
        "theta_mean": np.sqrt(np.mean((report.theta_mean - identity) ** 2)),
        "theta_spread": np.sqrt(np.mean(report.theta_spread**2)),
        "outside": report.outside.mean(),
        "area": report.area.mean(),
        "localizer_gradient": report.gradient,
    }
    return {f"{prefix}_{name}": float(value) for name, value in values.items() if value is not None}


def _all_equal(array):
    array = keras.ops.convert_to_numpy(array)
    return bool((array == array[:1]).all())


def _check_targets(targets, count):
    lengths = {len(array) for array in keras.tree.flatten(targets) if array is not None}
    if lengths - {count}:
        raise ValueError(
            "`targets` must belong to `images`, one each, or be None. Received: "
            f"{', '.join(map(str, sorted(lengths)))} targets for {count} images. Pass for "
            "example images=x_val[:16], targets=y_val[:16]."
        )


def _check_limits(patience, max_zoom, max_outside):
    if not isinstance(patience, int) or isinstance(patience, bool) or patience < 1:
        raise ValueError(
            "`patience` must be a positive integer, a number of epochs. Received: "
            f"patience={patience!r}. Pass 1 to be warned at the end of the first epoch."
        )
    if not max_zoom > 1:
        raise ValueError(
            f"`max_zoom` must be greater than 1. Received: max_zoom={max_zoom!r}. Pass for example "
            "16, for crops of a sixteenth of the image a side."
        )
    if not 0 <= max_outside <= 1:
        raise ValueError(
            "`max_outside` must be a share, from 0 to 1. Received: "
            f"max_outside={max_outside!r}. Pass for example 0.5."
        )
