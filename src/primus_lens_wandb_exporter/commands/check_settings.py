"""What ``check`` says of the environment variables: settings, who this process is to Lens, and its rank."""

import difflib
import os
import socket
from typing import Dict

from ..redaction import EXTRA_KEYS_VARIABLE
from ..sinks.otlp_settings import OWN_ENDPOINT
from .environment import SWITCH, Environment
from .pod_name import doubt_hostname
from .report import Report, redact_addresses, show

_OTLP_STEP = "PRIMUS_LENS_WANDB_OTLP_STEP_ATTRIBUTE"
_TOKEN = "PRIMUS_LENS_API_TOKEN"
# Every variable with the field of Settings that it fills, in the order of the guides.
_VARIABLES = {
    "PRIMUS_LENS_WANDB_API_REPORTING": "api_reporting",
    "PRIMUS_LENS_API_BASE_URL": "base_url",
    _TOKEN: "api_token",
    "PRIMUS_LENS_WANDB_SAVE_LOCAL": "save_local",
    "PRIMUS_LENS_WANDB_OUTPUT_PATH": "output_path",
    "PRIMUS_LENS_WANDB_ENHANCE_METRICS": "enhance_metrics",
    "PRIMUS_LENS_WANDB_SYSTEM_INTERVAL": "system_interval_s",
    "PRIMUS_LENS_WANDB_DEBUG": "debug",
    "PRIMUS_LENS_WANDB_FLUSH_ON_SIGTERM": "flush_on_sigterm",
    "PRIMUS_LENS_WANDB_ANNOUNCE": "announce",
    "PRIMUS_LENS_WANDB_BATCH_SIZE": "batch_size",
    "PRIMUS_LENS_WANDB_FLUSH_INTERVAL": "flush_interval_s",
    "PRIMUS_LENS_WANDB_FLUSH_TIMEOUT": "flush_timeout_s",
    "PRIMUS_LENS_WANDB_BUFFER_MB": "buffer_mb",
}


def report_settings(report: Report, environment: Environment) -> None:
    in_force: "Dict[str, object]" = {SWITCH: environment.hook_is_enabled}
    for variable, field in _VARIABLES.items():
        in_force[variable] = getattr(environment.settings, field)
    in_force[_TOKEN] = "***" if environment.settings.api_token else None
    otlp = environment.settings.otlp
    in_force[OWN_ENDPOINT] = otlp.endpoint if otlp is not None and otlp.is_own else None
    in_force[_OTLP_STEP] = otlp is not None and otlp.has_step_attribute
    in_force[EXTRA_KEYS_VARIABLE] = os.environ.get(EXTRA_KEYS_VARIABLE) or None
    told = {}
    for variable, value in in_force.items():
        complaints = environment.warnings_about(variable)
        is_set = bool(os.environ.get(variable, "").strip())
        told[variable] = {"value": show(value), "is_set": is_set, "is_malformed": bool(complaints)}
        for complaint in complaints:
            report.warning(redact_addresses(complaint), "correct it, or unset it")
        if not complaints:
            report.good("%s = %s (%s)" % (variable, show(value), "set" if is_set else "default"))
    for variable in sorted(os.environ):
        if variable.startswith("PRIMUS_LENS_WANDB_") and variable not in in_force:
            similar = difflib.get_close_matches(variable, in_force, 1)
            step = "did you mean %s?" % similar[0] if similar else "unset it"
            report.warning("%s is set, but there is no such setting" % variable, step)
    report.tell("settings", told)


def report_identity(report: Report, environment: Environment) -> None:
    who = environment.identity
    labels = ("workload", "pod uid", "pod", "namespace")
    parts = ", ".join("%s %s" % (label, value) for label, value in zip(labels, who) if value)
    report.tell("identity", who._asdict())
    stands_in = not os.environ.get("POD_NAME", "").strip() and bool(os.environ.get("KUBERNETES_SERVICE_HOST"))
    doubt = doubt_hostname(socket.gethostname(), os.environ) if stands_in else ""
    if who.is_known:
        is_hostname = stands_in and bool(who.pod_name)
        report.good("identity: %s%s" % (parts, " (pod: the name of this host)" if is_hostname else ""))
    elif environment.settings.api_reporting:
        report.warning(
            "identity: neither WORKLOAD_UID nor POD_NAME is set, so nothing is sent to Lens",
            "run: export WORKLOAD_UID=<uid of the workload in Lens>, or set POD_NAME to the name of the pod",
        )
    else:
        report.good("identity: none, and none is needed: reporting is off")
    if doubt:
        # A workload's uid decides alone.
        say = report.note if who.workload_uid or not environment.settings.api_reporting else report.warning
        say(
            "hostname %s is no name of a pod: %s" % (socket.gethostname(), doubt),
            "set POD_NAME from the field metadata.name of the pod, or WORKLOAD_UID",
        )


def report_place(report: Report, environment: Environment) -> None:
    place = environment.place
    attempt = ", attempt %d" % place.attempt if place.attempt else ""
    report.good(
        "place: node %d, rank %d of %d, local rank %d%s"
        % (place.node_rank, place.rank, place.world_size, place.local_rank, attempt)
    )
    report.tell("place", place._asdict())
    about_settings = {text for variable in (SWITCH, *_VARIABLES) for text in environment.warnings_about(variable)}
    for text in environment.warnings:
        if text not in about_settings:
            report.warning(redact_addresses(text), "correct it, or unset it")
