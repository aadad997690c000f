"""The only file that touches wandb: wraps ``wandb.init``, what takes history, and ``Run.finish``; makes calls records.

What is wrapped stays itself: methods are wrapped in place on the class, the original is called exactly once, outside
of any ``try``, and its result and exceptions pass untouched. Around it everything is guarded.
"""

import atexit
import functools
import itertools
import os
import sys
import time
from typing import Any, Callable, Dict, Optional, Tuple

from . import diagnostics, fork_safety, runtime, steps
from .records import MetricsRecord, convert
from .run_tracker import RunTracker

# Where the exporter keeps what it knows of a run: in the run's own __dict__, so that both end together.
_TRACKER = "_primus_lens_tracker"
_WRAPPED = "_primus_lens_wrapped"
_sequence = itertools.count()
_generation = 0


def patch_wandb(wandb: Any) -> None:
    """Wraps what is to be seen of wandb. Calling it again changes nothing, also after a reload of the module.

    A module that is not the wandb we know is left alone, with one line that says so.
    """
    settings = runtime.read_settings()
    run_class = _find_run_class()
    if run_class is None or not callable(getattr(wandb, "init", None)):
        diagnostics.warn_once(
            "unknown wandb",
            "wandb %s at %s is left untouched: it has no Run.log, Run.finish and init to wrap (wandb>=0.12.0 has them)",
            getattr(wandb, "__version__", "of unknown version"),
            getattr(wandb, "__file__", "an unknown place"),
        )
        return
    # What Run.log and wandb's own hooks have in common; the oldest versions have Run.log alone.
    if not _wrap_method(run_class, "_log", _wrap_log):
        _wrap_method(run_class, "log", _wrap_log)
    _wrap_method(run_class, "finish", _wrap_finish)
    # `with wandb.init() as run` ends the run without passing Run.finish.
    _wrap_method(run_class, "__exit__", _wrap_finish)
    _wrap_init(wandb)
    wandb._primus_lens_patched = True
    diagnostics.debug(
        "wandb %s is intercepted: init, log, finish; Lens at %s",
        getattr(wandb, "__version__", "?"),
        settings.base_url,
    )


def _find_run_class() -> Optional[type]:
    module = sys.modules.get("wandb.sdk.wandb_run")
    run_class = getattr(module, "Run", None)
    known = isinstance(run_class, type) and all(callable(getattr(run_class, name, None)) for name in ("log", "finish"))
    return run_class if known else None


def _wrap_method(run_class: type, name: str, wrap: Callable[[Any], Any]) -> bool:
    """Whether the class has such a method, which is wrapped then."""
    original = run_class.__dict__.get(name)
    if original is None:
        return False
    if not getattr(original, _WRAPPED, False):
        wrapper = functools.wraps(original)(wrap(original))
        setattr(wrapper, _WRAPPED, True)
        setattr(run_class, name, wrapper)
    return True


def _wrap_init(wandb: Any) -> None:
    original = wandb.init
    if getattr(original, _WRAPPED, False):
        return

    @functools.wraps(original)
    def init(*args: Any, **kwargs: Any) -> Any:
        run = original(*args, **kwargs)
        try:
            _on_init(run)
        except Exception as error:
            diagnostics.report_failure("taking up a run", error)
        return run

    setattr(init, _WRAPPED, True)
    # wandb's own modules and users' `from wandb.sdk import init` see the same function.
    for name in ("wandb.sdk.wandb_init", "wandb.sdk"):
        module: Any = sys.modules.get(name)
        if getattr(module, "init", None) is original:
            module.init = init
    wandb.init = init


def _on_init(run: Any) -> None:
    run_class: Any = _find_run_class()
    # Disabled runs never pass Run.log: tracking is off.
    if run_class is None or not isinstance(run, run_class) or getattr(type(run), "log", None) is not run_class.log:
        return
    if _TRACKER not in run.__dict__:
        _take_up(run, _read_current_step(run))
    diagnostics.debug("intercepted wandb.init(): run %s", run.id)


def _wrap_log(original: Any) -> Any:
    def log(self: Any, *args: Any, **kwargs: Any) -> Any:
        tracker = self.__dict__.get(_TRACKER)
        if tracker is None or tracker.generation != _generation:
            tracker = _take_up_guarded(self, tracker)
            if tracker is None:
                return original(self, *args, **kwargs)
        sample = None
        given_args, given_kwargs = args, kwargs
        if tracker.has_sampler:
            sample, given_args, given_kwargs = _with_sample(tracker, args, kwargs)
        result = original(self, *given_args, **given_kwargs)
        try:
            _on_log(self, tracker, sample, args, kwargs)
        except Exception as error:
            diagnostics.report_failure("recording a log call", error)
        return result

    return log


def _take_up_guarded(wandb_run: Any, tracker: Optional[RunTracker]) -> Optional[RunTracker]:
    """What is known of a run that was not seen to begin, or that a fork brought into this process."""
    try:
        if tracker is None:
            # Read before the call: afterwards the count of a run that we did not see start has moved on.
            return _take_up(wandb_run, _read_current_step(wandb_run))
        tracker.enter_process(tracker.run.run_id, _generation)
        return tracker
    except Exception as error:
        diagnostics.report_failure("taking up a run", error)
        return None


def _with_sample(tracker: RunTracker, args: Any, kwargs: Any) -> "Tuple[Optional[Dict[str, float]], Any, Any]":
    """The newest sample, and the arguments of a log call with it in a copy of the data.

    What wandb will refuse stays as it is. An empty call gets none: it would become a row of wandb's history.
    """
    data = args[0] if args else kwargs.get("data")
    if not isinstance(data, dict) or not data:
        return None, args, kwargs
    try:
        sample = tracker.latest_sample()
        merged = {**sample, **data}
    except Exception as error:  # a dict of a class with habits of its own goes to wandb as it is
        diagnostics.report_failure("adding system metrics", error)
        return None, args, kwargs
    if args:
        return sample, (merged, *args[1:]), kwargs
    return sample, args, {**kwargs, "data": merged}


def _on_log(wandb_run: Any, tracker: RunTracker, sample: Optional[Dict[str, float]], args: Any, kwargs: Any) -> None:
    if _is_ignored_by_wandb(wandb_run):
        return
    count = len(args)
    data = args[0] if count else kwargs["data"]
    step = args[1] if count > 1 else kwargs.get("step")
    commit = args[2] if count > 2 else kwargs.get("commit")
    # First of all: a finaliser or a signal handler that logs from here on comes after this call, as it does in wandb.
    step = tracker.counter.step_of_call(step, commit)
    timestamp = time.time()
    metrics, everything = convert(data)
    if sample:
        # Plain finite floats: converting them in every call would cost more than all the rest.
        is_same = metrics is everything
        metrics = {**sample, **metrics}
        everything = metrics if is_same else {**sample, **everything}
    if step is None:
        if metrics is everything:
            everything = dict(metrics)
        metrics = {}
    record = MetricsRecord(tracker.run, next(_sequence), step, timestamp, metrics, everything)
    tracker.exporter.export(record, tracker.route)
    if timestamp >= tracker.look_again_at:
        tracker.look_again(wandb_run)
    if diagnostics.debug_is_enabled():
        run_id = tracker.run.run_id
        diagnostics.debug("intercepted wandb.log(): run %s, step %s, %d values", run_id, step, len(everything))
        diagnostics.debug("✓ Metrics data queued for reporting: %d metrics", len(metrics))


def _wrap_finish(original: Any) -> Any:
    def finish(self: Any, *args: Any, **kwargs: Any) -> Any:
        # Delivery goes on while wandb finishes; what is left by then is waited for.
        flushing = _begin_flush(self)
        result = original(self, *args, **kwargs)
        if flushing is not None:
            try:
                tracker, marks = flushing
                tracker.exporter.wait_for_flush(marks)
                tracker.end()
            except Exception as error:
                diagnostics.report_failure("flushing at the end of a run", error)
        return result

    return finish


def _begin_flush(wandb_run: Any) -> Any:
    try:
        tracker = wandb_run.__dict__.get(_TRACKER)
        if tracker is None or tracker.generation != _generation:
            return None
        diagnostics.debug("intercepted the end of run %s", tracker.run.run_id)
        try:
            tracker.look_again(wandb_run, run_ends=True)
        except Exception as error:  # the flush matters more
            diagnostics.report_failure("detecting the framework", error)
        return tracker, tracker.exporter.request_flush()
    except Exception as error:
        diagnostics.report_failure("flushing at the end of a run", error)
        return None


def _take_up(wandb_run: Any, current_step: Optional[int]) -> RunTracker:
    begun_here = current_step is not None
    if current_step is None:
        current_step = int(wandb_run.starting_step)
    tracker = wandb_run.__dict__[_TRACKER] = RunTracker(str(wandb_run.id), current_step, _generation, begun_here)
    try:
        tracker.report_detection(wandb_run)
    except Exception as error:  # the call that took the run up is recorded all the same
        diagnostics.report_failure("detecting the framework", error)
    return tracker


def _read_current_step(wandb_run: Any) -> Optional[int]:
    """wandb's own count for its next call, from the attribute that the version has; None in a child's attached run.

    An attribute only: ``run.step`` would ask wandb's service.
    """
    attributes = wandb_run.__dict__
    for name in ("_local_step", "_step", "history_step"):
        if isinstance(attributes.get(name), int):
            return int(attributes[name])
    step = getattr(attributes.get("history"), "_step", None)
    return step if isinstance(step, int) else None


def _is_ignored_by_wandb(wandb_run: Any) -> bool:
    """Whether wandb only warned: older versions ignore calls on a finished run, and in a child without a service."""
    attributes = wandb_run.__dict__
    if attributes.get("_is_finished"):
        return True
    if _generation == 0:
        return False
    started_in = attributes.get("_init_pid", attributes.get("_pid"))
    return os.getpid() not in (started_in, attributes.get("_attach_pid"))


def _after_fork_in_child() -> None:
    global _generation, _sequence
    _generation += 1
    fork_safety.after_fork_in_child()
    _sequence = itertools.count()
    steps.reset_after_fork()
    diagnostics.reset_after_fork()
    runtime.reset_after_fork()


def _at_exit() -> None:
    try:
        runtime.shut_down()
    except Exception as error:
        diagnostics.report_failure("flushing at exit", error)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=fork_safety.before_fork,
        after_in_parent=fork_safety.after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
# Registered while wandb is being imported, before wandb registers its own: exit handlers run in reverse, so ours comes
# after wandb has finished its runs.
atexit.register(_at_exit)
