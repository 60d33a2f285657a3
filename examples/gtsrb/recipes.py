"""How the configurations are trained."""

from __future__ import annotations

from common.recipes import Recipe

# docs/gtsrb.md tells what else was tried.
ADAM = Recipe()
# Moodstocks' and Arcos-García's: plain stochastic gradient descent, nothing more.
SGD = Recipe(
    optimizer="sgd",
    learning_rate=1e-2,
    final_learning_rate=1e-2,
    warmup=0.0,
    gradient_norm=None,
    epochs=14,
    batch_size=50,
)
# For `best`: twice the steps an epoch, and time for the augmentation to be worth its while. An
# average over a thousand steps instead of a hundred does not go with the statistics of the batch
# normalizations, which are not averaged: 5 % validation accuracy after three epochs, 94 % in
# training.
SMALL_STEPS = Recipe(averaging=0.99, epochs=20, batch_size=128)
