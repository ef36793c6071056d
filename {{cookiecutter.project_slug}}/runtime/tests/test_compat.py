"""The check that dependencies have the undocumented attributes that this package uses."""

from importlib.metadata import version

import django
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.http.response import HttpResponseBase
from django.utils import log

from runtime.compat import require


def test_attributes_that_exist_pass() -> None:
    require(django, "VERSION")
    require(HttpResponseBase, "close")
    # Only an instance has it: `__init__` sets it.
    require(HttpResponseBase, "_resource_closers")
    # Django sets it on a response, from outside.
    require(log.log_response, "_has_been_logged")


@pytest.mark.parametrize(
    ("owner", "path"),
    [
        (django, "django"),
        (HttpResponseBase, "django.http.response.HttpResponseBase"),
        (log.log_response, "django.utils.log.log_response"),
    ],
)
def test_a_missing_attribute_stops_the_start(owner: type, path: str) -> None:
    with pytest.raises(ImproperlyConfigured) as raised:
        require(owner, "__doc__", "_renamed")

    message = str(raised.value)
    assert f"django {version('django')} does not have the attribute '_renamed' of {path}, which {__name__} " in message
    assert "`uv sync`" in message
