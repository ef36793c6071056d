"""Django's error page in development without the traceback, which differs between the stacks."""

from django.views.debug import ExceptionReporter


class WithoutTraceback(ExceptionReporter):
    """Reports only the type and the message of an exception."""

    def get_traceback_html(self) -> str:
        """Return the page."""
        return f"<h1>{self.get_traceback_text()}</h1>"

    def get_traceback_text(self) -> str:
        """Return the text."""
        return f"{self.exc_type.__name__}: {self.exc_value}"
