"""Which tests a backend runs, with which of their parameters, and how JAX compiles them.

Paths are beginnings of pytest's names of tests. NumPy and PyTorch, which compile nothing, run all
parameters of almost all tests; `ALL_PARAMETERS=1`, or `python -m tests --all`, does everywhere.
"""

from tests.covering import thinned

BACKENDS = ("tensorflow", "jax", "torch", "numpy")

# What does not depend on the backend: files, pages, command lines. `python -m tests` runs it once,
# on NumPy.
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
# Whole examples, some of which train for minutes on XLA: one backend runs them, all do at night.
ON_ONE_BACKEND = {
    "tests/examples/test_app.py": "torch",
    "tests/examples/test_command_line.py": "torch",
    "tests/examples/test_cost.py": "torch",
    "tests/examples/test_distorted_mnist.py": "torch",
    "tests/examples/test_distorted_mnist_cost.py": "torch",
    "tests/examples/test_models.py": "torch",
    "tests/test_docs.py::test_the_code_of_a_page_runs_from_top_to_bottom[stability]": "torch",
    "tests/test_docs.py::test_the_code_of_a_page_runs_from_top_to_bottom[tutorial]": "torch",
    "tests/test_notebooks.py::test_gtsrb_sample": "torch",
    "tests/test_notebooks.py::test_quick_start": "torch",
}

# What the parameters that are left have to hold: every value of each, or every pair of values of
# two. The longest path counts.
VALUES, PAIRS = 1, 2
EXPORTED = {  # seconds each
    "tests/layers/test_export.py::test_in_the_formats_of_others": VALUES,
    "tests/layers/test_export.py::test_options": VALUES,
}
XLA = {  # compiles each test for as long as the others take for dozens
    "tests/": PAIRS,
    "tests/callbacks/": VALUES,
    "tests/layers/test_families.py": VALUES,
    "tests/layers/test_localization.py::test_weights_are_shares_of_area": VALUES,
    "tests/test_regularizers.py": VALUES,
    "tests/transforms/": VALUES,
    **EXPORTED,
}
STRENGTH = {
    "tensorflow": XLA,
    "jax": XLA,
    "torch": EXPORTED,
    "numpy": {},
}

# Values and derivatives of small arrays. JAX compiles the others with all optimizations, as users
# do: whatever is about compiled programs, about the last bit, or trains.
COMPILED_QUICKLY = (
    "tests/ops/test_affine_algebra.py",
    "tests/ops/test_affine_grid.py",
    "tests/ops/test_coordinates.py",
    "tests/ops/test_gradients.py",
    "tests/ops/test_grid_sample.py",
    "tests/ops/test_grid_sample_dtypes.py",
    "tests/ops/test_points.py",
    "tests/ops/test_second_derivatives.py",
    "tests/ops/test_unknown_sizes.py",
    "tests/test_dense_penalties.py",
    "tests/test_regularizers.py",
    "tests/transforms/test_affine.py",
    "tests/transforms/test_batches.py",
    "tests/transforms/test_bounds.py",
    "tests/transforms/test_dense_fields.py",
    "tests/transforms/test_matrix_families.py",
    "tests/transforms/test_projective.py",
    "tests/transforms/test_symbolic.py",
    "tests/transforms/test_thin_plate_spline.py",
)


def of_other_backends(backend):
    """The files about one backend, such as `test_jax_transformations.py`, that are not `backend`'s.

    They may import it, and it may not be installed.
    """
    return [f"ops/test_{other}_transformations.py" for other in BACKENDS if other != backend]


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
