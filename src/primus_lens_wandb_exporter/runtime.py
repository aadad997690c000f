"""What one process has of the exporter: the exporters by their settings, one flush deadline, one goodbye."""

import binascii
import functools
import os
import shlex
import sys
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Tuple

from . import child_of_run, diagnostics, file_follower, identity, run_detection, sigterm
from .exporter import Exporter, FlushBudget
from .owned_files import OwnedFiles
from .records import Run
from .settings import Settings
from .settings import read_settings as read_environment
from .sinks import Counters, Sink
from .sinks.delivery_ledger import DeliveryLedger
from .sinks.jsonl import JsonlSink, path_of
from .sinks.lens_api import LensSink
from .sinks.lens_client import LensClient
from .sinks.sending import SendingSink

if TYPE_CHECKING:
    from .system_metrics.sampler import SystemSampler

_MEGABYTE = 1e6

_exporters: Dict[Settings, Exporter] = {}
_sending_sinks: Dict[Settings, List[SendingSink]] = {}
_budget: Any = None
_sampler: "Optional[SystemSampler]" = None
_writer = ""


def read_settings() -> Settings:
    """Reads the settings and switches the debug log on if they ask for it."""
    settings = read_environment()
    if settings.debug:
        diagnostics.enable_debug_log()
    return settings


def start_run(
    run_id: str, wandb_file: str = "", begun_here: bool = True, names: Tuple[str, str] = ("", "")
) -> "Tuple[Exporter, Run, Optional[SystemSampler]]":
    """Returns what a run needs to be recorded in this process; equal settings share an exporter.

    ``begun_here`` is False for a run that another process began; ``names`` are its project and its own name. The
    sampler is there, and started, only where system metrics are asked for.
    """
    global _budget, _sampler, _writer
    settings = read_settings()
    if _budget is None:
        _budget = FlushBudget(settings.flush_timeout_s)
    if not _writer:
        _flush_with_multiprocessing()
        _writer = binascii.hexlify(os.urandom(6)).decode("ascii")
    if settings.enhance_metrics:
        if _sampler is None:
            from .system_metrics.sampler import SystemSampler

            _sampler = SystemSampler(settings.system_interval_s)
        _sampler.start()
    exporter = _exporters.get(settings)
    if exporter is None:
        exporter = _exporters[settings] = _make_exporter(settings, _budget)
    if settings.flush_on_sigterm and begun_here:
        sigterm.install(_flush_on_sigterm, _budget.hurry, _held_locks)
    run = Run(run_id, identity.read_identity(), identity.read_place(), _writer, wandb_file, *names)
    if settings.announce and begun_here:
        destinations = exporter.destinations(run)
        diagnostics.announce("metrics of run %s go to %s", run_id, " and to ".join(destinations) or "nobody but wandb")
    return exporter, run, _sampler if settings.enhance_metrics else None


def _make_exporter(settings: Settings, budget: FlushBudget) -> Exporter:
    # Half of the buffer for records that no thread has taken yet, half for what a sink holds back.
    capacity = settings.buffer_mb * _MEGABYTE / 2
    sinks: List[Sink] = []
    sending: List[SendingSink] = []
    acknowledge: Callable[[str, Run, List[int]], None] = _ignore
    if settings.save_local and settings.output_path:
        output_path = settings.output_path
        files = OwnedFiles(output_path)
        ledger = DeliveryLedger(settings.base_url, files)
        sinks.append(JsonlSink(files, capacity, ledger, settings.api_reporting))

        def acknowledge(destination: str, run: Run, sequences: List[int]) -> None:
            ledger.acknowledge(path_of(output_path, run.place), run, sequences, destination)

    if settings.api_reporting:
        client = LensClient(settings.base_url, settings.api_token)
        acknowledge_lens = functools.partial(acknowledge, LensSink.name)
        lens_sink = LensSink(client, settings.batch_size, settings.flush_interval_s, capacity, acknowledge_lens)
        sending.append(lens_sink)
    if settings.otlp is not None:
        from .sinks.otlp_api import OtlpSink

        acknowledge_otlp = functools.partial(acknowledge, OtlpSink.name)
        sending.append(OtlpSink(settings.otlp, settings.flush_interval_s, capacity, acknowledge_otlp))
    _sending_sinks[settings] = sending
    return Exporter([*sinks, *sending], budget, capacity)


def _ignore(destination: str, run: Run, sequences: List[int]) -> None:
    """Without a mirror nobody asks later what a destination has."""


def shut_down() -> None:
    """Delivers what is pending, within what is left of the flush timeout, and says what could not be."""
    run_detection.tell_all_now()
    if _sampler is not None:
        _sampler.shut_down()
    if _budget is not None:
        _budget.spend_on(file_follower.read_all_to_end)
    _deliver()


def _flush_on_sigterm() -> None:
    run_detection.tell_all_now()
    with _budget.as_a_whole():
        _deliver()


def _held_locks() -> List[Any]:
    return [lock for exporter in list(_exporters.values()) for lock in exporter.held_locks()]


def _deliver() -> None:
    flushing = [(settings, exporter, exporter.request_flush()) for settings, exporter in list(_exporters.items())]
    for settings, exporter, marks in flushing:
        exporter.wait_for_flush(marks)
        counters = exporter.counters()
        for name in counters:
            diagnostics.debug("%s at the end: %s", name, counters[name])
        is_mirrored = JsonlSink.name in counters and counters[JsonlSink.name].delivered > 0
        for sink in _sending_sinks[settings]:
            _say_what_is_missing(settings, sink, counters[sink.name], is_mirrored)


def _say_what_is_missing(settings: Settings, sink: SendingSink, counters: Counters, is_mirrored: bool) -> None:
    missing = counters.pending + counters.dropped + counters.rejected
    if not missing or sink.is_off:
        return
    if is_mirrored and settings.output_path:
        path = path_of(settings.output_path, identity.read_place())
        option = "" if sink.name == LensSink.name else "--to %s " % sink.name
        advice = "Deliver them with: primus-lens-wandb sync " + option + shlex.quote(path)
    elif settings.save_local and settings.output_path:
        advice = "There is no copy: PRIMUS_LENS_WANDB_OUTPUT_PATH could not be written"
    else:
        advice = "Set PRIMUS_LENS_WANDB_OUTPUT_PATH to keep a copy that can be delivered later"
    diagnostics.warn_once(
        # Once more at exit, where a job went on after a SIGTERM.
        ("missing", settings, sink.name, missing),
        "%d of %d metrics were not delivered to %s at %s (%d pending, %d dropped, %d refused)%s. %s",
        missing,
        counters.received,
        sink.title,
        sink.address,
        counters.pending,
        counters.dropped,
        counters.rejected,
        ": " + sink.trouble if sink.trouble else "",
        advice,
    )


def reset_after_fork() -> None:
    """In the child: another writer, a fresh deadline, empty queues. The parent delivers what was queued before."""
    global _writer
    _writer = ""
    sigterm.reset_after_fork()
    child_of_run.reset_after_fork()
    if _budget is not None:
        _budget.renew()
    if _sampler is not None:
        _sampler.reset_after_fork()
    for exporter in _exporters.values():
        exporter.reset_after_fork()


def _flush_with_multiprocessing() -> None:
    """Has a child of ``multiprocessing`` flush when its target returns: forked ones skip exit handlers."""
    process = sys.modules.get("multiprocessing.process")
    util = sys.modules.get("multiprocessing.util")
    if process is None or util is None or getattr(process.current_process(), "_parent_pid", None) is None:
        return
    util.Finalize(None, shut_down, exitpriority=0)
