"""``primus-lens-wandb sync``: delivers from the mirror what Lens has not acknowledged."""

import argparse
import contextlib
import fcntl
import os
import sys
from typing import Any, BinaryIO, List, Tuple

from .. import settings
from ..owned_files import OwnedFiles, RefusedError
from ..sinks.delivery_ledger import DeliveryLedger
from .delivery import Delivery
from .mirror import Mirror, find_mirrors
from .report import Report, redact_addresses
from .targets import Targets


def describe(commands: Any) -> None:
    parser = commands.add_parser(
        "sync",
        help="deliver to Lens what a job could not: after an outage, a crash, or from another machine",
        description="Delivers from the JSONL mirror every metric that Lens has not acknowledged, to the right run and "
        "step. Running it twice sends nothing twice. It is safe while the job still runs. It follows no links below "
        "the path, opens only files of the user who runs it, and sends PRIMUS_LENS_API_TOKEN to no address that only "
        "a file names.",
        epilog="Exit status: 0 Lens has everything, 1 something could not be delivered, 2 wrong usage.",
    )
    parser.add_argument("path", help="a wandb_metrics.jsonl, or a directory: every mirror below it")
    parser.add_argument("--dry-run", action="store_true", help="tell what is missing, send nothing")
    parser.add_argument(
        "--base-url",
        type=_base_url,
        help="where Lens is; else PRIMUS_LENS_API_BASE_URL, else the address that the job had (without a token)",
    )
    parser.add_argument("--workload-uid", help="the workload to deliver to; else the one that the job had")
    parser.add_argument("--trust-owner", action="store_true", help="for root: deliver the mirrors of all users")
    parser.set_defaults(run=run)


def _base_url(text: str) -> str:
    try:
        return settings.parse_base_url(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError("%r %s" % (redact_addresses(text), error)) from None


def run(options: argparse.Namespace) -> int:
    if options.trust_owner and os.geteuid() != 0:
        print("primus-lens-wandb sync: error: --trust-owner is for root; leave it away", file=sys.stderr)
        return 2
    report = Report()
    root, mirrors, failures = _find(options.path)
    if failures:
        report.warning("%d folder(s) could not be searched, the first: %s" % (len(failures), failures[0]))
    if not mirrors:
        report.bad(
            "there is no mirror at %s" % options.path,
            "give a wandb_metrics.jsonl, or the directory in PRIMUS_LENS_WANDB_OUTPUT_PATH",
        )
        return 1
    targets = Targets(options.base_url)
    files = OwnedFiles(root, any_owner=options.trust_owner)
    for path in mirrors:
        report.title(path)
        _sync_mirror(report, path, files, targets, options)
    return 1 if report.failures else 0


def _find(path: str) -> "Tuple[str, List[str], List[OSError]]":
    """The folder below which nothing is taken on trust, the mirrors in it, and why some folders were not searched."""
    if os.path.isdir(path):
        return (path, *find_mirrors(path))
    # The user may well name a link; the ledger is beside the file itself.
    file = os.path.realpath(path)
    return os.path.dirname(file), [file] if os.path.lexists(file) else [], []


def _sync_mirror(report: Report, path: str, files: OwnedFiles, targets: Targets, options: argparse.Namespace) -> None:
    """Whatever one mirror holds: the others come after it."""
    try:
        with os.fdopen(files.open(path, os.O_RDONLY), "rb") as file:
            if _lock(report, file):
                if options.trust_owner:
                    found = os.fstat(file.fileno())
                    files = files._replace(new_owner=(found.st_uid, found.st_gid))
                ledger = DeliveryLedger("", files)
                with contextlib.closing(ledger):
                    delivery = Delivery(report, Mirror(path, file, files), ledger, targets, options.workload_uid)
                    delivery.count() if options.dry_run else delivery.deliver()
    except BrokenPipeError:
        # Nobody reads what we print.
        raise
    except RefusedError as error:
        report.bad("%s; it is not opened" % error, _advice(error))
    except OSError as error:
        report.bad("%s" % error, "make the file readable, and its directory writable")
    except Exception as error:
        report.bad(
            "this file ended in an internal error: %s: %s" % (type(error).__name__, error),
            "please report it; what was delivered is noted, and other files do not suffer",
        )


def _lock(report: Report, file: BinaryIO) -> bool:
    try:
        # Jobs take no lock on the mirror itself: this one keeps two syncs apart.
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        report.bad("another sync is at work on this file", "wait for it to end")
        return False
    except OSError:
        report.warning("this file system has no locks: nothing keeps a second sync from working on this file")
    return True


def _advice(error: RefusedError) -> str:
    if error.is_foreign:
        return "run this as that user, or as root with --trust-owner"
    return "look who put it there; to deliver another file, name that one"
