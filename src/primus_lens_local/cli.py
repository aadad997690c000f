"""`primus-lens-local`: start the local Lens from a shell.

Imports only the standard library until the arguments are read, so that a missing extra is explained.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import Optional, Sequence

_EPILOG = """\
Point a training job at it:
  export PRIMUS_LENS_API_BASE_URL=http://127.0.0.1:8080/api/v1
  export WORKLOAD_UID=my-experiment

Read it back:
  curl http://127.0.0.1:8080/api/v1/workloads
  curl 'http://127.0.0.1:8080/api/v1/workloads/my-experiment/metrics/data?metrics=all'
The whole API: http://127.0.0.1:8080/api/docs
"""
_TOKEN_VARIABLE = "PRIMUS_LENS_API_TOKEN"
_OPEN_TO_ALL = (
    "primus-lens-local: warning: everybody who reaches this address can read and write. "
    f"Set {_TOKEN_VARIABLE} (here and for the training jobs) to ask for a token"
)
_INSTALL = 'pip install "primus-lens-wandb-exporter[local]"'


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Run the command line; return the exit status."""
    options = _parser().parse_args(arguments)
    if sys.version_info < (3, 10):
        return _fail(f"the local Lens needs Python 3.10 or newer, this is {sys.version.split()[0]}")
    try:
        from primus_lens_local.database import DatabaseError, default_database
        from primus_lens_local.listening import AddressError, bind, is_loopback, serve
        from primus_lens_local.server import create_app
    except ImportError as error:
        return _fail(_missing(error))
    token = options.token if options.token is not None else os.environ.get(_TOKEN_VARIABLE, "")
    if token and not (token.isascii() and token.isprintable() and " " not in token):
        return _fail("the token can only have printable ASCII characters, without spaces")
    try:
        listener = bind(options.host, options.port)
        on_loopback = is_loopback(listener)
        app = create_app(options.database or default_database(), token or None, on_loopback)
    except (DatabaseError, AddressError) as error:
        return _fail(str(error))
    except ImportError as error:
        return _fail(_missing(error))
    if not (token or on_loopback):
        print(_OPEN_TO_ALL, file=sys.stderr, flush=True)
    serve(app, listener)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="primus-lens-local",
        description="Primus Lens on this machine: takes what training jobs report and answers queries about it.",
    )
    commands = parser.add_subparsers(dest="command", metavar="command", required=True)
    serve = commands.add_parser(
        "serve",
        help="start the server",
        description="Start the local Lens and run until interrupted.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    serve.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: %(default)s, this machine only)"
    )
    serve.add_argument(
        "--port", type=_port, default=8080, help="port to listen on; 0 takes a free one (default: %(default)s)"
    )
    serve.add_argument(
        "--database",
        metavar="PATH_OR_URL",
        help="SQLite file, or postgresql+psycopg://user:password@host/database, that keeps the data "
        "(default: lens.db in your user data directory)",
    )
    serve.add_argument(
        "--token",
        help="what programs must send as a bearer token, and browsers once as /?token=… "
        f"(default: {_TOKEN_VARIABLE}, which other users of the machine cannot see in the list of processes)",
    )
    return parser


def _port(text: str) -> int:
    if text.isdecimal() and int(text) <= 65535:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a port; give a number from 0 to 65535")


def _missing(error: ImportError) -> str:
    return f"the local Lens needs packages that are not installed ({error}). Install them with: {_INSTALL}"


def _fail(message: str) -> int:
    print(f"primus-lens-local: error: {message}", file=sys.stderr)
    return 1
