"""Finishes a rendered service: drops what was not chosen, writes its `.env`, says what comes next.

Standard library only. It runs no other program and reaches no network.
"""

import json
import secrets
import shutil
import sys
from pathlib import Path

ANSWERS = json.loads(r"""{{ cookiecutter | tojson }}""")

# What each toggle adds to a service that does not have it, in files and folders. `!` marks what its absence adds.
MANIFEST = {
    "use_channels": [
        "catalog/consumers.py",
        "catalog/events.py",
        "catalog/routing.py",
        "catalog/static/catalog/feed.js",
        "tests/sockets.py",
        "tests/test_consumers.py",
        "tests/test_events.py",
    ],
    "!use_channels": [
        "runtime/protocols.py",
        "tests/test_protocols.py",
    ],
    "use_postgres": [
        "runtime/database.py",
        "runtime/embedded",
        "tests/test_embedded.py",
    ],
    "use_async_views": [
        "catalog/api.py",
        "catalog/forms.py",
        "catalog/suppliers.py",
        "catalog/views.py",
        "runtime/http.py",
        "tests/test_http.py",
        "tests/test_suppliers.py",
        "tests/test_views.py",
    ],
    "use_orm_wrappers": [
        "catalog/services.py",
        "tests/test_services.py",
    ],
    "use_async_middleware": [
        "runtime/request_id.py",
        "tests/test_request_id.py",
    ],
}


def is_chosen(toggle):
    """Tell whether what a key of the manifest adds belongs in this service."""
    return not ANSWERS[toggle[1:]] if toggle.startswith("!") else ANSWERS[toggle]


def drop_what_was_not_chosen(service):
    """Remove the files and folders of the toggles that are off. Raise FileNotFoundError for one that is not there."""
    for toggle, paths in MANIFEST.items():
        if is_chosen(toggle):
            continue
        for path in paths:
            target = service / path
            if target.is_dir():
                shutil.rmtree(target)
            else:
                target.unlink()


def write_env(service):
    """Write a `.env` for development, for its owner's eyes only. One that is there already stays as it is."""
    path = service / ".env"
    if path.exists():
        return
    path.touch(mode=0o600)
    path.write_text(
        "# What this machine knows and the repository does not. .env.example lists every variable.\n"
        "DEBUG=true\n"
        f"SECRET_KEY={secrets.token_urlsafe(50)}\n",
        encoding="utf-8",
    )


def next_steps():
    """Return what was chosen, and the commands to run next."""
    chosen = [
        "Channels" if ANSWERS["use_channels"] else "",
        "PostgreSQL" if ANSWERS["use_postgres"] else "SQLite",
        "async views" if ANSWERS["use_async_views"] else "",
        "ORM wrappers" if ANSWERS["use_orm_wrappers"] else "",
        "async middleware" if ANSWERS["use_async_middleware"] else "",
        f"served by {ANSWERS['asgi_server']}",
    ]
    return (
        f"{ANSWERS['project_name']}: {', '.join(filter(None, chosen))}.\n"
        "\n"
        f"    cd {ANSWERS['project_slug']}\n"
        "    uv run manage.py migrate\n"
        "    uv run manage.py runserver\n"
        "    uv run pytest\n"
        "\n"
        "It will be at http://127.0.0.1:8000/. Its README.md tells the rest."
    )


def main():
    """Finish the service in the working directory."""
    service = Path.cwd()
    drop_what_was_not_chosen(service)
    write_env(service)
    # A terminal that cannot show a name must not fail the rendering of it.
    sys.stdout.reconfigure(errors="backslashreplace")
    print(next_steps())


if __name__ == "__main__":
    main()
