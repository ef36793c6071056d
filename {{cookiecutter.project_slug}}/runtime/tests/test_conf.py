"""The settings of the machinery."""

import pytest
from django.core import checks
from django.test import override_settings

from runtime.conf import Conf, ServiceSettings, conf


def test_conf_returns_the_default_unless_the_service_overrides_it() -> None:
    assert conf.HEADER_TIMEOUT == 10.0
    with override_settings(RUNTIME_HEADER_TIMEOUT=2):
        assert conf.HEADER_TIMEOUT == 2
    assert conf.HEADER_TIMEOUT == 10.0


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("RUNTIME_HEADER_TIMEOUT", "5", "RUNTIME_HEADER_TIMEOUT is '5'. It must be a number, 0 or more, such as 10.0."),
        ("RUNTIME_DRAIN_TIMEOUT", -1, "RUNTIME_DRAIN_TIMEOUT is -1. It must be a number, 0 or more, such as 5.0."),
        ("RUNTIME_MAX_HEADER_SIZE", 1.5, "It must be a whole number, 0 or more, such as 65536."),
        ("RUNTIME_MAX_HEADER_SIZE", True, "RUNTIME_MAX_HEADER_SIZE is True."),
        ("RUNTIME_HEALTH_TIMEOUT", None, "RUNTIME_HEALTH_TIMEOUT is None."),
        ("SHUTDOWN_GRACE", "long", "SHUTDOWN_GRACE is 'long'."),
        ("RUNTIME_HEADER_TIMEOUTS", 5, "RUNTIME_HEADER_TIMEOUTS is not a setting."),
    ],
)
def test_invalid_setting_is_an_error_that_names_it(name: str, value: object, message: str) -> None:
    with override_settings(**{name: value}):
        [error] = checks.run_checks(tags=["runtime"])

    assert error.id == "runtime.E002"
    assert message in error.msg


def test_request_timeout_may_be_none() -> None:
    with override_settings(REQUEST_TIMEOUT=None):
        assert checks.run_checks(tags=["runtime"]) == []


def test_no_name_is_in_both_classes() -> None:
    assert not {name for name in vars(Conf) if name.isupper()} & vars(ServiceSettings).keys()
