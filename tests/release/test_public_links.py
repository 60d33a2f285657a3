"""What the publishing workflow does to README and metadata, for the package's page on PyPI."""

import importlib.util
import re
import shutil
import tomllib

import pytest

from tests.docs_scripts import DOCS

ROOT = DOCS.parent
TARGET = re.compile(r"\]\(([^)]+)\)")
CODE = re.compile(r"```.*?```", re.DOTALL)


@pytest.fixture
def published(tmp_path):
    """README and `pyproject.toml` as the workflow has them when it builds."""
    spec = importlib.util.spec_from_file_location("links", ROOT / ".ci" / "public_links.py")
    links = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(links)
    for name in ("README.md", "pyproject.toml"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    links.main("owner/name", "v1.2.3", tmp_path)
    return tmp_path


def test_every_link_of_the_page_leads_somewhere(published):
    here, there = (
        TARGET.findall(CODE.sub("", (folder / "README.md").read_text("utf-8")))
        for folder in (ROOT, published)
    )
    assert len(here) == len(there) > 10
    for before, after in zip(here, there, strict=True):
        if before.startswith("https://"):
            assert after == before
        else:
            kind = "raw" if before.endswith(".png") else "blob"
            assert after == f"https://github.com/owner/name/{kind}/v1.2.3/{before}"


def test_the_rest_of_the_page_is_left_alone(published):
    texts = [(folder / "README.md").read_text("utf-8") for folder in (ROOT, published)]
    assert len({TARGET.sub("", text) for text in texts}) == 1
    here, there = map(CODE.findall, texts)
    assert here == there  # `layers[0](images)` is no link
    assert len(here) >= 3


def test_the_metadata_names_the_project_s_pages(published):
    project = tomllib.loads((published / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["name"] == "keras-stn"
    assert project["urls"] == {
        "Documentation": "https://owner.github.io/name",
        "Source": "https://github.com/owner/name",
        "Changelog": "https://github.com/owner/name/blob/v1.2.3/CHANGELOG.md",
        "Issues": "https://github.com/owner/name/issues",
    }
