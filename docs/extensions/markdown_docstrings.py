"""Sphinx extension: the Markdown of docstrings (links, tables, literals) as reStructuredText.

Napoleon knows the sections but not the markup between them. The paragraph with the formula's name
opens a literal block; examples are left as they are. Full names of the library, and pages of the
docs, become links. Signatures are as they are written.
"""

import inspect
import re

from sphinx.util.inspect import stringify_signature

LITERAL = re.compile(r"(``?[^`]+``?)")
LINK = re.compile(r"\[([^\]]+)\]\((https?:[^)]+)\)")
EMPHASIS = re.compile(r"(\*{1,2}\w[\w ]*\*{1,2})")
OURS = re.compile(r"`keras_stn(\.\w+)+`")
PAGE = re.compile(r"docs/([\w/-]+)\.md")


def to_rst(lines):
    """A docstring's lines, translated."""
    found, block, block_indent = [], None, 0
    naming = returns = False  # within the paragraph that names the formula; at the result's line
    for line in lines:
        text = line.strip()
        indent = len(line) - len(line.lstrip())
        if block == "example" and not text:
            block = None
        elif block == "formula" and text and indent <= block_indent:
            block = None
        if block is None and text.startswith(">>>"):
            block = "example"
        if block == "table" or (block is None and is_row(text)):
            if is_row(text):
                found += table_row(line[:indent], text, first=block is None)
                block = "table"
                continue
            block = None
        naming = block is None and (naming or text.startswith("Formula")) and text != ""
        if naming and text.endswith(":"):
            block, block_indent, naming = "formula", indent, False
            found.append(f"{inline(line)}:")
        elif block:
            found.append(line)
        else:
            # Napoleon takes what comes before the first colon for the result's type: an empty one.
            found.append(inline(f"{line[:indent]}: {text}" if returns else line))
        returns = text == "Returns:"
    return found


def is_row(text):
    """Whether this is a row of a Markdown table."""
    return text.startswith("| ") or text.startswith("|--")


def table_row(margin, text, first):
    """A row, and before the first one the directive that holds all of them."""
    if set(text) <= set("|- "):
        return []
    cells = [cell.strip() for cell in text.strip("|").split(" | ")]
    rows = [f"{margin}   {'*' if i == 0 else ' '} - {inline(c)}" for i, c in enumerate(cells)]
    head = [f"{margin}.. list-table::", f"{margin}   :header-rows: 1", ""]
    return head + rows if first else rows


def inline(line):
    """Links made reStructuredText's; what would be markup there and is none here, escaped."""
    parts = LITERAL.split(line)
    for i, part in enumerate(parts):
        if i % 2:
            parts[i] = f":py:obj:{part}" if OURS.fullmatch(part) else part
        else:
            # A literal ends where no letter follows.
            ends = "\\ " if i and re.match(r"\w", part) else ""
            parts[i] = ends + escape(part)
    return "".join(parts)


def escape(text):
    """The same, of text between literals."""
    text = PAGE.sub(r":doc:`/\1`", LINK.sub(r"`\1 <\2>`__", text))
    parts = EMPHASIS.split(text)
    return "".join(p if i % 2 else re.sub(r"([*|])", r"\\\1", p) for i, p in enumerate(parts))


def signature_of(obj):
    """The arguments and the result as the source has them: types by their short names."""
    # Of a class not what it is called with: Keras's own `__new__` takes anything.
    signature = inspect.signature(obj.__init__ if inspect.isclass(obj) else obj)
    parameters = [p for name, p in signature.parameters.items() if name != "self"]
    result = None if inspect.isclass(obj) else signature.return_annotation
    return stringify_signature(inspect.Signature(parameters)), result


def setup(app):
    """Sphinx's hook."""

    def process_docstring(app, what, name, obj, options, lines):
        lines[:] = to_rst(lines)

    def process_signature(app, what, name, obj, options, signature, returned):
        written = what in ("function", "method") or (
            what == "class" and obj.__init__ is not object.__init__
        )
        return signature_of(obj) if written else None

    app.setup_extension("sphinx.ext.autodoc")
    # Before Napoleon.
    app.connect("autodoc-process-docstring", process_docstring, priority=100)
    app.connect("autodoc-process-signature", process_signature)
    return {"parallel_read_safe": True}
