"""Wheel and source package: what they hold, and what they say of themselves."""

import email
import subprocess
import sys
import tarfile
import zipfile

import pytest
from packaging.requirements import Requirement

import keras_stn
from tests.docs_scripts import DOCS

ROOT = DOCS.parent
VERSION = keras_stn.__version__
INFO = f"keras_stn-{VERSION}.dist-info"


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--directory", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    return folder


@pytest.fixture(scope="module")
def wheel(packages):
    with zipfile.ZipFile(packages / f"keras_stn-{VERSION}-py3-none-any.whl") as archive:
        yield archive


@pytest.fixture(scope="module")
def source(packages):
    with tarfile.open(packages / f"keras_stn-{VERSION}.tar.gz") as archive:
        yield archive


@pytest.fixture(scope="module")
def metadata(wheel):
    return email.message_from_bytes(wheel.read(f"{INFO}/METADATA"))


def modules():
    return {path.relative_to(ROOT).as_posix() for path in (ROOT / "keras_stn").rglob("*.py")}


def test_the_wheel_is_the_package_and_nothing_else(wheel):
    names = {name for name in wheel.namelist() if not name.startswith(INFO)}
    assert names == modules() | {"keras_stn/py.typed"}
    assert {f"{INFO}/METADATA", f"{INFO}/licenses/LICENSE"} <= set(wheel.namelist())


def test_the_source_package_has_all_that_the_notebook_and_the_tests_need(source):
    names = {name.partition("/")[2] for name in source.getnames()}
    needed = {
        ".ci/readme_command.py",
        "CHANGELOG.md",
        "CITATION.cff",
        "CONTRIBUTING.md",
        "LICENSE",
        "PKG-INFO",
        "README.md",
        "SECURITY.md",
        "docs/index.md",
        "examples/gtsrb.py",
        "examples/gtsrb/sample.zip",
        "examples/gtsrb/pretrained/best.keras",
        "pyproject.toml",
        "tests/conftest.py",
    }
    assert needed | modules() <= names
    assert not [name for name in names if "__pycache__" in name or name.startswith("runs/")]


def test_the_source_package_is_small_enough_for_pypi(source):
    assert sum(member.size for member in source.getmembers()) < 60e6  # PyPI takes 100 MB


def test_metadata(metadata):
    assert metadata["Name"] == "keras-stn"
    assert metadata["Version"] == VERSION
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata.get_payload().startswith("# keras-stn")


def test_a_plain_install_brings_keras_and_numpy_alone(metadata):
    requirements = [Requirement(text) for text in metadata.get_all("Requires-Dist")]
    assert {r.name for r in requirements if not r.marker} == {"keras", "numpy"}


@pytest.mark.parametrize(
    ("extra", "backend"), [("tensorflow", "tensorflow-cpu"), ("jax", "jax"), ("torch", "torch")]
)
def test_an_extra_brings_one_backend(metadata, extra, backend):
    assert extra in metadata.get_all("Provides-Extra")
    brought = {
        requirement.name
        for requirement in map(Requirement, metadata.get_all("Requires-Dist"))
        if requirement.marker
        and requirement.marker.evaluate({"extra": extra, "sys_platform": "linux"})
    }
    assert brought == {backend}


def test_the_changelog_and_the_citation_know_the_version():
    assert f'__version__ = "{VERSION}"' in (ROOT / "keras_stn" / "__init__.py").read_text("utf-8")
    assert f"version: {VERSION}" in (ROOT / "CITATION.cff").read_text("utf-8")
