"""What the README shows runs."""

import re
from pathlib import Path

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


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
    root = Path(__file__).parents[1]
    prose = re.sub(r"```.*?```", "", README, flags=re.DOTALL)
    paths = re.findall(r"\]\((?!https?:)([^)#]+)\)", prose)
    assert len(paths) >= 4
    for path in paths:
        assert (root / path).exists(), path
