"""The files that GitHub, Dependabot and Docker Compose read, in the template and in its services."""

import re
from pathlib import Path

import pytest
import yaml

from devtools.commands import check_output
from devtools.matrix import COMBINATIONS, ROOT, SERVERS, all_off, all_on, identify
from devtools.rendering import render
from tests.support.expectations import TEMPLATE

GITHUB = ROOT / ".github"
# The published schema of each kind of file, and the files of that kind.
SCHEMAS = {
    "github-workflows": ["workflows/*.yml"],
    "dependabot": ["dependabot.yml"],
    "github-issue-forms": ["ISSUE_TEMPLATE/bug.yml", "ISSUE_TEMPLATE/idea.yml"],
    "github-issue-config": ["ISSUE_TEMPLATE/config.yml"],
}


def check_schema(schema: str, *paths: Path) -> None:
    """Raise AssertionError if a YAML file breaks a schema."""
    check_output(ROOT, "check-jsonschema", "--builtin-schema", f"vendor.{schema}", *map(str, paths))


def actions(folder: Path) -> set[str]:
    """Return the actions that the workflows in a folder use, with their versions."""
    workflows = "".join(path.read_text(encoding="utf-8") for path in folder.glob(".github/workflows/*.yml"))
    return set(re.findall(r"uses: (.+)", workflows))


def test_workflows_pass_their_linters() -> None:
    check_output(ROOT, "actionlint")
    check_output(ROOT, "zizmor", "--offline", "--persona", "auditor", ".github")
    check_output(ROOT, "yamllint", "--strict", "--config-file", str(TEMPLATE / ".yamllint.yaml"), ".github")


@pytest.mark.parametrize("schema", SCHEMAS)
def test_github_file_of_the_template_is_valid(schema: str) -> None:
    check_schema(schema, *(path for pattern in SCHEMAS[schema] for path in GITHUB.glob(pattern)))


def test_every_github_file_of_the_template_has_a_schema() -> None:
    known = {path for patterns in SCHEMAS.values() for pattern in patterns for path in GITHUB.glob(pattern)}
    assert known == set(GITHUB.rglob("*.yml"))


@pytest.mark.parametrize("answers", [all_on(), all_off()], ids=["all on", "all off"])
def test_github_and_compose_files_of_a_service_are_valid(tmp_path: Path, answers: dict[str, object]) -> None:
    service = render(answers, tmp_path)

    check_schema("github-workflows", *(service / ".github" / "workflows").iterdir())
    check_schema("dependabot", service / ".github" / "dependabot.yml")
    check_schema("compose-spec", service / "compose.yaml")


@pytest.mark.parametrize("answers", [all_on(), all_off()], ids=["all on", "all off"])
def test_dependabot_updates_each_kind_of_dependency(tmp_path: Path, answers: dict[str, object]) -> None:
    service = render(answers, tmp_path)

    updates = yaml.safe_load((service / ".github" / "dependabot.yml").read_text(encoding="utf-8"))["updates"]
    services = yaml.safe_load((service / "compose.yaml").read_text(encoding="utf-8"))["services"]
    ecosystems = {update["package-ecosystem"] for update in updates}
    assert {update["directory"] for update in updates} == {"/"}
    assert {"uv", "github-actions", "docker"} <= ecosystems
    assert ("docker-compose" in ecosystems) == any("image" in each for each in services.values())


@pytest.mark.parametrize("answers", [all_on(), all_off()], ids=["all on", "all off"])
def test_container_writes_only_to_its_temporary_directory(tmp_path: Path, answers: dict[str, object]) -> None:
    service = render(answers, tmp_path)

    web = yaml.safe_load((service / "compose.yaml").read_text(encoding="utf-8"))["services"]["web"]
    assert web["read_only"] is True
    assert web["cap_drop"] == ["ALL"]
    assert web["security_opt"] == ["no-new-privileges:true"]
    [size] = re.findall(r"^/tmp:size=(\d+)m,", "\n".join(web["tmpfs"]))
    settings = (service / "config" / "settings.py").read_text(encoding="utf-8")
    [limit] = re.findall(r"^REQUEST_MAX_SIZE = .*?(\d+) \* 1024 \* 1024", settings, re.MULTILINE)
    assert int(size) > 10 * int(limit)


def test_file_that_breaks_its_schema_is_reported(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services:\n  web:\n    port: [8000]\n", encoding="utf-8")
    with pytest.raises(AssertionError, match="port"):
        check_schema("compose-spec", tmp_path / "compose.yaml")


def test_services_use_the_same_versions_of_actions_as_the_template() -> None:
    assert actions(TEMPLATE) == actions(ROOT)
    assert all(re.search(r"@[0-9a-f]{40} # v\d", action) for action in actions(ROOT))


def test_shards_of_ci_run_every_test_once() -> None:
    workflow = yaml.safe_load((GITHUB / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    shards = [shard["args"] for shard in workflow["jobs"]["test"]["strategy"]["matrix"]["include"]]

    assert shards == [*(f"-m combination -k {server}" for server in SERVERS), '-m "not combination"']
    # `-k uvicorn` selects exactly the combinations with uvicorn, because only their names contain it.
    for answers in COMBINATIONS:
        assert [server for server in SERVERS if server in identify(answers)] == [answers["asgi_server"]]


def test_ci_runs_documented_commands() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for path in GITHUB.glob("workflows/*.yml"):
        for command in re.findall(r"run: make (\w+)", path.read_text(encoding="utf-8")):
            assert f"\n{command}:" in makefile
            assert f"make {command}" in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
