"""Makes README and package metadata point to where a release lies on GitHub.

    python .ci/public_links.py OWNER/NAME TAG

before the packages are built, in a checkout of that tag: a package's page on PyPI is the README,
where the links that work in the repository lead nowhere. Whose repository it is, its files need
not know.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?://|#)([^)]+)\)")
CODE = re.compile(r"(^```.*?^```)", re.DOTALL | re.MULTILINE)


def absolute(text, repository, tag):
    """Markdown with the targets of relative links on GitHub, pictures as files; code as it was."""

    def replacement(found):
        kind = "raw" if found[1] else "blob"
        return f"{found[1]}[{found[2]}](https://github.com/{repository}/{kind}/{tag}/{found[3]})"

    parts = CODE.split(text)
    parts[::2] = [LINK.sub(replacement, prose) for prose in parts[::2]]
    return "".join(parts)


def urls(repository, tag):
    """The table of `pyproject.toml` with the project's addresses."""
    owner, _, name = repository.partition("/")
    source = f"https://github.com/{repository}"
    return (
        "\n[project.urls]\n"
        f'Documentation = "https://{owner}.github.io/{name}"\n'
        f'Source = "{source}"\n'
        f'Changelog = "{source}/blob/{tag}/CHANGELOG.md"\n'
        f'Issues = "{source}/issues"\n'
    )


def main(repository, tag, root=ROOT):
    """Rewrites the two files."""
    readme, project = root / "README.md", root / "pyproject.toml"
    readme.write_text(absolute(readme.read_text("utf-8"), repository, tag), "utf-8")
    project.write_text(project.read_text("utf-8") + urls(repository, tag), "utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
