"""A service's audit workflow fails for a vulnerable package, and its SBOM lists the packages of production.

A server on loopback takes the place of the vulnerability database osv.dev.
"""

import json
import re
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from devtools.commands import UV, check_output, commit
from devtools.matrix import all_on
from devtools.rendering import render
from tests.support.workflows import run_workflow

TIMESTAMP = "2026-11-01T00:00:00Z"
VULNERABILITY: dict[str, Any] = {
    "id": "GHSA-0000-0000-0000",
    "modified": TIMESTAMP,
    "published": TIMESTAMP,
    "summary": "Anything goes",
    "affected": [
        {
            "package": {"name": "django", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99"}]}],
        }
    ],
}


@contextmanager
def vulnerability_database(vulnerable: set[str]) -> Iterator[str]:
    """Serve a database in which each release of some packages has one vulnerability; yield its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            queries = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"]
            found = [{"id": VULNERABILITY["id"], "modified": TIMESTAMP}]
            names = [query["package"]["name"] for query in queries]
            self.send_json({"results": [{"vulns": found} if name in vulnerable else {} for name in names]})

        def do_GET(self) -> None:
            assert self.path == f"/v1/vulns/{VULNERABILITY['id']}"
            self.send_json(VULNERABILITY)

        def send_json(self, value: object) -> None:
            body = json.dumps(value).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def committed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a service with locked dependencies, committed to git."""
    service = render(all_on(), tmp_path_factory.mktemp("audit"))
    check_output(service, UV, "lock", "--quiet")
    commit(service)
    return service


def test_audit_without_vulnerabilities_passes_and_writes_an_sbom_of_production(committed: Path, tmp_path: Path) -> None:
    with vulnerability_database(set()) as url:
        run_workflow(committed, tmp_path / "workspace", {}, "audit", ARGS=f"--service-url {url}")

    sbom = json.loads((tmp_path / "workspace/sbom.cdx.json").read_text(encoding="utf-8"))
    listed = {(component["name"], component["version"]) for component in sbom["components"]}
    exported = check_output(committed, UV, "export", "--quiet", "--locked", "--no-dev", "--no-hashes")
    assert sbom["bomFormat"] == "CycloneDX"
    assert listed == set(re.findall(r"^([\w.-]+)(?:\[.+\])?==([\w.]+)", exported, re.MULTILINE))
    assert "django" in dict(listed)
    assert "pytest" not in dict(listed)


@pytest.mark.parametrize("package", ["django", "pytest", "ruff"])
def test_audit_fails_for_a_vulnerable_package(committed: Path, tmp_path: Path, package: str) -> None:
    packages = tomllib.loads((committed / "uv.lock").read_text(encoding="utf-8"))["package"]
    [version] = [each["version"] for each in packages if each["name"] == package]

    with (
        vulnerability_database({package}) as url,
        pytest.raises(AssertionError, match=f"{package} {re.escape(version)}"),
    ):
        run_workflow(committed, tmp_path / "workspace", {}, "audit", ARGS=f"--service-url {url}")
