"""Why a server, as a rule Lens, was not reached, in a person's words: for the job's lines, `sync` and `check`.

Errors are told by the names of their classes: the libraries that have them are loaded with the first request only, and
some bring classes of the same names of their own.
"""

from typing import List, NamedTuple, Optional
from urllib.parse import urlsplit

from ..diagnostics import redact_addresses
from .answers import LENS, Server

_LONGEST_TEXT = 200


class Trouble(NamedTuple):
    """What is wrong, of the form "Lens at ADDRESS: …", and what to do next."""

    what: str
    next_step: str
    # Whether waiting alone will hardly help.
    needs_a_person: bool = False


def explain(error: BaseException, base_url: str, limit_s: float, server: Server = LENS) -> Trouble:
    """What an error of an exchange with the server means; the innermost that tells something is the cause."""
    chain = _chain(error)
    for cause in chain:
        # Errors and the frames in their tracebacks are cycles, and some trainers switch the garbage collector off.
        cause.__traceback__ = None
    if any(type(cause).__name__ == "ConnectTimeoutError" or "handshake operation" in str(cause) for cause in chain):
        return Trouble("no connection in time", no_answer(limit_s, server).next_step)
    for cause in reversed(chain):
        trouble = _explain_one(cause, base_url, limit_s, server)
        if trouble is not None:
            return trouble
    return Trouble("an unexpected error (%s)" % short(error), "look at " + server.variable)


def short(error: BaseException) -> str:
    text = "%s: %s" % (type(error).__name__, redact_addresses(str(error)))
    return text if len(text) <= _LONGEST_TEXT else text[:_LONGEST_TEXT] + "…"


def _chain(error: BaseException) -> List[BaseException]:
    chain: List[BaseException] = []
    found: Optional[BaseException] = error
    while found is not None and found not in chain:
        chain.append(found)
        found = found.__cause__ or (None if found.__suppress_context__ else found.__context__)
    return chain


def _explain_one(error: BaseException, base_url: str, limit_s: float, server: Server) -> Optional[Trouble]:
    names = {cls.__name__ for cls in type(error).__mro__}
    text = str(getattr(error, "verify_message", "") or getattr(error, "reason", "") or error)[:_LONGEST_TEXT]
    if "UnreadableCertificatesError" in names:
        return Trouble(
            "the trusted certificates cannot be read (%s)" % text,
            "correct %s, or unset it" % server.certificates,
            needs_a_person=True,
        )
    if names & {"LocationValueError", "InvalidURL"}:
        return Trouble(
            "this address cannot be used (%s)" % short(error),
            "correct " + server.variable,
            needs_a_person=True,
        )
    if names & {"gaierror", "UnicodeError"}:
        return Trouble(
            "the name %s is not known (%s)" % (urlsplit(base_url).hostname, error),
            "set %s to an address of %s that is known here" % (server.variable, server.title),
        )
    if "ConnectionRefusedError" in names:
        return Trouble(
            "nothing listens there (connection refused)",
            "start %s, or correct host and port in %s" % server[:2],
        )
    if names & {"SSLCertVerificationError", "CertificateError"} or "certificate verify failed" in text:
        return Trouble(
            "its certificate is not trusted (%s)" % text,
            "set %s to the certificate of its authority" % server.certificates,
            needs_a_person=True,
        )
    if names & {"RemoteDisconnected", "ConnectionResetError", "BrokenPipeError", "SSLEOFError", "SSLZeroReturnError"}:
        return Trouble(
            "the connection was closed without an answer",
            "look at the log of %s, and of what is in between" % server.title,
        )
    if names & {"timeout", "TimeoutError"}:
        return no_answer(limit_s, server)
    if "SSLError" in names:
        return Trouble(
            "TLS failed (%s)" % text,
            "set %s to the certificate of its authority, or use http:// if %s has no TLS"
            % (server.certificates, server.title),
        )
    if "HTTPException" in names:
        return Trouble("no HTTP answer (%s)" % short(error), "look at what listens there, and at " + server.variable)
    if "OSError" in names and getattr(error, "strerror", None):
        return Trouble(
            "it cannot be reached (%s)" % getattr(error, "strerror", ""),
            "look at the network between here and %s, and at %s" % server[:2],
        )
    return None


def no_answer(limit_s: float, server: Server = LENS) -> Trouble:
    return Trouble(
        "no answer within %.3g s" % limit_s,
        "look at firewalls, network policies and the name server between here and " + server.title,
    )
