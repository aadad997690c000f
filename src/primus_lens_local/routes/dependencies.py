"""What endpoints take from the application: its engine and its writer."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import Depends, Request
from sqlalchemy import Engine

from primus_lens_local.writer import Writer


def get_engine(request: Request) -> Engine:
    """Return the engine the application was created with."""
    return cast(Engine, request.app.state.engine)


def get_writer(request: Request) -> Writer:
    """Return the application's only writer."""
    return cast(Writer, request.app.state.writer)


EngineOfApp = Annotated[Engine, Depends(get_engine)]
