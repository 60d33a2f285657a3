"""Prints one of the README's two commands for a fresh machine: `main` or `tests`."""

import re
import sys
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def command(name):
    """The commands in the code block after the README's marker `<!-- command: name -->`."""
    pattern = rf"<!-- command: {name} -->\n+```bash\n(.*?)```"
    found = re.findall(pattern, README.read_text(encoding="utf-8"), flags=re.DOTALL)
    if len(found) != 1:
        sys.exit(f"README.md has {len(found)} code blocks marked `command: {name}`, expected 1.")
    return found[0].strip()


if __name__ == "__main__":
    print(command(sys.argv[1]))
