"""A service's dependencies have upper bounds, so that no new release breaks it, and every combination resolves."""

import shutil
import sys
import tomllib
from collections import defaultdict
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from devtools.commands import UV, check_output
from devtools.matrix import COMBINATIONS, ROOT, identify
from devtools.rendering import render
from tests.support.expectations import TEMPLATE


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Return every pyproject.toml that can be rendered, with the names of its combinations."""
    template = tmp_path_factory.mktemp("template")
    shutil.copy(ROOT / "cookiecutter.json", template)
    (template / TEMPLATE.name).mkdir()
    shutil.copy(TEMPLATE / "pyproject.toml", template / TEMPLATE.name)
    projects = defaultdict(list)
    for answers in COMBINATIONS:
        service = render(answers, template / identify(answers), template)
        projects[(service / "pyproject.toml").read_text(encoding="utf-8")].append(identify(answers))
    return projects


def unbounded(requirements: list[str]) -> list[str]:
    """Return the requirements that allow more than one feature release."""
    return [text for text in requirements if not is_bounded(Requirement(text))]


def is_bounded(requirement: Requirement) -> bool:
    """Return whether a requirement allows only one feature release: >=1.2.3,<1.3."""
    limits = {specifier.operator: specifier.version for specifier in requirement.specifier}
    if set(limits) != {">=", "<"}:
        return False
    lowest, limit = Version(limits[">="]), Version(limits["<"])
    return limit.release == (lowest.major, lowest.minor + 1)


def unpinned(requirements: list[str]) -> list[str]:
    """Return the requirements that allow more than one version."""
    return [
        text for text in requirements if [specifier.operator for specifier in Requirement(text).specifier] != ["=="]
    ]


def test_dependencies_exclude_the_next_feature_release(projects: dict[str, list[str]]) -> None:
    for text in projects:
        project = tomllib.loads(text)
        assert unbounded(project["project"]["dependencies"] + project["dependency-groups"]["dev"]) == []
        assert unpinned(project["dependency-groups"]["lint"]) == []


def test_requirement_that_is_too_wide_is_reported() -> None:
    wide = ["django", "django>=6.1", "django>=6.1.3,<7", "django<6.2", "django==6.1.*", "channels>=4.3,<4.5"]
    assert unbounded([*wide, "django>=6.1.3,<6.2"]) == wide
    assert unpinned(["ruff>=0.17", "ruff==0.17.6", "ruff"]) == ["ruff>=0.17", "ruff"]


@pytest.mark.slow(40)
def test_every_combination_can_be_locked(projects: dict[str, list[str]], tmp_path: Path) -> None:
    for number, (text, names) in enumerate(projects.items()):
        service = tmp_path / str(number)
        service.mkdir()
        (service / "pyproject.toml").write_text(text, encoding="utf-8")
        check_output(service, UV, "lock", "--quiet", "--python", sys.executable)
        locked = tomllib.loads((service / "uv.lock").read_text(encoding="utf-8"))
        assert {package["name"] for package in locked["package"]} >= {"django", "pytest", "ruff"}, names
