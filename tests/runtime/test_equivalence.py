"""The runtime behaves as stock Django: the same requests lead to the same responses, log lines, signals and queries."""

import json
import os
import shutil
import sys
import tempfile
from collections import ChainMap
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from difflib import unified_diff
from pathlib import Path
from typing import Any

import pytest
from equivalence.subjects import CASES, SUBJECTS

from devtools.commands import check_output
from devtools.matrix import Answers, all_off
from devtools.postgres import empty_database
from devtools.rendering import break_source

pytestmark = [pytest.mark.slow(50), pytest.mark.xdist_group("equivalence")]

# The results of each case, with and without receivers of request signals.
type Replay = dict[str, dict[str, Any]]

# The cases in which the runtime deliberately differs from Django, and the reasons.
INTENDED = {
    "clients: request cancelled, /async/clients/insist/": "A view that catches its cancellation may respond.",
    "clients: request cancelled, /async/clients/fail/": "An error that a view raises on cancellation is reported.",
    "clients: request cancelled, /clients/block/": "Django blocks the event loop until the request's thread ends.",
    "clients: disconnects, /clients/block/": "Django waits for the view before it sends request_finished.",
    "streams: a stream that the view has begun to read, /async/": "A stream starts without the thread of its view.",
    **{
        f"streams: {mode}/streams/async/, sending fails": "A stream is closed when its request ends, not by the GC."
        for mode in ("", "/async")
    },
    "chain: only MessageMiddleware": "A missing session raises an error on the first access to messages, not before.",
    "chain: in the opposite order": "A missing session raises an error on the first access to messages, not before.",
    **{
        f"signals: {name}, one for Django's handler, /async/plain/": "The sender is the class that handles the request."
        for name in ("request_started", "request_finished")
    },
}


def replay(runtime: Path, stack: str, database: str, *names: str) -> Replay:
    """Replay cases with a stack, and return the results. `runtime` is the folder with the `runtime` package."""
    results: Replay = json.loads(call(runtime, stack, database, *names))
    return results


def replay_on_copy(runtime: Path, stack: str, database: Path, *names: str) -> Replay:
    """Replay cases on a copy of an SQLite database, so that several replays run at the same time."""
    with tempfile.NamedTemporaryFile(dir=runtime, suffix=".sqlite3") as copy:
        shutil.copyfile(database, copy.name)
        return replay(runtime, stack, copy.name, *names)


def call(runtime: Path, *arguments: str) -> str:
    """Run `equivalence.replay`, and return its output."""
    path = os.pathsep.join([str(runtime), str(Path(__file__).parent)])
    return check_output(runtime, sys.executable, "-m", "equivalence.replay", *arguments, PYTHONPATH=path)


@pytest.fixture(scope="module")
def runtime(rendered: Callable[[Answers], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the `runtime` package of a service."""
    directory = tmp_path_factory.mktemp("equivalence")
    shutil.copytree(rendered(all_off()) / "runtime", directory / "runtime")
    return directory


@pytest.fixture(scope="module")
def database(runtime: Path) -> Path:
    """Return the database with which each case begins."""
    call(runtime, "prepare", "prepared.sqlite3")
    return runtime / "prepared.sqlite3"


@pytest.fixture(scope="module")
def replays(runtime: Path, database: Path) -> dict[str, Replay]:
    """Return the results of every case, by stack."""
    names = list(CASES)
    # The cases take longer with Django, so two processes share them.
    parts = {"django": [names[::2], names[1::2]], "runtime": [names]}
    with ThreadPoolExecutor() as executor:
        futures = {
            stack: [executor.submit(replay_on_copy, runtime, stack, database, *part) for part in shared]
            for stack, shared in parts.items()
        }
        return {stack: dict(ChainMap(*(future.result() for future in shared))) for stack, shared in futures.items()}


@pytest.fixture(scope="module")
def postgres_runtime(rendered: Callable[[Answers], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the `runtime` package of a service that uses PostgreSQL."""
    directory = tmp_path_factory.mktemp("equivalence_on_postgres")
    shutil.copytree(rendered(all_off() | {"use_postgres": True}) / "runtime", directory / "runtime")
    return directory


@pytest.fixture(scope="module")
def postgres_url(postgres_runtime: Path, postgres_socket: str) -> Iterator[str]:
    """Return the URL of the database that each case on PostgreSQL begins with."""
    with empty_database(postgres_socket) as url:
        call(postgres_runtime, "prepare", url)
        yield url


@pytest.fixture(scope="module")
def replays_on_postgres(replays: dict[str, Replay], postgres_runtime: Path, postgres_url: str) -> dict[str, Replay]:
    """Return the results on PostgreSQL of every case that makes a query, by stack.

    RUNTIME_ORM_ON_LOOP is true, its default. Without it the runtime makes each query in a thread, as on SQLite.
    """
    names = [
        name
        for name, results in replays["django"].items()
        if any(event.startswith("query ") for result in results.values() for event in result["events"])
    ]
    return {stack: replay(postgres_runtime, stack, postgres_url, *names) for stack in ("django", "runtime")}


def compare(name: str, django: Replay, runtime: Replay) -> None:
    """Raise AssertionError if the events of a case differ, or if the runtime makes more hops to a thread."""
    for receivers, result in django[name].items():
        events = runtime[name][receivers]["events"]
        difference = "\n".join(unified_diff(result["events"], events, "Django", "runtime", lineterm=""))
        assert not difference, f"{name}, {receivers}:\n{difference}"
        hops, django_hops = runtime[name][receivers]["hops"], result["hops"]
        print(f"{name}, {receivers}: {hops} hops to a thread, with Django {django_hops}")
        assert hops <= django_hops, f"{name}, {receivers}: more hops to a thread"


def parameter(name: str) -> Any:
    """Return a case as a parameter, expected to fail if its difference is intended."""
    reason = INTENDED.get(name.removesuffix(", without middleware"))
    return pytest.param(name, marks=[pytest.mark.xfail(reason=reason)] if reason else [])


@pytest.mark.parametrize("name", [parameter(name) for name in CASES])
def test_runtime_behaves_as_django_does(replays: dict[str, Replay], name: str) -> None:
    compare(name, replays["django"], replays["runtime"])


def test_runtime_behaves_as_django_does_on_postgresql(replays_on_postgres: dict[str, Replay]) -> None:
    django, runtime = replays_on_postgres["django"], replays_on_postgres["runtime"]
    names = [name for name in django if name not in INTENDED]
    assert len(names) > 100
    for name in names:
        compare(name, django, runtime)


def test_async_session_read_on_postgresql_makes_no_hops(replays_on_postgres: dict[str, Replay]) -> None:
    name = "sessions: a session, /async/sessions/read/"
    hops = {stack: replays_on_postgres[stack][name]["without receivers"]["hops"] for stack in ("django", "runtime")}
    assert hops["runtime"] == 0 < hops["django"]


def test_case_names_are_unique() -> None:
    assert len(CASES) == sum(len(subject.cases) for subject in SUBJECTS)


def test_each_stack_runs_its_own_middleware(replays: dict[str, Replay]) -> None:
    def used(stack: str) -> set[str]:
        return {name for case in replays[stack].values() for result in case.values() for name in result["middleware"]}

    of_runtime, of_django = used("runtime"), used("django")

    assert not any(name.startswith("runtime.") for name in of_django)
    for name in of_django:
        counterpart = f"runtime.requests.middleware.{name.rpartition('.')[2]}"
        assert (counterpart in of_runtime) != (name in of_runtime), name
    assert len([name for name in of_runtime if name.startswith("runtime.")]) == 10


def test_runtime_makes_less_than_half_of_djangos_hops(replays: dict[str, Replay]) -> None:
    hops = {
        stack: sum(result["hops"] for case in replayed.values() for result in case.values())
        for stack, replayed in replays.items()
    }
    print(hops)
    assert hops["runtime"] < hops["django"] / 2


# Each fault: the module of runtime/requests/ that gets the code, the code, the case that fails, a part of its message.
FAULTS = {
    "missing header": (
        "middleware",
        "XFrameOptionsMiddleware.process_response = lambda self, request, response: response",
        "frames: by the setting",
        "X-Frame-Options",
    ),
    "two middleware swapped": (
        "middleware",
        "CommonMiddleware, SecurityMiddleware = SecurityMiddleware, CommonMiddleware",
        "modes: GET /async/plain/",
        "Content-Length",
    ),
    "session that is never saved": (
        "middleware",
        "SessionMiddleware.process_response = lambda self, request, response: response",
        "sessions: a session, /async/sessions/write/",
        "-query UPDATE",
    ),
    "session that is saved on the event loop": (
        "middleware",
        "SessionMiddleware.response_may_block = lambda self, request, response: False",
        "sessions: a session, /async/sessions/write/",
        "SynchronousOnlyOperation",
    ),
    "form without a CSRF check": (
        "middleware",
        "from asgiref.sync import sync_to_async as wrap\n"
        "CsrfViewMiddleware.aprocess_view = wrap(lambda self, *arguments: None)",
        "csrf: a wrong token in a form, /async/",
        "-log WARNING django.security.csrf",
    ),
    "error that is not logged": (
        "handler",
        "def log_response(*arguments, **options): pass",
        "errors: status 404, /async/",
        "log WARNING",
    ),
    "missing request_finished": (
        "handler",
        "async def skip(self, response): pass\nHandler.close_response = skip",
        "modes: GET /async/plain/",
        "-received request_finished",
    ),
    "stream that is not closed": (
        "handler",
        "def close(self): pass\nHttpResponseBase.close = close",
        "streams: /async/streams/resource/",
        "-the stream is closed",
    ),
    "additional hops to a thread": (
        "handler",
        "async def hop(self, response):\n"
        "    for _ in range(9):\n"
        "        await sync_to_async(int)()\n"
        "    response.close()\n"
        "Handler.close_response = hop",
        "modes: GET /async/plain/ without middleware",
        "more hops to a thread",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_in_the_runtime_fails_its_case(
    replays: dict[str, Replay], runtime: Path, database: Path, tmp_path: Path, fault: str
) -> None:
    module, code, name, message = FAULTS[fault]
    shutil.copytree(runtime / "runtime", tmp_path / "runtime")
    with (tmp_path / "runtime" / "requests" / f"{module}.py").open("a", encoding="utf-8") as file:
        file.write(f"\n\n{code}\n")

    with pytest.raises(AssertionError, match=message):
        compare(name, replays["django"], replay_on_copy(tmp_path, "runtime", database, name))


def test_query_that_runs_twice_on_the_event_loop_fails_its_case(
    replays_on_postgres: dict[str, Replay], postgres_runtime: Path, postgres_url: str, tmp_path: Path
) -> None:
    shutil.copytree(postgres_runtime / "runtime", tmp_path / "runtime")
    break_source(
        tmp_path, "runtime/postgres/on_loop.py", "        return call()\n", "        call()\n        return call()\n"
    )
    name = "sessions: a session, /async/sessions/read/"

    with pytest.raises(AssertionError, match="\\+query SELECT"):
        compare(name, replays_on_postgres["django"], replay(tmp_path, "runtime", postgres_url, name))
