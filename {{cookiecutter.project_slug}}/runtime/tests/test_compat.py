"""The check that dependencies have the undocumented attributes that this package uses."""

from importlib.metadata import version

import django
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.http.response import HttpResponseBase
from django.utils import log

from runtime.compat import require


def test_require_accepts_existing_attributes() -> None:
    require(django, "VERSION")
    require(HttpResponseBase, "close")
    # `__init__` sets it on the instance.
    require(HttpResponseBase, "_resource_closers")
    # The function sets it on a response.
    require(log.log_response, "_has_been_logged")


@pytest.mark.parametrize(
    ("owner", "path"),
    [
        (django, "django"),
        (HttpResponseBase, "django.http.response.HttpResponseBase"),
        (log.log_response, "django.utils.log.log_response"),
    ],
)
def test_require_raises_for_a_missing_attribute_and_names_it(owner: type, path: str) -> None:
    with pytest.raises(ImproperlyConfigured) as raised:
        require(owner, "__doc__", "_renamed")

    message = str(raised.value)
    assert f"django {version('django')} does not have the attribute '_renamed' of {path}, which {__name__} " in message
    assert "`uv sync`" in message
