"""Makes a model that is bundled with the example, in `pretrained/`, from a finished run.

    python -m gtsrb.make_pretrained RUN      (in examples/; RUN is the folder of the run)

It computes in float32, whatever the run did, so that it is equally good and equally
fast on machines that know no bfloat16; and it leaves out the augmentation. A Keras reads what
an older one has written, not the other way round: run it with the oldest that is supported.
What that one writes otherwise than newer ones read it is put right in the file.
"""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path

import keras

from common.files import save_model, whole_or_absent
from gtsrb import models, predict, runs
from keras_stn.layers.localization import with_lone_tensors_plain


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
    write_lone_tensors_plainly(path)
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


def write_lone_tensors_plainly(path):
    """Rewrites the functional model in a `.keras` file as newer releases of Keras write it."""
    with zipfile.ZipFile(path) as archive:
        contents = {entry: archive.read(entry) for entry in archive.infolist()}
    with whole_or_absent(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for entry, data in contents.items():
            if entry.filename == "config.json":
                data = json.dumps(with_lone_tensors_plain(json.loads(data))).encode()
            archive.writestr(entry, data)


def _networks(model):
    """The layers that were trained, in order."""
    return [layer for layer in model.layers if layer.trainable_weights]


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
