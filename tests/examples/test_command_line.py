"""What can be wrong with a command: a line that says so, and nothing left behind."""

import errno
import json
import re
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from common import errors, machine
from common.wording import counted
from gtsrb import app, archives, dataset, distribution, models, report, runs, training
from tests.examples.test_predict import SETTINGS

PICTURE = Path(__file__).parents[2] / "docs" / "images" / "gallery.png"
HERE = {**SETTINGS, "backend": keras.backend.backend()}


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    """An empty working folder, a sample of two batches, any backend counts as one that trains."""
    images = np.zeros((64, 32, 32, 1), "uint8")
    few = dataset.ImageSet(images, np.arange(64) % 43, np.arange(64))
    monkeypatch.setattr(dataset, "load_sample", lambda _: dataset.Dataset("few", few, few))
    monkeypatch.setattr(app, "check_backend", lambda: None)
    monkeypatch.chdir(tmp_path)


def _fails(capsys, *arguments, status=2):
    assert app.main(list(arguments)) == status
    error = capsys.readouterr().err
    assert error.startswith("gtsrb.py: ")
    assert error.count("\n") == 1
    return error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--epochs", "0"], "--epochs: must be a whole number from 1 to 4294967295, not '0'"),
        (["--epochs", "-3"], "whole number from 1 to 4294967295, not '-3'"),
        (["--epochs", "1.5"], "not '1.5'"),
        (["--epochs", "ten"], "not 'ten'"),
        (["--epochs", "1e3"], "not '1e3'"),
        (["--epochs", "nan"], "not 'nan'"),
        (["--epochs", ""], "not ''"),
        (["--epochs", "9" * 30], f"not '{'9' * 30}'"),
        (["--epochs", "9" * 5000], "whole number from 1"),
        (["--epochs"], "expected one argument"),
        (["--batch-size", "0"], "--batch-size: must be a whole number from 1"),
        (["--every", "0"], "--every: must be a whole number from 1"),
        (["--seed", "x"], "--seed: must be a whole number from 0 to 4294967295, not 'x'"),
        (["--seed", "-1"], "from 0 to 4294967295, not '-1'"),
        (["--seed", "4294967296"], "from 0 to 4294967295, not '4294967296'"),
        (["--model", "resnet"], "invalid choice: 'resnet'"),
        (["--augment", "sideways"], "invalid choice: 'sideways'"),
        (["--data", ""], "--data: is empty: name a file or a folder"),
        (["--data", " "], "--data: is empty"),
        (["--data"], "expected one argument"),
        (["--output", ""], "--output: is empty"),
        (["--predict"], "expected at least one argument"),
        (["--predict", ""], "--predict: is empty"),
        (["--bundled"], "--bundled goes with --predict"),
        (["--predict", "a.png", "--epochs", "3"], "--predict does not train: leave out --epochs"),
        (["--predict", "a.png", "--seed", "0"], "leave out --seed"),
        (
            ["--predict", "a.png", "--resume", "--mixed-precision", "--data", "full"],
            "leave out --data, --mixed-precision, --resume",
        ),
        (["--predict", "a.png", "--distribute", "--final"], "leave out --distribute, --final"),
        (["sign.png"], "unrecognized arguments: sign.png"),
    ],
)
def test_arguments(capsys, arguments, message):
    with pytest.raises(SystemExit, match="2"):
        app.main(arguments)
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert not list(Path().iterdir())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("nowhere", "No GTSRB training images at "),
        ("nowhere/at/all.zip", "No GTSRB training images at "),
        ("file.zip", "file.zip is no complete zip archive"),
        ("empty", "No GTSRB training images at "),
        ("lacking", "Images holds 0 of the 43 classes"),
        ("~/signs", "No GTSRB training images at "),
        ("x" * 300, "Cannot read "),
    ],
)
def test_wrong_data_leaves_no_folder(capsys, data, message):
    Path("file.zip").write_bytes(b"no zip")
    Path("empty").mkdir()
    Path("lacking/GTSRB/Final_Training/Images").mkdir(parents=True)
    there = sorted(Path().rglob("*"))
    assert message in _fails(capsys, "--data", data)
    assert message in _fails(capsys, "--data", data, "--output", "deep/er/run")
    assert sorted(Path().rglob("*")) == there
    # A folder of the user's own stays.
    assert message in _fails(capsys, "--data", data, "--output", "empty")
    assert sorted(Path().rglob("*")) == there


def test_whatever_breaks_off_before_the_run_leaves_no_folder(monkeypatch, capsys):
    def broken(kind, *arguments):
        def call(*args, **kwargs):
            raise kind(*arguments)

        return call

    for place, name in ((distribution, "check_batch_size"), (models, "build_model")):
        with monkeypatch.context() as patch:
            patch.setattr(place, name, broken(errors.RunError, "no"))
            assert _fails(capsys) == "gtsrb.py: no\n"
    with monkeypatch.context() as patch:
        patch.setattr(dataset, "load_sample", broken(KeyboardInterrupt))
        assert app.main([]) == 130
    assert capsys.readouterr().out.endswith("\nStopped.\n")
    with monkeypatch.context() as patch:
        patch.setattr(app, "describe", broken(OSError, errno.ENOSPC, "No space left", "a/b"))
        assert _fails(capsys) == (
            "gtsrb.py: a/b: No space left. Make room there, or choose another --output.\n"
        )
    assert not list(Path().iterdir())


def test_what_is_wrong_with_an_output_folder(monkeypatch, capsys):
    Path("file").touch()
    assert "file: File exists. There is a file of this name" in _fails(capsys, "--output", "file")
    error = _fails(capsys, "--output", "file/run")
    assert "Not a directory. A part of this path is a file: choose another --output." in error

    def denied(*args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied", "/elsewhere/run")

    monkeypatch.setattr(Path, "mkdir", denied)
    assert _fails(capsys) == (
        "gtsrb.py: /elsewhere/run: Permission denied. You have no permission there: choose another "
        "--output.\n"
    )


def test_data_without_permission(monkeypatch, capsys):
    def denied(self, *args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "is_file", denied)
        error = _fails(capsys, "--data", "signs")
    assert "signs (Permission denied). Pass --data that you may read." in error
    with monkeypatch.context() as patch:
        patch.setattr(archives.zipfile, "ZipFile", denied)
        Path("signs.zip").touch()
        error = _fails(capsys, "--data", "signs.zip")
    assert "signs.zip (Permission denied). Pass --data that you may read." in error


def _interrupted(folder, **changes):
    path = Path(folder)
    path.mkdir(parents=True)
    (path / "settings.json").write_text(json.dumps(HERE | changes))
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "resnet"}, "holds model='resnet', which no run has. Start a new run."),
        ({"epochs": "three"}, "holds epochs='three'"),
        ({"epochs": 0, "every": True}, "holds every=True, epochs=0, which"),
        ({"seed": -1, "precision": "int8"}, "holds seed=-1, precision='int8'"),
        ({"data": 3}, "holds data=3"),
        ({"final": "no", "augment": []}, "holds augment=[], final='no'"),
        ({"data": "/nowhere"}, "No GTSRB training images at /nowhere"),
    ],
)
def test_settings_that_cannot_be_resumed(capsys, changes, message):
    folder = _interrupted("runs/a", **changes)
    assert message in _fails(capsys, "--resume")
    assert message in _fails(capsys, "--resume", "--output", str(folder))
    assert [path.name for path in folder.iterdir()] == ["settings.json"]


def test_what_cannot_be_resumed(capsys):
    assert "There is no interrupted run in runs. Pass its folder" in _fails(capsys, "--resume")
    for output in ("missing", "file", "file/run"):
        Path("file").touch()
        assert "holds no run to resume" in _fails(capsys, "--resume", "--output", output)
    (_interrupted("runs/a") / runs.MODEL).touch()
    error = _fails(capsys, "--resume")
    assert "There is no interrupted run in runs, only 1 finished run. Pass" in error
    assert "is finished. Start another" in _fails(capsys, "--resume", "--output", "runs/a")
    folder = _interrupted("runs/b")
    assert "epochs=3, not 4" in _fails(capsys, "--resume", "--epochs", "4")
    (folder / training.CHECKPOINT).write_bytes(b"no model")
    assert "no readable Keras model (" in _fails(capsys, "--resume")


@pytest.mark.gradient
@pytest.mark.parametrize(
    ("file", "content"),
    [("history.csv", "epoch,loss\n1,x\n"), ("history.csv", "epoch\n1,2,3\n"), ("theta.npy", "no")],
)
def test_broken_logs_of_an_interrupted_run(monkeypatch, capsys, file, content):
    folder = _interrupted("runs/a")
    images = keras.Input((32, 32, 1), dtype="uint8")
    x = layers.Flatten()(layers.Rescaling(1 / 255)(images))
    model = keras.Model(images, layers.Dense(43)(x), name="stn")
    model.compile("sgd", "mse")
    model.optimizer.build(model.trainable_variables)
    model.optimizer.iterations.assign(2)  # one epoch
    monkeypatch.setattr(app.predict, "load_model", lambda path: model)
    (folder / training.CHECKPOINT).touch()
    (folder / file).write_text(content)
    error = _fails(capsys, "--resume")
    assert f"{file} cannot be read (" in error
    assert "Start a new run." in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--output", "{b}", "--predict", "x.png"], "holds no model.keras. Train first"),
        (["--output", "{a}"], "already holds a run.*--resume"),
        (["--output", "{a}", "--resume"], "is finished"),
        (["--output", "{b}", "--resume", "--epochs", "7"], r"epochs=3, not 7.*keeps its settings"),
        (["--output", "{c}", "--resume"], "holds no run to resume"),
        (["--output", "{e}", "--resume"], r"settings.json cannot be read"),
        (["--output", "{f}", "--resume"], r"not hold the settings of a run of this version: data"),
        (["--output", "{g}", "--resume"], r"backend='other', not"),
        (["--output", "{a}/settings.json/x"], r"choose another --output"),
        (["--output", "{c}", "--predict", str(PICTURE)], r"no readable Keras model"),
        (["--output", "{d}", "--predict", str(PICTURE)], "the model 'other', not one of this"),
        (["--output", "{b}", "--resume", "--augment"], r"augment='none', not 'brightness'"),
        (["--output", "{b}", "--resume", "--final"], r"final=False, not True"),
        (["--output", "{a}", "--model", "best", "--predict", "x.png"], "another model than 'best'"),
        (["--output", "{a}", "--predict", "missing.png"], r"Cannot read missing.png"),
        (["--output", "{a}", "--predict", __file__], r"no readable image"),
    ],
)
def test_runs_that_cannot_answer_or_go_on(tmp_path, capsys, arguments, message):
    settings = HERE
    for name in "abcdefg":
        (tmp_path / name).mkdir()
        (tmp_path / name / "settings.json").write_text(json.dumps(settings))
    for folder, name in (("a", "stn"), ("d", "other")):
        model = keras.Sequential([keras.Input((1,)), layers.Dense(1)], name=name)
        model.save(tmp_path / folder / "model.keras")
    (tmp_path / "c" / "settings.json").unlink()
    (tmp_path / "c" / "model.keras").write_bytes(b"no model")
    (tmp_path / "e" / "settings.json").write_text("{")
    (tmp_path / "f" / "settings.json").write_text('{"data": "sample"}')
    (tmp_path / "g" / "settings.json").write_text(json.dumps(settings | {"backend": "other"}))
    assert app.main([argument.format(**{n: n for n in "abcdefg"}) for argument in arguments]) == 2
    error = capsys.readouterr().err
    assert re.search(f"^gtsrb.py: .*{message}", error, flags=re.MULTILINE), error


def test_numbers_and_their_nouns():
    assert [counted(n, "epoch") for n in (0, 1, 2)] == ["0 epochs", "1 epoch", "2 epochs"]
    assert counted(1290, "training image") == "1,290 training images"


def test_pictures_are_named_by_their_paths():
    for name in ("gallery.png", "theta.png", "other.png"):
        Path(name).touch()
    assert report.pictures_of(Path()).splitlines() == [
        "  gallery.png  validation images, and where the transformer looked",
        "  theta.png    theta over the epochs",
    ]


def test_backend_that_cannot_train_is_told(monkeypatch, capsys):
    monkeypatch.setattr(app, "check_backend", machine.check_backend)
    monkeypatch.setattr(keras.backend, "backend", lambda: "numpy")
    assert app.main([]) == 2
    assert "'numpy' has no gradients. Set the environment" in capsys.readouterr().err
