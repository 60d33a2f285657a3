"""`python -m tests`, and pytest where torch, the oracle, is not installed."""

import os
import subprocess
import sys

import pytest

from tests import __main__ as running
from tests import oracle, selection

pytestmark = pytest.mark.once

# Runs pytest as if torch were not installed.
WITHOUT_TORCH = """
import functools
import importlib.machinery
import sys

def find_spec(find, name, *rest):
    return None if name == "torch" else find(name, *rest)

finder = importlib.machinery.PathFinder
finder.find_spec = functools.partial(find_spec, finder.find_spec)
import pytest

sys.exit(pytest.main(sys.argv[1:]))
"""


class Process:
    """Stands for pytest's: ends as `statuses` says, by backend; notes how it was started."""

    statuses, started = {}, []

    def __init__(self, arguments, env):
        self.started.append((arguments, env))
        self.status = self.statuses.get(env["KERAS_BACKEND"], 0)

    def wait(self):
        if self.status == "interrupted":
            self.status = 2
            raise KeyboardInterrupt
        return self.status


@pytest.fixture
def processes(monkeypatch):
    for name in ("ALL_PARAMETERS", "REQUIRE_TORCH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Process, "statuses", {})
    monkeypatch.setattr(Process, "started", [])
    monkeypatch.setattr(running.subprocess, "Popen", Process)
    return Process


def markers(arguments):
    """The tests that a call of pytest chooses by their markers."""
    return arguments[arguments.index("-m", 3) + 1] if "-m" in arguments[3:] else ""


RUNS = [
    ("tensorflow", "not once and not compiled"),
    ("tensorflow", "compiled"),
    ("jax", "not once and not compiled"),
    ("jax", "compiled"),
    ("torch", "not once"),
    ("numpy", ""),
]


def test_everything_runs_on_every_backend(processes, capsys, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--some")
    assert running.main([]) == 0
    assert [(env["KERAS_BACKEND"], markers(call)) for call, env in processes.started] == RUNS
    for arguments, environment in processes.started:
        assert "tests" in arguments
        assert environment["REQUIRE_TORCH"] == "1"
        assert environment["OMP_NUM_THREADS"]
        assert "ALL_PARAMETERS" not in environment
        quickly = f" {selection.COMPILED_QUICKLY}" if "not compiled" in markers(arguments) else ""
        assert environment["XLA_FLAGS"] == f"--some{quickly}"
    summary = capsys.readouterr().out.partition("=== Summary ===\n")[2]
    assert [line.split()[0].strip(",") for line in summary.splitlines()] == [
        *(backend for backend, _ in RUNS),
        "all",
    ]
    assert summary.count("passed, ") == len(RUNS)


@pytest.mark.parametrize("option", ["--all", "--as-users-compile"])
def test_everything_as_users_compile(processes, option, monkeypatch):
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    assert running.main([option]) == 0
    assert [(env["KERAS_BACKEND"], markers(call)) for call, env in processes.started] == [
        *((backend, "not once") for backend in selection.BACKENDS[:3]),
        ("numpy", ""),
    ]
    for _, environment in processes.started:
        assert ("ALL_PARAMETERS" in environment) == (option == "--all")
        assert "XLA_FLAGS" not in environment


def test_these_tests_on_these_backends(processes):
    paths = ["tests/ops/test_points.py", "tests/test_docs.py"]
    assert running.main([*paths, "--backend", "jax", "numpy", "--all", "--", "-x", "--lf"]) == 0
    assert [env["KERAS_BACKEND"] for _, env in processes.started] == ["jax", "numpy"]
    for arguments, environment in processes.started:
        assert arguments[-4:] == [*paths, "-x", "--lf"]
        assert environment["ALL_PARAMETERS"] == "1"
        assert "REQUIRE_TORCH" not in environment  # it may not be installed


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ({"jax": 1}, 1),
        ({"numpy": 2}, 1),
        ({"jax": -9}, 1),
        ({"tensorflow": 5, "torch": 5}, 0),
        (dict.fromkeys(selection.BACKENDS, 5), 1),
    ],
    ids=["a test failed", "an error", "killed", "tests elsewhere", "no tests at all"],
)
def test_the_exit_status(processes, statuses, expected):
    processes.statuses.update(statuses)
    assert running.main([]) == expected
    assert len(processes.started) == len(RUNS)  # what fails stops nothing else


def test_interrupted(processes, capsys):
    processes.statuses["jax"] = "interrupted"
    assert running.main([]) == 130
    assert len(processes.started) == 3
    output = capsys.readouterr().out
    assert output.index("Interrupted.") < output.index("=== Summary ===")
    assert "as users compile   passed" in output


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [(["--help"], 0, "[-- PYTEST ARGUMENTS]"), (["--backend", "theano"], 2, "invalid choice")],
)
def test_help_and_a_mistake_are_said_once(processes, arguments, status, said, capsys):
    with pytest.raises(SystemExit, match=f"^{status}$"):
        running.main(arguments)
    assert processes.started == []
    output = capsys.readouterr()
    assert (output.out + output.err).count(said) == 1


def test_a_test_without_the_oracle(monkeypatch):
    torch = oracle.Missing()
    monkeypatch.delenv("REQUIRE_TORCH", raising=False)
    with pytest.raises(pytest.skip.Exception, match="torch, the oracle, is not installed"):
        torch.nn  # noqa: B018
    monkeypatch.setenv("REQUIRE_TORCH", "1")
    with pytest.raises(pytest.fail.Exception, match="REQUIRE_TORCH is set"):
        torch.nn  # noqa: B018


def test_every_test_is_found_without_the_oracle():
    arguments = ["tests", "--collect-only", "-qq", "-p", "no:cacheprovider"]
    environment = {**os.environ, "KERAS_BACKEND": "numpy"}
    found = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, *arguments],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stdout[-2000:] + found.stderr[-2000:]
