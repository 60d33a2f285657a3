"""docs/deploy.md says what was measured."""

import json

from tests.docs_scripts import load
from tests.exporters import EXPORTERS


def test_the_page_is_what_its_script_makes():
    script = load("deploy")
    text = script.PAGE.read_text("utf-8")
    assert script.page(text) == text


def test_every_format_was_measured():
    rows = json.loads((load("deploy").DOCS / "export.json").read_text("utf-8"))["rows"]
    measured = [(row["backend"], row["format"]) for row in rows]
    assert measured == [
        (backend, format)
        for backend in ("tensorflow", "jax", "torch")
        for format in EXPORTERS[backend]
    ]
    assert all(row["difference"] < 1e-4 for row in rows)
