"""`primus-lens-local`: start the local Lens from a shell.

Imports only the standard library until the arguments are read, so that a missing extra is explained.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path
from typing import Optional, Sequence

from primus_lens_local.access import READ_TOKEN_VARIABLE, TOKEN_VARIABLE, TokenError, choose_tokens, remarks

_EPILOG = """\
Point a training job at it:
  export PRIMUS_LENS_API_BASE_URL=http://127.0.0.1:8080/api/v1
  export WORKLOAD_UID=my-experiment

Read it back:
  curl http://127.0.0.1:8080/api/v1/workloads
  curl 'http://127.0.0.1:8080/api/v1/workloads/my-experiment/metrics/data?metrics=all'
The whole API: http://127.0.0.1:8080/api/docs
"""
_INSTALL = 'pip install "primus-lens-wandb-exporter[local]"'


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Run the command line; return the exit status."""
    options = _parser().parse_args(arguments)
    if sys.version_info < (3, 10):
        return _fail(f"the local Lens needs Python 3.10 or newer, this is {sys.version.split()[0]}")
    try:
        from primus_lens_local.announcement import announcement
        from primus_lens_local.database import DatabaseError, default_database
        from primus_lens_local.known_pods import KnownPods, KnownPodsError
        from primus_lens_local.listening import AddressError, bind, is_loopback, own_names, serve
        from primus_lens_local.server import create_app
    except ImportError as error:
        return _fail(_missing(error))
    try:
        listener = bind(options.host, options.port)
        on_loopback = is_loopback(listener)
        tokens = choose_tokens(options.token, options.read_token, options.no_token, os.environ, on_loopback)
        names = [] if tokens.write or on_loopback else own_names()
        database = options.database or default_database()
        known_pods = KnownPods(options.known_pods) if options.known_pods else None
        app = create_app(database, tokens.write, tokens.read, [*options.allow_host, *names], known_pods)
    except (DatabaseError, AddressError, TokenError, KnownPodsError) as error:
        return _fail(str(error))
    except ImportError as error:
        return _fail(_missing(error))
    for remark in remarks(tokens, options.no_token, on_loopback):
        print(f"primus-lens-local: {remark}", file=sys.stderr, flush=True)
    serve(app, listener, announcement(listener, tokens))
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
    tokens = serve.add_mutually_exclusive_group()
    tokens.add_argument(
        "--token",
        metavar="TOKEN|auto",
        help="what programs must send as a bearer token, and browsers once as /?token=…; auto makes one and prints it "
        f"(default: {TOKEN_VARIABLE}, which other users of the machine cannot see in the list of processes; without it "
        "auto, and no token if the address is this machine only)",
    )
    tokens.add_argument(
        "--no-token", action="store_true", help="ask nobody for a token, wherever the server can be reached from"
    )
    serve.add_argument(
        "--read-token",
        metavar="TOKEN|auto",
        help=f"a second token, for the page and queries, that reports nothing (default: {READ_TOKEN_VARIABLE})",
    )
    serve.add_argument(
        "--allow-host",
        metavar="NAME",
        type=_host_name,
        action="append",
        default=[],
        help="without a token: a name with a domain by which browsers may call this server, such as lens.example.com; "
        "can be repeated. Addresses, names without a dot and this machine's own always may",
    )
    serve.add_argument(
        "--known-pods",
        metavar="FILE",
        type=Path,
        help="refuse reports of other pods, as a cluster does with pods that it does not know (yet); a line is a pod's "
        "name, or one and the uid of its workload; it is read again when it changes",
    )
    return parser


def _port(text: str) -> int:
    if text.isdecimal() and int(text) <= 65535:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a port; give a number from 0 to 65535")


def _host_name(text: str) -> str:
    if re.fullmatch(r"[\w.-]+", text):
        return text
    raise argparse.ArgumentTypeError(f"{text!r} is not a host name; give one such as lens.example.com, without port")


def _missing(error: ImportError) -> str:
    return f"the local Lens needs packages that are not installed ({error}). Install them with: {_INSTALL}"


def _fail(message: str) -> int:
    print(f"primus-lens-local: error: {message}", file=sys.stderr)
    return 1
