"""The scripts that rebuild pages of the docs, as modules."""

import importlib.util
import pathlib
import sys

DOCS = pathlib.Path(__file__).parents[1] / "docs"


def load(name):
    """The script docs/figures/NAME.py."""
    spec = importlib.util.spec_from_file_location(
        f"docs_figures_{name}", DOCS / "figures" / f"{name}.py"
    )
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
