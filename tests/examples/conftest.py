"""Small official archives, made once a session."""

import pytest
from gtsrb import dataset, splits

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
