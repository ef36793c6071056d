"""A reverse proxy that ends TLS in front of a service: HAProxy, with a certificate that no authority has signed."""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from devtools.commands import TIMEOUT, succeed
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
def tls_in_front_of(service_port: int, directory: Path) -> Iterator[str]:
    """Hold a proxy open in front of a port of this machine, with its files in a folder; yield its https URL."""
    make_certificate(directory, "service")
    port = free_port()
    configuration = directory / "haproxy.cfg"
    bundle = directory / "service.pem"
    configuration.write_text(HAPROXY.format(port=port, certificate=bundle, service_port=service_port))
    process = subprocess.Popen(["haproxy", "-db", "-f", str(configuration)])
    try:
        wait_for(port, process)
        yield f"https://localhost:{port}"
    finally:
        process.terminate()
        process.wait(timeout=TIMEOUT)


def make_certificate(directory: Path, name: str) -> Path:
    """Write a certificate for localhost (`name.crt`), its key (`.key`) and both (`.pem`); return the certificate."""
    certificate, key = directory / f"{name}.crt", directory / f"{name}.key"
    options = (
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
        " -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    )
    succeed(directory, "openssl", *options.split(), "-keyout", str(key), "-out", str(certificate))
    (directory / f"{name}.pem").write_text(certificate.read_text() + key.read_text())
    return certificate


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Return when a port of a process accepts connections; raise AssertionError after TIMEOUT."""
    deadline = time.monotonic() + TIMEOUT
    while True:
        assert process.poll() is None, f"HAProxy exited {process.returncode}"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert time.monotonic() < deadline
        time.sleep(0.05)
