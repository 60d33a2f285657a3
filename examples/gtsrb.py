"""Trains the article's spatial transformer on German traffic signs.

    KERAS_BACKEND=jax python examples/gtsrb.py

With no argument it trains on the sample of real images bundled with the repository and needs no
network. The parts are in the package `gtsrb` beside this file.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from gtsrb.app import main  # the package `gtsrb` comes before this file of the same name

if __name__ == "__main__":
    sys.exit(main())
