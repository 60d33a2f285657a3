"""Every family leaves Python by each backend's exporters, for batches of any size.

One program for all of them: nothing is unrolled over the batch.
"""

import collections

import keras
import numpy as np
import onnx
import pytest

from keras_stn import SpatialTransformer
from tests.backend import BACKEND, to_numpy, traced
from tests.exporters import exporters
from tests.layers.models import MeanFeatures, random_images, randomize
from tests.layers.test_families import COMPILED, every_compiled_case

if not exporters(BACKEND):
    pytest.skip("nothing is exported from this backend, or by this Keras", allow_module_level=True)

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
    if (BACKEND, format, ndim) == ("torch", "OpenVINO", 3):  # by way of ONNX's node
        with pytest.raises(Exception, match="GridSample is only supported for 4D"):
            check(stn, IMAGES[ndim], EXPORTERS[format], tmp_path / "exported")
    else:
        check(stn, IMAGES[ndim], EXPORTERS[format], tmp_path / "exported")


OPTIONS = {
    "default network": {"localization_network": None},
    "nearest": {"interpolation": "nearest"},
    "bicubic": {"interpolation": "bicubic"},
    "zeros": {"fill_mode": "constant"},
    "mirror": {"fill_mode": "mirror"},
    "reflect": {"fill_mode": "reflect", "align_corners": False},
    "wrap": {"fill_mode": "wrap"},
    "fill value": {"fill_mode": "constant", "fill_value": 0.5},
    "antialias": {"antialias": True, "output_size": (4, 4)},
    "several": {"num_transforms": 2, "output_size": (4, 5)},
    "num_looks": {"num_looks": 2},
    "bounds": {"bounds": "default"},
    "channels first": {"data_format": "channels_first"},
}


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("format", EXPORTERS)
def test_options(name, format, tmp_path):
    options = {"localization_network": MeanFeatures(), "data_format": "channels_last"}
    stn = SpatialTransformer(**{**options, **OPTIONS[name]})
    check(stn, random_images(5, 8, 8, 2), EXPORTERS[format], tmp_path / "exported")


def small_model(**options):
    stn = SpatialTransformer(MeanFeatures(), data_format="channels_last", **options)
    inputs = keras.Input((6, 6, 1))
    return keras.Model(inputs, stn(inputs))


def onnx_graph(path, batch=None, **options):
    """The graph of a small model in ONNX, for batches of one size if that is given."""
    signature = [keras.InputSpec(shape=(batch, 6, 6, 1), dtype="float32")]
    small_model(**options).export(
        str(path), format="onnx", verbose=False, input_signature=signature
    )
    return onnx.load(path).graph


@pytest.mark.skipif("ONNX" not in EXPORTERS, reason="nothing exports to ONNX from this backend")
def test_a_graph_of_onnx_is_as_long_for_two_images_as_for_many(tmp_path):
    graphs = [onnx_graph(tmp_path / f"{batch}.onnx", batch) for batch in (2, 32, None)]
    sizes = [graph.input[0].type.tensor_type.shape.dim[0] for graph in graphs]
    assert [size.dim_value for size in sizes] == [2, 32, 0]
    assert sizes[2].dim_param  # a name, for batches of any size
    assert len(graphs[0].node) == len(graphs[1].node)


@pytest.mark.skipif(BACKEND != "torch", reason="only PyTorch's own operation becomes a node")
@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("bilinear", 1),
        ("nearest", 1),
        ("bicubic", 1),
        ("zeros", 1),
        ("mirror", 1),
        ("reflect", 1),
        ("fill value", 1),
        ("wrap", 0),
    ],
)
def test_nodes_of_onnx_that_sample(name, count, tmp_path):
    graph = onnx_graph(tmp_path / "exported.onnx", **OPTIONS.get(name, {}))
    types = collections.Counter(node.op_type for node in graph.node)
    assert types["GridSample"] == count
    assert types["AffineGrid"] == 0


# Formats that `model.export` cannot write from a backend: the file's suffix, the error, and what it
# says; the reasons and ways round are in docs/deploy.md. Not tried: what needs a package that the
# tests do without (ONNX from JAX jax2onnx, LiteRT from PyTorch litert-torch), `jax.export` from
# other backends, for which there is no call, and OpenVINO from JAX: its telemetry forks, of which
# JAX warns in whatever test then runs.
REFUSED = {
    "tensorflow": {"torch": (".pt2", ValueError, "requires PyTorch backend")},
    "jax": {
        "litert": (".tflite", ValueError, "requires TensorFlow or PyTorch backend"),
        "torch": (".pt2", ValueError, "requires PyTorch backend"),
    },
    "torch": {
        "tf_saved_model": ("", RuntimeError, "dynamic_shapes"),
        "openvino": (".xml", Exception, "nan_to_num"),  # OpenVINO's own, which is no other error
    },
}


@pytest.mark.parametrize("format", REFUSED[BACKEND])
def test_what_cannot_be_exported_is_refused(format, tmp_path):
    suffix, error, message = REFUSED[BACKEND][format]
    model = small_model()
    # Older releases of Keras do not know the format, whatever the backend.
    with pytest.raises((error, ValueError), match=f"{message}|Unrecognized format"):
        model.export(str(tmp_path / f"exported{suffix}"), format=format, verbose=False)
