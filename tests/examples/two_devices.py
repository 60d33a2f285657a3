"""One step of plain gradient descent on one and on all devices: leaves loss and gradients.

    PYTHONPATH=examples python -m tests.examples.two_devices FOLDER one|all...

Two CPU devices are simulated: on JAX by XLA_FLAGS="--xla_force_host_platform_device_count=2"; on
PyTorch `torchrun --nproc-per-node=2` starts two processes.
"""

import sys
from pathlib import Path

import keras
import numpy as np
from keras import layers

from common.recipes import Recipe
from gtsrb import distribution, networks, training
from gtsrb.callbacks import RandomSeeds
from gtsrb.dataset import Dataset, ImageSet


def build():
    """A small model with a spatial transformer, and batch normalization where devices share it."""
    images = keras.Input((12, 12, 1), dtype="uint8")
    x = layers.Rescaling(1 / 255)(images)
    localizer = keras.Sequential(
        [keras.Input((12, 12, 1)), layers.Flatten(), layers.Dense(4, "tanh")]
    )
    x = networks.transformed(x, localizer, output_size=(8, 8))
    x = layers.Conv2D(3, 3, **networks.CHANNELS_LAST)(x)
    if keras.backend.backend() != "torch":
        x = networks.batch_norm()(x)
    x = layers.Dense(8, "tanh")(layers.Flatten()(x))
    return keras.Model(images, layers.Dense(43)(x))


def random_states(devices):
    """What the random generator of each device holds after `RandomSeeds` has set it."""
    model = keras.Sequential([keras.Input((4,)), layers.Dropout(0.5, seed=0)])
    seeds = RandomSeeds(0, devices)
    seeds.set_model(model)
    seeds.on_epoch_begin(0)
    variable = next(v for v in model.variables if v.path.endswith("seed_generator_state"))
    if keras.backend.backend() != "tensorflow":
        return [keras.ops.convert_to_numpy(variable)]
    import tensorflow as tf

    parts = tf.distribute.get_strategy().experimental_local_results(variable.value)
    return [part.numpy() for part in parts]


def train(which, folder):
    """Trains one step on `which` devices and writes what came out to `folder`."""
    devices = distribution.all_devices() if which == "all" else distribution.ONE_DEVICE
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (16, 12, 12, 1), "uint8")
    labels = rng.integers(0, 43, 16).astype("int32")
    data = ImageSet(images, labels, labels)
    keras.utils.set_random_seed(devices.rank)  # the first process's weights have to be everyone's
    recipe = Recipe("sgd", 1.0, 1.0, warmup=0.0, gradient_norm=None)
    with devices.scope:
        model = build()
        keras.utils.set_random_seed(1)
        for weight in model.trainable_variables:
            if devices.is_main:
                weight.assign(np.random.default_rng(2).normal(0, 0.2, weight.shape))
        training.train(
            model,
            Dataset("random", data, data),
            folder / which,
            recipe,
            epochs=1,
            batch_size=16,
            seed=0,
            devices=devices,
        )
        states = random_states(devices)
    if devices.is_main:
        history = np.genfromtxt(folder / which / training.HISTORY, delimiter=",", names=True)
        np.savez(
            folder / f"{which}.npz",
            devices=devices.count,
            states=states,
            loss=history["val_loss"],
            train_loss=history["loss"],
            **{
                f"weight_{i}": keras.ops.convert_to_numpy(w)
                for i, w in enumerate(model.trainable_variables)
            },
        )
        model.save(folder / f"{which}.keras")
    devices.close()


def main(folder, *several):
    """Trains on one kind of devices after another."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * 2
        )
    if keras.backend.backend() == "torch":
        import torch

        torch.set_num_threads(1)
    for which in several:
        train(which, Path(folder))


if __name__ == "__main__":
    main(*sys.argv[1:])
