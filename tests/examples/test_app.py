"""The command line, on a small model and few images: runs, interruptions, predictions."""

import csv
import errno
import re
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers
from matplotlib.figure import Figure
from PIL import Image

from common import callbacks
from gtsrb import app, dataset, figures, make_pretrained, report, runs, training
from gtsrb.configurations import GREY_32
from gtsrb.warping import PERTURBATIONS
from keras_stn.callbacks import TransformerGallery

pytestmark = pytest.mark.gradient


@pytest.fixture(autouse=True)
def small_and_few(small_networks, monkeypatch, tmp_path):
    """Few images, a small model, runs in `tmp_path`."""
    whole = dataset.load_sample(GREY_32)
    few = dataset.Dataset(
        whole.description,
        whole.train.where(np.arange(len(whole.train)) % 16 == 0),
        whole.validation.where(np.arange(len(whole.validation)) % 5 == 0),
    )

    monkeypatch.setattr(dataset, "load_sample", lambda preprocessing: few)
    # Adam turns the rounding errors of a zero gradient into whole steps: runs would not compare.
    monkeypatch.setattr(keras.optimizers, "Adam", keras.optimizers.SGD)
    monkeypatch.setattr(figures, "DPI", 70)
    monkeypatch.setattr(figures, "GALLERY_IMAGES", 3)
    monkeypatch.setattr(figures, "WRONG_TRACKS", 4)
    monkeypatch.setattr(training, "LOOKED_AT", 1)
    monkeypatch.setattr(runs, "RUNS", tmp_path / "runs")
    yield few
    keras.config.set_dtype_policy("float32")


def _run(folder, *arguments):
    return app.main(["--output", str(folder), "--epochs", "3", "--batch-size", "32", *arguments])


def _weights(folder):
    return keras.models.load_model(folder / "model.keras").get_weights()


def test_run_leaves_what_it_promises(tmp_path, capsys):
    assert _run(tmp_path / "a") == 0
    lines = capsys.readouterr().out.splitlines()
    assert "bundled sample of real GTSRB images" in lines[0]
    assert lines[1].startswith(f"Backend: {keras.backend.backend()}, on ")
    assert lines[2].startswith("Model: stn, ")
    evaluated = [line for line in lines if line.endswith(" ...")]
    assert evaluated[0] == "Evaluating 86 validation images ..."
    assert evaluated[1:] == [
        *(f"Evaluating the same, {name} ..." for name in PERTURBATIONS),
        "Drawing ...",
    ]
    to_open = lines[lines.index("Pictures to open:") + 1 :]
    assert [line.split()[0] for line in to_open] == [
        str(tmp_path / "a" / name) for name in report.PICTURES
    ]
    names = {path.name for path in (tmp_path / "a").iterdir()}
    pictures = {"curves.png", "gallery.png", "theta.png", "per_class.png", "confusion.png"}
    assert names == pictures | {
        "model.keras", "history.csv", "per_class.csv", "perturbed.csv", "predictions.csv",
        "settings.json", "summary.txt", "theta.npy", "looks",
    }  # fmt: skip
    looks = {path.name for path in (tmp_path / "a" / "looks").iterdir()}
    assert looks == {"training.gif", *(f"epoch_{epoch:04d}.png" for epoch in range(4))}
    for picture in pictures:
        pixels = np.asarray(Image.open(tmp_path / "a" / picture).convert("L"))
        assert min(pixels.shape) > 100
        assert pixels.std() > 5
    history = callbacks.read_history(tmp_path / "a" / "history.csv")
    assert [row["epoch"] for row in history] == [1, 2, 3]
    thetas = np.load(tmp_path / "a" / "theta.npy")
    assert thetas.shape[0] == 4
    assert (thetas[0] == [1, 0, 0, 0, 1, 0]).all()
    assert thetas[-1].std(axis=0).max() > 0
    with (tmp_path / "a" / "per_class.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert sum(int(row["images"]) for row in rows) == 86
    errors = sum(int(row["errors"]) for row in rows)
    assert f"({errors} errors of 86 images" in (tmp_path / "a" / "summary.txt").read_text()
    assert f"{100 * (1 - errors / 86):.2f} %" == f"{100 * history[-1]['val_accuracy']:.2f} %"


def test_mixed_precision_keeps_weights_in_float32(tmp_path, capsys):
    assert _run(tmp_path / "a", "--mixed-precision", "--augment", "all") == 0
    assert "bfloat16\n" in capsys.readouterr().out
    history = callbacks.read_history(tmp_path / "a" / "history.csv")
    assert [row["epoch"] for row in history] == [1, 2, 3]
    assert all(np.isfinite(list(row.values())).all() for row in history)
    model = keras.models.load_model(tmp_path / "a" / "model.keras")
    assert {weight.dtype for weight in model.trainable_variables} == {"float32"}
    assert model.get_layer("spatial_transformer").compute_dtype == "bfloat16"


def test_run_on_the_archives_reports_the_official_test_set(small_official, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    assert _run(tmp_path / "a", "--data", str(small_official), "--model", "constant") == 0
    summary = (tmp_path / "a" / "summary.txt").read_text()
    assert re.search(r"official test accuracy \d+\.\d\d % \(\d+ errors of 43\)", summary)
    assert list((tmp_path / "home" / "gtsrb" / "decoded").glob("test-*.npz"))


def test_resumed_run_equals_an_uninterrupted_one(tmp_path, monkeypatch, capsys):
    assert _run(tmp_path / "whole") == 0
    with monkeypatch.context() as patch:

        def ctrl_c(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

        patch.setattr(callbacks.Checkpoint, "on_epoch_begin", ctrl_c)
        assert _run(tmp_path / "broken") == 130
    assert "--resume" in capsys.readouterr().out
    assert not (tmp_path / "broken" / "model.keras").exists()
    assert app.main(["--resume", "--output", str(tmp_path / "broken")]) == 0
    weights = zip(_weights(tmp_path / "whole"), _weights(tmp_path / "broken"), strict=True)
    for whole, broken in weights:
        np.testing.assert_allclose(whole, broken, atol=1e-5)
    a, b = (callbacks.read_history(tmp_path / run / "history.csv") for run in ("whole", "broken"))
    assert [row["epoch"] for row in b] == [1, 2, 3]
    np.testing.assert_allclose([row["loss"] for row in a], [row["loss"] for row in b], rtol=1e-4)
    a, b = (np.load(tmp_path / run / "theta.npy") for run in ("whole", "broken"))
    np.testing.assert_allclose(a, b, atol=1e-5)


def test_interruption_in_the_first_epoch_can_be_resumed(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:

        def ctrl_c(self, epoch, logs=None):
            raise KeyboardInterrupt

        patch.setattr(callbacks.Checkpoint, "on_epoch_begin", ctrl_c)
        assert _run(tmp_path / "runs" / "a") == 130
    assert app.main(["--resume"]) == 0  # the latest interrupted run
    assert len(callbacks.read_history(tmp_path / "runs" / "a" / "history.csv")) == 3


def test_interruptions_after_the_training_lose_nothing(tmp_path, monkeypatch, capsys):
    def ctrl_c(*args, **kwargs):
        raise KeyboardInterrupt

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device", "x.png")

    for name in ("curves", "per_class", "confusion"):  # slow to draw
        monkeypatch.setattr(figures, name, lambda *args: Figure())
    folder = tmp_path / "a"
    resume = ["--resume", "--output", str(folder)]
    steps = [
        (TransformerGallery, "write_animation", ctrl_c),
        (report, "_count_errors", ctrl_c),
        (figures, "save", full),
        (app, "save_model", ctrl_c),
    ]
    for number, (place, name, broken) in enumerate(steps):
        with monkeypatch.context() as patch:
            patch.setattr(place, name, broken)
            status = app.main(resume) if number else _run(folder, "--epochs", "1")
        out, err = capsys.readouterr()
        said = f"It has been trained: `--resume --output {folder}` writes what is missing.\n"
        if broken is ctrl_c:
            assert status == 130
            assert out.endswith(f"\nStopped. {said}")
        else:
            assert status == 2
            assert err.endswith(
                "x.png: No space left on device. Make room there, or choose another --output. "
                + said
            )
    unlink = Path.unlink

    def ctrl_c_at_the_checkpoint(self, **options):
        return ctrl_c() if self.name == training.CHECKPOINT else unlink(self, **options)

    with monkeypatch.context() as patch:  # everything is there already
        patch.setattr(Path, "unlink", ctrl_c_at_the_checkpoint)
        assert app.main(resume) == 130
    assert capsys.readouterr().out.endswith(f"\nStopped. The run in {folder} is finished.\n")
    assert len(callbacks.read_history(folder / "history.csv")) == 1
    names = ("model.keras", "summary.txt", "predictions.csv", *report.PICTURES)
    assert all((folder / name).exists() for name in names)


def test_same_seed_same_run_other_seed_another(tmp_path):
    for name, seed in (("a", "0"), ("b", "0"), ("c", "1")):
        assert _run(tmp_path / name, "--seed", seed, "--model", "idsia", "--epochs", "1") == 0
    a, b, c = (np.concatenate([w.ravel() for w in _weights(tmp_path / n)]) for n in "abc")
    np.testing.assert_allclose(a, b, atol=1e-5)
    assert np.abs(a - c).max() > 1e-2
    assert not (tmp_path / "a" / "theta.png").exists()


def test_predict(tmp_path, capsys):
    assert _run(tmp_path / "runs" / "a") == 0
    for name, mode in (("one.png", "RGB"), ("two.jpg", "L")):
        Image.new(mode, (50, 40), 90).save(tmp_path / name)
    capsys.readouterr()
    assert app.main(["--predict", str(tmp_path / "one.png"), str(tmp_path / "two.jpg")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"Model: stn, of your run {tmp_path / 'runs' / 'a'}: 3 epochs, ")
    assert lines[1].startswith(str(tmp_path / "one.png"))
    assert lines[2].rstrip().endswith("%")
    assert (tmp_path / "runs" / "a" / "predictions.png").exists()


def test_one_input_and_output_are_bundled_as_no_lists(tmp_path):
    images = keras.Input((3,))
    model = keras.Model([images], [layers.Dense(2)(images)])  # Keras 3.10 saves no other form
    model.save(tmp_path / "model.keras")
    make_pretrained.write_lone_tensors_plainly(tmp_path / "model.keras")
    bundled = keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(bundled.input, keras.KerasTensor)
    assert isinstance(bundled.output, keras.KerasTensor)
    for weights, expected in zip(bundled.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(weights, expected)


def test_prediction_without_a_run_takes_the_bundled_model(tmp_path, monkeypatch, capsys):
    assert _run(tmp_path / "a", "--mixed-precision", "--augment", "brightness") == 0
    monkeypatch.setattr(runs, "PRETRAINED", tmp_path / "pretrained")
    make_pretrained.main(tmp_path / "a")
    bundled = keras.models.load_model(tmp_path / "pretrained" / "stn.keras")
    assert {layer.compute_dtype for layer in bundled.layers} == {"float32"}
    trained = keras.models.load_model(tmp_path / "a" / "model.keras")
    images = dataset.load_sample(GREY_32).validation.images
    logits = [model.predict(images, verbose=0).astype("float32") for model in (bundled, trained)]
    np.testing.assert_allclose(*logits, atol=0.1)
    Image.new("RGB", (50, 40), (200, 0, 0)).save(tmp_path / "sign.png")
    capsys.readouterr()
    predict = ["--predict", str(tmp_path / "sign.png")]
    assert app.main([*predict, "--model", "stn"]) == 0
    out = capsys.readouterr().out
    assert "Model: stn, bundled with this example" in out
    assert f"{tmp_path / 'sign.png'}  " in out
    assert (tmp_path / "runs" / "predictions.png").exists()
    assert app.main(predict) == 2
    assert "no bundled model 'best', only stn" in capsys.readouterr().err
    # A run of one's own goes before, but not if another configuration is asked for.
    shutil.copytree(tmp_path / "a", tmp_path / "runs" / "a")
    assert app.main(predict) == 0
    assert "bundled" not in capsys.readouterr().out
    assert app.main([*predict, "--model", "idsia"]) == 2
    assert "there are some of 'stn': choose with --model. Train one" in capsys.readouterr().err
