"""What ``check`` says of where metrics go: whether the file can be written, and whether Lens would take a report."""

import os
import shlex
import tempfile
from typing import Any, Dict

from .. import identity, settings
from ..owned_files import OwnedFiles
from ..sinks import jsonl
from ..sinks.lens_address import KNOWN_ADDRESSES, LENS, UNREACHABLE
from .lens_questions import (
    EMPTY,
    ENVELOPE,
    KNOWN,
    UNKNOWN,
    FoundLens,
    ask_workload,
    find_lens,
    prefix_of,
    wants_token,
)
from .report import Report, python_command, redact_addresses

_ADDRESS = "PRIMUS_LENS_API_BASE_URL"


def report_file(report: Report, values: settings.Settings, place: identity.Place) -> None:
    if values.output_path is None:
        report.good("file: none, because PRIMUS_LENS_WANDB_OUTPUT_PATH is not set")
        return
    root = os.path.abspath(values.output_path)
    path = jsonl.path_of(root, place)
    if not values.save_local:
        report.good("file: none, because PRIMUS_LENS_WANDB_SAVE_LOCAL is false")
        return
    problem = _why_not_writable(root, path)
    report.tell("file", {"path": path, "is_writable": not problem})
    if problem:
        report.warning(
            "file: %s cannot be written: %s" % (path, problem),
            "set PRIMUS_LENS_WANDB_OUTPUT_PATH to a folder that this user can write",
        )
    else:
        report.good("file: %s can be written" % path)


def _why_not_writable(root: str, path: str) -> str:
    """Tries it and leaves nothing behind; an empty string when all is well."""
    try:
        os.close(OwnedFiles(root).open(path, os.O_RDWR))
        return ""
    except (FileNotFoundError, NotADirectoryError):
        folder = os.path.dirname(path)
    except OSError as error:
        return str(error)
    while not os.path.lexists(folder) and os.path.dirname(folder) != folder:
        folder = os.path.dirname(folder)
    try:
        with tempfile.TemporaryFile(dir=folder):
            return ""
    except OSError as error:
        return "%s: %s" % (folder, error.strerror)


def report_lens(report: Report, values: settings.Settings, workload_uid: str) -> None:
    if not values.api_reporting:
        report.good("Lens: not used, because PRIMUS_LENS_WANDB_API_REPORTING is false")
        if values.otlp is None and (values.output_path is None or not values.save_local):
            report.warning(
                "nothing is recorded anywhere: both reporting and the file are off",
                "set PRIMUS_LENS_WANDB_API_REPORTING=true or PRIMUS_LENS_WANDB_OUTPUT_PATH",
            )
        return
    try:
        from ..sinks import bounded_http, lens_trouble  # noqa: F401
    except Exception as error:  # whatever a broken requests raises
        report.bad("Lens cannot be asked (%s)" % error, "run: %s -m pip install --upgrade requests" % python_command())
        return
    is_named = bool(values.base_url)
    addresses = [values.base_url] if is_named else list(KNOWN_ADDRESSES)
    # A token goes to no address that nobody has set.
    token = values.api_token if is_named else ""
    found = find_lens(addresses, token, are_users=is_named)
    told: Dict[str, Any] = {"address": redact_addresses(found.address), "state": found.result.kind.replace(" ", "_")}
    told.update(prefix=None, queries=None, token="none", workload=None)
    if found.result.kind == LENS and not found.result.trouble:
        _report_found(report, found, addresses, is_named, token, told)
        if workload_uid:
            _report_workload(report, found.address, token, workload_uid, told)
    else:
        _report_not_found(report, found, is_named, values.api_token)
    report.tell("lens", told)


def _report_found(
    report: Report, found: FoundLens, addresses: "list[str]", is_named: bool, token: str, told: Dict[str, Any]
) -> None:
    address = redact_addresses(found.address)
    told["prefix"] = prefix_of(found.address)
    takes = ""
    if token and wants_token(found.address):
        told["token"], takes = "taken", " and takes the token"
    elif token:
        told["token"], takes = "not_asked_for", ", and asks for no token (the one that is set goes there all the same)"
    if found.address in addresses:
        report.good("Lens at %s answers%s" % (address, takes))
        if not is_named:
            report.note("%s is not set: this is the first known address that answers" % _ADDRESS)
        return
    wrong, result = found.others[0]
    can_be_shown = address == found.address
    report.warning(
        "Lens is not at %s (%s), but at %s it answers%s" % (redact_addresses(wrong), result.trouble, address, takes),
        "run: export %s=%s" % (_ADDRESS, shlex.quote(address))
        if can_be_shown
        else "give %s the path %s" % (_ADDRESS, prefix_of(found.address)),
    )


def _report_not_found(report: Report, found: FoundLens, is_named: bool, token: str) -> None:
    result = found.result
    # Where nothing answers Lens may yet come; what answers, and takes nothing, will not.
    say = report.warning if result.kind in (UNREACHABLE, LENS) else report.bad
    if is_named:
        say("Lens at %s: %s" % (redact_addresses(found.address), result.trouble), result.next_step)
        return
    for address, other in [(found.address, result), *found.others]:
        say("Lens at %s: %s" % (address, other.trouble))
        say = report.note
    report.note(
        "%s is not set, and no Lens answers at the known addresses%s"
        % (_ADDRESS, "; PRIMUS_LENS_API_TOKEN is not sent there" if token else ""),
        "run: export %s=http://<host>:<port>/v1, or /api/v1 where the guides' address was made" % _ADDRESS,
    )


def _report_workload(report: Report, address: str, token: str, workload_uid: str, told: Dict[str, Any]) -> None:
    answer = ask_workload(address, token, workload_uid)
    told.update(queries=answer.form or None, workload=answer.state)
    form = "in the envelope of 2026" if answer.form == ENVELOPE else "bare, as the guides print it"
    where = "prefix %s, queries are answered %s" % (prefix_of(address), form) if answer.form else ""
    if answer.state == KNOWN:
        report.good("workload %s is known to this Lens (%s)" % (workload_uid, where))
    elif answer.state == UNKNOWN:
        report.warning(
            "workload %s is not known to this Lens (%s): reports for it are taken, and found by nobody"
            % (workload_uid, where),
            "compare WORKLOAD_UID with the workload's uid in Lens",
        )
    elif answer.state == EMPTY:
        report.note(
            "workload %s has no metrics in this Lens yet (%s), which cannot tell whether it is the right one"
            % (workload_uid, where),
            "compare WORKLOAD_UID with the workload's uid in Lens",
        )
    else:
        report.note(
            "WORKLOAD_UID=%s cannot be verified here (prefix %s): %s"
            % (workload_uid, prefix_of(address), answer.reason),
            "compare it with the workload's uid in Lens: reports for an unknown one are taken, and found by nobody",
        )
