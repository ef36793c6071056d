"""FastAPI with a package for each job of the template's middleware, at its defaults."""

import os

from asgi_correlation_id import CorrelationIdMiddleware
from asgi_csrf import asgi_csrf
from fastapi import Request
from peers.fastapi_app import application
from secure.middleware import SecureASGIMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware


@application.get("/session")
async def session(request: Request) -> dict[str, str]:
    """Read a key of the request's session, which is a signed cookie."""
    return {"key": request.session["key"]}


secret = os.environ["SECRET_KEY"]
# Each middleware wraps the ones before it.
application.add_middleware(asgi_csrf, signing_secret=secret)
application.add_middleware(SessionMiddleware, secret_key=secret)
application.add_middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1"])
application.add_middleware(SecureASGIMiddleware)
application.add_middleware(CorrelationIdMiddleware)
