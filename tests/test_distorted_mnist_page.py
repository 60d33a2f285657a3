"""The page about distorted MNIST is rebuilt from what runs have left."""

import json

import pytest
from PIL import Image

from distorted_mnist.runs import Folder, Result, Run
from tests import docs_scripts

LONGER = ("steps-12000", "steps-100000")
TABLES = ("settings", "errors", "orderings", *LONGER, "distortions", "four")
MARKS = "\n".join(f"{name}:\n<!-- table: {name} -->\n<!-- end -->\n" for name in TABLES)
SETTINGS = {
    "backend": "jax",
    "precision": "bfloat16",
    "steps": 6000,
    "batch_size": 128,
    "tested_on": "test digits",
}
COST = {
    "backend": "torch",
    "precision": "float32",
    "machine": "cpu; a machine, 2 cores",
    "distortions": [
        {"task": "R"}
        | {name: [1.25, 1.0, 2.0] for name in ("drawing", "distorting", "fcn", "cnn", "st-fcn")}
        | {"st-cnn": [30.0, 29.0, 31.0]}
    ],
    "four_transformers": [
        {
            "images": 16,
            "training_overhead": [0.061, 0.05, 0.07],
            "training_localizing": [0.02, 0.01, 0.03],
            "training_sampling": [0.041, 0.04, 0.05],
            "inference_overhead": [0.12, 0.1, 0.13],
            "inference_localizing": [0.04, 0.03, 0.05],
            "inference_sampling": [0.08, 0.07, 0.09],
        }
    ],
}


@pytest.fixture
def page(tmp_path, monkeypatch):
    """The script, with a page and a place of its own."""
    script = docs_scripts.load("distorted_mnist")
    for name in ("KEPT", "IMAGES"):
        monkeypatch.setattr(script, name, tmp_path / name.lower())
    monkeypatch.setattr(script, "PAGE", tmp_path / "page.md")
    script.PAGE.write_text(MARKS)
    return script


@pytest.fixture
def runs(tmp_path):
    """A folder with two runs, one with pictures."""
    folder = Folder(tmp_path / "runs", SETTINGS)
    folder.add(Run("E", "cnn", "", 0), Result(399_000, 140, 10_000, 1800.0))
    folder.add(Run("E", "st-cnn", "affine", 0), Result(399_000, 90, 10_000, 1800.0))
    shown = Run("E", "st-cnn", "thin_plate_spline", 0)
    folder.add(shown, Result(399_000, 110, 10_000, 1800.0))
    folder.write_results()
    looks = folder.of(shown) / "looks"
    looks.mkdir()
    Image.new("L", (4, 4)).save(looks / "training.gif")
    return folder.path


def test_results_are_kept_and_written_to_the_page(page, runs):
    page.main(["--keep", str(runs)])
    page.KEPT.joinpath("cost-torch-float32.json").write_text(json.dumps(COST))
    on_gpu = json.dumps(COST | {"machine": "cuda:0; a larger machine, 16 cores"})
    page.KEPT.joinpath("cost-torch-float32-gpu.json").write_text(on_gpu)
    page.main([])
    text = page.PAGE.read_text()
    assert "3 runs, seeds 0: jax, bfloat16, 6,000 batches of 128, tested on test digits" in text
    assert "1.5 hours of training" in text
    assert "| CNN | **1.40** ± 0.12 (1.4) |" in text
    assert "| ST-CNN TPS | **1.10** ± 0.10 (1.1) |" in text
    assert "- ST-CNN errs less than CNN on E: yes." in text
    assert "projective on E" not in text
    assert "| torch, float32 | R | 1.2 (1.0-2.0) | 1.2" in text
    assert "30.0 (29.0-31.0) |" in text
    assert (
        "| torch, float32 | 16 | 6 % (5 to 7) | 2 % (1 to 3) | 4 % (4 to 5) "
        "| 12 % (10 to 13) | 4 % (3 to 5) | 8 % (7 to 9) |" in text
    )
    assert "| torch, float32, cuda:0 | 16 | 6 % (5 to 7)" in text
    assert "Machines: a machine, 2 cores; cuda:0; a larger machine, 16 cores." in text
    assert {path.name for path in page.IMAGES.iterdir()} == {"E.gif", "table.png"}
    page.main([])
    assert page.PAGE.read_text() == text


def test_runs_of_more_steps_have_a_table_of_their_own(page, runs, tmp_path):
    page.main(["--keep", str(runs)])
    before = page.PAGE.read_text()
    for name, task, model, steps in [
        ("steps-12000", "RTS", "st-cnn", 12_000),
        ("steps-100000", "addition", "st-fcn", 100_000),
    ]:
        folder = Folder(tmp_path / name, SETTINGS | {"steps": steps})
        run = Run(task, model, "affine", 0)
        folder.add(run, Result(399_000, 80, 10_000, 3600.0))
        folder.write_results()
        (folder.of(run) / "looks").mkdir()
        Image.new("L", (4, 4)).save(folder.of(run) / "looks" / "training.gif")
        page.main(["--keep", str(folder.path)])
        text = page.PAGE.read_text()
        usual, _, longer = text.partition(f"{name}:")
        assert usual == before.partition(f"{name}:")[0]
        longer = longer.partition("<!-- end -->")[0]
        assert f"1 runs, seeds 0: jax, bfloat16, {steps:,} batches of 128" in longer
        assert f"| network | {task} |" in longer
        assert f"| {model.upper()} affine | **0.80** ± 0.09 (" in longer
        before = text
    assert {path.name for path in page.IMAGES.glob("*-*")} == {"addition-100000.gif"}


def test_page_is_what_its_script_makes_of_what_is_kept():
    script = docs_scripts.load("distorted_mnist")
    text = script.PAGE.read_text()
    assert script.page(text) == text


def test_page_says_that_costs_are_still_to_be_measured(page, runs):
    page.main(["--keep", str(runs)])
    assert "distortions -->\nNot measured yet.\n<!-- end" in page.PAGE.read_text()


def test_page_has_a_place_for_every_table():
    text = docs_scripts.load("distorted_mnist").PAGE.read_text()
    assert [text.count(f"<!-- table: {name} -->") for name in TABLES] == [1] * len(TABLES)


def test_nothing_is_kept_yet(page):
    with pytest.raises(SystemExit, match="Pass a folder of runs with --keep"):
        page.main([])
    assert page.PAGE.read_text() == MARKS
