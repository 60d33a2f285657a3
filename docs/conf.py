"""How Sphinx builds this site: `sphinx-build -W docs docs/_build`."""

import os
import sys
from pathlib import Path

# Any backend will do: the code on the pages runs on all of them.
os.environ.setdefault("KERAS_BACKEND", "jax")
sys.path.insert(0, str(Path(__file__).parent))

import keras_stn

project = "keras-stn"
author = "The keras-stn authors"
copyright = "the keras-stn authors, Apache-2.0"
version = release = keras_stn.__version__
exclude_patterns = ["_build", "extensions", "figures"]

extensions = [
    "extensions.markdown_docstrings",
    "extensions.reading",
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
]

html_theme = "furo"
html_title = f"keras-stn {version}"
pygments_dark_style = "github-dark"  # furo's own underlines modules, as if they were links
html_copy_source = False
html_use_index = False  # nothing leads to it, and it does not fit on a phone
html_static_path = ["playground"]

default_role = "literal"  # `name` in docstrings, as in Markdown
autodoc_inherit_docstrings = False  # those of Keras's methods are in Keras's documentation
autodoc_member_order = "bysource"
maximum_signature_line_length = 90  # a longer one has a line for each argument
autodoc_default_options = {"exclude-members": "get_config, from_config"}
napoleon_use_rtype = False
napoleon_custom_sections = [
    ("Call arguments", "params_style"),
    "Convention",
    "Input shape",
    "Output shape",
]

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
