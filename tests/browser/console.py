"""What Chromium writes to its console: errors of scripts, requests that fail, violations of a policy, warnings."""

from playwright.sync_api import BrowserContext, ConsoleMessage

# What Chromium notes though nothing is wrong, and not each time:
IGNORED_MESSAGES = (
    # a test has typed before the page focused its first field;
    "Autofocus processing was blocked because a document already has a focused element.",
    # a logout has cleared what its response named.
    "Clear-Site-Data header on ",
)


class Console:
    """Records every message of all the pages of a browser context, popups too."""

    def __init__(self, context: BrowserContext) -> None:
        self.context = context
        self.messages: list[str] = []
        context.on("console", self.record)
        context.on("weberror", lambda error: self.messages.append(f"uncaught: {error.error}"))

    def record(self, message: ConsoleMessage) -> None:
        """Record a message, unless it is a hint that Chromium hides by default: Django's forms cause some."""
        if str(message.type) != "verbose" and not message.text.startswith(IGNORED_MESSAGES):
            self.messages.append(f"{message.type}: {message.text}")

    def take(self) -> list[str]:
        """Return the messages that have not been taken yet."""
        # Messages arrive before the result of a later call.
        for page in self.context.pages:
            page.evaluate("0")
        taken, self.messages[:] = list(self.messages), []
        return taken

    def check(self) -> None:
        """Raise AssertionError if there is a message that no test has taken."""
        messages = self.take()
        assert not messages, "\n".join(["the console has messages:", *messages])
