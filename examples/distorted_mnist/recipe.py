"""How all networks are trained."""

from common.recipes import Recipe

# Adam on a cosine, with a short warm-up and clipped gradients, instead of 150,000 batches of 256
# with plain gradient descent.
RECIPE = Recipe(learning_rate=2e-3, final_learning_rate=1e-5, batch_size=128)
