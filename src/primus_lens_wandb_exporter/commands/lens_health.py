"""Asks Lens whether it is there, and tells what is wrong in words that help."""

import threading
from typing import List, Optional
from urllib.parse import urlsplit

from .report import python_command

HEALTH_TIMEOUT_S = 3.0


def ask_health(base_url: str) -> "Optional[tuple[str, str]]":
    """Asks the server for ``/health``; returns None when it is well, else what is wrong and what to do next."""
    try:
        # Here, and not in the thread: on a busy machine this alone takes seconds.
        from ..sinks import bounded_http, lens_trouble  # noqa: F401
    except Exception as error:  # whatever a broken requests raises
        return "it cannot be asked (%s)" % error, "run: %s -m pip install --upgrade requests" % python_command()
    answers: "List[Optional[tuple[str, str]]]" = []
    # A name server may keep us waiting much longer than any socket timeout.
    thread = threading.Thread(target=lambda: answers.append(_get_health(base_url)), daemon=True)
    thread.start()
    thread.join(HEALTH_TIMEOUT_S + 0.5)
    if answers:
        return answers[0]
    trouble = lens_trouble.no_answer(HEALTH_TIMEOUT_S)
    return trouble.what, trouble.next_step


def _get_health(base_url: str) -> "Optional[tuple[str, str]]":
    """As the exporter's own requests: the same certificates are trusted, and the same words tell what is wrong."""
    from ..sinks.bounded_http import BoundedHttp
    from ..sinks.lens_trouble import explain

    url = urlsplit(base_url)._replace(path="/health", query="", fragment="").geturl()
    http = BoundedHttp()
    try:
        status = http.exchange("GET", url, {}, None, HEALTH_TIMEOUT_S).status
    except Exception as error:
        trouble = explain(error, base_url, HEALTH_TIMEOUT_S)
        return trouble.what, trouble.next_step
    finally:
        http.close()
    if status == 200:
        return None
    return (
        "answers /health with HTTP status %d" % status,
        "look at the log of Lens, or correct PRIMUS_LENS_API_BASE_URL if this is another server",
    )
