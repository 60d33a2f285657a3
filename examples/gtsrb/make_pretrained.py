"""Makes a model that is bundled with the example, in `pretrained/`, from a finished run.

    python -m gtsrb.make_pretrained RUN      (in examples/; RUN is the folder of the run)

It computes in float32, whatever the run did, so that it is equally good and equally
fast on machines that know no bfloat16; and it leaves out the augmentation. A Keras reads what
an older one has written, not the other way round: run it with the oldest that is supported.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import keras

from common.files import save_model
from gtsrb import models, predict, runs


def main(run):
    """Writes a bundled model from the run in this folder; its name is the configuration's."""
    settings = json.loads((run / runs.SETTINGS).read_text())
    trained = predict.load_model(run / runs.MODEL)
    keras.config.set_dtype_policy("float32")
    model = models.build_model(settings["model"])
    parts = zip(_networks(model), _networks(trained), strict=True)
    for part, source in parts:
        part.set_weights(source.get_weights())
    path = runs.PRETRAINED / f"{model.name}.keras"
    save_model(model, path)
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


def _networks(model):
    """The layers that were trained, in order."""
    return [layer for layer in model.layers if layer.trainable_weights]


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
