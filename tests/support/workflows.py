"""Run the steps of a GitHub Actions workflow on this machine, in order, as a GitHub runner does."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from devtools.commands import UV, check_output

# The shell of a step on GitHub.
SHELL = ("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c")


def run_workflow(
    repository: Path, workspace: Path, services: Mapping[str, str], name: str = "ci", **environment: str
) -> dict[str, str]:
    """Run the jobs of a repository's workflow in an empty folder; return the output of each step by its name or action.

    `services` has the URL of a real server for each service of the workflow. The environment has the variables of the
    runner. Raises AssertionError if a step fails, and KeyError if an action is missing in ACTIONS.
    """
    workflow = yaml.safe_load((repository / ".github" / "workflows" / f"{name}.yml").read_text(encoding="utf-8"))
    printed: dict[str, str] = {}
    for job in workflow["jobs"].values():
        assert set(job.get("services", {})) == set(services)
        # Not the shared environment of the tests, and none of their variables.
        environment |= {"PATH": os.environ["PATH"], "CI": "true"}
        for step in job["steps"]:
            if "uses" in step:
                action = step["uses"].partition("@")[0]
                environment |= ACTIONS[action](repository, workspace, **step.get("with", {}))
                printed[action] = ""
            else:
                settings = {key: real_url(value, job, services) for key, value in step.get("env", {}).items()}
                printed[step["name"]] = check_output(workspace, *SHELL, step["run"], **environment | settings)
    return printed


def real_url(value: str, job: Mapping[str, Any], services: Mapping[str, str]) -> str:
    """Return the value of a variable on this machine: the address of a service becomes the URL of a real server."""
    for name, url in services.items():
        if value == published_url(job["services"][name]):
            return url
    assert "localhost" not in value, f"{value} is not the address of a service"
    return value


def published_url(service: Mapping[str, Any]) -> str:
    """Return the URL of a service for a job: localhost, with the port that the service publishes."""
    [port] = service["ports"]
    published = port.partition(":")[0]
    image = service["image"].partition(":")[0]
    if image == "postgres":
        user, password = service["env"]["POSTGRES_USER"], service["env"]["POSTGRES_PASSWORD"]
        return f"postgresql://{user}:{password}@localhost:{published}/{user}"
    assert image == "valkey/valkey"
    return f"redis://localhost:{published}/0"


def checkout(repository: Path, workspace: Path, **options: object) -> dict[str, str]:
    """Do what actions/checkout does: clone the repository."""
    check_output(repository, "git", "clone", "--quiet", "--no-local", ".", str(workspace))
    return {}


def setup_uv(repository: Path, workspace: Path, **options: object) -> dict[str, str]:
    """Do what astral-sh/setup-uv does: put uv, and no other program of its folder, on PATH."""
    assert options["enable-cache"] is True
    tools = workspace.with_name("tools")
    tools.mkdir()
    shutil.copy2(UV, tools / "uv")
    return {"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}


def upload_artifact(repository: Path, workspace: Path, **options: str) -> dict[str, str]:
    """Do the part of actions/upload-artifact that a test can observe: require the file."""
    assert options["if-no-files-found"] == "error"
    assert (workspace / options["path"]).is_file()
    return {}


ACTIONS = {
    "actions/checkout": checkout,
    "actions/upload-artifact": upload_artifact,
    "astral-sh/setup-uv": setup_uv,
}
