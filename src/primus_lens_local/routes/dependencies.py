"""What endpoints take from the application: its engine, its writer, and the pods that it knows."""

from __future__ import annotations

from typing import Annotated, Optional, cast

from fastapi import Depends, Request
from sqlalchemy import Engine

from primus_lens_local.known_pods import KnownPods
from primus_lens_local.writer import Writer


def get_engine(request: Request) -> Engine:
    """Return the engine the application was created with."""
    return cast(Engine, request.app.state.engine)


def get_writer(request: Request) -> Writer:
    """Return the application's only writer."""
    return cast(Writer, request.app.state.writer)


def get_known_pods(request: Request) -> Optional[KnownPods]:
    """Return the pods that the application knows; None where it knows any."""
    return cast(Optional[KnownPods], request.app.state.known_pods)


EngineOfApp = Annotated[Engine, Depends(get_engine)]
