"""The images of the Dockerfile, compose.yaml and the CI workflow."""

import re
from pathlib import Path

SERVICE = Path(__file__).parents[1]
PINNED = re.compile(r"\S+:\S+@sha256:[0-9a-f]{64}")


def images(path: str) -> set[str]:
    """Return the images in a Dockerfile or a YAML file."""
    text = (SERVICE / path).read_text(encoding="utf-8")
    return set(re.findall(r"^(?:FROM |COPY --from=(?=\S+/)| +image: )(\S+)", text, re.MULTILINE))


def test_images_are_pinned_by_digest() -> None:
    used = images("Dockerfile") | images("compose.yaml") | images(".github/workflows/ci.yml")

    assert len(images("Dockerfile")) == 2
    assert [image for image in used if not PINNED.fullmatch(image)] == []


def test_dockerignore_excludes_secrets_and_history() -> None:
    ignored = (SERVICE / ".dockerignore").read_text(encoding="utf-8").splitlines()

    assert {".env*", ".git", "**/*.key", "**/*.pem", "**/*.sqlite3*"} <= set(ignored)


def test_ci_uses_the_images_that_dependabot_updates() -> None:
    assert images(".github/workflows/ci.yml") == images("compose.yaml")
