"""``primus-lens-wandb``: the commands for people. Each tells what is so, and what to do next where it is not good.

A command is a module in ``commands`` with a function that describes its arguments and one that runs it and returns
the exit status: 0 done, 1 not done or not active, 2 wrong usage. Nobody sees a traceback.
"""

import argparse
import os
import sys
from typing import NoReturn, Optional, Sequence

from . import __version__
from .commands import check, startup_files, sync
from .diagnostics import printable

PROGRAM = "primus-lens-wandb"


def main(arguments: Optional[Sequence[str]] = None, program: str = PROGRAM) -> int:
    """Runs one command and returns its exit status; argparse itself exits with 2 on wrong usage."""
    _open_what_is_closed()
    _escape_what_the_terminal_cannot_show()
    options = _make_parser(program).parse_args(arguments)
    try:
        status = int(options.run(options))
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        # `| head` has seen enough. Python flushes stdout once more at exit: let that go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        cause = printable("%s: %s" % (type(error).__name__, error))
        print("%s: internal error, please report it: %s" % (program, cause), file=sys.stderr)
        return 1


def _make_parser(program: str) -> argparse.ArgumentParser:
    parser = _Parser(
        prog=program,
        description="Looks after the Primus Lens wandb exporter in this Python environment.",
        epilog="Exit status: 0 done, 1 not done or not active, 2 wrong usage.",
    )
    parser.add_argument("--version", action="version", version="%(prog)s " + __version__)
    commands = parser.add_subparsers(dest="command", metavar="command", required=True)
    check.describe(commands)
    startup_files.describe_install(commands)
    startup_files.describe_uninstall(commands)
    sync.describe(commands)
    return parser


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        super().error(printable(message))


def _open_what_is_closed() -> None:
    """Started with `>&-`, as some daemons do, Python has no stdout, and the first file opened would be in its place."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number, which is this one.
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "w" if number else "r", closefd=False))


def _escape_what_the_terminal_cannot_show() -> None:
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    sys.exit(main())
