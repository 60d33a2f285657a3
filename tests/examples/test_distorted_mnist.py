"""The paper's experiments on distorted MNIST: networks, runs, tables, the command line."""

import functools
import json
import re

import keras
import numpy as np
import pytest
from PIL import Image

from common.callbacks import Checkpoint, read_history
from common.errors import DataError, RunError
from distorted_mnist import app, networks, paper, table, training
from distorted_mnist.command_line import parse
from distorted_mnist.digits import held_out, load_digits
from distorted_mnist.networks import BUDGET, MODELS, build_network, widest
from distorted_mnist.runs import Folder, Result, Run, grid, read_results
from distorted_mnist.tasks import TASKS
from keras_stn import SpatialTransformer
from tests.backend import to_numpy


@pytest.fixture
def digits_file(tmp_path, rng):
    """A file of 60 training and 30 test digits: blurred squares of a place of their own."""
    arrays = {}
    for part, count in (("train", 60), ("test", 30)):
        labels = np.arange(count) % 10
        images = np.zeros((count, 28, 28), "uint8")
        for image, label in zip(images, labels, strict=True):
            row, column = 4 + 5 * (label // 4), 4 + 5 * (label % 4)
            image[row : row + 5, column : column + 5] = rng.integers(150, 256, (5, 5))
        arrays |= {f"x_{part}": images, f"y_{part}": labels.astype("uint8")}
    path = tmp_path / "digits.npz"
    np.savez(path, **arrays)
    return path


@pytest.fixture
def small(monkeypatch, tmp_path):
    """Small networks, few rounds, a place for runs."""
    monkeypatch.setattr(networks, "BUDGET", 20_000)
    monkeypatch.setattr(networks, "FILTERS", (4, 4))
    monkeypatch.setattr(training, "ROUNDS", 2)
    monkeypatch.setattr(training, "SHOWN", 2)
    monkeypatch.setattr(app, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(app, "DPI", 50)
    # Adam turns the rounding errors of a zero gradient into whole steps: runs would not compare.
    momentum = functools.partial(keras.optimizers.SGD, momentum=0.9)
    monkeypatch.setattr(keras.optimizers, "Adam", momentum)
    yield
    keras.config.set_dtype_policy("float32")


def _main(digits_file, *arguments):
    return app.main(
        ["--data", str(digits_file), "--steps", "4", "--batch-size", "8", *map(str, arguments)]
    )


def test_grid_holds_every_cell_of_the_paper_once():
    runs = grid(seeds=(0, 1))
    assert len(runs) == len(set(runs)) == 2 * (5 * 8 + 4)
    assert grid(seeds=(0, 1, 0)) == runs
    cells = {(run.task, run.model, run.transform) for run in runs}
    assert set(paper.ERRORS) <= cells
    assert [run.seed for run in runs] == [0] * 44 + [1] * 44  # a whole table first
    assert grid(["TC"], ["st-cnn"]) == [Run("TC", "st-cnn", "affine", 0)]
    assert grid(["TC"], ["cnn", "st-fcn"], ["projective"], [3]) == [
        Run("TC", "cnn", "", 3),
        Run("TC", "st-fcn", "projective", 3),
    ]
    assert len({run.name for run in runs}) == len(runs)


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("model", MODELS)
def test_networks_have_about_as_many_parameters(name, model):
    task = TASKS[name]
    network = build_network(task, model, "thin_plate_spline")
    assert 0.99 * BUDGET < network.count_params() <= BUDGET
    assert network.input_shape == (None, task.size, task.size, task.digits)
    assert network.output_shape == (None, task.classes)
    transformers = [x for x in network.layers if isinstance(x, SpatialTransformer)]
    assert len(transformers) == model.startswith("st-")
    assert all(x.num_transforms == task.digits for x in transformers)


def test_widest_is_the_widest():
    for hidden in (1, 2):
        units = widest(50_000, 300, hidden, 10)
        counts = []
        for n in (units, units + 1):
            layers = [keras.layers.Dense(n) for _ in range(hidden)]
            net = keras.Sequential([keras.Input((300,)), *layers, keras.layers.Dense(10)])
            counts.append(net.count_params())
        assert counts[0] <= 50_000 < counts[1]


def test_crops_of_several_digits_become_channels(rng):
    """The first crop's channels come first: a new network's crops are the canvases themselves."""
    task = TASKS["addition"]
    network = build_network(task, "st-fcn")
    pooled = next(x for x in network.layers if isinstance(x, keras.layers.AveragePooling2D))
    inner = keras.Model(network.input, pooled.output)
    canvases = rng.uniform(size=(2, 42, 42, 2)).astype("float32")
    expected = canvases.reshape(2, 21, 2, 21, 2, 2).mean(axis=(2, 4))
    expected = np.concatenate([expected, expected], axis=-1)
    np.testing.assert_allclose(to_numpy(inner(canvases)), expected, atol=1e-5)


def test_batches_depend_on_seed_and_number_alone(digits_file):
    (images, labels), _ = load_digits(digits_file)
    task = TASKS["addition"]
    whole = training.Batches(task, images, labels, 8, 1, 0, 6)
    rest = training.Batches(task, images, labels, 8, 1, 4, 6)
    other = training.Batches(task, images, labels, 8, 2, 0, 6)
    assert (len(whole), len(rest)) == (6, 2)
    for k in range(2):
        (numbers, sums), (again, sums_again) = whole[4 + k], rest[k]
        assert set(numbers) == {"digits", "theta"}
        for name, values in numbers.items():
            np.testing.assert_array_equal(values, again[name])
        np.testing.assert_array_equal(sums, sums_again)
        assert sums.sum(axis=1).tolist() == [1] * 8
    assert (whole[4][0]["theta"] != whole[5][0]["theta"]).any()
    assert (whole[4][0]["theta"] != other[4][0]["theta"]).any()


def test_test_canvases_are_frozen_and_show_every_digit_once(digits_file):
    _, (images, labels) = load_digits(digits_file)
    numbers, answers = training.frozen(TASKS["RTS"], images, labels)
    np.testing.assert_array_equal(numbers["digits"][..., 0], images)
    np.testing.assert_array_equal(answers, labels)
    again, _ = training.frozen(TASKS["RTS"], images, labels)
    np.testing.assert_array_equal(numbers["theta"], again["theta"])
    numbers, sums = training.frozen(TASKS["addition"], images, labels)
    np.testing.assert_array_equal(numbers["digits"][..., 0], images)
    assert (sums >= labels).all()


def test_steps_are_divided_into_rounds():
    assert training.divided(6000) == (20, 300)
    assert training.divided(6001) == (20, 301)
    assert training.divided(25) == (13, 2)
    assert training.divided(3) == (3, 1)


def test_choices_are_made_on_training_digits(rng):
    images = rng.integers(0, 256, (10_005, 28, 28), "uint8")
    labels = rng.integers(0, 10, 10_005)
    train, validation = held_out(((images, labels), (None, None)))
    assert len(train[0]) == len(train[1]) == 5
    np.testing.assert_array_equal(validation[0], images[5:])
    np.testing.assert_array_equal(validation[1], labels[5:])
    with pytest.raises(DataError, match="--validate holds 10,000 training digits out"):
        held_out(((images[5:], labels[5:]), (None, None)))


@pytest.mark.gradient
def test_networks_learn(digits_file, tmp_path, monkeypatch):
    monkeypatch.setattr(networks, "BUDGET", 60_000)
    monkeypatch.setattr(training, "ROUNDS", 1)
    digits = load_digits(digits_file)
    digits = digits[0], digits[0]
    run = Run("E", "st-fcn", "thin_plate_spline", 0)
    result = training.train(run, digits, tmp_path / "a", steps=80, batch_size=60)
    assert result.images == 60
    assert result.error < 30  # 90 by chance
    network = keras.models.load_model(tmp_path / "a" / training.NETWORK)
    assert network.count_params() == result.parameters


@pytest.mark.gradient
def test_table_is_made_and_gone_on_with(small, digits_file, tmp_path, capsys):
    wanted = grid(["TC"], ["fcn", "st-cnn"])
    arguments = ("--table", "--task", "TC", "--model", "st-cnn", "fcn")
    assert _main(digits_file, *arguments) == 0
    said = capsys.readouterr().out
    assert "2 runs of 4 batches of 8, 0 of them there already" in said
    assert re.search(r"2 of 2: TC st-cnn affine, seed 0\n    error .* 0 left\n", said)
    (folder,) = (tmp_path / "runs").iterdir()
    results = read_results(folder / "results.csv")
    assert results == Folder(folder, json.loads((folder / "settings.json").read_text())).results()
    assert sorted(results) == sorted(wanted)
    assert all(result.images == 30 for result in results.values())
    assert "| ST-CNN affine | **" in (folder / "table.md").read_text()
    with Image.open(folder / "table.png") as picture:
        assert np.asarray(picture).std() > 10
    place = folder / "TC-st-cnn-affine-seed0"
    files = {"history.csv", "network.keras", "looks", "result.json"}
    assert {path.name for path in place.iterdir()} == files
    assert (place / "looks" / "training.gif").exists()
    before = (folder / "results.csv").read_text()
    assert _main(digits_file, *arguments) == 0
    assert "2 of them there already" in capsys.readouterr().out
    assert (folder / "results.csv").read_text() == before
    assert json.loads((folder / "settings.json").read_text())["backend"] == keras.backend.backend()
    assert _main(digits_file, "--output", folder, "--steps", "5") == 2
    assert "steps=4, not 6. Choose another --output" in capsys.readouterr().err


@pytest.mark.gradient
def test_run_that_was_stopped_goes_on_as_if_it_had_not_been(
    small, digits_file, tmp_path, monkeypatch, capsys
):
    """Stopped in the second round, and again when all is done but the last file."""
    arguments = ("--task", "R", "--model", "st-fcn", "--output")
    assert _main(digits_file, *arguments, tmp_path / "whole") == 0
    begun, saving = [], training.save_model

    def ctrl_c_in_second_round(self, epoch, logs=None):
        begun.append(epoch)
        if begun == [0, 1]:
            raise KeyboardInterrupt("Ctrl-C")

    def ctrl_c_at_the_end(model, path):
        raise KeyboardInterrupt("Ctrl-C")

    stopped = tmp_path / "stopped"
    monkeypatch.setattr(Checkpoint, "on_epoch_begin", ctrl_c_in_second_round, raising=False)
    assert _main(digits_file, *arguments, stopped) == 130
    assert "The same command goes on" in capsys.readouterr().out
    assert not (stopped / "results.csv").exists()
    monkeypatch.setattr(training, "save_model", ctrl_c_at_the_end)
    assert _main(digits_file, *arguments, stopped) == 130
    monkeypatch.setattr(training, "save_model", saving)
    assert _main(digits_file, *arguments, stopped) == 0
    assert begun == [0, 1, 1]
    name = Run("R", "st-fcn", "affine", 0).name
    whole, resumed = (
        keras.models.load_model(tmp_path / folder / name / training.NETWORK).get_weights()
        for folder in ("whole", "stopped")
    )
    for a, b in zip(whole, resumed, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    for folder in ("whole", "stopped"):
        place = tmp_path / folder / name
        history = read_history(place / training.HISTORY)
        assert [row["epoch"] for row in history] == [1, 2]
        (result,) = read_results(tmp_path / folder / "results.csv").values()
        assert result.seconds == pytest.approx(sum(row["seconds"] for row in history), abs=0.1)
        pictures = {f"epoch_000{n}.png" for n in range(3)} | {"training.gif"}
        assert {path.name for path in (place / training.LOOKS).iterdir()} == pictures
        assert not (place / training.CHECKPOINT).exists()


@pytest.mark.gradient
def test_every_run_has_the_precision_that_was_asked_for(small, digits_file, tmp_path):
    arguments = ("--task", "addition", "--model", "fcn", "--seed", "0", "1", "--mixed-precision")
    assert _main(digits_file, *arguments, "--output", tmp_path / "runs") == 0
    for run in grid(["addition"], ["fcn"], seeds=(0, 1)):
        network = keras.models.load_model(tmp_path / "runs" / run.name / training.NETWORK)
        policies = [x.dtype_policy.name for x in network.layers if x.name.startswith("dense")]
        assert policies == ["mixed_bfloat16"] * 2
        assert network.get_layer("logits").dtype_policy.name == "float32"


@pytest.mark.gradient
def test_two_processes_may_share_a_folder(small, digits_file, tmp_path):
    """A result that another process has left since is not lost."""
    settings = {"steps": 1}
    ours, theirs = Folder(tmp_path / "runs", settings), Folder(tmp_path / "runs", settings)
    a, b = Run("R", "fcn", "", 0), Run("E", "st-fcn", "projective", 1)
    ours.add(a, Result(1, 2, 3, 4.0))
    theirs.add(b, Result(5, 6, 7, 8.5))
    both = {a: Result(1, 2, 3, 4.0), b: Result(5, 6, 7, 8.5)}
    ours.write_results()
    assert ours.results() == read_results(tmp_path / "runs" / "results.csv") == both


@pytest.mark.gradient
def test_command_line_says_what_is_wrong(small, digits_file, tmp_path, capsys):
    assert _main(tmp_path / "none.npz") == 2
    assert "No such file" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        _main(digits_file, "--task", "Q")
    assert "invalid choice: 'Q'" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert _main(digits_file, "--output", tmp_path / "file") == 2
    assert "file" in capsys.readouterr().err
    assert _main(digits_file, "--output", tmp_path) == 2
    assert "holds something else. Choose another --output" in capsys.readouterr().err


def test_backend_that_cannot_train_is_told(small, digits_file, monkeypatch, capsys):
    monkeypatch.setattr(keras.backend, "backend", lambda: "numpy")
    assert _main(digits_file) == 2
    assert "'numpy' has no gradients. Set the environment" in capsys.readouterr().err


def test_digits_that_are_none(tmp_path):
    path = tmp_path / "x.npz"
    path.write_text("no zip")
    with pytest.raises(DataError, match=r"must be an \.npz file with x_train, y_train"):
        load_digits(path)
    good = {
        "x_train": np.zeros((2, 28, 28), "uint8"),
        "y_train": np.zeros(2, "int64"),
        "x_test": np.zeros((2, 28, 28), "uint8"),
        "y_test": np.zeros(2, "int64"),
    }
    for change in (
        {"x_test": np.zeros((2, 28, 28), "float32")},
        {"x_train": np.zeros((2, 32, 32), "uint8")},
        {"y_train": np.zeros(3, "int64")},
        {"y_test": np.array([0, 10])},
    ):
        np.savez(path, **{**good, **change})
        with pytest.raises(DataError, match="Digits must be uint8 images"):
            load_digits(path)
    np.savez(path, **good)
    (images, labels), _ = load_digits(path)
    assert (images.dtype, labels.dtype) == ("uint8", "int32")


@pytest.mark.parametrize("text", ["{", "[1]"])
def test_settings_that_are_none(tmp_path, text):
    (tmp_path / "settings.json").write_text(text)
    with pytest.raises(RunError, match=r"settings\.json cannot be read"):
        Folder(tmp_path, {})


@pytest.mark.parametrize("text", ["{", "[]", '{"run": {}, "result": {}}'])
def test_result_that_is_none(tmp_path, text):
    folder = Folder(tmp_path / "runs", {})
    (folder.path / "R-fcn-seed0").mkdir()
    (folder.path / "R-fcn-seed0" / "result.json").write_text(text)
    with pytest.raises(RunError, match=r"cannot be read .* Delete it to repeat the run"):
        folder.results()


def test_runs_on_other_digits_are_other_runs(small, digits_file, tmp_path, rng):
    options = parse(["--steps", "3"])
    digits = load_digits(digits_file)
    settings = app.settings_of(options, digits)
    assert settings == app.settings_of(options, load_digits(digits_file))
    folder = Folder(tmp_path / "runs", settings)
    other = (digits[0], (digits[1][0], digits[1][1][::-1]))
    with pytest.raises(RunError, match=r"have digits='\w{8}', not '\w{8}'\. Choose another"):
        Folder(folder.path, app.settings_of(options, other))


def _results(**percents):
    """Results of 1,000 images: of `model_transform` on RTS or E, one figure a seed."""
    found = {}
    for key, values in percents.items():
        task, model, transform = key.split("__")
        for seed, percent in enumerate(values):
            run = Run(task, model.replace("_", "-"), transform, seed)
            found[run] = Result(400_000, round(10 * percent), 1000, 1.0)
    return found


def test_table_tells_mean_deviation_and_the_paper():
    found = table.cells(_results(RTS__fcn__=[5.0, 6.0, 7.0], E__st_cnn__affine=[1.0]))
    lines = table.markdown(found).splitlines()
    assert lines[0] == "| network | RTS | E |"
    assert lines[2] == "| FCN | **6.00** ± 1.00 (5.2) |  |"
    assert lines[3] == "| ST-CNN affine |  | **1.00** ± 0.31 (1.2), 1 of 3 seeds |"


def test_orderings_are_told_as_they_are():
    results = _results(
        RTS__fcn__=[5.0],
        RTS__st_fcn__affine=[1.0],
        RTS__cnn__=[0.8],
        RTS__st_cnn__affine=[3.0],
        E__st_cnn__affine=[3.0, 3.1],
        E__st_cnn__projective=[1.2, 1.4],
        E__st_cnn__thin_plate_spline=[1.1, 1.3],
        addition__fcn__=[40.0],
    )
    assert dict(table.orderings(table.cells(results))) == {
        "ST-CNN errs less than CNN on RTS": "no",
        "ST-FCN errs less than half as often as FCN on RTS": "yes",
        "ST-CNN errs less with thin-plate splines than affine on E": "yes",
        "ST-CNN errs less with thin-plate splines than projective on E": "too close to tell",
    }
    results |= _results(RTS__st_fcn__affine=[3.0])  # less, but not half as often
    told = dict(table.orderings(table.cells(results)))
    assert told["ST-FCN errs less than half as often as FCN on RTS"] == "too close to tell"


def test_time_left_is_that_of_the_runs_most_alike():
    done = {
        Run("R", "cnn", "", 0): Result(1, 1, 1, 100.0),
        Run("TC", "cnn", "", 0): Result(1, 1, 1, 300.0),
        Run("R", "fcn", "", 0): Result(1, 1, 1, 2.0),
    }
    alike = [Run("TC", "cnn", "", 1), Run("E", "cnn", "", 0), Run("E", "st-fcn", "affine", 0)]
    assert app.remaining(alike, done) == pytest.approx(300 + 200 + 134)
    assert app.duration(3599.6) == "1 h 00 min"
    assert app.duration(61) == "1 min 01 s"
