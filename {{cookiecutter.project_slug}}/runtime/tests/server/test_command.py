"""The command `python -m runtime.server`: its arguments, and the server that it starts."""

import sys
from types import SimpleNamespace
from unittest import mock

import pytest
from django.conf import LazySettings

from runtime import server
from runtime.server import __main__ as command


def test_command_serves_at_the_address_of_its_arguments(
    settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["server", "--host", "0.0.0.0", "--port", "9000"])  # noqa: S104
    settings.WEB_CONCURRENCY = 3

    with mock.patch.object(server, "serve") as serve, mock.patch.object(command, "configure_logging"):
        command.main()
    serve.assert_called_once_with("0.0.0.0", 9000, 3)  # noqa: S104


def test_command_without_web_concurrency_runs_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["server"])
    monkeypatch.setattr(command, "settings", SimpleNamespace(LOGGING_CONFIG=None, LOGGING={}))

    with mock.patch.object(server, "serve") as serve, mock.patch.object(command, "configure_logging"):
        command.main()
    serve.assert_called_once_with("127.0.0.1", 8000, 1)


def test_serve_uses_the_server_and_application_of_the_settings(settings: LazySettings) -> None:
    settings.ASGI_SERVER = "runtime.server.chosen"
    settings.ASGI_APPLICATION = "config.asgi.application"
    chosen = mock.Mock()

    with mock.patch.dict(sys.modules, {"runtime.server.chosen": chosen}):
        server.serve("127.0.0.1", 8000, 2)
    chosen.serve.assert_called_once_with("config.asgi:application", "127.0.0.1", 8000, 2)


def test_command_with_an_invalid_port_exits_with_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["server", "--port", "http"])

    with pytest.raises(SystemExit):
        command.main()
    assert capsys.readouterr().err.splitlines()[-1].endswith("argument --port: invalid int value: 'http'")
