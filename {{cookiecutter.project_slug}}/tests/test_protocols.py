"""A service without WebSockets refuses a handshake politely."""

from asgiref.testing import ApplicationCommunicator

from config.asgi import application


async def test_a_handshake_is_refused() -> None:
    communicator = ApplicationCommunicator(application, {"type": "websocket", "path": "/ws/products/", "headers": []})

    await communicator.send_input({"type": "websocket.connect"})
    assert (await communicator.receive_output())["type"] == "websocket.close"
    await communicator.wait()
