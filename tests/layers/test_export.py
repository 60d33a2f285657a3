"""Every family leaves Python by each backend's exporters, for batches of any size.

One program for all of them: nothing is unrolled over the batch.
"""

import keras
import numpy as np
import pytest

from keras_stn import SpatialTransformer
from tests.backend import BACKEND, to_numpy, traced
from tests.exporters import exporters
from tests.layers.models import MeanFeatures, random_images, randomize
from tests.layers.test_families import COMPILED, every_compiled_case

if not exporters(BACKEND):
    pytest.skip("this backend exports nothing, or this Keras from it", allow_module_level=True)

# Of sizes that are compared while torch traces; what is exported is tried at other sizes.
pytestmark = pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")

IMAGES = {2: random_images(5, 6, 9, 2), 3: random_images(5, 3, 5, 4, 1)}
EXPORTERS = exporters(BACKEND)
OWN, *OTHERS = EXPORTERS


def check(stn, images, export, path):
    """A model with the spatial transformer means the same exported."""
    inputs = keras.Input(images.shape[1:])
    model = keras.Model(inputs, stn(inputs))
    randomize(model)
    run, path = export(model, path)
    for batch in (1, 5):
        expected = to_numpy(traced(model)(images[:batch]))
        if expected.shape == images[:batch].shape:
            assert np.abs(expected - images[:batch]).max() > 0.01
        np.testing.assert_allclose(to_numpy(run(images[:batch])), expected, atol=1e-5)
    return path


@every_compiled_case
def test_in_the_backends_own_format(name, ndim, tmp_path):
    stn = SpatialTransformer(MeanFeatures(), COMPILED.get(name, name), data_format="channels_last")
    check(stn, IMAGES[ndim], EXPORTERS[OWN], tmp_path / "exported")


@every_compiled_case
@pytest.mark.parametrize("format", OTHERS)
def test_in_the_formats_of_others(name, ndim, format, tmp_path):
    stn = SpatialTransformer(MeanFeatures(), COMPILED.get(name, name), data_format="channels_last")
    check(stn, IMAGES[ndim], EXPORTERS[format], tmp_path / "exported")


OPTIONS = {
    "default network": {"localization_network": None},
    "nearest": {"interpolation": "nearest"},
    "bicubic": {"interpolation": "bicubic"},
    "edge": {"fill_mode": "nearest"},
    "mirror": {"fill_mode": "mirror"},
    "reflect": {"fill_mode": "reflect", "align_corners": False},
    "wrap": {"fill_mode": "wrap"},
    "fill value": {"fill_value": 0.5},
    "antialias": {"antialias": True, "output_size": (4, 4)},
    "several": {"num_transforms": 2, "output_size": (4, 5)},
    "steps": {"steps": 2},
    "bounds": {"bounds": "default"},
    "channels first": {"data_format": "channels_first"},
}


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("format", EXPORTERS)
def test_options(name, format, tmp_path):
    options = {"localization_network": MeanFeatures(), "data_format": "channels_last"}
    stn = SpatialTransformer(**{**options, **OPTIONS[name]})
    check(stn, random_images(5, 8, 8, 2), EXPORTERS[format], tmp_path / "exported")
