"""Ours answers as Django does: the same requests to both, and the same responses, log lines, signals and queries."""

import json
import os
import shutil
import sys
import tempfile
from collections import ChainMap
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from difflib import unified_diff
from pathlib import Path
from typing import Any

import pytest
from equivalence.subjects import CASES, SUBJECTS

from devtools.commands import succeed
from devtools.matrix import Answers, all_off

pytestmark = [pytest.mark.slow(50), pytest.mark.xdist_group("equivalence")]

# What happened in each case, with and without receivers of the signals.
type Replay = dict[str, dict[str, Any]]

# Where ours is not meant to do what Django does, and why.
INTENDED = {
    "clients: is dropped, /async/clients/insist/": "A view that answers though it was cancelled has answered.",
    "clients: is dropped, /async/clients/fail/": "A view that fails when it is cancelled has failed.",
    "clients: is dropped, /clients/block/": "Django has the event loop wait for a cancelled request's thread.",
    "clients: leaves, /clients/block/": "Django waits for the view before it tells that the request has finished.",
    "streams: a stream that the view has begun to read, /async/": "A stream starts without the thread of its view.",
    **{
        f"streams: {mode}/streams/async/, to a deaf client": "A stream ends with its request, not as garbage."
        for mode in ("", "/async")
    },
    "chain: nothing but MessageMiddleware": "Messages miss the session when they are asked for, not before.",
    "chain: in the opposite order": "Messages miss the session when they are asked for, not before.",
    **{
        f"signals: {name}, one for Django's handler, /async/plain/": "The sender is the class that handles the request."
        for name in ("request_started", "request_finished")
    },
}


def replay(runtime: Path, stack: str, database: Path, *names: str) -> Replay:
    """Replay cases with a stack, whose `runtime` package is in a folder."""
    with tempfile.NamedTemporaryFile(dir=runtime, suffix=".sqlite3") as copy:
        shutil.copyfile(database, copy.name)
        happened: Replay = json.loads(call(runtime, stack, copy.name, *names))
    return happened


def call(runtime: Path, *arguments: str) -> str:
    """Call the command that replays cases."""
    path = os.pathsep.join([str(runtime), str(Path(__file__).parent)])
    return succeed(runtime, sys.executable, "-m", "equivalence.replay", *arguments, PYTHONPATH=path)


@pytest.fixture(scope="module")
def runtime(rendered: Callable[[Answers], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the `runtime` package of a service in it."""
    directory = tmp_path_factory.mktemp("equivalence")
    shutil.copytree(rendered(all_off()) / "runtime", directory / "runtime")
    return directory


@pytest.fixture(scope="module")
def database(runtime: Path) -> Path:
    """Return the database that each case begins with."""
    call(runtime, "prepare", "prepared.sqlite3")
    return runtime / "prepared.sqlite3"


@pytest.fixture(scope="module")
def replays(runtime: Path, database: Path) -> dict[str, Replay]:
    """Return what happened in every case, by the stack."""
    names = list(CASES)
    # With Django they take longest: two processes share them.
    parts = {"django": [names[::2], names[1::2]], "ours": [names]}
    with ThreadPoolExecutor() as executor:
        futures = {
            stack: [executor.submit(replay, runtime, stack, database, *part) for part in shared]
            for stack, shared in parts.items()
        }
        return {stack: dict(ChainMap(*(future.result() for future in shared))) for stack, shared in futures.items()}


def compare(name: str, django: Replay, ours: Replay) -> None:
    """Hold that in a case the same happened, in the same order, and ours went to a thread no more often."""
    for audience, result in django[name].items():
        events = ours[name][audience]["events"]
        difference = "\n".join(unified_diff(result["events"], events, "Django", "ours", lineterm=""))
        assert not difference, f"{name}, {audience}:\n{difference}"
        hops, django_hops = ours[name][audience]["hops"], result["hops"]
        print(f"{name}, {audience}: {hops} hops to a thread, with Django {django_hops}")
        assert hops <= django_hops, f"{name}, {audience}: more hops to a thread"


def parameter(name: str) -> Any:
    """Return a case as a parameter of a test."""
    reason = INTENDED.get(name.removesuffix(", without middleware"))
    return pytest.param(name, marks=[pytest.mark.xfail(reason=reason)] if reason else [])


@pytest.mark.parametrize("name", [parameter(name) for name in CASES])
def test_the_same_happens(replays: dict[str, Replay], name: str) -> None:
    compare(name, replays["django"], replays["ours"])


def test_no_case_has_the_name_of_another() -> None:
    assert len(CASES) == sum(len(subject.cases) for subject in SUBJECTS)


def test_ours_was_compared_with_djangos(replays: dict[str, Replay]) -> None:
    def used(stack: str) -> set[str]:
        return {name for case in replays[stack].values() for result in case.values() for name in result["middleware"]}

    ours, djangos = used("ours"), used("django")

    assert not any(name.startswith("runtime.") for name in djangos)
    for name in djangos:
        counterpart = f"runtime.requests.middleware.{name.rpartition('.')[2]}"
        assert (counterpart in ours) != (name in ours), name
    assert len([name for name in ours if name.startswith("runtime.")]) == 10


def test_ours_goes_to_a_thread_less_often(replays: dict[str, Replay]) -> None:
    hops = {
        stack: sum(result["hops"] for case in replayed.values() for result in case.values())
        for stack, replayed in replays.items()
    }
    print(hops)
    assert hops["ours"] < hops["django"] / 2


# A fault: the module of runtime/requests/ that gets it, its code, the case that fails, and a part of the failure.
FAULTS = {
    "a header that is missing": (
        "middleware",
        "XFrameOptionsMiddleware.process_response = lambda self, request, response: response",
        "frames: by the setting",
        "X-Frame-Options",
    ),
    "two middleware in each other's place": (
        "middleware",
        "CommonMiddleware, SecurityMiddleware = SecurityMiddleware, CommonMiddleware",
        "modes: GET /async/plain/",
        "Content-Length",
    ),
    "a session that is never saved": (
        "middleware",
        "SessionMiddleware.process_response = lambda self, request, response: response",
        "sessions: somebody, /async/sessions/write/",
        "-query UPDATE",
    ),
    "a session that is saved on the event loop": (
        "middleware",
        "SessionMiddleware.response_may_block = lambda self, request, response: False",
        "sessions: somebody, /async/sessions/write/",
        "SynchronousOnlyOperation",
    ),
    "a form that is not checked": (
        "middleware",
        "from asgiref.sync import sync_to_async as wrap\n"
        "CsrfViewMiddleware.aprocess_view = wrap(lambda self, *arguments: None)",
        "csrf: a wrong token in a form, /async/",
        "-log WARNING django.security.csrf",
    ),
    "an error that is not logged": (
        "handler",
        "def log_response(*arguments, **options): pass",
        "errors: status 404, /async/",
        "log WARNING",
    ),
    "a request that is never finished": (
        "handler",
        "async def forget(self, response): pass\nHandler.close_response = forget",
        "modes: GET /async/plain/",
        "-heard request_finished",
    ),
    "a stream that is not closed": (
        "handler",
        "def close(self): pass\nHttpResponseBase.close = close",
        "streams: /async/streams/resource/",
        "-the stream is closed",
    ),
    "hops to a thread": (
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
def test_a_fault_is_noticed(
    replays: dict[str, Replay], runtime: Path, database: Path, tmp_path: Path, fault: str
) -> None:
    module, code, name, sign = FAULTS[fault]
    shutil.copytree(runtime / "runtime", tmp_path / "runtime")
    with (tmp_path / "runtime" / "requests" / f"{module}.py").open("a", encoding="utf-8") as file:
        file.write(f"\n\n{code}\n")

    with pytest.raises(AssertionError, match=sign):
        compare(name, replays["django"], replay(tmp_path, "ours", database, name))
