"""The login throttle: its limits, and the attempts that it stores."""

from datetime import timedelta

import pytest
from django.http import HttpRequest
from django.test import TestCase, override_settings

from runtime.auth.throttling import TooManyFailedLoginsError, begin_attempt, client_network
from runtime.models import LoginAttempt


def request_from(address: str) -> HttpRequest:
    """Return a request from a client's address."""
    request = HttpRequest()
    request.META["REMOTE_ADDR"] = address
    return request


def fail(username: str, address: str, times: int = 1) -> None:
    """Count so many failures."""
    for _ in range(times):
        begin_attempt(request_from(address), username)


class ThrottleTests(TestCase):
    def test_user_name_is_throttled_only_at_the_address_that_failed(self) -> None:
        fail("ada", "192.0.2.1", times=5)

        with pytest.raises(TooManyFailedLoginsError) as refused:
            fail("Ada", "192.0.2.1")
        assert 890 <= refused.value.retry_after <= 900
        fail("ada", "192.0.2.2")
        fail("grace", "192.0.2.1")

    def test_address_above_its_limit_is_throttled_for_all_user_names(self) -> None:
        with override_settings(LOGIN_FAILURES_PER_ADDRESS=6):
            for number in range(6):
                fail(f"user{number}", "192.0.2.1")

            with pytest.raises(TooManyFailedLoginsError):
                fail("ada", "192.0.2.1")
            fail("ada", "192.0.2.2")

    def test_refused_attempt_is_not_counted(self) -> None:
        fail("ada", "192.0.2.1", times=5)
        with pytest.raises(TooManyFailedLoginsError):
            fail("ada", "192.0.2.1")

        assert LoginAttempt.objects.count() == 5

    def test_retry_after_ends_when_the_oldest_failure_leaves_the_window(self) -> None:
        fail("ada", "192.0.2.1", times=5)
        oldest = LoginAttempt.objects.earliest("pk")
        oldest.made_at -= timedelta(seconds=890)
        oldest.save()

        with pytest.raises(TooManyFailedLoginsError) as refused:
            fail("ada", "192.0.2.1")
        assert refused.value.retry_after <= 10

    def test_old_attempts_are_deleted(self) -> None:
        fail("ada", "192.0.2.1", times=5)
        for attempt in LoginAttempt.objects.all():
            attempt.made_at -= timedelta(seconds=901)
            attempt.save()

        fail("grace", "192.0.2.2")
        assert LoginAttempt.objects.count() == 1

    def test_attempt_stores_neither_name_nor_address(self) -> None:
        fail("ada", "192.0.2.1")

        [row] = LoginAttempt.objects.values()
        assert "ada" not in str(row)
        assert "192.0.2.1" not in str(row)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::"),
        ("2001:db8::ffff:0:0:1", "2001:db8::"),
        ("", ""),
    ],
)
def test_client_network_of_ipv6_is_its_64(address: str, network: str) -> None:
    assert client_network(request_from(address)) == network
