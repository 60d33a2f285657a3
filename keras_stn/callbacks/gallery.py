"""Pictures of where spatial transformers look, epoch by epoch, and a film of them."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import Any

import keras

from keras_stn._types import Batch
from keras_stn.callbacks.pictures import draw_recordings
from keras_stn.callbacks.recording import Recorder, check_batch, spatial_transformers
from keras_stn.visualization.panels import check_count, matplotlib_for


class TransformerGallery(keras.callbacks.Callback):
    """Draws where spatial transformers look and what they pass on, a picture an epoch.

    Each picture shows the first of `images`: the input with the outline of what each crop shows,
    its top edge drawn thicker, and the crops. `epoch_0001.png` is drawn at the end of the first
    epoch, `epoch_0000.png` (if the model is built by then) before it. When the training ends, also
    where another callback stopped it early, the pictures become an animation, `training.gif`.

    A picture is on disk, whole, when its epoch ends: a training that was broken off with Ctrl-C
    leaves all of them, and `write_animation()` makes the animation later. A training that goes on
    from `initial_epoch` adds its pictures to those that are there, that of its start if one is due
    then.

    Brightness is scaled from the lowest to the highest value of all the images together, and
    crops by the same scale. Images of 3 channels are drawn in colour, of any other number of
    channels (such as feature maps) as the mean of their channels. Of volumes, the middle slice
    along the depth is drawn, with the outline of the target's middle slice.

    Needs matplotlib: `pip install keras-stn[viz]`.

    Args:
        images: A batch as the model takes it: an array of images, or arrays in a list or
            dictionary.
        directory: Where the pictures go. It is made if it is not there; pictures of the same
            epochs are replaced.
        max_images: int, how many of the images are drawn.
        every: int. A picture each so many epochs.
        animation: Name of the animation's file, or None for none.
        frame_seconds: float, how long the animation shows a picture.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: An argument is not one of the above, the model cannot take `images`, or it has
            no spatial transformer.

    Example:
        >>> import os, tempfile
        >>> import keras
        >>> import numpy as np
        >>> from keras_stn import SpatialTransformer, callbacks
        >>> images = np.random.default_rng(0).uniform(size=(4, 8, 8, 1)).astype("float32")
        >>> network = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(4)])
        >>> stn = SpatialTransformer(network, data_format="channels_last")
        >>> model = keras.Sequential([keras.Input((8, 8, 1)), stn])
        >>> model.compile("sgd", "mse")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     gallery = callbacks.TransformerGallery(images, folder, max_images=2)
        ...     history = model.fit(images, 0 * images, verbose=0, callbacks=[gallery])
        ...     sorted(os.listdir(folder))
        ['epoch_0000.png', 'epoch_0001.png', 'training.gif']
    """

    def __init__(
        self,
        images: Batch,
        directory: str | os.PathLike[str],
        *,
        max_images: int = 8,
        every: int = 1,
        animation: str | None = "training.gif",
        frame_seconds: float = 0.25,
    ) -> None:
        super().__init__()
        # Now, and not after the first epoch.
        with matplotlib_for("TransformerGallery"):
            import matplotlib  # noqa: F401
        check_batch(images)
        check_count("max_images", max_images)
        check_count("every", every)
        if not frame_seconds > 0:
            raise ValueError(
                "`frame_seconds` must be a positive number. Received: "
                f"frame_seconds={frame_seconds!r}. Pass for example 0.25."
            )
        if animation is not None and not str(animation).endswith(".gif"):
            raise ValueError(
                "`animation` must be the name of a GIF file, or None. Received: "
                f"animation={animation!r}. Pass for example 'training.gif'."
            )
        self.images = keras.tree.map_structure(lambda array: array[:max_images], images)
        self.directory = Path(directory)
        self.every = every
        self.animation = animation
        self.frame_seconds = frame_seconds
        self._epochs: int | None = None
        self._drawn: int | None = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Makes the directory, and looks for the spatial transformers."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self._epochs = self._drawn = None
        self._recorder = Recorder(self.model, self.images)
        if self.model.built:
            spatial_transformers(self.model)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Draws where the training starts."""
        if self._epochs is None:
            self._epochs = epoch
            # TensorFlow may build it in its first step.
            if self.model.built and epoch % self.every == 0:
                self._draw(epoch)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Draws where the epoch has led."""
        self._epochs = epoch + 1
        if self._epochs % self.every == 0:
            self._draw(self._epochs)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Draws the last epoch if it is not, and makes the animation."""
        if self._epochs and self._drawn != self._epochs:
            self._draw(self._epochs)
        if self.animation is not None:
            self.write_animation(last_epoch=self._epochs)

    def write_animation(self, last_epoch: int | None = None) -> Path | None:
        """Makes the animation of the pictures on disk, up to that of `last_epoch`.

        Returns:
            Its path, or None if there are no pictures.
        """
        from PIL import Image  # comes with matplotlib

        numbered = {}
        for path in self.directory.glob("epoch_*.png"):
            epoch = re.fullmatch(r"epoch_(\d+)\.png", path.name)
            # Later ones were left there by another training.
            if epoch and (last_epoch is None or int(epoch[1]) <= last_epoch):
                numbered[int(epoch[1])] = path
        frames = []
        for _, path in sorted(numbered.items()):
            with Image.open(path) as picture:
                frames.append(picture.convert("RGB"))
        # So were those of another size; and a GIF has one.
        frames = [frame for frame in frames if frame.size == frames[-1].size]
        if not frames:
            return None
        path = self.directory / (self.animation or "training.gif")
        duration = max(20, round(1000 * self.frame_seconds))
        # The last one stays, to be looked at.
        durations = [duration] * (len(frames) - 1) + [max(duration, 1500)]
        with _whole(path) as temporary:
            frames[0].save(
                temporary,
                format="GIF",
                save_all=True,
                append_images=frames[1:],
                duration=durations,
                loop=0,
            )
        return path

    def _draw(self, epochs):
        figure = draw_recordings(self._recorder.record(), title=f"epoch {epochs}")
        with _whole(self._path(epochs)) as temporary:
            figure.savefig(temporary, format="png", dpi=100)
        self._drawn = epochs

    def _path(self, epochs):
        return self.directory / f"epoch_{epochs:04d}.png"


@contextlib.contextmanager
def _whole(path):
    """A path to write to, renamed to `path` at the end: Ctrl-C leaves no half a picture."""
    temporary = path.with_name(f".part-{os.getpid()}-{path.name}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
