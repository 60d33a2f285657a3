"""The lowest releases that the tests are run on are those that are promised."""

import re
import tomllib

from packaging.requirements import Requirement

from tests.docs_scripts import DOCS

ROOT = DOCS.parent


def floors():
    """{package: release} of `tests/floors.txt`."""
    lines = (ROOT / "tests" / "floors.txt").read_text("utf-8").splitlines()
    found = [Requirement(line) for line in lines if not line.startswith("#")]
    return {
        requirement.name: str(requirement.specifier).removeprefix("==") for requirement in found
    }


def test_the_package_asks_for_them():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    backends = [extras[name][0] for name in ("tensorflow", "jax", "torch")]
    tested = floors()
    assert tested.pop("jaxlib") == tested["jax"]
    for requirement in map(Requirement, [*project["dependencies"], *backends]):
        lowest = tested.pop(requirement.name)
        assert requirement.specifier.contains(lowest), requirement
        (asked,) = (s.version for s in requirement.specifier if s.operator == ">=")
        assert lowest.removesuffix(".0") == asked.removesuffix(".0"), requirement
    assert not tested


def test_the_policy_names_them():
    policy = (DOCS / "policy.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| ([^|]+?) +\| ([^|]+?) +\|$", policy, re.MULTILINE))
    tested = {name: release.removesuffix(".0") for name, release in floors().items()}
    assert rows["Keras"] == tested["keras"]
    assert rows["NumPy"] == tested["numpy"]
    backends = [tested[name] for name in ("tensorflow-cpu", "jax", "torch")]
    assert rows["TensorFlow, JAX, PyTorch"] == ", ".join(backends)
