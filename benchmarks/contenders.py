"""The contenders: the rendered service, its peers, and the service with one of its parts replaced."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

from benchmarks.backends import Backends
from benchmarks.processes import MeasuredServer, running
from benchmarks.servers import granian, runbolt, uvicorn
from devtools.commands import ENVIRONMENT
from devtools.matrix import all_on
from devtools.ports import free_port
from devtools.rendering import render

HERE = Path(__file__).resolve().parent

SERVICE = "this template"
STARTPROJECT = "startproject"
STARTPROJECT_POOL = "startproject + psycopg's pool"
NINJA = "django-ninja, startproject's middleware"
BOLT = "django-bolt, startproject's middleware"
BOLT_IN_SERVICE = "django-bolt, this template's middleware"
FASTAPI_WITH_MIDDLEWARE = "FastAPI, packages for the same work"
# Sessions, CSRF protection and security headers for every request.
SAME_WORK = (STARTPROJECT, STARTPROJECT_POOL, NINJA, BOLT, BOLT_IN_SERVICE, FASTAPI_WITH_MIDDLEWARE, SERVICE)

SERVICE_BARE = "this template, bare"
NINJA_BARE = "django-ninja, bare"
BOLT_BARE = "django-bolt, bare"
FASTAPI = "FastAPI, bare"
LITESTAR = "litestar, bare"
BARE = "bare ASGI"
# No middleware at all.
NO_MIDDLEWARE = (NINJA_BARE, BOLT_BARE, FASTAPI, LITESTAR, BARE, SERVICE_BARE)

WITHOUT_DIRECT_PATH = "Django's own middleware"
WITHOUT_WORKER_POOL = "Django's own handler and threads"
WITHOUT_LOOP_ORM = "the ORM in worker threads"
WITHOUT_POOL = "no pool of connections"
WITHOUT_AIOHTTP = "httpx's own transport"
ON_GRANIAN = "granian in place of uvicorn"

# The replacements of the parts that make a broadcast fast, see overlay/benchmark/broadcast_without.py.
BROADCAST_PARTS = {
    "Channels' own consumers": "consumers",
    "Channels' tasks for each message": "tasks",
    "channels_redis' own receivers": "reader",
    "JSON encoded for each socket": "encoding",
    "a timer for each message": "timers",
}

# The session in the database of every contender on Django, and the secret that signs sessions in cookies.
SESSION_KEY = "benchmark0benchmark0benchmark000"
SECRET_KEY = "only the benchmark knows it, and there are fifty characters"


@dataclass(frozen=True)
class Middleware:
    """The middleware of a contender: its name in the tables, its parts, and the headers that prove that it runs."""

    name: str
    parts: str
    headers: frozenset[str]


# Response headers that only middleware adds.
PROOFS = frozenset({"content-security-policy", "x-content-type-options", "x-frame-options", "x-request-id"})
NO_PARTS = Middleware("none", "", frozenset())
STARTPROJECTS = Middleware(
    "startproject's",
    "the seven that `django-admin startproject` lists, for security headers, sessions, URLs and hosts, CSRF, users, "
    "messages and framing",
    PROOFS - {"content-security-policy", "x-request-id"},
)
SERVICES = Middleware(
    "the template's",
    "those seven as subclasses that stay on the event loop, and one each for request IDs, browser policies such as "
    "CSP, and static files",
    PROOFS,
)
PACKAGES = Middleware(
    "packages",
    "asgi-correlation-id for request IDs, secure for security headers, starlette's for hosts and for sessions in "
    "signed cookies, and asgi-csrf",
    PROOFS,
)


@dataclass(frozen=True)
class Contender:
    """An application, as `module:attribute` in a folder, and the command that serves it on a port."""

    application: str
    directory: Path
    environment: dict[str, str]
    middleware: Middleware
    command: Callable[[str, int], list[str]]

    @contextmanager
    def served(self) -> Iterator[MeasuredServer]:
        """Serve the application in one new worker process until the block ends.

        Raises AssertionError if it does not start, and RuntimeError if the headers do not match its middleware.
        """
        port = free_port()
        command = self.command(self.application, port)
        with running(command, port, "/json", self.directory, self.environment) as server:
            with urlopen(f"{server.url}/json", timeout=30) as response:
                proofs = PROOFS & {name.lower() for name in response.headers}
            if proofs != self.middleware.headers:
                raise RuntimeError(f"middleware ({self.middleware.name}) added the headers {sorted(proofs)}")
            yield server


def make_contenders(directory: Path, backends: Backends) -> dict[str, Contender]:
    """Render the service, generate the other projects, and create the tables. Return the contenders by name.

    Their files are in `directory`. Raises subprocess.CalledProcessError if a command fails.
    """
    service = overlaid(render(all_on("uvicorn") | {"project_slug": "service"}, directory))
    project = start_project(directory)
    common = {
        "DATABASE_URL": backends.database_url,
        "DEBUG": "false",
        "PYTHONPATH": str(HERE),
        "REDIS_URL": backends.redis_url,
        "SECRET_KEY": SECRET_KEY,
        "SLOW_URL": backends.slow_url,
    }

    def django(settings: str) -> dict[str, str]:
        return common | {"DJANGO_SETTINGS_MODULE": f"benchmark.{settings}"}

    common["DATABASE_POOL"] = prepare(service, django("service_settings"))
    of_service, pooled, bare = django("service_settings"), django("startproject_with_pool"), django("startproject_bare")
    entry, bolt, ninja = "config.asgi:application", "peers.bolt_app:api", "peers.ninja_app:application"

    def without(part: str, **environment: str) -> Contender:
        return Contender(f"benchmark.{part}:application", service, of_service | environment, SERVICES, uvicorn)

    return {
        STARTPROJECT: Contender(entry, project, django("startproject_settings"), STARTPROJECTS, uvicorn),
        STARTPROJECT_POOL: Contender(entry, project, pooled, STARTPROJECTS, uvicorn),
        NINJA: Contender(ninja, project, pooled, STARTPROJECTS, uvicorn),
        NINJA_BARE: Contender(ninja, project, bare, NO_PARTS, uvicorn),
        BOLT: Contender(bolt, project, pooled, STARTPROJECTS, runbolt),
        BOLT_BARE: Contender(bolt, project, bare, NO_PARTS, runbolt),
        BOLT_IN_SERVICE: Contender(bolt, service, of_service, SERVICES, runbolt),
        FASTAPI: Contender("peers.fastapi_app:application", directory, common, NO_PARTS, uvicorn),
        FASTAPI_WITH_MIDDLEWARE: Contender(
            "peers.fastapi_with_middleware:application", directory, common, PACKAGES, uvicorn
        ),
        LITESTAR: Contender("peers.litestar_app:application", directory, common, NO_PARTS, uvicorn),
        BARE: Contender("peers.bare:application", directory, common, NO_PARTS, uvicorn),
        SERVICE: Contender(entry, service, of_service, SERVICES, uvicorn),
        SERVICE_BARE: Contender(entry, service, django("service_bare"), NO_PARTS, uvicorn),
        ON_GRANIAN: Contender(entry, service, of_service, SERVICES, granian),
        WITHOUT_LOOP_ORM: Contender(entry, service, django("service_orm_in_threads"), SERVICES, uvicorn),
        WITHOUT_POOL: Contender(entry, service, django("service_without_pool"), SERVICES, uvicorn),
        WITHOUT_DIRECT_PATH: without("without_direct_path"),
        WITHOUT_WORKER_POOL: without("without_worker_pool"),
        WITHOUT_AIOHTTP: without("without_aiohttp"),
        **{name: without("broadcast_without", BROADCAST_WITHOUT=part) for name, part in BROADCAST_PARTS.items()},
    }


def start_project(directory: Path) -> Path:
    """Generate a project with `django-admin startproject`, and return its folder with the overlay in it."""
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
    """Create the tables, a row and a session. Return the options of the service's connection pool as JSON."""
    return subprocess.run(
        [sys.executable, "-m", "benchmark.prepare"],
        cwd=service,
        env=ENVIRONMENT | environment | {"SESSION_KEY": SESSION_KEY},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=120,
    ).stdout.strip()
