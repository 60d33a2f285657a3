"""What the README shows runs, and what its badges say is so."""

import re
import tomllib
import urllib.parse
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
# The backends of Keras as their makers write them, by the extra that brings one.
BACKENDS = {"jax": "JAX", "openvino": "OpenVINO", "tensorflow": "TensorFlow", "torch": "PyTorch"}


def test_quick_start_runs():
    (code,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    names = {}
    exec(code, names)
    assert tuple(names["warped"].shape) == (1, 28, 28, 1)
    assert tuple(names["theta"].shape) == (1, 6)


def test_both_commands_for_a_fresh_machine_are_there():
    commands = dict(re.findall(r"<!-- command: (\w+) -->\n+```bash\n(.*?)```", README, re.DOTALL))
    assert set(commands) == {"main", "tests"}
    for command in commands.values():
        assert command.startswith("python3 -m venv .venv\n")
    assert commands["tests"].rstrip().endswith("python -m tests")


def test_every_file_that_the_readme_names_exists():
    prose = re.sub(r"```.*?```", "", README, flags=re.DOTALL)
    paths = re.findall(r"\]\((?!https?:)([^)#]+)\)", prose)
    assert len(paths) >= 4
    for path in paths:
        assert (ROOT / path).exists(), path


def badges():
    """{label: message} of the static badges, by their addresses."""
    found = {}
    for alt, address in re.findall(r"!\[([^\]]*)\]\((https?:[^)]+)\)", README):
        assert address.startswith("https://img.shields.io/badge/"), address
        # shields.io: a dash ends a part, two are one that is meant.
        parts = re.split(r"(?<!-)-(?!-)", address.rpartition("/")[2])
        label, message, _ = (urllib.parse.unquote(part.replace("--", "-")) for part in parts)
        assert alt == f"{label} {message}"
        found[label] = message
    return found


def test_the_badges_say_what_the_package_says():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needs = {r.name: str(r.specifier) for r in map(Requirement, project["dependencies"])}
    extras = project["optional-dependencies"]
    assert badges() == {
        "Python": project["requires-python"].replace(">=", ">= "),
        "Keras": needs["keras"].replace(">=", ">= "),
        "backends": " | ".join(BACKENDS[extra] for extra in extras if extra in BACKENDS),
        "license": project["license"],
    }
