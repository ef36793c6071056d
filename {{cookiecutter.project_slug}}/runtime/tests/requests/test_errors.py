"""Error responses to requests that never reach the middleware."""

from runtime.requests.errors import as_http1, refusal


def test_refusal_has_the_headers_of_the_middleware() -> None:
    response = refusal(413, "The body is too long.")
    assert response.headers["X-Frame-Options"] == "DENY"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Connection"] == "close"
    head, _, body = as_http1(response).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 413 ")
    assert body == b'{"error": "The body is too long."}'
    assert f"Content-Length: {len(body)}".encode() in head.splitlines()
