"""The responses to the workloads with SQLAlchemy on asyncpg, for every contender without Django.

Environment: `DATABASE_URL`, `DATABASE_POOL` (JSON, the service's own pool options) and `SLOW_URL`.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator

import httpx
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

engine = create_async_engine(
    make_url(os.environ["DATABASE_URL"]).set(drivername="postgresql+asyncpg"),
    pool_size=json.loads(os.environ["DATABASE_POOL"])["max_size"],
    max_overflow=0,
)
new_session = async_sessionmaker(engine)
client = httpx.AsyncClient()


class Base(DeclarativeBase):
    """The base class of the models."""


class Row(Base):
    """The table of `overlay/benchmark/models.py`."""

    __tablename__ = "benchmark_row"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


async def session() -> AsyncIterator[AsyncSession]:
    """Yield a database session for a request."""
    async with new_session() as database:
        yield database


async def hello() -> dict[str, str]:
    """Return a constant."""
    return {"message": "Hello"}


async def row(database: AsyncSession) -> dict[str, int | str]:
    """Read one row by its primary key."""
    found = await database.get_one(Row, 1)
    return {"id": found.id, "name": found.name}


async def fan_out() -> dict[str, int]:
    """Make 10 slow HTTP calls at once."""
    responses = await asyncio.gather(*(client.get(os.environ["SLOW_URL"], timeout=30) for _ in range(10)))
    return {"answers": sum(response.is_success for response in responses)}


async def sleep(seconds: float) -> dict[str, str]:
    """Keep a request open."""
    await asyncio.sleep(seconds)
    return {"message": "Hello"}
