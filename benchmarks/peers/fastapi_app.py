"""FastAPI without middleware."""

from typing import Annotated

from fastapi import Depends, FastAPI, WebSocket, WebSocketDisconnect
from peers import sqlalchemy_answers as answers
from sqlalchemy.ext.asyncio import AsyncSession

sockets: set[WebSocket] = set()
application = FastAPI()
application.get("/json")(answers.hello)
application.get("/fan-out")(answers.fan_out)
application.get("/sleep")(answers.sleep)


@application.get("/row")
async def row(database: Annotated[AsyncSession, Depends(answers.session)]) -> dict[str, int | str]:
    """Read one row by its primary key."""
    return await answers.row(database)


@application.get("/publish")
async def publish() -> dict[str, str]:
    """Send every open WebSocket the same text."""
    for socket in list(sockets):
        await socket.send_json({"message": "Hello"})
    return {"message": "Hello"}


@application.websocket("/ws/products/")
async def feed(socket: WebSocket) -> None:
    """Keep a WebSocket open."""
    await socket.accept()
    sockets.add(socket)
    try:
        while True:
            await socket.receive_text()
    except WebSocketDisconnect:
        sockets.remove(socket)
