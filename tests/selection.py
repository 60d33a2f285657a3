"""Which tests a backend runs, with which of their parameters, and how XLA compiles them.

Paths are beginnings of pytest's names of tests. NumPy and PyTorch, which compile nothing, run all
parameters of almost all tests; `ALL_PARAMETERS=1`, or `python -m tests --all`, does everywhere.
"""

from tests.covering import thinned

BACKENDS = ("tensorflow", "jax", "torch", "numpy")
XLA = ("tensorflow", "jax")  # those that compile, by it

# What does not depend on the backend: files, pages, command lines. `python -m tests` runs it on
# NumPy alone.
ONCE = (
    "tests/agreement/",  # starts processes of its own on all backends
    "tests/examples/test_broken_images.py",
    "tests/examples/test_dataset.py",
    "tests/examples/test_decoding.py",
    "tests/examples/test_download.py",
    "tests/examples/test_figures.py",
    "tests/release/",
    "tests/test_faults.py",
    "tests/test_covering.py",
    "tests/test_deploy_page.py",
    "tests/test_distorted_mnist_page.py",
    "tests/test_floors.py",
    "tests/test_fuzz.py",
    "tests/test_imports.py::test_foreign_imports_are_noticed",
    "tests/test_imports.py::test_imports_go_down",
    "tests/test_imports.py::test_upward_imports_are_noticed",
    "tests/test_notebooks.py::test_a_notebook_is_what_its_script_says",
    "tests/test_playground.py",
    "tests/test_public_api.py",
    "tests/test_results_page.py",
    "tests/test_site.py",
    "tests/test_types.py",
    "tests/visualization/test_animation.py",
    "tests/visualization/test_plots.py",
)
# Pages of the docs that say nothing about a backend.
PAGES = (
    "antialiasing",
    "conventions",
    "drop-in",
    "families",
    "high-resolution",
    "points-and-boxes",
    "porting",
    "stability",
    "tutorial",
    "volumes-and-flows",
)
# Whole examples, some of which train for minutes on XLA: one backend runs them, all do at night.
ON_ONE_BACKEND = {
    "tests/examples/test_app.py": "torch",
    "tests/examples/test_command_line.py": "torch",
    "tests/examples/test_cost.py": "torch",
    "tests/examples/test_distorted_mnist.py": "torch",
    "tests/examples/test_distorted_mnist_cost.py": "torch",
    "tests/examples/test_models.py": "torch",
    **{
        f"tests/test_docs.py::test_the_code_of_a_page_runs_from_top_to_bottom[{page}]": "torch"
        for page in PAGES
    },
    "tests/test_docstrings.py::test_examples_of_module": "torch",
    "tests/test_notebooks.py::test_gtsrb_sample": "torch",
    "tests/test_notebooks.py::test_quick_start": "torch",
}

# What the parameters that are left have to hold: one combination, every value of each, or every
# pair of values of two. The longest path counts.
ONE, VALUES, PAIRS = 0, 1, 2
TENSORFLOW = {  # XLA compiles each test for as long as the others take for dozens
    "tests/": VALUES,
    "tests/callbacks/": ONE,
    "tests/layers/test_export.py::test_in_the_formats_of_others": ONE,  # test_options tries all
    "tests/ops/": PAIRS,
    "tests/ops/test_antialiasing.py": ONE,
    "tests/ops/test_gradients.py": VALUES,
    "tests/ops/test_many_pixels.py": VALUES,
    "tests/ops/test_nearest.py": VALUES,
}
# Compiles even what runs eagerly, operation by operation. Every family is run, if not in each test
# of what all of them have.
JAX = TENSORFLOW | {
    "tests/test_dense_penalties.py": ONE,
    "tests/test_regularizers.py": ONE,
    "tests/transforms/test_batches.py": ONE,
    "tests/transforms/test_bounds.py": ONE,
    "tests/transforms/test_transform.py": ONE,
}
TORCH = {  # seconds each
    "tests/layers/test_export.py::test_in_the_formats_of_others": VALUES,
    "tests/layers/test_export.py::test_options": VALUES,
}
STRENGTH = {"tensorflow": TENSORFLOW, "jax": JAX, "torch": TORCH, "numpy": {}}

# About compiled programs, or about the last bit: XLA compiles these as it does for users, and all
# others in half the time.
COMPILED = (
    "tests/layers/test_export.py",
    "tests/ops/test_antialiasing.py::test_a_fill_of_nan_stays_outside",
    "tests/ops/test_barrier.py",
    "tests/ops/test_compiled.py",
    "tests/ops/test_determinism.py",
    "tests/ops/test_many_pixels.py",
    "tests/ops/test_nearest.py",
    "tests/ops/test_private_modules.py",
    "tests/ops/test_products.py",
)
COMPILED_QUICKLY = (
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true "
    "--xla_cpu_use_fusion_emitters=false"
)


def is_of_another_backend(path, backend):
    """Whether a file such as `test_jax_transformations.py` is about another backend.

    It may import that, and it may not be installed.
    """
    others = (f"test_{other}_transformations.py" for other in BACKENDS if other != backend)
    return path.name in others


def strength(nodeid, backend):
    """The strength of the covering of a test's parameters; None for all of them."""
    levels = STRENGTH[backend]
    found = [path for path in levels if nodeid.startswith(path)]
    return levels[max(found, key=len)] if found else None


def choose(items, backend):
    """The `items` of pytest to run, and those to leave out."""
    elsewhere = tuple(path for path, one in ON_ONE_BACKEND.items() if one != backend)
    here = [item for item in items if not item.nodeid.startswith(elsewhere)]
    kept, left = thinned(here, lambda item: strength(item.nodeid, backend))
    return kept, left + [item for item in items if item.nodeid.startswith(elsewhere)]
