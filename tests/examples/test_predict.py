"""Whose model answers, what is printed and drawn; on untrained models, with no training at all."""

import json
import os
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

from gtsrb import app, figures, predict, runs
from gtsrb.configurations import CONFIGURATIONS

SETTINGS = {
    "data": "sample", "model": "stn", "augment": "none", "every": 1, "epochs": 3, "batch_size": 32,
    "precision": "float32", "backend": "jax", "final": False, "seed": 0,
}  # fmt: skip


def _model(name):
    images = keras.Input(CONFIGURATIONS[name].preprocessing.shape, dtype="uint8")
    x = layers.Flatten()(layers.AveragePooling2D(16)(layers.Rescaling(1 / 255)(images)))
    return keras.Model(images, layers.Dense(43)(x), name=name)


def _run(folder, name="stn", accuracies=(0.2, 0.5), **settings):
    folder.mkdir(parents=True)
    _model(name).save(folder / "model.keras")
    settings = SETTINGS | {"model": name} | settings
    (folder / "settings.json").write_text(json.dumps(settings))
    rows = [f"{epoch + 1},{accuracy}" for epoch, accuracy in enumerate(accuracies)]
    (folder / "history.csv").write_text("\n".join(["epoch,val_accuracy", *rows]) + "\n")
    return folder


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """An empty working folder with a picture, and bundled models that are small."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(figures, "DPI", 40)
    monkeypatch.setattr(runs, "PRETRAINED", tmp_path / "pretrained")
    (tmp_path / "pretrained").mkdir()
    for name in ("best", "stn"):
        _model(name).save(tmp_path / "pretrained" / f"{name}.keras")
    Image.new("RGB", (20, 30), (200, 0, 0)).save("sign.png")


def _first_line(capsys, *arguments, status=0):
    assert app.main(["--predict", "sign.png", *arguments]) == status
    return capsys.readouterr().out.splitlines()[0]


def test_the_first_line_says_whose_model_answers(capsys):
    bundled = "Model: best, bundled with this example"
    assert _first_line(capsys) == f"{bundled} (no finished run of yours in runs)"
    assert Path("runs/predictions.png").exists()
    old = _run(Path("runs/a"), "best", accuracies=[0.0512])
    line = _first_line(capsys)
    assert line == f"Model: best, of your run {old}: 1 epoch, validation accuracy 5.12 %"
    assert (old / "predictions.png").exists()
    assert _first_line(capsys, "--bundled") == bundled
    assert _first_line(capsys, "--bundled", "--model", "stn") == bundled.replace("best", "stn")
    assert _first_line(capsys, "--bundled", "--output", "elsewhere/new") == bundled
    assert Path("elsewhere/new/predictions.png").exists()
    line = _first_line(capsys, "--model", "stn")
    assert line == (
        "Model: stn, bundled with this example (no finished run of 'stn' in runs; there are some "
        "of 'best': choose with --model)"
    )
    new = _run(Path("runs/b"), final=True)
    os.utime(new / "settings.json", (2**31, 2**31))
    line = _first_line(capsys)
    assert line.endswith(f"{new}: 2 epochs, accuracy on images it was trained on 50.00 %")
    assert _first_line(capsys, "--model", "best").startswith(f"Model: best, of your run {old}: ")
    (new / "history.csv").write_text("nothing")
    assert _first_line(capsys).endswith(f"{new}: how it was trained is not known")
    (new / "settings.json").unlink()
    line = _first_line(capsys, "--output", str(new))
    assert line == f"Model: unknown, of your run {new}: how it was trained is not known"


def test_no_model_says_which_there_are(capsys):
    _run(Path("runs/a"), "best")
    assert app.main(["--predict", "sign.png", "--model", "idsia"]) == 2
    assert capsys.readouterr().err == (
        "gtsrb.py: The example has no bundled model 'idsia', only best, stn, and there is no "
        "finished run of 'idsia' in runs; there are some of 'best': choose with --model. Train "
        "one: `python examples/gtsrb.py --model idsia`.\n"
    )
    assert app.main(["--predict", "sign.png", "--model", "idsia", "--bundled"]) == 2
    assert "no bundled model 'idsia'" in capsys.readouterr().err


def test_sixteen_bit_pictures_are_told_as_those_of_eight_bits(capsys):
    rng = np.random.default_rng(0)
    grey = np.repeat(np.repeat(rng.integers(0, 256, (4, 4), "uint8"), 10, 0), 10, 1)
    Image.fromarray(grey).save("8.png")
    Image.fromarray(257 * np.uint16(grey)).save("16.png")
    Image.fromarray(np.float32(grey) / 255).save("32.tiff")
    assert app.main(["--predict", "8.png", "16.png", "32.tiff"]) == 0
    lines = capsys.readouterr().out.splitlines()[1:4]
    assert len({line.split(maxsplit=1)[1] for line in lines}) == 1


def test_titles_name_the_files(monkeypatch, capsys):
    drawn = []
    draw = figures.draw
    monkeypatch.setattr(figures, "draw", lambda *args: drawn.append(args) or draw(*args))
    odd = ["$x$ \\frac{.png", "\u6f22\u5b57.png", "a\nb.png", f"{'long' * 30}.png"]
    for name in odd:
        shutil.copyfile("sign.png", name)
    assert app.main(["--predict", *odd]) == 0
    out = capsys.readouterr().out
    assert "a\N{REPLACEMENT CHARACTER}b.png  " in out
    assert f"{odd[3]}  " in out
    ((_, images, titles),) = drawn
    assert len(images) == len(titles) == 4
    assert titles[0].startswith("$x$ \\frac{.png\n")
    assert titles[3].startswith("longlonglong…glonglong.png\n")
    assert all(title.endswith(" %") for title in titles)


def test_short_names_are_short_and_different():
    paths = [Path(name) for name in ("a/x/1.png", "b/x/1.png", "b/2.png", "a/x/1.png", "1.png")]
    names = predict.short_names(paths)
    assert names == ["a/x/1.png", "b/x/1.png", "2.png", "a/x/1.png", "1.png"]
    middle = [Path(f"{'x' * 40}{number}{'y' * 40}.png") for number in range(12)]
    names = predict.short_names(middle)
    assert len(set(names)) == 12
    assert max(map(len, names)) <= predict.LONGEST
    assert names[0] == "x" * 12 + "…" + "y" * 9 + ".png"
    assert names[1] == "x" * 10 + "…" + "y" * 7 + ".png (2)"
    assert predict.short_names([Path("/"), Path("/a/b")]) == ["/", "b"]


def test_of_many_pictures_the_first_are_drawn(monkeypatch, capsys):
    monkeypatch.setattr(predict, "DRAWN", 2)
    assert app.main(["--predict", *["sign.png"] * 3]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:4]] == ["sign.png"] * 3
    assert lines[4] == "Picture to open: runs/predictions.png (the first 2 of 3)"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["missing.png"], "Cannot read missing.png (No such file or directory). Pass image files"),
        (["."], r"Cannot read . (Is a directory). Pass image files that you may read."),
        (["sign.png/x"], "Cannot read sign.png/x (Not a directory)"),
        (["empty.png"], "empty.png is no readable image (empty)"),
        (["text.png"], "text.png is no readable image (of no format that Pillow knows)"),
        (["cut.png"], "cut.png is no readable image ("),
        (["sign.png", "sign.png", "missing.png"], "Cannot read missing.png"),
        (["zero\0byte"], "Cannot read zero\N{REPLACEMENT CHARACTER}byte (embedded null byte)"),
        (["x" * 300], "xxx (File name too long). Pass"),
        (["\udcff.png"], "Cannot read \N{REPLACEMENT CHARACTER}.png (No such file"),
    ],
)
def test_files_that_are_no_pictures(capsys, files, message):
    Path("empty.png").touch()
    Path("text.png").write_text("hello")
    Path("cut.png").write_bytes(Path("sign.png").read_bytes()[:60])
    assert app.main(["--predict", *files]) == 2
    error = capsys.readouterr().err
    assert error.startswith("gtsrb.py: ")
    assert error.count("\n") == 1
    assert message in error
    assert not Path("runs/predictions.png").exists()


def test_without_permission_it_says_so(monkeypatch, capsys):
    def denied(*args, **kwargs):
        raise PermissionError(13, "Permission denied", "runs/.part")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", denied)
        assert app.main(["--predict", "sign.png"]) == 2
    assert "Cannot read sign.png (Permission denied). Pass" in capsys.readouterr().err
    with monkeypatch.context() as patch:
        patch.setattr(figures, "save", denied)
        assert app.main(["--predict", "sign.png"]) == 2
    error = capsys.readouterr().err
    assert error == (
        "gtsrb.py: runs/.part: Permission denied. You have no permission there: choose another "
        "--output.\n"
    )
