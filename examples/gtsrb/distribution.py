"""Training on several devices at once, by the backends' own engines.

Every device holds the whole model and takes its share of each batch; gradients are averaged. On
TensorFlow this is `tf.distribute.MirroredStrategy`, on JAX `keras.distribution.DataParallel`, both
in one process; on PyTorch `DistributedDataParallel`, one process a device, started by `torchrun`.
"""

from __future__ import annotations

import contextlib
import datetime
import os
from dataclasses import dataclass, field
from typing import Any

import keras

from common.errors import RunError


@dataclass(frozen=True)
class Devices:
    """Where a run computes; this one is the single device that Keras picks.

    Attributes:
        count: int, the number of devices.
        rank: int, which of the processes this is; 0 where there is only one.
        scope: Context manager in which the model is made.
    """

    count: int = 1
    rank: int = 0
    scope: Any = field(default_factory=contextlib.nullcontext)

    @property
    def is_main(self):
        """Whether this process is the one that prints and writes."""
        return self.rank == 0

    @contextlib.contextmanager
    def main_first(self):
        """Within it, other processes wait until the main one is through."""
        yield

    def share(self, batch):
        """The part of a batch that this process has to feed to its devices."""
        return batch

    @contextlib.contextmanager
    def training(self, model):
        """Within it, a compiled model trains on these devices."""
        yield

    @contextlib.contextmanager
    def saving(self, model):
        """Within it, a model that is being trained can be saved as one for a single device."""
        yield

    def assign(self, variable, values):
        """Gives every device its own value of a variable, of an array (count, ...)."""
        variable.assign(values[self.rank])

    def close(self):
        """Ends what was started."""


ONE_DEVICE = Devices()


def all_devices():
    """The `Devices` of everything that the active backend can compute on."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        return _tensorflow()
    if backend == "jax":
        return _jax()
    return _torch()


def check_batch_size(batch_size, devices):
    """Raises `RunError` if a batch cannot be shared equally."""
    if batch_size % devices.count:
        raise RunError(
            f"A batch of {batch_size} cannot be shared equally by {devices.count} devices. Choose "
            f"`--batch-size {-(-batch_size // devices.count) * devices.count}`."
        )


def _tensorflow():
    import tensorflow as tf

    # Left alone, the strategy takes one CPU where there is no GPU, also if CPUs are simulated.
    kind = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    strategy = tf.distribute.MirroredStrategy(
        [device.name for device in tf.config.list_logical_devices(kind)]
    )
    return _Replicas(strategy.num_replicas_in_sync, scope=strategy.scope())


def _jax():
    keras.distribution.set_distribution(keras.distribution.DataParallel(auto_shard_dataset=False))
    return _JaxDevices(len(keras.distribution.list_devices()))


def _torch():
    import torch

    if not torch.distributed.is_torchelastic_launched():
        raise RunError(
            "On PyTorch every device has a process of its own. Start them all by "
            "`torchrun --nproc-per-node=gpu examples/gtsrb.py --distribute ...` (a number instead "
            "of `gpu` on CPUs)."
        )
    on_gpu = torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    # The others wait while the first downloads and decodes the data.
    patience = datetime.timedelta(hours=3)
    torch.distributed.init_process_group("nccl" if on_gpu else "gloo", timeout=patience)
    return _TorchProcesses(torch.distributed.get_world_size(), torch.distributed.get_rank())


class _JaxDevices(Devices):
    """The devices of one JAX process."""

    def close(self):
        keras.distribution.set_distribution(None)


class _Replicas(Devices):
    """The devices of one TensorFlow process."""

    def training(self, model):
        return _synchronized(model, True)

    def saving(self, model):
        # No other backend can load a layer that was saved as synchronized.
        return _synchronized(model, False)

    def assign(self, variable, values):
        import tensorflow as tf

        strategy = tf.distribute.get_strategy()
        parts = strategy.experimental_local_results(variable.value)
        for part, value in zip(parts, values, strict=True):
            part.assign(value)


@contextlib.contextmanager
def _synchronized(model, wanted):
    """Within it, batch normalization sees the batch of all devices or, if not `wanted`, its own."""
    for layer in _batch_normalizations(model):
        layer.synchronized = wanted
    try:
        yield
    finally:
        for layer in _batch_normalizations(model):
            layer.synchronized = not wanted


def _batch_normalizations(layer):
    for inner in (*getattr(layer, "layers", ()), getattr(layer, "localization_network", None)):
        if isinstance(inner, keras.layers.BatchNormalization):
            yield inner
        if inner is not None:
            yield from _batch_normalizations(inner)


class _TorchProcesses(Devices):
    """The processes that `torchrun` has started, one a device."""

    @contextlib.contextmanager
    def main_first(self):
        import torch

        if not self.is_main:
            torch.distributed.barrier()
        yield
        if self.is_main:
            torch.distributed.barrier()

    def share(self, batch):
        return batch[self.rank :: self.count]

    @contextlib.contextmanager
    def training(self, model):
        import torch

        # Starts by giving every process the weights of the first.
        parallel = torch.nn.parallel.DistributedDataParallel(model)

        def train_step(data):
            images, labels, _ = keras.utils.unpack_x_y_sample_weight(data)
            # Keras's own step calls the model itself, past the wrapper that averages gradients.
            logits = parallel(images, training=True)
            model.zero_grad()
            loss = model.compute_loss(images, labels, logits)
            loss.backward()
            weights = model.trainable_weights
            with torch.no_grad():
                model.optimizer.apply([weight.value.grad for weight in weights], weights)
            mean = loss.detach() / self.count
            torch.distributed.all_reduce(mean)
            for metric in model.metrics:
                if metric.name == "loss":
                    metric.update_state(mean)
                else:
                    metric.update_state(labels, logits)
            return {metric.name: metric.result() for metric in model.metrics}

        model.train_step = train_step
        try:
            yield
        finally:
            del model.train_step

    def close(self):
        import torch

        torch.distributed.destroy_process_group()
