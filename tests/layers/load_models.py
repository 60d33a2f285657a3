"""Loads the models of a folder and writes what they make of its inputs.

Run in a process of its own, with the backend that `KERAS_BACKEND` names:
`python -m tests.layers.load_models FOLDER OUTPUTS`.
"""

import pathlib
import sys

import keras
import numpy as np

from keras_stn import __version__
from tests.layers import models

if __name__ == "__main__":
    folder, outputs = map(pathlib.Path, sys.argv[1:])
    results = {"version": __version__, "family": models.Shift.__name__}
    for path in sorted(folder.glob("*.keras")):
        inputs = [array for _, array in sorted(np.load(path.with_suffix(".npz")).items())]
        model = keras.saving.load_model(path)
        # `predict`, because JAX would compile every operation by itself in an eager call.
        made = model.predict(inputs[0] if len(inputs) == 1 else inputs, verbose=0)
        for i, output in enumerate(keras.tree.flatten(made)):
            results[f"{path.stem}/{i}"] = output
    np.savez(outputs, **results)
