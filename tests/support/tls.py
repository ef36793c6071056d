"""A reverse proxy that terminates TLS in front of a service: HAProxy with a self-signed certificate."""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from devtools.commands import TIMEOUT, check_output
from devtools.ports import free_port

HAPROXY = """
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout tunnel 1h
frontend tls
    bind 127.0.0.1:{port} ssl crt {certificate}
    http-request set-header X-Forwarded-Proto https
    http-request set-header X-Forwarded-For %[src]
    default_backend service
backend service
    server service 127.0.0.1:{service_port}
"""


@contextmanager
def running_tls_proxy(service_port: int, directory: Path) -> Iterator[str]:
    """Run HAProxy in front of a local port, with its files in a folder; yield its https URL."""
    make_certificate(directory, "service")
    port = free_port()
    configuration = directory / "haproxy.cfg"
    bundle = directory / "service.pem"
    configuration.write_text(HAPROXY.format(port=port, certificate=bundle, service_port=service_port))
    process = subprocess.Popen(["haproxy", "-db", "-f", str(configuration)])
    try:
        wait_for_port(port, process)
        yield f"https://localhost:{port}"
    finally:
        process.terminate()
        process.wait(timeout=TIMEOUT)


def make_certificate(directory: Path, name: str) -> Path:
    """Write a certificate for localhost (`name.crt`), its key (`.key`) and both (`.pem`); return the first path."""
    certificate, key = directory / f"{name}.crt", directory / f"{name}.key"
    options = (
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
        " -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    )
    check_output(directory, "openssl", *options.split(), "-keyout", str(key), "-out", str(certificate))
    (directory / f"{name}.pem").write_text(certificate.read_text() + key.read_text())
    return certificate


def wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until a process accepts connections on a port. Raises AssertionError if it exits, or after TIMEOUT."""
    deadline = time.monotonic() + TIMEOUT
    while True:
        assert process.poll() is None, f"HAProxy exited {process.returncode}"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert time.monotonic() < deadline
        time.sleep(0.05)
