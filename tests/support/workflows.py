"""Running the steps of a GitHub Actions workflow here, in their order and as a runner of GitHub's would."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from devtools.commands import UV, succeed

# The shell that GitHub runs a step with.
SHELL = ("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c")


def run_workflow(
    repository: Path, workspace: Path, services: Mapping[str, str], name: str = "ci", **environment: str
) -> dict[str, str]:
    """Run the jobs of a repository's workflow in an empty folder; return what each step printed, by its name or action.

    `services` has the URL of a real server for each service of the workflow, by its name there; the environment is
    what the machine has set. Raises AssertionError for a step that fails, KeyError for an action that is unknown here.
    """
    workflow = yaml.safe_load((repository / ".github" / "workflows" / f"{name}.yml").read_text(encoding="utf-8"))
    printed: dict[str, str] = {}
    for job in workflow["jobs"].values():
        assert set(job.get("services", {})) == set(services)
        # Neither the environment that the tests share, nor anything that they have set.
        environment |= {"PATH": os.environ["PATH"], "CI": "true"}
        for step in job["steps"]:
            if "uses" in step:
                action = step["uses"].partition("@")[0]
                environment |= ACTIONS[action](repository, workspace, **step.get("with", {}))
                printed[action] = ""
            else:
                settings = {key: reached(value, job, services) for key, value in step.get("env", {}).items()}
                printed[step["name"]] = succeed(workspace, *SHELL, step["run"], **environment | settings)
    return printed


def reached(value: str, job: Mapping[str, Any], services: Mapping[str, str]) -> str:
    """Return the value of a variable as it is here: the address of a service becomes that of a real server."""
    for name, url in services.items():
        if value == address(job["services"][name]):
            return url
    assert "localhost" not in value, f"{value} is not the address of a service"
    return value


def address(service: Mapping[str, Any]) -> str:
    """Return the URL by which a job reaches a service on the port that the service publishes."""
    [port] = service["ports"]
    published = port.partition(":")[0]
    image = service["image"].partition(":")[0]
    if image == "postgres":
        user, password = service["env"]["POSTGRES_USER"], service["env"]["POSTGRES_PASSWORD"]
        return f"postgresql://{user}:{password}@localhost:{published}/{user}"
    assert image == "valkey/valkey"
    return f"redis://localhost:{published}/0"


def checkout(repository: Path, workspace: Path, **options: object) -> dict[str, str]:
    """Do what actions/checkout does: clone what is committed."""
    succeed(repository, "git", "clone", "--quiet", "--no-local", ".", str(workspace))
    return {}


def setup_uv(repository: Path, workspace: Path, **options: object) -> dict[str, str]:
    """Do what astral-sh/setup-uv does: put uv on PATH, and nothing else with it."""
    assert options["enable-cache"] is True
    tools = workspace.with_name("tools")
    tools.mkdir()
    shutil.copy2(UV, tools / "uv")
    return {"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}


def upload_artifact(repository: Path, workspace: Path, **options: str) -> dict[str, str]:
    """Do what actions/upload-artifact does, as far as a test can see it: find the file."""
    assert options["if-no-files-found"] == "error"
    assert (workspace / options["path"]).is_file()
    return {}


ACTIONS = {
    "actions/checkout": checkout,
    "actions/upload-artifact": upload_artifact,
    "astral-sh/setup-uv": setup_uv,
}
