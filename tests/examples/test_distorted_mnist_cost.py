"""What is measured of the paper's networks, on small ones."""

import functools
import itertools
import json

import numpy as np
import pytest

from distorted_mnist import cost, four_transformers, networks, training
from distorted_mnist.tasks import TASKS
from keras_stn import SpatialTransformer
from tests.backend import to_numpy

SMALL = 0.03  # of the width of the network with four transformers


@pytest.fixture
def small(monkeypatch):
    """Small networks, one task."""
    monkeypatch.setattr(networks, "BUDGET", 20_000)
    monkeypatch.setattr(networks, "FILTERS", (2, 2))
    monkeypatch.setattr(cost, "MODELS", ("fcn", "st-cnn"))
    monkeypatch.setattr(cost, "BATCH_SIZE", 4)
    monkeypatch.setattr(cost, "TASKS", {"TC": TASKS["TC"]})
    whole = four_transformers.build_network
    monkeypatch.setattr(four_transformers, "build_network", functools.partial(whole, width=SMALL))


@pytest.mark.gradient
def test_costs_are_measured_and_written(small, tmp_path, capsys):
    cost.main(["--turns", "2", "--images", "2", "3", "--output", str(tmp_path / "cost.json")])
    result = json.loads((tmp_path / "cost.json").read_text())
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert printed == [*result["distortions"], *result["four_transformers"]]
    assert [row.pop("task") for row in result["distortions"]] == ["TC"]
    for row in result["distortions"]:
        assert list(row) == ["drawing", "distorting", "fcn", "st-cnn"]
        for median, low, high in row.values():
            assert 0 < low <= median <= high
    assert [row["images"] for row in result["four_transformers"]] == [2, 3]
    for row, what in itertools.product(result["four_transformers"], ("training", "inference")):
        for part in ("overhead", "localizing", "sampling"):
            median, low, high = row[f"{what}_{part}"]
            assert low <= median <= high
            assert low > -1 or part == "sampling"  # that is a difference of two that are
        assert row[f"{what}_seconds"][0] > 0


@pytest.mark.gradient
def test_without_sampling_the_theta_learns_all_the_same():
    network = four_transformers.build_network(width=SMALL, sampling=False)
    found = [layer for layer in network.layers if isinstance(layer, SpatialTransformer)]
    assert [layer.output[0].shape[1:3] for layer in found] == [(1, 1)] * 4
    whole = four_transformers.build_network(width=SMALL)
    to_logits = 4 * 6 * four_transformers.DIGITS * four_transformers.CLASSES
    assert network.count_params() == whole.count_params() + to_logits
    before = [to_numpy(layer.head.bias) for layer in found]
    training.RECIPE.compile(network, 2)
    images = np.random.default_rng(0).uniform(size=(2, 64, 64, 3)).astype("float32")
    for _ in range(2):  # in the first, the learning rate is still 0
        network.train_on_batch(images, np.full((2, 5, 11), 1 / 11, "float32"))
    for layer, bias in zip(found, before, strict=True):
        assert np.abs(to_numpy(layer.head.bias) - bias).max() > 0


@pytest.mark.parametrize("count", [0, 4])
def test_house_number_network_has_as_many_transformers(rng, count):
    network = four_transformers.build_network(count, SMALL)
    found = [layer for layer in network.layers if isinstance(layer, SpatialTransformer)]
    assert len(found) == count
    images = rng.uniform(size=(2, 64, 64, 3)).astype("float32")
    assert to_numpy(network(images)).shape == (2, 5, 11)
    for transformer in found:  # a new one passes feature maps through
        shape = transformer.input.shape[1:]
        features = np.random.default_rng(0).normal(size=(1, *shape)).astype("float32")
        np.testing.assert_allclose(to_numpy(transformer(features)), features, atol=1e-4)
