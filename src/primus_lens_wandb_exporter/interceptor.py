"""The only file that touches wandb: wraps ``wandb.init``, what takes history, and ``Run.finish``; makes calls records.

What is wrapped stays itself: methods are wrapped in place on the class, the original is called exactly once, and its
result and exceptions pass untouched. Around it everything is guarded.
"""

import atexit
import functools
import itertools
import os
import sys
import time
from typing import Any, Callable, Dict, Optional, Set, Tuple

from . import autoreload, diagnostics, file_follower, fork_safety, run_detection, runtime, steps
from .detection import read_names
from .records import SUMMARY, UNCOUNTED, MetricsRecord, convert
from .run_tracker import RunTracker
from .shared_flag import OTHERS_LOG
from .worker import METRIC_BYTES, RECORD_BYTES

# Where the exporter keeps what it knows of a run: in the run's own __dict__, so that both end together.
_TRACKER = "_primus_lens_tracker"
_WRAPPED = "_primus_lens_wrapped"
_sequence = itertools.count()
_generation = 0
# In the way of every call: what is looked up once need not be found in cold memory.
_now = time.time
_new_tuple = tuple.__new__
_is_enabled = diagnostics.known_levels
_DEBUG = diagnostics.DEBUG
# A step that only wandb's service knows.
_UNCOUNTED = object()
# wandb's own note of what it has patched.
_patched: Dict[str, Any] = {"tensorboard": []}
# Some versions give a call without values a step, others do not.
_may_pass_over_empty_calls = False
# The runs of this process that have not ended.
_trackers: Set[RunTracker] = set()


def patch_wandb(wandb: Any) -> None:
    """Wraps what is to be seen of wandb. Calling it again changes nothing, also after a reload of the module.

    A module that is not the wandb we know is left alone, with one line that says so.
    """
    global _patched, _may_pass_over_empty_calls
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
    _patched = getattr(wandb, "patched", _patched)
    _may_pass_over_empty_calls = str(getattr(wandb, "__version__", "")).startswith("0.12.")
    # What Run.log and wandb's own hooks have in common; the oldest versions have Run.log alone.
    if not _wrap_method(run_class, "_log", _wrap_log):
        _wrap_method(run_class, "log", _wrap_log)
    _wrap_method(run_class, "_summary_update_callback", _wrap_summary)
    _wrap_method(run_class, "_metric_callback", _wrap_metric)
    _wrap_method(run_class, "_tensorboard_callback", _wrap_tensorboard)
    _wrap_method(run_class, "finish", _wrap_finish)
    # `with wandb.init() as run` ends the run without passing Run.finish.
    _wrap_method(run_class, "__exit__", _wrap_finish)
    _wrap_init(wandb)
    wandb._primus_lens_patched = True
    try:
        _take_up_going_run(wandb)
    except Exception as error:
        diagnostics.report_failure("taking up a run", error)
    diagnostics.debug(
        "wandb %s is intercepted: init, log, finish; Lens at %s",
        getattr(wandb, "__version__", "?"),
        diagnostics.redact_addresses(settings.base_url) or "one of its known addresses",
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


def _take_up_going_run(wandb: Any) -> None:
    """The run of a notebook that installs the hook in the middle of it."""
    run: Any = vars(wandb).get("run")
    if not _passes_log(run):
        return
    # wandb has bound it to the run at `init`; the oldest versions to the very function that is wrapped now.
    bound_to: Any = getattr(wandb.log, "__self__", None)
    if bound_to is run:
        wandb.log = run.log
    if _TRACKER not in run.__dict__:
        _take_up_late(run)


def _passes_log(run: Any) -> bool:
    """Whether what is logged to it comes by; disabled runs never pass Run.log: tracking is off."""
    run_class: Any = _find_run_class()
    return run_class is not None and isinstance(run, run_class) and getattr(type(run), "log", None) is run_class.log


def _on_init(run: Any) -> None:
    if not _passes_log(run):
        return
    if _TRACKER not in run.__dict__:
        _take_up(run)
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
        if tracker.sampler is not None:
            sample, given_args, given_kwargs = _with_sample(tracker, args, kwargs)
        is_counted = tracker.is_counted and (tracker.lock.acquire(False) or tracker.take_turn())
        if is_counted:
            if tracker.is_in_call:
                # A signal handler or a finaliser that logs in the middle of a call: before or after it, nobody knows.
                tracker.stop_counting()
            tracker.is_in_call = True
        try:
            try:
                result = original(self, *given_args, **given_kwargs)
                if not is_counted:
                    step = _UNCOUNTED
                elif (
                    len(args) < 2
                    and kwargs.get("step") is None
                    and kwargs.get("commit") is None
                    and tracker.is_counted
                    and not tracker.others_log[OTHERS_LOG]
                ):
                    # What `_count` comes to in almost every call.
                    tracker.turns += 1
                    step = next(tracker.counter.count)
                else:
                    step = _count(tracker, args, kwargs)
            finally:
                if is_counted:
                    tracker.is_in_call = False
                    tracker.lock.release()
            try:
                _on_log(self, tracker, step, sample, args, kwargs)
            except Exception as error:
                diagnostics.report_failure("recording a log call", error)
        except (TypeError, ValueError):
            # wandb does not take such data.
            raise
        except BaseException:
            # Ctrl-C, or a signal handler that raises: wandb's service may have got the call, whatever was counted here.
            tracker.stop_counting(calls_in_doubt=1)
            raise
        return result

    return log


def _count(tracker: RunTracker, args: Any, kwargs: Any) -> Any:
    """The step of a call that wandb has just taken; None when wandb dropped it, `_UNCOUNTED` where nobody can tell."""
    try:
        count = len(args)
        step = args[1] if count > 1 else kwargs.get("step")
        if tracker.others_log[OTHERS_LOG]:
            tracker.stop_counting()
        elif step is not None and _patched["tensorboard"]:
            # With TensorBoard patched, in this run or an earlier one, wandb leaves the given step out.
            tracker.stop_counting(jump_in_doubt=True)
        # Another thread may have given up waiting for this call.
        if not tracker.is_counted:
            return _UNCOUNTED
        tracker.turns += 1
        # A finaliser or a signal handler that logs from here on comes after this call, as it does in wandb.
        return tracker.counter.step_of_call(step, args[2] if count > 2 else kwargs.get("commit"))
    except Exception as error:
        diagnostics.report_failure("counting a log call", error)
        return None


def _take_up_guarded(wandb_run: Any, tracker: Optional[RunTracker]) -> Optional[RunTracker]:
    """What is known of a run that was not seen to begin, or that a fork brought into this process."""
    try:
        if tracker is None:
            return _take_up_late(wandb_run)
        if _is_ignored_by_wandb(wandb_run):
            return None
        tracker.enter_process(tracker.run.run_id, _generation)
        tracker.join_as_child()
        tracker.take_over_detection(wandb_run)
        _trackers.add(tracker)
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


def _on_log(
    wandb_run: Any, tracker: RunTracker, step: Any, sample: Optional[Dict[str, float]], args: Any, kwargs: Any
) -> None:
    if (_generation or wandb_run.__dict__.get("_is_finished")) and _is_ignored_by_wandb(wandb_run):
        return
    timestamp = _now()
    metrics, everything = convert(args[0] if args else kwargs["data"])
    if sample:
        # Plain finite floats: converting them in every call would cost more than all the rest.
        is_same = metrics is everything
        metrics = {**sample, **metrics}
        everything = metrics if is_same else {**sample, **everything}
    kind = ""
    if step is _UNCOUNTED:
        step, kind = None, UNCOUNTED
    elif tracker.has_step_metrics and step is not None:
        tracker.followed.note_call(step, everything)
    if step is None:
        if metrics is everything:
            everything = dict(metrics)
        metrics = {}
    elif metrics:
        tracker.has_sent = True
    else:
        tracker.unsendable += len(everything)
        if not everything and _may_pass_over_empty_calls:
            tracker.stop_counting(calls_in_doubt=1)
    # As MetricsRecord(...), without the function of Python that makes one.
    record = _new_tuple(MetricsRecord, (tracker.run, next(_sequence), step, timestamp, metrics, everything, kind))
    if metrics is everything and metrics:
        # As `export`, which would ask each sink whether it takes the record, and how large it is.
        size = RECORD_BYTES + METRIC_BYTES * len(metrics)
        for way in tracker.route:
            way.put(record, size)
    else:
        tracker.exporter.export(record, tracker.route)
    if timestamp >= tracker.look_again_at:
        tracker.look_again(wandb_run)
    if _is_enabled.get(_DEBUG) is not False and diagnostics.debug_is_enabled():
        run_id = tracker.run.run_id
        diagnostics.debug("intercepted wandb.log(): run %s, step %s, %d values", run_id, step, len(everything))
        diagnostics.debug("✓ Metrics data queued for reporting: %d metrics", len(metrics))


def _wrap_summary(original: Any) -> Any:
    def update(self: Any, record: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, record, *args, **kwargs)
        try:
            tracker = _tracker_of(self)
            if tracker is not None and not _is_ignored_by_wandb(self):
                _on_summary(tracker, record)
        except Exception as error:
            diagnostics.report_failure("recording a change of the summary", error)
        return result

    return update


def _on_summary(tracker: RunTracker, record: Any) -> None:
    metrics, everything = convert({".".join(map(str, item.key)): item.value for item in record.update})
    if not everything:
        return
    step: Optional[int] = None
    if tracker.is_counted:
        step = tracker.counter.current
        tracker.sent_summary.update(metrics)
        tracker.has_sent = tracker.has_sent or bool(metrics)
    else:
        # What the summary holds at the end is read from wandb's own file, as its rows are.
        metrics, everything = {}, dict(everything)
    tracker.exporter.export(
        MetricsRecord(tracker.run, next(_sequence), step, time.time(), metrics, everything, SUMMARY), tracker.route
    )


def _wrap_metric(original: Any) -> Any:
    def define(self: Any, record: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, record, *args, **kwargs)
        try:
            tracker = _tracker_of(self)
            if tracker is not None:
                if record.step_metric:
                    tracker.expect_step_metric(record.step_metric)
                if record.HasField("summary"):
                    tracker.expect_computed_summary()
        except Exception as error:
            diagnostics.report_failure("taking note of a defined metric", error)
        return result

    return define


def _wrap_tensorboard(original: Any) -> Any:
    def take(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            tracker = _tracker_of(self)
            if tracker is not None:
                tracker.stop_counting_after_calls()
        except Exception as error:
            diagnostics.report_failure("taking note of a TensorBoard writer", error)
        return original(self, *args, **kwargs)

    return take


def _tracker_of(wandb_run: Any) -> Optional[RunTracker]:
    """What is known of a run in this process, whether or not it was seen to begin."""
    tracker = wandb_run.__dict__.get(_TRACKER)
    if tracker is None or tracker.generation != _generation:
        return _take_up_guarded(wandb_run, tracker)
    return tracker  # type: ignore[no-any-return]


def _wrap_finish(original: Any) -> Any:
    def finish(self: Any, *args: Any, **kwargs: Any) -> Any:
        # Delivery goes on while wandb finishes; what is left by then is waited for.
        flushing = _begin_flush(self)
        result = original(self, *args, **kwargs)
        if flushing is not None:
            try:
                tracker, marks = flushing
                _end_run(tracker, marks)
            except Exception as error:
                diagnostics.report_failure("flushing at the end of a run", error)
        return result

    return finish


def _end_run(tracker: RunTracker, marks: Any) -> None:
    """Delivers what is left once wandb has finished the run."""
    tracker.end()
    _trackers.discard(tracker)
    try:
        if tracker.read_file(may_wait=True):
            marks = tracker.exporter.request_flush()
    except Exception as error:  # what is queued matters more
        diagnostics.report_failure("reading wandb's own file", error)
    tracker.exporter.wait_for_flush(marks)
    tracker.say_if_nothing_was_sent()


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


def _take_up(wandb_run: Any) -> RunTracker:
    attributes = wandb_run.__dict__
    owner = os.getpid()
    if attributes.get("_is_attached"):
        # Another process began the run; which one, only a pickled run tells.
        owner = attributes.get("_init_pid") or 0
        owner = 0 if owner == os.getpid() else owner
    tracker = RunTracker(
        str(wandb_run.id),
        int(wandb_run.starting_step),
        _generation,
        _find_file(wandb_run),
        owner,
        read_names(wandb_run),
    )
    attributes[_TRACKER] = tracker
    _trackers.add(tracker)
    autoreload.keep_out()
    try:
        tracker.report_detection(wandb_run)
    except Exception as error:  # the call that took the run up is recorded all the same
        diagnostics.report_failure("detecting the framework", error)
    return tracker


def _take_up_late(wandb_run: Any) -> RunTracker:
    """A run that was not seen to begin: all of it, what was logged before included, comes from wandb's own file."""
    tracker = _take_up(wandb_run)
    tracker.stop_counting()
    return tracker


def _find_file(wandb_run: Any) -> str:
    """Where wandb itself records the run."""
    path = getattr(getattr(wandb_run, "_settings", None), "sync_file", None)
    return os.path.abspath(path) if isinstance(path, str) and path else ""


def _is_ignored_by_wandb(wandb_run: Any) -> bool:
    """Whether wandb only warned: older versions ignore calls on a finished run, and in a child without a service."""
    attributes = wandb_run.__dict__
    if attributes.get("_is_finished"):
        return True
    if _generation == 0:
        return False
    if attributes.get("_attach_id"):
        # wandb's service takes calls of any process.
        return False
    return bool(os.getpid() != attributes.get("_init_pid", attributes.get("_pid")))


def _after_fork_in_child() -> None:
    global _generation, _sequence
    _generation += 1
    fork_safety.after_fork_in_child()
    _trackers.clear()
    file_follower.reset_after_fork()
    run_detection.reset_after_fork()
    _sequence = itertools.count()
    steps.reset_after_fork()
    diagnostics.reset_after_fork()
    runtime.reset_after_fork()


def _at_exit() -> None:
    for tracker in list(_trackers):
        try:
            tracker.look_at_exit()
        except Exception as error:  # what was logged matters more
            diagnostics.report_failure("detecting the framework", error)
        try:
            tracker.read_file()
            tracker.say_if_nothing_was_sent()
        except Exception as error:  # what is queued matters more
            diagnostics.report_failure("reading wandb's own file", error)
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
