"""Sphinx extension: pictures open in full by a click, numbers stay on the line of their unit."""

import re

from docutils import nodes
from sphinx.util.images import get_image_size

BREAK = re.compile(r"(?<=\d) (?=%|±)|(?<=±) (?=\d)")


def improve(app, doctree, docname):
    """Both, on one page."""
    for picture in doctree.findall(nodes.image):
        size = get_image_size(app.srcdir / picture["uri"]) if "://" not in picture["uri"] else None
        if size:
            picture["width"] = f"{size[0]}px"  # its own: Sphinx links pictures that have a width
    for text in list(doctree.findall(nodes.Text)):
        if not isinstance(text.parent, nodes.literal | nodes.literal_block | nodes.raw):
            text.parent.replace(text, nodes.Text(BREAK.sub("\N{NO-BREAK SPACE}", text)))


def setup(app):
    """Sphinx's hook."""
    app.connect("doctree-resolved", improve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
