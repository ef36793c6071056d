"""Error responses that are made before any middleware."""

# {% if cookiecutter.use_async_middleware %}
from django.http import HttpRequest

# {% endif %}
from runtime.errors import as_http1, refusal


def test_a_refusal_has_the_headers_of_every_response() -> None:
    response = refusal(413, "The body is too long.")
    assert response.headers["X-Frame-Options"] == "DENY"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    # {% if cookiecutter.use_async_middleware %}
    assert len(response.headers["X-Request-ID"]) == 32
    # {% endif %}
    assert response.headers["Connection"] == "close"
    head, _, body = as_http1(response).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 413 ")
    assert body == b'{"error": "The body is too long."}'
    assert f"Content-Length: {len(body)}".encode() in head.splitlines()
# {% if cookiecutter.use_async_middleware %}


def test_a_refusal_has_the_request_id_that_the_client_sent() -> None:
    request = HttpRequest()
    request.META["HTTP_X_REQUEST_ID"] = "sent-by-the-proxy"
    assert refusal(408, "Too slow.", request).headers["X-Request-ID"] == "sent-by-the-proxy"
# {% endif %}
