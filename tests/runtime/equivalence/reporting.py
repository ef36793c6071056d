"""Django's page for an exception in development, less its traceback, which shows the code of the stack."""

from django.views.debug import ExceptionReporter


class WithoutTraceback(ExceptionReporter):
    """Tells of an exception only what it is."""

    def get_traceback_html(self) -> str:
        """Return the page."""
        return f"<h1>{self.get_traceback_text()}</h1>"

    def get_traceback_text(self) -> str:
        """Return the text."""
        return f"{self.exc_type.__name__}: {self.exc_value}"
