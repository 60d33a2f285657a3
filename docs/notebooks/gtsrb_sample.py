# ---
# jupyter:
#   accelerator: GPU
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # German traffic signs, on the bundled sample
#
# The spatial transformer of K. Danilyuk's article "ConvNets Series. Spatial Transformer Networks"
# (2017) in front of the IDSIA network, trained on the real images of 43 classes that come with
# keras-stn. It takes about ten minutes on two cores. The whole benchmark, other networks, mixed
# precision and several devices are options of `examples/gtsrb.py`.

# %%
# %matplotlib inline
import importlib.util
import os
import subprocess
import sys
import tarfile
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "tensorflow")  # or "jax", or "torch"
pip = [sys.executable, "-m", "pip"]
if importlib.util.find_spec("keras_stn") is None:
    package = f"keras-stn[{os.environ['KERAS_BACKEND']},examples]"
    subprocess.run([*pip, "install", "--quiet", package], check=True)
examples = Path.cwd().parents[1] / "examples"  # in a clone, two folders above this notebook
if not (examples / "gtsrb").is_dir():  # elsewhere, for instance on Colab: in the source package
    fetch = ["download", "--quiet", "--no-deps", "--no-binary=keras-stn", "--dest=source"]
    subprocess.run([*pip, *fetch, "keras-stn"], check=True)
    [package] = Path("source").glob("keras_stn-*.tar.gz")
    with tarfile.open(package) as archive:
        archive.extractall("source", filter="data")
    [examples] = Path("source").glob("keras_stn-*/examples")
sys.path.insert(0, str(examples.resolve()))

# %%
import zipfile

import keras
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

from gtsrb import dataset, models, training
from gtsrb.configurations import CONFIGURATIONS
from gtsrb.signs import SIGN_NAMES
from keras_stn import callbacks, visualization

keras.utils.set_random_seed(0)
print(f"Keras {keras.__version__} on {keras.backend.backend()}")

# %% tags=["parameters"]
EPOCHS = 12
EVERY = 1  # each so many frames of a track to train on
BATCH_SIZE = 64

# %% [markdown]
# ## The images
#
# Each physical sign was filmed: its frames are a *track*, and look much the same. Training and
# validation images are split by track, or the network would be tested on signs that it knows.

# %%
configuration = CONFIGURATIONS["stn"]
data = dataset.load_sample(configuration.preprocessing).with_every(EVERY)
train, validation = data.train, data.validation
print(f"{len(train):,} training images of {train.num_tracks} tracks")
print(f"{len(validation):,} validation images of {validation.num_tracks} other tracks")

shown = np.linspace(0, len(validation), 12, endpoint=False).astype(int)
figure, axes = plt.subplots(2, 6, figsize=(12, 4.6), layout="constrained")
for axis, image, label in zip(
    axes.flat, validation.images[shown], validation.labels[shown], strict=True
):
    axis.imshow(image[..., 0], cmap="gray")
    axis.set_title(SIGN_NAMES[label], fontsize=8)
    axis.axis("off")
plt.show()

# %% [markdown]
# ## The network
#
# `models.build_model` puts `keras_stn.SpatialTransformer` with the article's localization network
# before the IDSIA classifier. The monitor says at each epoch how the transformer does, and warns
# when it dies.

# %%
model = models.build_model("stn")
steps = EPOCHS * training.steps_per_epoch(train, BATCH_SIZE)
configuration.recipe.compile(model, steps)
monitor = callbacks.LocalizerMonitor(validation.images[:64])
print(f"{model.count_params():,} parameters")


def one_hot(labels):
    return np.eye(len(SIGN_NAMES), dtype="float32")[labels]


history = model.fit(
    train.images,
    one_hot(train.labels),
    validation_data=(validation.images, one_hot(validation.labels)),
    batch_size=BATCH_SIZE,
    epochs=EPOCHS,
    callbacks=[monitor],
    verbose=2,
)

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.5), layout="constrained")
for name in ("accuracy", "val_accuracy"):
    left.plot(range(1, EPOCHS + 1), history.history[name], label=name)
right.plot(range(1, EPOCHS + 1), history.history["stn_theta_spread"])
left.set(xlabel="epoch", ylabel="share of images read rightly")
right.set(xlabel="epoch", ylabel="how much theta differs from image to image")
left.legend()
plt.show()

# %% [markdown]
# ## Where it looks, and what it gets wrong

# %%
look = models.look_of(model)
sources, crops, theta = look(validation.images)
logits = model.predict(validation.images, verbose=0)
guesses = logits.argmax(axis=-1)
wrong = np.flatnonzero(guesses != validation.labels)
print(f"{len(wrong)} errors of {len(validation)}: {1 - len(wrong) / len(validation):.2%} accuracy")

picked = np.concatenate([wrong[:8], np.flatnonzero(guesses == validation.labels)])[:12]
figure = visualization.plot_transforms(
    sources[picked],
    look.grid(theta[picked], crops, sources),
    crops[picked],
    titles=[SIGN_NAMES[guess] for guess in guesses[picked]],
    columns=3,
)
figure

# %% [markdown]
# ## Your own picture
#
# `Image.open("sign.jpg")`, cropped to the sign with a margin of about a tenth; here, a file of the
# sample. `python examples/gtsrb.py --predict FILE` does it with a network trained on the whole
# benchmark.

# %%
with zipfile.ZipFile(dataset.SAMPLE) as archive:
    name = next(name for name in archive.namelist() if name.endswith(".webp"))
    picture = Image.open(archive.open(name)).convert("RGB")
pixels = configuration.preprocessing(picture)
scores = keras.ops.convert_to_numpy(keras.ops.softmax(model.predict(pixels[None], verbose=0)))[0]
for guess in np.argsort(scores)[::-1][:3]:
    print(f"{SIGN_NAMES[guess]:30} {scores[guess]:.1%}")

# %%
model.save("gtsrb_stn.keras")
