"""Chromium's console: errors of scripts, failed requests, policy violations and warnings."""

from playwright.sync_api import BrowserContext, ConsoleMessage

# Messages that Chromium sometimes writes although nothing is wrong:
IGNORED_MESSAGES = (
    # a test typed before the page focused its first field;
    "Autofocus processing was blocked because a document already has a focused element.",
    # a logout cleared the data that its response names.
    "Clear-Site-Data header on ",
)


class Console:
    """Records the messages of all pages of a browser context, including popups."""

    def __init__(self, context: BrowserContext) -> None:
        self.context = context
        self.messages: list[str] = []
        context.on("console", self.record)
        context.on("weberror", lambda error: self.messages.append(f"uncaught: {error.error}"))

    def record(self, message: ConsoleMessage) -> None:
        """Record a message, unless Chromium hides it by default. Django's forms cause such hints."""
        if str(message.type) != "verbose" and not message.text.startswith(IGNORED_MESSAGES):
            self.messages.append(f"{message.type}: {message.text}")

    def take(self) -> list[str]:
        """Return the recorded messages, and clear them."""
        # Earlier messages arrive before the result of this call.
        for page in self.context.pages:
            page.evaluate("0")
        taken, self.messages[:] = list(self.messages), []
        return taken

    def check(self) -> None:
        """Raise AssertionError if there is a message that no test has taken."""
        messages = self.take()
        assert not messages, "\n".join(["the console has messages:", *messages])
