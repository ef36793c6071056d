"""A service on its real server keeps its contract."""

import re
from pathlib import Path

import pytest

from devtools.matrix import Answers
from devtools.production import served
from tests.support.combinations import every_combination
from tests.support.contract import check_contract


@every_combination
def test_service_keeps_its_contract(workspace: Path, answers: Answers, request: pytest.FixtureRequest) -> None:
    database_url = request.getfixturevalue("database_url") if answers["use_postgres"] else None
    redis_url = request.getfixturevalue("redis_url") if answers["use_channels"] else None

    with served(workspace, answers, database_url, redis_url) as server:
        check_contract(server.url, answers)
    if answers["use_async_middleware"]:
        assert re.search(r"WARNING django\.request \[sent-by-the-proxy\] Not Found: /nowhere", server.log)
