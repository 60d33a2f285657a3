"""The notebooks: they are what their scripts say, and run from top to bottom in a kernel."""

import os
import re

import jupytext
import nbclient
import nbformat
import pytest

from tests.backend import BACKEND
from tests.docs_scripts import DOCS

NOTEBOOKS = DOCS / "notebooks"
SCRIPTS = sorted(NOTEBOOKS.glob("*.py"))
# Enough to learn something, not enough to learn it well.
SHORT = {
    "quick_start": "EPOCHS, PLACES = 6, 2",
    "gtsrb_sample": "EPOCHS, EVERY, BATCH_SIZE = 1, 30, 32",
}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_notebook_is_what_its_script_says(script):
    wanted = jupytext.read(script, fmt="py:percent")
    found = nbformat.read(script.with_suffix(".ipynb"), as_version=4)
    nbformat.validate(found)
    assert [(cell.cell_type, cell.source) for cell in found.cells] == [
        (cell.cell_type, cell.source) for cell in wanted.cells
    ], "run: jupytext --to ipynb docs/notebooks/*.py"
    assert not any(cell.get("outputs") for cell in found.cells)


def test_every_notebook_has_a_script():
    assert {path.stem for path in NOTEBOOKS.glob("*.ipynb")} == {path.stem for path in SCRIPTS}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a notebook in a kernel, as a user would in a clone; returns the outputs of all cells."""
    monkeypatch.setenv("KERAS_BACKEND", BACKEND)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(DOCS.parent)]))
    folder = tmp_path / "docs" / "notebooks"
    folder.mkdir(parents=True)
    (tmp_path / "examples").symlink_to(DOCS.parent / "examples")

    def execute(name):
        notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
        [parameters] = [c for c in notebook.cells if "parameters" in c.metadata.get("tags", ())]
        parameters.source = SHORT[name]
        nbclient.NotebookClient(
            notebook, timeout=600, resources={"metadata": {"path": str(folder)}}
        ).execute()
        outputs = [out for cell in notebook.cells for out in cell.get("outputs", ())]
        return folder, Outputs(outputs)

    return execute


class Outputs:
    """What the cells of a notebook printed and drew."""

    def __init__(self, outputs):
        self.text = "".join(out.text for out in outputs if out.output_type == "stream")
        self.pictures = sum("image/png" in out.get("data", ()) for out in outputs)

    def number(self, pattern):
        """The number in the only match of `pattern`."""
        [found] = re.findall(pattern, self.text)
        return float(found)


@pytest.mark.gradient
def test_quick_start(run):
    folder, outputs = run("quick_start")
    assert f"on {BACKEND}" in outputs.text
    without = outputs.number(r"without +([\d.]+)% of 397")
    assert outputs.number(r"with +([\d.]+)% of 397") > without + 10
    assert outputs.number(r"Largest difference of a logit: (\S+)") < 1e-4
    assert outputs.pictures == 2
    assert (folder / "digits.keras").is_file()


@pytest.mark.gradient
def test_gtsrb_sample(run):
    folder, outputs = run("gtsrb_sample")
    assert f"on {BACKEND}" in outputs.text
    assert 0 < outputs.number(r"(\d+) errors of 430") < 430
    assert outputs.pictures == 3
    assert len(re.findall(r"^.{30} [\d.]+%$", outputs.text, re.MULTILINE)) == 3
    assert (folder / "gtsrb_stn.keras").is_file()
