"""How networks are trained: optimizer, learning rate over time, loss."""

from __future__ import annotations

from dataclasses import dataclass

import keras


@dataclass(frozen=True)
class Recipe:
    """A way of training.

    Attributes:
        optimizer: "adam" or "sgd".
        learning_rate: float, the highest.
        final_learning_rate: float, to which a cosine falls until the last step; the same number
            keeps it constant.
        warmup: float, the share of all steps in which the learning rate rises from 0.
        gradient_norm: float to which all gradients together are clipped, or None.
        averaging: float, how much of the moving average of all weights stays at each step, or
            None; validation and the finished model then use the average.
        epochs: int, on the whole benchmark.
        batch_size: int, on the whole benchmark.
    """

    optimizer: str = "adam"
    learning_rate: float = 1e-3
    final_learning_rate: float = 1e-5
    warmup: float = 0.05
    gradient_norm: float | None = 1.0
    averaging: float | None = None
    epochs: int = 10
    batch_size: int = 256

    def compile(self, model, steps, steps_per_execution=1):
        """Compiles `model` for a run of so many steps."""
        loss = keras.losses.CategoricalCrossentropy(from_logits=True)
        # On a CPU, TensorFlow's own convolutions are faster than those that XLA compiles.
        jit_compile = False if keras.backend.backend() == "tensorflow" else "auto"
        model.compile(
            self._optimizer(steps),
            loss,
            metrics=["accuracy"],
            jit_compile=jit_compile,
            steps_per_execution=steps_per_execution,
        )

    def _optimizer(self, steps):
        rate = self.learning_rate
        if self.final_learning_rate != rate or self.warmup:
            warmup = max(1, round(self.warmup * steps))
            rate = keras.optimizers.schedules.CosineDecay(
                0.0,
                decay_steps=max(1, steps - warmup),
                alpha=self.final_learning_rate / rate,
                warmup_target=rate,
                warmup_steps=warmup,
            )
        options = {
            "global_clipnorm": self.gradient_norm,
            "use_ema": self.averaging is not None,
            "ema_momentum": self.averaging or 0.99,
        }
        if self.optimizer == "sgd":
            return keras.optimizers.SGD(rate, **options)
        return keras.optimizers.Adam(rate, **options)
