"""The documents agree with the code."""

import re
import tomllib
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from devtools.matrix import QUESTIONS, ROOT
from devtools.rendering import load_hook
from tests.support.expectations import TEMPLATE

# The parts of a release in the changelog: those of Keep a Changelog, and the steps that a service's owner must take.
CHANGES = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security", "Upgrading"}
# A valid changelog with two releases. The tests break it.
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
    """Return the contents of a pyproject.toml."""
    return tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))


def numbers(dotted: str) -> list[int]:
    """Return a version or a date as a list of numbers, for comparisons."""
    return [int(number) for number in re.split("[.-]", dotted)]


def changelog_errors(changelog: str, version: str) -> list[str]:
    """Return the errors in the form of a changelog whose newest release may be `version`."""
    title, *sections = re.split(r"^## ", changelog, flags=re.MULTILINE)
    errors = [] if title.startswith("# Changelog\n") and sections else ["is not a changelog"]
    releases = []
    for position, section in enumerate(sections):
        heading, *changes = re.split(r"\n+### ", section)
        names = [change.partition("\n")[0] for change in changes]
        release = re.fullmatch(r"(\d{4}\.[1-9]\d?\.(?:0|[1-9]\d*)) - (\d{4}-\d\d-\d\d)", heading)
        if release:
            releases.append(release[1])
            day = date.fromisoformat(release[2])
            if numbers(release[1])[:2] != [day.year, day.month]:
                errors.append(f"{heading}: has a date in another month")
        elif heading != "Unreleased" or position:
            errors.append(f"{heading}: is neither a version with its date nor 'Unreleased' at the top")
        if len(set(names)) < len(names) or not set(names) <= CHANGES:
            errors.append(f"{heading}: may have only the parts {', '.join(sorted(CHANGES))}, each once")
        if "Upgrading" not in names:
            errors.append(f"{heading}: does not say how to upgrade")
        if not all(re.match(r"\w+\n\n- \S", change) for change in changes):
            errors.append(f"{heading}: has a part without a list")
    newest_first = sorted(set(releases), key=numbers, reverse=True)
    if releases != newest_first:
        errors.append(f"must have its releases in the order {newest_first}")
    if releases and numbers(version) < numbers(newest_first[0]):
        errors.append(f"has a release newer than {version}")
    return errors


def test_every_file_of_the_manifest_is_in_the_table_of_options() -> None:
    options = (ROOT / "docs" / "options.md").read_text(encoding="utf-8")

    for toggle, paths in load_hook("post_gen_project")["MANIFEST"].items():
        conditions = [f"no `{name[1:]}`" if name.startswith("!") else f"`{name}`" for name in toggle.split(" and ")]
        [row] = [line for line in options.splitlines() if line.startswith(f"| {' and '.join(conditions)} |")]
        assert re.findall(r"`([^`]+)`", row.split("|")[2]) == paths


def missing(document: str, folder: Path) -> set[str]:
    """Return the test files that a document names and that do not exist. Names without a path are below `folder`."""
    named = set(re.findall(r"`((?:tests/[\w/]*)?test_\w+\.py)`", document))
    assert named
    below = {path.name for path in folder.rglob("test_*.py")}
    return {name for name in named if not ((ROOT / name).is_file() if "/" in name else name in below)}


@pytest.mark.parametrize(("document", "folder"), [("faults.md", ROOT / "tests" / "faults"), ("security.md", TEMPLATE)])
def test_every_test_that_a_document_names_exists(document: str, folder: Path) -> None:
    assert missing((ROOT / "docs" / document).read_text(encoding="utf-8"), folder) == set()


def test_missing_test_file_is_reported() -> None:
    document = "`test_api.py`, `test_nothing.py`, `tests/render/test_answers.py`, `tests/faults/test_nothing.py`"

    assert missing(document, TEMPLATE) == {"test_nothing.py", "tests/faults/test_nothing.py"}


def test_security_document_has_each_level_1_requirement_once() -> None:
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


def test_constraints_contain_no_url() -> None:
    assert "://" not in (ROOT / "constraints.txt").read_text(encoding="utf-8")


def test_service_names_the_release_of_the_template() -> None:
    assert project(TEMPLATE)["tool"]["template"]["version"] == project(ROOT)["project"]["version"]


def test_changelog_has_no_errors() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")

    assert changelog_errors(changelog, project(ROOT)["project"]["version"]) == []


@pytest.mark.parametrize("version", ["2026.12.0", "2026.12.1", "2027.1.0"])
def test_changelog_with_releases_has_no_errors(version: str) -> None:
    assert changelog_errors(RELEASED, version) == []


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("# Changelog\n", "", "is not a changelog"),
        ("## Unreleased", "## Soon", "Soon: is neither a version with its date"),
        ("## 2026.11.9 - 2026-11-30", "## Unreleased", "Unreleased: is neither a version with its date"),
        ("2026.12.0 - 2026-12-01", "2026.12.0", "2026.12.0: is neither a version with its date"),
        ("2026.12.0 - 2026-12-01", "2026.12 - 2026-12-01", "2026.12 - 2026-12-01: is neither a version with its date"),
        ("2026.11.9", "2026.11.09", "2026.11.09 - 2026-11-30: is neither a version with its date"),
        ("2026.12.0", "v2026.12.0", "v2026.12.0 - 2026-12-01: is neither a version with its date"),
        ("2026-12-01", "2026-11-30", "2026.12.0 - 2026-11-30: has a date in another month"),
        ("2026.11.9 - 2026-11-30", "2026.12.9 - 2026-12-30", "must have its releases in the order ['2026.12.9'"),
        ("2026.11.9 - 2026-11-30", "2026.12.0 - 2026-12-01", "must have its releases in the order ['2026.12.0']"),
        ("2026.12.0 - 2026-12-01", "2027.1.0 - 2027-01-01", "has a release newer than 2026.12.0"),
        ("### Fixed", "### Repaired", "Unreleased: may have only the parts"),
        ("### Fixed", "### Upgrading", "Unreleased: may have only the parts"),
        ("### Fixed\n\n- A third thing.\n", "### Fixed\n", "Unreleased: has a part without a list"),
        ("### Fixed\n\n- A third thing.\n\n### Upgrading", "### Fixed", "Unreleased: does not say how to upgrade"),
    ],
)
def test_error_in_the_changelog_is_reported(old: str, new: str, error: str) -> None:
    assert old in RELEASED
    assert any(line.startswith(error) for line in changelog_errors(RELEASED.replace(old, new, 1), "2026.12.0"))
