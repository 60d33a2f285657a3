"""Small networks, and small official archives, made once a session."""

import dataclasses

import keras
import pytest
from keras import layers

from gtsrb import configurations, dataset, splits
from gtsrb.networks import transformed
from tests.examples import official


@pytest.fixture(scope="session")
def archives_folder(tmp_path_factory):
    """A folder with small training and test archives, and how many images they hold."""
    folder = tmp_path_factory.mktemp("official")
    return folder, official.write_training_archive(folder), official.write_test_archives(folder)


@pytest.fixture
def small_official(archives_folder, monkeypatch):
    """The folder of small archives, taken for the whole benchmark."""
    folder, train, test = archives_folder
    monkeypatch.setattr(dataset, "TRAIN_IMAGES", train)
    monkeypatch.setattr(dataset, "TEST_IMAGES", test)
    monkeypatch.setattr(splits, "FULL_VALIDATION_TRACKS", 43)
    return folder


@pytest.fixture
def small_networks(monkeypatch):
    """Puts small networks in the place of the article's."""

    def classifier(x):
        x = layers.Flatten()(layers.AveragePooling2D(2)(x))
        x = layers.Dropout(0.2, seed=0)(layers.Dense(16, "tanh")(x))
        return layers.Dense(43)(x)

    def transformer(x):
        network = keras.Sequential(
            [layers.AveragePooling2D(4), layers.Flatten(), layers.Dense(8, "relu")]
        )
        return classifier(transformed(x, network, output_size=(16, 16)))

    small = {"stn": transformer, "constant": transformer, "idsia": classifier}
    for name, network in small.items():
        configuration = configurations.CONFIGURATIONS[name]
        monkeypatch.setitem(
            configurations.CONFIGURATIONS,
            name,
            dataclasses.replace(configuration, network=network),
        )
