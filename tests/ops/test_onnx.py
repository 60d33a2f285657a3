"""Conformance with ONNX's `GridSample` and `AffineGrid`.

Two oracles: the official node tests, with expected outputs written down by ONNX, and its reference
evaluator, on seeded inputs, for what the official tests leave out.
"""

import numpy as np
import onnx
import onnx.backend.test.case.node.affinegrid
import onnx.backend.test.case.node.gridsample
import pytest
from onnx.reference import ReferenceEvaluator

from keras_stn import ops
from tests.backend import assert_close, to_numpy
from tests.ops.inputs import SIZES, images, move_channels, points

INTERPOLATIONS = {"nearest": "nearest", "linear": "bilinear", "cubic": "bicubic"}

both_align_corners = pytest.mark.parametrize("align_corners", [0, 1])


def grid_sample(images, grid, *, mode="linear", padding_mode="zeros", align_corners=0):
    """`ops.grid_sample` by the names and defaults of ONNX."""
    fill_modes = {
        "zeros": "constant",
        "border": "nearest",
        "reflection": "mirror" if align_corners else "reflect",
    }
    return ops.grid_sample(
        images,
        grid,
        interpolation=INTERPOLATIONS[mode],
        fill_mode=fill_modes[padding_mode],
        align_corners=bool(align_corners),
        data_format="channels_first",
    )


def affine_grid(theta, size, *, align_corners=0):
    """`ops.affine_grid` by the names and defaults of ONNX; `size` is (batch, channels, ...)."""
    return ops.affine_grid(theta, size[2:].tolist(), align_corners=bool(align_corners))


def official_cases(op_type):
    """ONNX's own tests of one operator, without their expansions into other operators."""
    # Collected by importing their modules. ONNX's collector imports all modules, in 8 seconds.
    return [
        case
        for case in onnx.backend.test.case.node._NodeTestCases
        if [node.op_type for node in case.model.graph.node] == [op_type]
    ]


def every_official_case(op_type):
    cases = official_cases(op_type)
    return pytest.mark.parametrize("case", cases, ids=[case.name for case in cases])


def check(case, operator):
    """Runs `operator` on a case's inputs, within the tolerance of the case."""
    attributes = {
        a.name: onnx.helper.get_attribute_value(a) for a in case.model.graph.node[0].attribute
    }
    attributes = {k: v.decode() if isinstance(v, bytes) else v for k, v in attributes.items()}
    ((inputs, (expected,)),) = case.data_sets
    actual = to_numpy(operator(*inputs, **attributes))
    assert actual.dtype == expected.dtype
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=case.rtol, atol=case.atol)


def evaluate(op_type, *inputs, **attributes):
    """The output of ONNX's reference evaluator."""
    names = [f"input_{i}" for i in range(len(inputs))]
    node = onnx.helper.make_node(op_type, names, ["output"], **attributes)
    (output,) = ReferenceEvaluator(node).run(None, dict(zip(names, inputs, strict=True)))
    return output


@pytest.mark.parametrize(("op_type", "count"), [("GridSample", 18), ("AffineGrid", 4)])
def test_official_cases_are_found(op_type, count):
    # As many as in every release so far; later ones may add to them.
    assert len(official_cases(op_type)) >= count


@every_official_case("GridSample")
def test_official_grid_sample(case):
    check(case, grid_sample)


@every_official_case("AffineGrid")
def test_official_affine_grid(case):
    check(case, affine_grid)


@both_align_corners
@pytest.mark.parametrize("padding_mode", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", INTERPOLATIONS)
@pytest.mark.parametrize("ndim", [2, 3])
def test_evaluator_agrees_on_grid_sample(ndim, mode, padding_mode, align_corners, rng):
    image = move_channels(images(rng, ndim, channels=2), "channels_first").astype("float32")
    grid = points(rng, SIZES[ndim], count=24, align_corners=bool(align_corners))
    if (mode, padding_mode) == ("cubic", "border"):
        # Only inside the image: the evaluator, as ONNX Runtime, moves a place outside to the edge
        # before it looks for neighbours, which loses those inside (onnxruntime issue 10607). What
        # torch does, and we, is in the tests against torch.
        grid = grid / np.abs(grid).max()
    grid = grid.reshape(2, 4, 6, *[1] * (ndim - 2), ndim).astype("float32")
    attributes = {"mode": mode, "padding_mode": padding_mode, "align_corners": align_corners}
    expected = evaluate("GridSample", image, grid, **attributes)
    assert_close(grid_sample(image, grid, **attributes), expected, scale=2)


# No axis of one pixel: under `align_corners` the evaluator puts it at -1, torch and we at 0.
@both_align_corners
@pytest.mark.parametrize("sizes", [(2, 3), (7, 4), (2, 3, 4), (5, 4, 2)])
def test_evaluator_agrees_on_affine_grid(sizes, align_corners, rng):
    theta = rng.normal(size=(3, len(sizes), len(sizes) + 1)).astype("float32")
    size = np.array([3, 1, *sizes])
    expected = evaluate("AffineGrid", theta, size, align_corners=align_corners)
    assert_close(affine_grid(theta, size, align_corners=align_corners), expected)
