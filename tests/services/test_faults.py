"""A short version of `make faults` in every run: a service without its database, and hostile clients."""

import http.client
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosedError

from devtools.matrix import all_on
from devtools.rendering import render
from tests.faults.test_outages import served_behind_proxy
from tests.support.contract import check_ping, open_socket

MESSAGE_TOO_BIG = 1009


def test_service_survives_a_database_outage_a_long_frame_and_a_long_body(
    tmp_path: Path, database_url: str, redis_url: str
) -> None:
    with served_behind_proxy(render(all_on(), tmp_path), database_url, redis_url) as service:
        service.check_up()
        service.proxy.refuse()
        service.check_down()
        service.proxy.recover()
        service.check_up()

        with open_socket(service.server.url, "/ws/products/") as socket:
            socket.send("x" * 70_000)
            with pytest.raises(ConnectionClosedError) as closed:
                socket.recv(timeout=10)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == MESSAGE_TOO_BIG

        connection = http.client.HTTPConnection(service.server.url.removeprefix("http://"), timeout=10)
        connection.putrequest("POST", "/api/products/")
        connection.putheader("Content-Length", "1000000000")
        connection.endheaders()
        assert connection.getresponse().status == 413
        connection.close()

        check_ping(service.server.url)
