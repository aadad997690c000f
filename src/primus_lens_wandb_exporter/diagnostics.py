"""How the exporter speaks to people: one logger, one line for each kind of trouble, a debug log on request.

Nothing that it says can steer a terminal or tell a secret of an address. Everything goes through the logger
``primus_lens_wandb_exporter``; the root logger is never touched. A job that configures no logging still sees warnings,
because the logging module prints those to stderr by itself.
"""

import logging
import re
import sys
import threading
from typing import Dict, Hashable, Optional

LOGGER = logging.getLogger(__package__)
DEBUG = logging.DEBUG
# What the logger knows of `isEnabledFor` by level; logging empties it whenever somebody changes a level anywhere.
known_levels: Dict[int, bool] = getattr(LOGGER, "_cache", {})

_PREFIX = "Primus Lens: "
# A server chooses its messages: it must fill neither the log nor the memory.
_MOST_KINDS = 500
_seen: Dict[Hashable, int] = {}
_seen_lock = threading.RLock()


def warn_once(kind: Hashable, message: str, *args: object) -> None:
    """Logs a warning the first time this ``kind`` of trouble comes up in the process; later ones are counted."""
    with _seen_lock:
        if len(_seen) >= _MOST_KINDS and kind not in _seen:
            return
        count = _seen[kind] = _seen.get(kind, 0) + 1
    if count == 1:
        _say(logging.WARNING, message, *args)


def warn(message: str, *args: object) -> None:
    """Logs a warning each time: whoever calls sees to it that it is not too often."""
    _say(logging.WARNING, message, *args)


def announce(message: str, *args: object) -> None:
    """Says on stderr what a person has asked to be told (``PRIMUS_LENS_WANDB_ANNOUNCE=true``), once; the debug log is
    told instead where it is on."""
    if debug_is_enabled():
        _say(logging.INFO, message, *args)
    elif LOGGER.level <= logging.INFO:
        record = LOGGER.makeRecord(LOGGER.name, logging.INFO, "", 0, _PREFIX + message, args, None)
        LOGGER.filter(record)
        _StderrHandler().emit(record)


def report_failure(action: str, error: BaseException) -> None:
    """Reports an error of the exporter's own code: our failure is never the job's, so nothing is raised."""
    warn_once(
        ("failure", action, type(error)),
        "%s failed: %s: %s (training goes on; this is reported once)",
        action,
        type(error).__name__,
        error,
    )
    if debug_is_enabled():
        _say(logging.DEBUG, "%s failed", action, exc_info=error)


def debug(message: str, *args: object) -> None:
    if debug_is_enabled():
        _say(logging.DEBUG, message, *args)


def debug_is_enabled() -> bool:
    """Only where our own logger was asked for it: of a job whose root logger is at DEBUG a handler may log to wandb."""
    return LOGGER.level != logging.NOTSET and LOGGER.isEnabledFor(logging.DEBUG)


def _say(level: int, message: str, *args: object, exc_info: Optional[BaseException] = None) -> None:
    try:
        LOGGER.log(level, _PREFIX + message, *args, exc_info=exc_info)
    except Exception:  # of a handler of the job: neither training nor our threads end by it
        return


def printable(text: str) -> str:
    """The text in one line, with what a terminal would obey or hide as an escape: ESC, CR, LF, C1, bidi overrides."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


def redact_addresses(text: str) -> str:
    """Hides the user and the query of addresses: both may be secrets."""
    text = re.sub(r"//[^\s'\"]*@", "//***@", text)
    # Also where only path and query are told, as urllib3 does.
    return re.sub(r"(/[^\s'\"?]*\?)[^\s'\"]+", r"\1***", text)


class _Cleaning(logging.Filter):
    """Keeps secrets and control characters out of everything the exporter says: addresses and errors may hold them."""

    def filter(self, record: logging.LogRecord) -> bool:
        from .redaction import redact_text

        record.msg, record.args = printable(redact_text(record.getMessage())), ()
        if record.exc_info:
            traceback = redact_text(logging.Formatter().formatException(record.exc_info))
            record.exc_text, record.exc_info = "\n".join(map(printable, traceback.split("\n"))), None
        return True


LOGGER.addFilter(_Cleaning())


class _StderrHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes to whatever ``sys.stderr`` is at the time: notebooks and test runners replace it."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> object:
        return sys.stderr

    @stream.setter
    def stream(self, _value: object) -> None:
        return


def enable_debug_log() -> None:
    """Sends the exporter's debug log to stderr (``PRIMUS_LENS_WANDB_DEBUG=true``). Calling it again changes nothing."""
    if any(isinstance(handler, _StderrHandler) for handler in LOGGER.handlers):
        return
    handler = _StderrHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    LOGGER.addHandler(handler)
    LOGGER.propagate = False
    if LOGGER.level == logging.NOTSET:
        LOGGER.setLevel(logging.DEBUG)


def reset_after_fork() -> None:
    global _seen_lock
    _seen_lock = threading.RLock()
