"""``primus-lens-wandb sync``: delivers what a destination has not acknowledged, from mirrors and wandb's own files."""

import argparse
import os
import sys
import time
from typing import List, Optional

from .. import settings
from ..owned_files import OwnedFiles
from ..sinks.delivery_ledger import LENS, OTLP
from ..sinks.otlp_batches import EncodingError
from ..sinks.otlp_settings import OWN_ENDPOINT, STANDARD_ENDPOINT
from .delivery import Session
from .destination import Targets
from .finding import Found, find_at, find_sources, was_modified_since
from .follow import follow
from .groups import Group, look_at_mirror, look_at_run_file, make_groups, mirrors_of
from .otlp_targets import OPTION, NoEndpointError, OtlpTargets
from .report import Report, redact_addresses
from .syncing import Syncing
from .targets import LensTargets

_UNITS_S = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def describe(commands: argparse._SubParsersAction) -> None:  # type: ignore[type-arg]
    parser = commands.add_parser(
        "sync",
        help="deliver to Lens what a job could not: after an outage, a crash, or from another machine",
        description="Delivers every metric that Lens, or an OpenTelemetry backend, has not acknowledged, to the right "
        "run and step, from mirrors (JSONL) and from wandb's own files, which complete each other. Running it twice "
        "sends nothing twice. It is safe while the job still runs. It follows no links below the path, opens only "
        "files of the user who runs it, and sends PRIMUS_LENS_API_TOKEN to no address that only a file names.",
        epilog="Exit status: 0 the destination has everything, 1 something could not be delivered, 2 wrong usage.",
    )
    parser.add_argument(
        "path", help="a wandb_metrics.jsonl, a .wandb file, or a directory: every mirror and every run below it"
    )
    parser.add_argument("--dry-run", action="store_true", help="tell what is missing, send nothing")
    parser.add_argument(
        "--follow",
        action="store_true",
        help="go on and on: deliver what jobs have left as soon as they have ended, and leave those alone that live",
    )
    parser.add_argument(
        "--since",
        type=_since,
        metavar="WHEN",
        help="only files written since a date (2026-11-01, 2026-11-01T12:00) or within an age (7d, 12h, 30m)",
    )
    parser.add_argument(
        "--to",
        action="append",
        choices=(LENS, OTLP),
        help="where to: Lens (the default) or OpenTelemetry, or both when given twice; what either has is noted apart",
    )
    parser.add_argument(
        OPTION,
        metavar="URL",
        type=_otlp_endpoint,
        help="with --to otlp, where the OTLP server is; else %s, else %s. No file names one"
        % (OWN_ENDPOINT, STANDARD_ENDPOINT),
    )
    parser.add_argument(
        "--base-url",
        type=_base_url,
        help="where Lens is; else PRIMUS_LENS_API_BASE_URL, else (without a token) the address that the job had, else "
        "where a Lens is found",
    )
    parser.add_argument(
        "--workload-uid",
        help="the workload to deliver to; else the one that the job had; else, for a run that no job with the exporter "
        "knew, that of the environment, or the run's own id",
    )
    parser.add_argument(
        "--mirror",
        metavar="DIR",
        help="where the mirrors of the runs are, when they are not below the path; else PRIMUS_LENS_WANDB_OUTPUT_PATH",
    )
    parser.add_argument("--trust-owner", action="store_true", help="for root: deliver the files of all users")
    parser.set_defaults(run=run)


def _base_url(text: str) -> str:
    try:
        return settings.parse_base_url(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError("%r %s" % (redact_addresses(text), error)) from None


def _otlp_endpoint(text: str) -> str:
    if not settings.is_http_address(text):
        raise argparse.ArgumentTypeError(
            "%r is not an address of the form http://host:4318/v1/metrics" % redact_addresses(text)
        )
    return text


def _since(text: str) -> float:
    """The time that is meant, in seconds since 1970."""
    number, unit = text[:-1], text[-1:]
    if unit in _UNITS_S and number.isdecimal() and len(number) < 10:
        return time.time() - int(number) * _UNITS_S[unit]
    for form in ("%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"):
        try:
            return time.mktime(time.strptime(text, form))
        except (ValueError, OverflowError):
            continue
    raise argparse.ArgumentTypeError(
        "%r is neither a date (2026-11-01, 2026-11-01T12:00) nor an age (7d, 12h, 30m)" % text
    )


def run(options: argparse.Namespace) -> int:
    wrong = _wrong_usage(options)
    if wrong:
        print("primus-lens-wandb sync: error: " + wrong, file=sys.stderr)
        return 2
    report = Report()
    try:
        targets = _make_targets(options)
    except NoEndpointError as error:
        print("primus-lens-wandb sync: error: %s" % error, file=sys.stderr)
        return 2
    except EncodingError as error:
        report.bad("nothing is sent to OpenTelemetry: %s" % error)
        return 1
    if options.follow:
        mirror_path = _mirrors_elsewhere(options.mirror)
        return follow(options.path, mirror_path, targets, options.workload_uid, options.trust_owner)
    root, found = find_at(options.path)
    if found.failures:
        report.warning("%d folder(s) could not be searched, the first: %s" % (len(found.failures), found.failures[0]))
    if not (found.mirrors or found.wandb_files):
        report.bad(
            "there is no mirror at %s, and no .wandb file" % options.path,
            "give a wandb_metrics.jsonl, a .wandb file, or a directory: PRIMUS_LENS_WANDB_OUTPUT_PATH, or wandb/",
        )
        return 1
    syncings = [Syncing(Session(report, one, options.workload_uid, options.dry_run)) for one in targets]
    since: Optional[float] = options.since
    left_out = 0
    for group in find_groups(root, found, options.mirror, options.trust_owner):
        # Looked at before anything is noted beside them.
        selected = {path for path in group.paths if since is None or was_modified_since(path, since)}
        left_out += len(group.paths) - len(selected)
        for syncing in syncings:
            syncing.sync(group, selected.__contains__)
    if left_out:
        report.note("%d file(s) were not written since then, and were left out" % left_out)
    return 1 if report.failures else 0


def _make_targets(options: argparse.Namespace) -> List[Targets]:
    """Raises NoEndpointError, and EncodingError."""
    targets: List[Targets] = []
    for name in dict.fromkeys(options.to or [LENS]):
        targets.append(OtlpTargets(options.otlp_endpoint or "") if name == OTLP else LensTargets(options.base_url))
    return targets


def _wrong_usage(options: argparse.Namespace) -> str:
    if options.trust_owner and os.geteuid() != 0:
        return "--trust-owner is for root; leave it away"
    if options.otlp_endpoint and OTLP not in (options.to or ()):
        return "%s goes with --to otlp" % OPTION
    if options.base_url and LENS not in (options.to or [LENS]):
        return "--base-url is where Lens is; with --to otlp give %s" % OPTION
    if options.mirror and not os.path.isdir(options.mirror):
        return "--mirror %s is no directory" % options.mirror
    if options.follow and (options.dry_run or options.since is not None):
        return "--follow goes with neither --dry-run nor --since"
    if options.follow and not os.path.isdir(options.path):
        return "--follow wants a directory, and %s is none" % options.path
    return ""


def find_groups(root: str, found: Found, mirror_path: Optional[str], trusts_owners: bool) -> List[Group]:
    """What was found, with the mirrors elsewhere that know these runs."""
    files = OwnedFiles(root, any_owner=trusts_owners)
    mirrors = [look_at_mirror(files, path) for path in found.mirrors]
    run_files = [look_at_run_file(files, path) for path in found.wandb_files]
    elsewhere = _mirrors_elsewhere(mirror_path)
    if run_files and elsewhere:
        known = {os.path.realpath(mirror.path) for mirror in mirrors}
        others = mirrors_of(run_files, find_sources(elsewhere), elsewhere, trusts_owners)
        mirrors += [mirror for mirror in others if os.path.realpath(mirror.path) not in known]
    return make_groups(mirrors, run_files, trusts_owners)


def _mirrors_elsewhere(named: Optional[str]) -> Optional[str]:
    path = named or settings.read_settings().output_path
    return path if path and os.path.isdir(path) else None
