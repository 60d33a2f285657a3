"""Gradients by the active backend, of functions of tensors."""

from __future__ import annotations

import keras


def differentiate(loss):
    """The function of the gradients of `loss(values, ...)` to values, by the active backend."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        def derivative(values, *args):
            values = [tf.identity(value) for value in values]
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(values)
                total = loss(values, *args)
            found = tape.gradient(total, values)
            # That of an embedding is sparse.
            return [None if g is None else tf.convert_to_tensor(g) for g in found]

    elif backend == "torch":
        import torch

        def derivative(values, *args):
            # Not the parameters themselves, whose hooks belong to the training.
            values = [value.detach().requires_grad_(True) for value in values]
            return torch.autograd.grad(loss(values, *args), values, allow_unused=True)

    elif backend == "jax":
        import jax

        def derivative(values, *args):
            return jax.grad(loss)(values, *args)

    else:
        raise NotImplementedError(
            f"Gradients need a backend that has them. Received: the {backend} backend. Leave "
            "`targets` out, or set KERAS_BACKEND to tensorflow, jax or torch."
        )
    return derivative
