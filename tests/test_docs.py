"""The pages of the docs: their code runs, the reference holds every public name."""

import re

import keras
import pytest

import keras_stn
from tests.backend import BACKEND
from tests.docs_scripts import DOCS
from tests.exporters import EXPORTERS, exporters

BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
PAGES = [page for page in sorted(DOCS.rglob("*.md")) if BLOCK.search(page.read_text("utf-8"))]
TRAIN = ("several-devices", "stability", "tutorial", "volumes-and-flows")
MODULES = ("ops", "transforms", "regularizers", "callbacks", "visualization")


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, id=page.stem, marks=[pytest.mark.gradient] if page.stem in TRAIN else [])
        for page in PAGES
    ],
)
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")  # as PyTorch exports
def test_the_code_of_a_page_runs_from_top_to_bottom(page, tmp_path, monkeypatch):
    if page.stem == "deploy" and exporters(BACKEND) != EXPORTERS[BACKEND]:
        pytest.skip("the page is of a newer Keras, or on JAX a newer TensorFlow, as it says")
    if page.stem == "stability" and not hasattr(keras.optimizers, "MultiOptimizer"):
        pytest.skip("the page has an optimizer of a newer Keras, as it says")
    monkeypatch.chdir(tmp_path)  # for what it writes
    names = {"__name__": page.stem}
    for code in BLOCK.findall(page.read_text("utf-8")):
        exec(compile(code, page, "exec"), names)


def test_pages_with_code_are_found():
    assert {"drop-in", "families", "gradients", "index", "porting", "stability", "tutorial"} <= {
        page.stem for page in PAGES
    }


@pytest.mark.parametrize("name", MODULES)
def test_the_reference_has_every_public_name_of(name):
    page = (DOCS / "reference" / f"{name}.md").read_text("utf-8")
    documented = set(re.findall(r"^\.\. auto\w+:: (\w+)$", page, re.MULTILINE))
    assert documented == set(getattr(keras_stn, name).__all__)


def test_the_reference_has_every_layer():
    page = (DOCS / "reference" / "layers.md").read_text("utf-8")
    documented = set(re.findall(r"^\.\. auto\w+:: (\w+)$", page, re.MULTILINE))
    assert documented == set(keras_stn.layers.__all__)
    assert documented | {*MODULES, "layers", "__version__"} == set(keras_stn.__all__)


@pytest.fixture
def markdown(monkeypatch):
    """The extension that translates docstrings."""
    monkeypatch.syspath_prepend(str(DOCS))
    from extensions import markdown_docstrings

    return markdown_docstrings


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("See [the paper](https://a.b/c).", "See `the paper <https://a.b/c>`__."),
        ("See docs/howto/drop-in.md.", "See :doc:`/howto/drop-in`."),
        ("As `keras_stn.ops.affine_grid`.", "As :py:obj:`keras_stn.ops.affine_grid`."),
        ("a `2**-n`th, or `n`'s", r"a `2**-n`\ th, or `n`'s"),
        ("Returns:\n    Of shape `[:-1]`:\n    x", "Returns:\n    : Of shape `[:-1]`:\n    x"),
        (
            "Formula, a long\nname:\n\n    |x|\n\n|z|",
            "Formula, a long\nname::\n\n    |x|\n\n\\|z\\|",
        ),
        ("`(batch, *size)` of |x| and (*size,)", r"`(batch, *size)` of \|x\| and (\*size,)"),
        ("**one** and *two*", "**one** and *two*"),
        (">>> f(*args)\n[*, |]\n\n*args", ">>> f(*args)\n[*, |]\n\n\\*args"),
        (
            "Formula (x, y):\n\n    |x| * y\n\n|z|",
            "Formula (x, y)::\n\n    |x| * y\n\n\\|z\\|",
        ),
        (
            "| a | b |\n|---|---|\n| `c` | d |\n\ne",
            ".. list-table::\n   :header-rows: 1\n\n   * - a\n     - b\n   * - `c`\n     - d\n\ne",
        ),
    ],
)
def test_markdown_of_docstrings_is_translated(markdown, given, wanted):
    assert "\n".join(markdown.to_rst(given.split("\n"))) == wanted


@pytest.mark.parametrize(
    ("thing", "signature"),
    [
        (
            keras_stn.AffineGridGenerator,
            ("(output_size: Sizes, *, align_corners: bool = True, **kwargs: Any)", None),
        ),
        (
            keras_stn.ops.affine_grid,
            ("(theta: TensorLike, output_size: Sizes, *, align_corners: bool = True)", "Tensor"),
        ),
        (keras_stn.transforms.Affine.identity, ("(ndim: int = 2)", "NDArray[np.float32]")),
    ],
)
def test_signatures_are_those_that_are_written(markdown, thing, signature):
    assert markdown.signature_of(thing) == signature
