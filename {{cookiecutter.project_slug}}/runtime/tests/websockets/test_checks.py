"""What `manage.py check` says of channel layers."""

from typing import Any

import pytest
from django.core import checks
from django.test import override_settings


@pytest.mark.parametrize(
    ("backend", "settings", "is_reported"),
    [
        ("channels.layers.InMemoryChannelLayer", {"WEB_CONCURRENCY": 2}, True),
        ("channels_redis.core.RedisChannelLayer", {"WEB_CONCURRENCY": 2}, False),
        ("channels.layers.InMemoryChannelLayer", {"WEB_CONCURRENCY": 1}, False),
        ("channels.layers.InMemoryChannelLayer", {"WEB_CONCURRENCY": 2, "DEBUG": True}, False),
    ],
)
def test_a_channel_layer_in_memory_is_reported_when_several_processes_should_share_it(
    backend: str, settings: dict[str, Any], is_reported: bool
) -> None:
    with override_settings(CHANNEL_LAYERS={"default": {"BACKEND": backend}}, **settings):
        messages = checks.run_checks(tags=["runtime"])

    assert [message.id for message in messages] == (["runtime.W007"] if is_reported else [])
