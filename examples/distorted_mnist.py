"""Trains the networks of the spatial transformer paper on distorted MNIST, and its whole table.

    KERAS_BACKEND=jax python examples/distorted_mnist.py --task RTS --model st-cnn
    KERAS_BACKEND=jax python examples/distorted_mnist.py --table

The parts are in the package `distorted_mnist` beside this file.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from distorted_mnist.app import main  # the package comes before this file of the same name

if __name__ == "__main__":
    sys.exit(main())
