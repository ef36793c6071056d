"""The login attempts that the throttle counts."""

from django.db import models


class LoginAttempt(models.Model):
    """A login that failed, or whose password is being checked right now.

    The keys are HMACs (see `runtime.auth.throttling`), so that a copy of the table reveals neither names nor addresses.
    """

    user_key = models.CharField(max_length=64)
    address_key = models.CharField(max_length=64)
    made_at = models.DateTimeField()

    class Meta:
        """One index for each query of the throttle."""

        indexes = (
            models.Index(fields=["user_key", "made_at"], name="login_attempt_user"),
            models.Index(fields=["address_key", "made_at"], name="login_attempt_address"),
            models.Index(fields=["made_at"], name="login_attempt_age"),
        )

    def __str__(self) -> str:
        return f"attempt of {self.made_at:%Y-%m-%d %H:%M:%S}"
