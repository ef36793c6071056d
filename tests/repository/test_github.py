"""What GitHub, and whoever else runs no code of ours, reads of the template and of its services."""

import re
from pathlib import Path

import pytest
import yaml

from devtools.commands import succeed
from devtools.matrix import COMBINATIONS, ROOT, SERVERS, all_off, all_on, identify
from devtools.rendering import render
from tests.support.expectations import TEMPLATE

OURS = ROOT / ".github"
# The schema that the makers of each kind of file publish, and the files of that kind.
SCHEMAS = {
    "github-workflows": ["workflows/*.yml"],
    "dependabot": ["dependabot.yml"],
    "github-issue-forms": ["ISSUE_TEMPLATE/bug.yml", "ISSUE_TEMPLATE/idea.yml"],
    "github-issue-config": ["ISSUE_TEMPLATE/config.yml"],
}


def check_schema(schema: str, *paths: Path) -> None:
    """Check that YAML files keep a schema."""
    succeed(ROOT, "check-jsonschema", "--builtin-schema", f"vendor.{schema}", *map(str, paths))


def actions(folder: Path) -> set[str]:
    """Return the actions that the workflows in a folder use, with their versions."""
    workflows = "".join(path.read_text(encoding="utf-8") for path in folder.glob(".github/workflows/*.yml"))
    return set(re.findall(r"uses: (.+)", workflows))


def test_our_workflows_are_clean() -> None:
    succeed(ROOT, "actionlint")
    succeed(ROOT, "zizmor", "--offline", "--persona", "auditor", ".github")
    succeed(ROOT, "yamllint", "--strict", "--config-file", str(TEMPLATE / ".yamllint.yaml"), ".github")


@pytest.mark.parametrize("schema", SCHEMAS)
def test_what_github_reads_of_us_keeps_its_schema(schema: str) -> None:
    check_schema(schema, *(path for pattern in SCHEMAS[schema] for path in OURS.glob(pattern)))


def test_every_file_that_github_reads_of_us_has_a_schema() -> None:
    known = {path for patterns in SCHEMAS.values() for pattern in patterns for path in OURS.glob(pattern)}
    assert known == set(OURS.rglob("*.yml"))


@pytest.mark.parametrize("answers", [all_on(), all_off()], ids=["all on", "all off"])
def test_what_others_read_of_a_service_keeps_its_schema(tmp_path: Path, answers: dict[str, object]) -> None:
    service = render(answers, tmp_path)

    check_schema("github-workflows", *(service / ".github" / "workflows").iterdir())
    check_schema("dependabot", service / ".github" / "dependabot.yml")
    check_schema("compose-spec", service / "compose.yaml")


@pytest.mark.parametrize("answers", [all_on(), all_off()], ids=["all on", "all off"])
def test_each_kind_of_image_is_updated_by_dependabot(tmp_path: Path, answers: dict[str, object]) -> None:
    service = render(answers, tmp_path)

    updates = yaml.safe_load((service / ".github" / "dependabot.yml").read_text(encoding="utf-8"))["updates"]
    composed = yaml.safe_load((service / "compose.yaml").read_text(encoding="utf-8"))["services"]
    read = {update["package-ecosystem"] for update in updates}
    assert {update["directory"] for update in updates} == {"/"}
    assert {"uv", "github-actions", "docker"} <= read
    assert ("docker-compose" in read) == any("image" in each for each in composed.values())


@pytest.mark.parametrize("answers", [all_on(), all_off()], ids=["all on", "all off"])
def test_the_container_writes_to_its_temporary_directory_only(tmp_path: Path, answers: dict[str, object]) -> None:
    service = render(answers, tmp_path)

    web = yaml.safe_load((service / "compose.yaml").read_text(encoding="utf-8"))["services"]["web"]
    assert web["read_only"] is True
    assert web["cap_drop"] == ["ALL"]
    assert web["security_opt"] == ["no-new-privileges:true"]
    [size] = re.findall(r"^/tmp:size=(\d+)m,", "\n".join(web["tmpfs"]))
    settings = (service / "config" / "settings.py").read_text(encoding="utf-8")
    [limit] = re.findall(r"^REQUEST_MAX_SIZE = .*?(\d+) \* 1024 \* 1024", settings, re.MULTILINE)
    assert int(size) > 10 * int(limit)


def test_a_file_that_breaks_its_schema_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services:\n  web:\n    port: [8000]\n", encoding="utf-8")
    with pytest.raises(AssertionError, match="port"):
        check_schema("compose-spec", tmp_path / "compose.yaml")


def test_services_use_the_versions_of_the_actions_that_we_do() -> None:
    assert actions(TEMPLATE) == actions(ROOT)
    assert all(re.search(r"@[0-9a-f]{40} # v\d", action) for action in actions(ROOT))


def test_the_shards_of_our_ci_have_every_test_once() -> None:
    workflow = yaml.safe_load((OURS / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    shards = [shard["args"] for shard in workflow["jobs"]["test"]["strategy"]["matrix"]["include"]]

    assert shards == [*(f"-m combination -k {server}" for server in SERVERS), '-m "not combination"']
    # The name of a server is in the names of the combinations with that server, and of no other.
    for answers in COMBINATIONS:
        assert [server for server in SERVERS if server in identify(answers)] == [answers["asgi_server"]]


def test_our_ci_runs_the_commands_that_are_documented() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for path in OURS.glob("workflows/*.yml"):
        for command in re.findall(r"run: make (\w+)", path.read_text(encoding="utf-8")):
            assert f"\n{command}:" in makefile
            assert f"make {command}" in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
