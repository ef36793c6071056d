"""The export: every product, streamed."""

import json
from collections.abc import AsyncIterator

from django.http import HttpRequest, StreamingHttpResponse
from django.views.decorators.http import require_GET

from catalog.models import Product
from runtime.threads.middleware import release_thread

# Products in one query, and in memory at a time.
BATCH_SIZE = 500


@require_GET
async def export(request: HttpRequest) -> StreamingHttpResponse:
    """Stream every product as one line of JSON (NDJSON)."""
    # The first query runs before the response begins: if it fails, the status can still say so.
    return StreamingHttpResponse(export_lines(await read_batch(after=0)), content_type="application/x-ndjson")


async def export_lines(batch: list[Product]) -> AsyncIterator[str]:
    """Yield one line for each product, from the first batch on.

    Django cancels this generator when the client disconnects, so that no further batch is read.
    """
    while True:
        for product in batch:
            yield json.dumps(product.to_json()) + "\n"
        if len(batch) < BATCH_SIZE:
            return
        batch = await read_batch(after=batch[-1].pk)


async def read_batch(after: int) -> list[Product]:
    """Return the next batch of products, those with an id greater than `after`.

    Each batch is one query, so a slow client holds no transaction, cursor or thread while it reads.
    """
    batch = [product async for product in Product.objects.filter(pk__gt=after).order_by("pk")[:BATCH_SIZE]]
    release_thread()
    return batch
