"""Who is measured: the rendered service, its peers, and the service without one part of it at a time."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from backends import Backends
from processes import ENVIRONMENT, Server, free_port, running
from servers import granian, uvicorn

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent

SERVICE = "this template"
STARTPROJECT = "startproject"
STARTPROJECT_POOL = "startproject + psycopg's pool"
FASTAPI = "FastAPI"
BARE = "bare ASGI"

WITHOUT_DIRECT_PATH = "Django's own middleware"
WITHOUT_WORKER_POOL = "Django's own handler and threads"
WITHOUT_LOOP_ORM = "the ORM in worker threads"
WITHOUT_POOL = "no pool of connections"
WITHOUT_AIOHTTP = "httpx's own transport"
ON_GRANIAN = "granian in place of uvicorn"

# The parts that make a broadcast fast, by what takes their place; see overlay/benchmark/broadcast_without.py.
BROADCAST_PARTS = {
    "Channels' own consumers": "consumers",
    "Channels' tasks for each message": "tasks",
    "channels_redis' own receivers": "reader",
    "JSON encoded for each socket": "encoding",
    "a timer for each message": "timers",
}

# The session that every contender on Django knows.
SESSION_KEY = "benchmark0benchmark0benchmark000"


@dataclass(frozen=True)
class Contender:
    """An application, as `module:attribute` in a folder, its environment, and the command that serves it on a port."""

    application: str
    directory: Path
    environment: dict[str, str]
    command: Callable[[str, int], list[str]] = field(default=uvicorn)

    @contextmanager
    def served(self) -> Iterator[Server]:
        """Hold the application open in one new worker process. Raises RuntimeError as `processes.running` does."""
        port = free_port()
        with running(self.command(self.application, port), port, self.directory, self.environment) as server:
            yield server


def make_contenders(directory: Path, backends: Backends) -> dict[str, Contender]:
    """Render the service, generate what it is compared with, and make the tables that all of them read.

    Returns them by name; their files are in the folder. Raises subprocess.CalledProcessError if a command fails.
    """
    service, project = render(directory), start_project(directory)
    common = {
        "DATABASE_URL": backends.database_url,
        "SECRET_KEY": "only the benchmark knows it, and there are fifty characters",
        "SLOW_URL": backends.slow_url,
    }

    def django(settings: str) -> dict[str, str]:
        return common | {"DJANGO_SETTINGS_MODULE": f"benchmark.{settings}"}

    ours = django("service_settings") | {"DEBUG": "false", "REDIS_URL": backends.redis_url}
    common["DATABASE_POOL"] = prepare(service, ours)
    peers = common | {"PYTHONPATH": str(HERE)}
    entry = "config.asgi:application"
    return {
        STARTPROJECT: Contender(entry, project, django("startproject_settings")),
        STARTPROJECT_POOL: Contender(entry, project, django("startproject_with_pool")),
        FASTAPI: Contender("peers.fastapi_app:application", directory, peers),
        BARE: Contender("peers.bare:application", directory, peers),
        SERVICE: Contender(entry, service, ours),
        WITHOUT_DIRECT_PATH: Contender("benchmark.without_direct_path:application", service, ours),
        WITHOUT_WORKER_POOL: Contender("benchmark.without_worker_pool:application", service, ours),
        WITHOUT_LOOP_ORM: Contender(entry, service, ours | django("service_orm_in_threads")),
        WITHOUT_POOL: Contender(entry, service, ours | django("service_without_pool")),
        WITHOUT_AIOHTTP: Contender("benchmark.without_aiohttp:application", service, ours),
        ON_GRANIAN: Contender(entry, service, ours, granian),
        **{
            name: Contender("benchmark.broadcast_without:application", service, ours | {"BROADCAST_WITHOUT": part})
            for name, part in BROADCAST_PARTS.items()
        },
    }


def render(directory: Path) -> Path:
    """Render the service with every toggle on; return its folder, the overlay in it."""
    questions = json.loads((ROOT / "cookiecutter.json").read_text(encoding="utf-8"))
    toggles = [question for question, default in questions.items() if isinstance(default, bool)]
    command = [Path(sys.executable).with_name("cookiecutter"), ROOT, "--no-input", "--default-config"]
    command += ["--output-dir", directory, "project_slug=service", *(f"{toggle}=yes" for toggle in toggles)]
    # Its replays go to the home directory, and what the service says of itself would be part of our tables.
    environment = ENVIRONMENT | {"HOME": str(directory)}
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    return overlaid(directory / "service")


def start_project(directory: Path) -> Path:
    """Have Django generate a project, named as the service's own is; return its folder, the overlay in it."""
    project = directory / "project"
    project.mkdir()
    command = [sys.executable, "-m", "django", "startproject", "config", project]
    subprocess.run(command, env=ENVIRONMENT, check=True)
    return overlaid(project)


def overlaid(project: Path) -> Path:
    """Copy the overlay into a Django project, and return the project's folder."""
    shutil.copytree(HERE / "overlay", project, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    return project


def prepare(service: Path, environment: dict[str, str]) -> str:
    """Make the tables, a row and a session; return the options of the service's pool as JSON."""
    return subprocess.run(
        [sys.executable, "-m", "benchmark.prepare"],
        cwd=service,
        env=ENVIRONMENT | environment | {"SESSION_KEY": SESSION_KEY},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=120,
    ).stdout.strip()
