# ---
# jupyter:
#   accelerator: GPU
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # keras-stn: quick start
#
# A spatial transformer looks at each image and warps it by a transform of its own before the rest
# of the network sees it. It learns where to look from the task's loss alone. Here one learns to
# find handwritten digits that lie anywhere, turned, smaller and larger. It takes a few minutes on
# two cores.

# %%
# %matplotlib inline
import importlib.util
import os
import subprocess
import sys

os.environ.setdefault("KERAS_BACKEND", "jax")  # or "tensorflow", or "torch"
if importlib.util.find_spec("keras_stn") is None:
    backend = os.environ["KERAS_BACKEND"]
    packages = [f"keras-stn[{backend},viz]", "scikit-learn"]
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *packages], check=True)

# %%
import keras
import numpy as np
from keras import layers
from sklearn.datasets import load_digits

from keras_stn import SpatialTransformer, ops, transforms, visualization

keras.utils.set_random_seed(0)
print(f"Keras {keras.__version__} on {keras.backend.backend()}")

# %% tags=["parameters"]
EPOCHS = 15
PLACES = 6  # at which each training digit lies

# %% [markdown]
# ## The parts
#
# `theta` says which transform, `affine_grid` where each pixel of the result is read, `grid_sample`
# reads there. Coordinates run from -1 to 1 over the image; theta maps places of the *result* to
# places of the *source*, so a scale of 0.5 zooms in.

# %%
digits = load_digits()
digit = digits.images[:1, ..., None].astype("float32") / 16  # (1, 8, 8, 1)
rotation, zoom = [0.0, -1.0, 0.0, 1.0, 0.0, 0.0], [0.5, 0.0, 0.0, 0.0, 0.5, 0.0]
theta = np.array([rotation, zoom], "float32")
grid = ops.affine_grid(theta, (32, 32))
sources = np.repeat(digit, 2, axis=0)
warped = ops.grid_sample(sources, grid, interpolation="bicubic")
figure = visualization.plot_transforms(sources, grid, warped, titles=["a quarter turn", "twofold"])
figure

# %% [markdown]
# ## Digits that lie anywhere
#
# The library itself makes the data: each digit is drawn somewhere on a canvas of 40 by 40 pixels,
# turned by up to 40° and 12 to 20 pixels wide. A theta that *puts* a digit somewhere is the
# inverse of one that reads it from there.

# %%
CANVAS = 40


def scattered(images, rng):
    """Digits (batch, 8, 8, 1) anywhere on canvases (batch, 40, 40, 1)."""
    count = len(images)
    angle = np.deg2rad(rng.uniform(-40, 40, count))
    scale = rng.uniform(12, 20, count) / CANVAS
    x, y = (1 - 1.3 * scale) * rng.uniform(-1, 1, (2, count))
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    placed = np.stack([cos, -sin, x, sin, cos, y], axis=-1).astype("float32")
    theta = transforms.Affine().inverse(placed)
    return keras.ops.convert_to_numpy(
        ops.grid_sample(images, ops.affine_grid(theta, (CANVAS, CANVAS)))
    )


rng = np.random.default_rng(0)
order = rng.permutation(len(digits.images))
images = digits.images[order, ..., None].astype("float32") / 16
labels = digits.target[order]
train, held_out = slice(0, 1400), slice(1400, None)
train_images = scattered(np.repeat(images[train], PLACES, axis=0), rng)
train_labels = np.repeat(labels[train], PLACES)
test_images, test_labels = scattered(images[held_out], rng), labels[held_out]

# %% [markdown]
# ## With and without


# %%
def classifier(*first):
    """A small network of convolutions behind `first`."""
    return keras.Sequential(
        [
            keras.Input((CANVAS, CANVAS, 1)),
            *first,
            layers.Conv2D(16, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(16, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(10),
        ]
    )


networks = {
    "without": classifier(),
    "with": classifier(SpatialTransformer(output_size=(20, 20), theta_gain=3.0)),
}
accuracies = {}
for name, network in networks.items():
    network.compile(
        keras.optimizers.Adam(2e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    print(f"{name} a spatial transformer: {network.count_params():,} parameters")
    network.fit(train_images, train_labels, batch_size=128, epochs=EPOCHS, verbose=2)
    accuracies[name] = network.evaluate(test_images, test_labels, verbose=0)[1]
for name, accuracy in accuracies.items():
    print(f"{name:8} {accuracy:.1%} of {len(test_labels)} held-out digits")

# %% [markdown]
# ## Where it looks
#
# The layer hands out its theta as well; the orange outlines are what it makes of the whole canvas,
# the thick edge their top. It was never told where the digits are.

# %%
transformer = networks["with"].layers[0]
seen, theta = transformer(test_images[:8], return_theta=True)
figure = visualization.plot_transforms(
    test_images[:8], transformer.sampling_grid(theta, (20, 20)), seen, columns=4
)
figure

# %% [markdown]
# ## Save and load
#
# A saved model loads wherever `keras_stn` has been imported, on any of the backends.

# %%
networks["with"].save("digits.keras")
again = keras.models.load_model("digits.keras")
difference = again.predict(test_images, verbose=0) - networks["with"].predict(
    test_images, verbose=0
)
print(f"Largest difference of a logit: {np.abs(difference).max():.1e}")
