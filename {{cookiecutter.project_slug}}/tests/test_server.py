"""The command that production runs: what it makes of its command line and of the settings."""

import sys
from unittest import mock

import pytest
from django.conf import LazySettings

from runtime import server


def test_serves_the_application_as_the_settings_say(settings: LazySettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["server", "--host", "0.0.0.0", "--port", "9000"])  # noqa: S104
    # {% if cookiecutter.asgi_server != "daphne" %}
    settings.WEB_CONCURRENCY = 3
    # {% endif %}

    with mock.patch.object(server, "serve") as serve, mock.patch.object(server, "configure_logging"):
        server.main()
    # {% if cookiecutter.asgi_server != "daphne" %}
    serve.assert_called_once_with("config.asgi:application", "0.0.0.0", 9000, 3)  # noqa: S104
    # {% else %}
    serve.assert_called_once_with("config.asgi:application", "0.0.0.0", 9000)  # noqa: S104
    # {% endif %}


def test_a_port_that_is_none_is_refused_in_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["server", "--port", "http"])

    with pytest.raises(SystemExit):
        server.main()
    assert capsys.readouterr().err.splitlines()[-1].endswith("argument --port: invalid int value: 'http'")
