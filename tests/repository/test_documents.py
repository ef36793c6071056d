"""The documents say what is so."""

import re
import tomllib
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from devtools.matrix import QUESTIONS, ROOT
from devtools.rendering import load_hook
from tests.support.expectations import TEMPLATE

# What a release in the changelog may have: what Keep a Changelog names, and what is left for a service's owner to do.
CHANGES = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security", "Upgrading"}
# A changelog with two releases, to break.
RELEASED = """# Changelog

## Unreleased

### Fixed

- A third thing.

### Upgrading

- Nothing to do.

## 2026.12.0 - 2026-12-01

### Added

- Another thing.

### Upgrading

- Nothing to do.

## 2026.11.9 - 2026-11-30

### Added

- A thing.

### Upgrading

- Nothing to do.
"""


def project(folder: Path) -> dict[str, Any]:
    """Return what a pyproject.toml says."""
    return tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))


def numbers(dotted: str) -> list[int]:
    """Return a version, or the day of one, as something to compare."""
    return [int(number) for number in re.split("[.-]", dotted)]


def faults(changelog: str, version: str) -> list[str]:
    """Return what is wrong with the form of a changelog, where the newest version is the given one."""
    title, *sections = re.split(r"^## ", changelog, flags=re.MULTILINE)
    wrong = [] if title.startswith("# Changelog\n") and sections else ["is no changelog"]
    releases = []
    for position, section in enumerate(sections):
        heading, *changes = re.split(r"\n+### ", section)
        names = [change.partition("\n")[0] for change in changes]
        release = re.fullmatch(r"(\d{4}\.[1-9]\d?\.(?:0|[1-9]\d*)) - (\d{4}-\d\d-\d\d)", heading)
        if release:
            releases.append(release[1])
            day = date.fromisoformat(release[2])
            if numbers(release[1])[:2] != [day.year, day.month]:
                wrong.append(f"{heading}: is not of that month")
        elif heading != "Unreleased" or position:
            wrong.append(f"{heading}: is no version with its day, nor what is unreleased, on top")
        if len(set(names)) < len(names) or not set(names) <= CHANGES:
            wrong.append(f"{heading}: has other parts than {', '.join(sorted(CHANGES))}, once each")
        if "Upgrading" not in names:
            wrong.append(f"{heading}: does not say how to upgrade")
        if not all(re.match(r"\w+\n\n- \S", change) for change in changes):
            wrong.append(f"{heading}: has a part without a list")
    newest_first = sorted(set(releases), key=numbers, reverse=True)
    if releases != newest_first:
        wrong.append(f"should have its releases in the order {newest_first}")
    if releases and numbers(version) < numbers(newest_first[0]):
        wrong.append(f"has a release newer than {version}")
    return wrong


def test_every_file_of_the_manifest_is_in_the_table_of_options() -> None:
    options = (ROOT / "docs" / "options.md").read_text(encoding="utf-8")

    for toggle, paths in load_hook("post_gen_project")["MANIFEST"].items():
        conditions = [f"no `{name[1:]}`" if name.startswith("!") else f"`{name}`" for name in toggle.split(" and ")]
        [row] = [line for line in options.splitlines() if line.startswith(f"| {' and '.join(conditions)} |")]
        assert re.findall(r"`([^`]+)`", row.split("|")[2]) == paths


def missing(document: str, folder: Path) -> set[str]:
    """Return the test files that a document names and that do not exist: those without a path below a folder."""
    named = set(re.findall(r"`((?:tests/[\w/]*)?test_\w+\.py)`", document))
    assert named
    below = {path.name for path in folder.rglob("test_*.py")}
    return {name for name in named if not ((ROOT / name).is_file() if "/" in name else name in below)}


@pytest.mark.parametrize(("document", "folder"), [("faults.md", ROOT / "tests" / "faults"), ("security.md", TEMPLATE)])
def test_every_test_that_a_document_names_exists(document: str, folder: Path) -> None:
    assert missing((ROOT / "docs" / document).read_text(encoding="utf-8"), folder) == set()


def test_a_test_that_does_not_exist_is_noticed() -> None:
    document = "`test_api.py`, `test_nothing.py`, `tests/render/test_answers.py`, `tests/faults/test_nothing.py`"

    assert missing(document, TEMPLATE) == {"test_nothing.py", "tests/faults/test_nothing.py"}


def test_security_has_each_requirement_of_level_1_once() -> None:
    document = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    cells = re.findall(r"^\| (\d[\d., ]*) \|", document, re.MULTILINE)
    requirements = [requirement for cell in cells for requirement in cell.split(", ")]

    assert len(requirements) == len(set(requirements)) == 70


def test_every_question_is_in_the_readme_and_has_a_prompt() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")

    for question in QUESTIONS:
        if not question.startswith("_"):
            assert f"`{question}`" in readme
            assert question in QUESTIONS["__prompts__"]


def test_nothing_pinned_carries_an_address() -> None:
    assert "://" not in (ROOT / "constraints.txt").read_text(encoding="utf-8")


def test_a_service_names_the_release_that_it_comes_from() -> None:
    assert project(TEMPLATE)["tool"]["template"]["version"] == project(ROOT)["project"]["version"]


def test_the_changelog_keeps_its_form() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")

    assert faults(changelog, project(ROOT)["project"]["version"]) == []


@pytest.mark.parametrize("version", ["2026.12.0", "2026.12.1", "2027.1.0"])
def test_a_changelog_with_releases_keeps_the_form(version: str) -> None:
    assert faults(RELEASED, version) == []


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("# Changelog\n", "", "is no changelog"),
        ("## Unreleased", "## Soon", "Soon: is no version with its day"),
        ("## 2026.11.9 - 2026-11-30", "## Unreleased", "Unreleased: is no version with its day"),
        ("2026.12.0 - 2026-12-01", "2026.12.0", "2026.12.0: is no version with its day"),
        ("2026.12.0 - 2026-12-01", "2026.12 - 2026-12-01", "2026.12 - 2026-12-01: is no version with its day"),
        ("2026.11.9", "2026.11.09", "2026.11.09 - 2026-11-30: is no version with its day"),
        ("2026.12.0", "v2026.12.0", "v2026.12.0 - 2026-12-01: is no version with its day"),
        ("2026-12-01", "2026-11-30", "2026.12.0 - 2026-11-30: is not of that month"),
        ("2026.11.9 - 2026-11-30", "2026.12.9 - 2026-12-30", "should have its releases in the order ['2026.12.9'"),
        ("2026.11.9 - 2026-11-30", "2026.12.0 - 2026-12-01", "should have its releases in the order ['2026.12.0']"),
        ("2026.12.0 - 2026-12-01", "2027.1.0 - 2027-01-01", "has a release newer than 2026.12.0"),
        ("### Fixed", "### Mended", "Unreleased: has other parts than"),
        ("### Fixed", "### Upgrading", "Unreleased: has other parts than"),
        ("### Fixed\n\n- A third thing.\n", "### Fixed\n", "Unreleased: has a part without a list"),
        ("### Fixed\n\n- A third thing.\n\n### Upgrading", "### Fixed", "Unreleased: does not say how to upgrade"),
    ],
)
def test_a_fault_in_the_changelog_is_noticed(old: str, new: str, fault: str) -> None:
    assert old in RELEASED
    assert any(line.startswith(fault) for line in faults(RELEASED.replace(old, new, 1), "2026.12.0"))
