"""Negative controls: each check fails for a service that is broken on purpose."""

import shlex
import socket
from pathlib import Path

import pytest

from devtools import servers
from devtools.commands import check_output, commit, run
from devtools.matrix import all_off, all_on
from devtools.ports import free_port
from devtools.production import make_commands, served
from devtools.rendering import break_source, render, text_files
from tests.support import contract
from tests.support.contract import check_contract
from tests.support.expectations import (
    check_files,
    check_machinery,
    check_server_independence,
    check_traces,
    check_whitespace,
)
from tests.support.workflows import real_url, run_workflow

PLAIN = all_off()
# Every toggle that needs no database server.
FULL = all_on() | {"use_postgres": False}


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """Return a service without toggles that the test may break."""
    return render(PLAIN, tmp_path)


@pytest.fixture
def full(tmp_path: Path) -> Path:
    """Return a service with the toggles of FULL that the test may break."""
    return render(FULL, tmp_path)


def serve_plain(service: Path) -> None:
    """Boot a service without toggles and check its contract."""
    with served(service, PLAIN, None, None) as server:
        check_contract(server.url, PLAIN)


def serve_full(service: Path, redis_url: str) -> None:
    """Boot a service with the toggles of FULL and check its contract."""
    with served(service, FULL, None, redis_url) as server:
        check_contract(server.url, FULL)


def test_contract_check_fails_for_a_view_that_raises(plain: Path) -> None:
    break_source(plain, "catalog/pages.py", "    return render", "    raise OSError\n    return render")
    with pytest.raises(AssertionError, match="500"):
        serve_plain(plain)


def test_contract_check_fails_for_a_missing_route(plain: Path) -> None:
    break_source(plain, "config/urls.py", '    path("health/ready", health.ready, name="ready"),\n', "")
    break_source(plain, "catalog/templates/catalog/home.html", "{% url 'ready' %}", "/health/ready")
    with pytest.raises(ValueError, match="Expecting value"):
        serve_plain(plain)


def test_boot_fails_on_a_taken_port(plain: Path) -> None:
    port = free_port()
    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(AssertionError, match=r"exited \d before it served"),
        served(plain, PLAIN, None, None, port=port),
    ):
        pass


def test_boot_fails_for_a_service_that_cannot_be_imported(plain: Path) -> None:
    break_source(plain, "config/asgi.py", "application = get", "application = git")
    with pytest.raises(AssertionError, match="NameError"):
        serve_plain(plain)


def test_stop_fails_if_a_process_is_left_behind(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "EXIT_TIMEOUT", 1)
    orphan = "import subprocess\nsubprocess.Popen(['sleep', '60'])\napplication = get"
    break_source(plain, "config/asgi.py", "application = get", orphan)
    with pytest.raises(AssertionError, match="left behind"):
        serve_plain(plain)


def test_stop_fails_if_the_service_has_logged_an_error(plain: Path) -> None:
    logged = "    import logging\n    logging.getLogger().error('quietly')\n    return render"
    break_source(plain, "catalog/pages.py", "    return render", logged)
    with pytest.raises(AssertionError, match="alarming"):
        serve_plain(plain)


def test_preparation_fails_for_an_unsafe_production_setting(plain: Path) -> None:
    break_source(plain, "config/settings.py", "SESSION_COOKIE_SECURE = not DEBUG", "SESSION_COOKIE_SECURE = False")
    with pytest.raises(AssertionError, match=r"security\.W012"):
        serve_plain(plain)


def test_preparation_fails_for_a_missing_migration(plain: Path) -> None:
    break_source(plain, "catalog/models.py", "max_length=200", "max_length=201")
    with pytest.raises(AssertionError, match=r"prepare\.py exited 1"):
        serve_plain(plain)


def test_contract_check_fails_if_no_announcement_arrives(
    full: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contract, "MESSAGE_TIMEOUT", 5)
    break_source(full, "catalog/events.py", "        transaction.on_commit", "        0 and transaction.on_commit")
    with pytest.raises(TimeoutError):
        serve_full(full, redis_url)


def test_contract_check_fails_if_one_piece_is_sold_twice(full: Path, redis_url: str) -> None:
    break_source(full, "catalog/services.py", "        product.stock -= quantities[product.pk]\n", "")
    with pytest.raises(AssertionError, match="two buyers, one piece"):
        serve_full(full, redis_url)


def test_own_tests_fail_for_a_broken_model(plain: Path) -> None:
    break_source(plain, "catalog/models.py", "return self.name", 'return "a product"')
    assert run(plain, "pytest", "-q", "-p", "no:cacheprovider", "tests/test_models.py").returncode == 1


def test_machinery_check_fails_for_a_changed_file(plain: Path) -> None:
    check_machinery(plain)
    break_source(plain, "runtime/conf.py", "HEALTH_TIMEOUT = 2.0", "HEALTH_TIMEOUT = 3.0")
    with pytest.raises(AssertionError, match=r"runtime/conf\.py depends on the answers"):
        check_machinery(plain)


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [("catalog/models.py", "max_length=200", "max_length=100"), ("config/settings.py", "LOG_LEVEL = ", "LEVEL = ")],
)
def test_server_independence_check_fails_for_different_code(
    plain: Path, tmp_path: Path, path: str, old: str, new: str
) -> None:
    other = render(all_off("granian"), tmp_path / "other")
    check_server_independence(text_files(plain), text_files(other))

    break_source(other, path, old, new)
    with pytest.raises(AssertionError, match=f"{path} depends on the server"):
        check_server_independence(text_files(plain), text_files(other))


def test_ruff_fails_for_an_unused_import(plain: Path) -> None:
    break_source(plain, "catalog/models.py", "from django.db import models", "import os\nfrom django.db import models")
    with pytest.raises(AssertionError, match="F401"):
        check_output(plain, "ruff", "check", "--no-cache", ".")


@pytest.mark.parametrize(
    ("tool", "path", "old", "new"),
    [
        pytest.param("ruff format", "catalog/models.py", "return self.name", "return  self.name", id="ruff format"),
        pytest.param(
            "deptry", "pyproject.toml", '    "servestatic>', '    "requests>=2.32",\n    "servestatic>', id="deptry"
        ),
        pytest.param("tombi", "pyproject.toml", "package = false", "package = false\npackage = true", id="tombi"),
        pytest.param("yamllint", "compose.yaml", "    build: .\n", "    build: .\n    build: .\n", id="yamllint"),
        pytest.param("rumdl", "README.md", "## Run it", "#Run it", id="rumdl"),
        pytest.param("hadolint", "Dockerfile", "WORKDIR /service\n", "WORKDIR service\n", id="hadolint"),
        pytest.param(
            "zizmor", ".github/workflows/ci.yml", "@3d3c42e5aac5ba805825da76410c181273ba90b1", "@v7", id="zizmor"
        ),
    ],
)
def test_linter_fails_for_a_mistake_in_its_files(plain: Path, tool: str, path: str, old: str, new: str) -> None:
    [command] = [command for command in make_commands(plain, "check") if command.startswith(tool)]
    check_output(plain, *shlex.split(command))
    break_source(plain, path, old, new)
    assert run(plain, *shlex.split(command)).returncode != 0


def test_actionlint_fails_for_a_mistake_in_a_workflow(plain: Path) -> None:
    break_source(plain, ".github/workflows/ci.yml", "runs-on: ubuntu-24.04", "runs-on: ubuntu-2404")
    with pytest.raises(AssertionError, match="ubuntu-2404"):
        check_output(plain, "actionlint", ".github/workflows/ci.yml")


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"x = 1", "no newline at its end"),
        (b"x = 1\n\n", "a blank line at its end"),
        (b"\nx = 1\n", "a blank line at its beginning"),
        (b"x = 1\r\n", "a carriage return"),
        (b"x = 1 \n", "a space at its end"),
        (b"", "is empty"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_whitespace_check_fails_for_a_badly_formatted_file(tmp_path: Path, content: bytes, fault: str) -> None:
    (tmp_path / "manage.py").write_bytes(content)
    with pytest.raises(AssertionError, match=fault):
        check_whitespace(tmp_path)


def test_whitespace_check_fails_for_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    with pytest.raises(AssertionError, match="templates is an empty folder"):
        check_whitespace(tmp_path)


def test_workflow_run_fails_if_a_step_fails(plain: Path, tmp_path: Path) -> None:
    break_source(plain, ".github/workflows/ci.yml", "uv sync --locked --group lint", "exit 3")
    commit(plain)
    with pytest.raises(AssertionError, match="exited 3"):
        run_workflow(plain, tmp_path / "workspace", {})


def test_workflow_run_fails_for_an_address_that_no_service_has() -> None:
    user = {"POSTGRES_USER": "service", "POSTGRES_PASSWORD": "service"}
    job = {"services": {"postgres": {"image": "postgres:18", "ports": ["5433:5432"], "env": user}}}
    url = "postgresql://service:service@localhost:{}/service"

    assert real_url(url.format(5433), job, {"postgres": "here"}) == "here"
    with pytest.raises(AssertionError, match="is not the address of a service"):
        real_url(url.format(5432), job, {"postgres": "here"})


def test_file_check_fails_for_an_extra_file(plain: Path) -> None:
    (plain / "catalog" / "consumers.py").touch()
    with pytest.raises(AssertionError, match="consumers"):
        check_files(text_files(plain), PLAIN)


def test_file_check_fails_for_a_missing_file(plain: Path) -> None:
    (plain / "catalog" / "pages.py").unlink()
    with pytest.raises(AssertionError, match="pages"):
        check_files(text_files(plain), PLAIN)


def test_trace_check_fails_for_a_word_of_an_option_that_is_off(plain: Path) -> None:
    break_source(plain, "README.md", "## Production", "It needs Redis.\n\n## Production")
    with pytest.raises(AssertionError, match=r"trace of use_channels: 'It needs Redis\.'"):
        check_traces(text_files(plain), PLAIN)
