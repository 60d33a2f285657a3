"""What imports what: only downwards inside, and outside only Keras, NumPy, the active backend."""

import ast
import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

import keras_stn
from tests.backend import BACKEND

PACKAGE = pathlib.Path(keras_stn.__file__).parent
# From the bottom up: a module may import only from levels below its own. A star stands for every
# module of a package that no other line names.
LEVELS = [
    "keras_stn._types",
    "keras_stn.ops.axes",
    "keras_stn.ops.products",
    "keras_stn.ops.fusing",
    "keras_stn.ops.symbolic",
    "keras_stn.ops.coordinates",
    "keras_stn.ops.grids",
    "keras_stn.ops.points",
    "keras_stn.ops.kernels.barrier",
    "keras_stn.ops.kernels.taps",
    "keras_stn.ops.kernels.windows",
    "keras_stn.ops.kernels.portable",
    "keras_stn.ops.kernels.*",
    "keras_stn.ops.kernels",
    "keras_stn.ops.antialiasing",
    "keras_stn.ops.sampling",
    "keras_stn.ops",
    "keras_stn.transforms.methods",
    "keras_stn.transforms.base",
    "keras_stn.transforms.bounds",
    "keras_stn.transforms.sides",
    "keras_stn.transforms.lattice",
    "keras_stn.transforms.rotations",
    "keras_stn.transforms.fields",
    "keras_stn.transforms.matrices",
    "keras_stn.transforms.*",
    "keras_stn.transforms",
    "keras_stn.regularizers",
    "keras_stn.layers.foreign_names",
    "keras_stn.layers.arguments",
    "keras_stn.layers.sampling_layer",
    "keras_stn.layers.theta_head",
    "keras_stn.layers.*",
    "keras_stn.layers.spatial_transformer",
    "keras_stn.layers",
    "keras_stn.visualization.arrays",
    "keras_stn.visualization.outlines",
    "keras_stn.visualization.panels",
    "keras_stn.visualization.*",
    "keras_stn.visualization",
    "keras_stn.callbacks.differentiation",
    "keras_stn.callbacks.recording",
    "keras_stn.callbacks.measures",
    "keras_stn.callbacks.diagnosis",
    "keras_stn.callbacks.pictures",
    "keras_stn.callbacks.*",
    "keras_stn.callbacks",
    "keras_stn.*",
    "keras_stn",
]


def module_name(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {module_name(path): path.read_text("utf-8") for path in PACKAGE.rglob("*.py")}


def level(module):
    parent = module.rpartition(".")[0]
    return LEVELS.index(module if module in LEVELS else f"{parent}.*")


def imported(source, modules=SOURCES):
    """The modules of the package that `source` imports, wherever in the file."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            for alias in node.names:
                deeper = f"{node.module}.{alias.name}"
                if deeper in modules:
                    yield deeper
                elif node.module in modules:
                    yield node.module


def upward(module, source, modules=SOURCES):
    """The imports of `module` that do not go down."""
    return [other for other in imported(source, modules) if level(other) >= level(module)]


@pytest.mark.parametrize("module", sorted(SOURCES))
def test_imports_go_down(module):
    assert upward(module, SOURCES[module]) == []


@pytest.mark.parametrize(
    ("module", "source", "wanted"),
    [
        ("keras_stn.ops.grids", "from keras_stn.ops import grid_sample", ["keras_stn.ops"]),
        ("keras_stn.ops.grids", "def f():\n import keras_stn.layers", ["keras_stn.layers"]),
        ("keras_stn.transforms.affine", "from keras_stn import layers", ["keras_stn.layers"]),
        ("keras_stn.layers.localization", "from keras_stn.ops.grids import affine_grid", []),
        ("keras_stn.layers.localization", "import keras_stn", ["keras_stn"]),
        (
            "keras_stn.ops.kernels.barrier",
            "from keras_stn.ops.kernels import portable",
            ["keras_stn.ops.kernels.portable"],
        ),
    ],
)
def test_upward_imports_are_noticed(module, source, wanted):
    assert upward(module, source) == wanted


# What the package may ask for, and may bring in.
ALLOWED = {"keras", "keras_stn", "numpy", BACKEND} | sys.stdlib_module_names
# What nobody wants in memory because a layer was called. Not all that is not allowed: a backend may
# load what it depends on late.
UNWANTED = {
    "IPython",
    "PIL",
    "jax",
    "jaxlib",
    "matplotlib",
    "onnx",
    "openvino",
    "pandas",
    "scipy",
    "skimage",
    "sklearn",
    "tensorflow",
    "torch",
    "tqdm",
} - {BACKEND}

PROBE = """
import builtins, json, sys

asked, real = set(), builtins.__import__

def recording(name, globals=None, *args, **kwargs):
    importer = (globals or {}).get("__name__") or ""
    if importer.partition(".")[0] == "keras_stn":
        asked.add((importer, name.partition(".")[0]))
    return real(name, globals, *args, **kwargs)

def packages(modules):
    return {name.partition(".")[0] for name in modules}

import keras
before = set(sys.modules)
builtins.__import__ = recording
import keras_stn
after = set(sys.modules)
keras_stn.SpatialTransformer()(keras.ops.ones((1, 8, 8, 1)))
print(json.dumps({
    "asked": sorted(asked),
    "imported": sorted(packages(after - before)),
    "used": sorted(packages(sys.modules) - packages(after)),
}))
"""


def probe(folder):
    """What the package in `folder` imports, and what comes with it.

    "asked": [module of ours, what it asks for], at the import and while a layer is called.
    "imported": packages of which something is new in memory after the import. "used": packages of
    which nothing was in memory before a layer was called.
    """
    # In a process of its own: this one has loaded them all.
    environment = {**os.environ, "KERAS_BACKEND": BACKEND}
    done = subprocess.run(
        [sys.executable, "-c", PROBE],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_nothing_but_keras_numpy_and_the_active_backend_is_imported():
    found = probe(PACKAGE.parent)
    # Keras itself may bring others along; the package must not ask for them.
    assert [pair for pair in found["asked"] if pair[1] not in ALLOWED] == []
    assert set(found["imported"]) <= ALLOWED
    assert UNWANTED.isdisjoint(found["used"])


def test_foreign_imports_are_noticed(tmp_path):
    shutil.copytree(PACKAGE, tmp_path / "keras_stn", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "stranger.py").touch()
    with (tmp_path / "keras_stn" / "regularizers.py").open("a", encoding="utf-8") as file:
        file.write("\nimport stranger\n")
    found = probe(tmp_path)
    assert ["keras_stn.regularizers", "stranger"] in found["asked"]
    assert "stranger" in found["imported"]
