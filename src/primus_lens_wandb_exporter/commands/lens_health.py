"""Asks Lens whether it would take a report from here, and tells what is wrong in words that help."""

import threading
from typing import List, Optional

from .report import python_command

HEALTH_TIMEOUT_S = 3.0
# Names no workload, so every Lens refuses it; only after the address and the token were right.
_EMPTY_REPORT = b"{}"


def ask_health(base_url: str, token: str) -> "Optional[tuple[str, str]]":
    """Sends an empty report; returns None when a full one would be taken, else what is wrong and what to do next."""
    try:
        # Here, and not in the thread: on a busy machine this alone takes seconds.
        from ..sinks import bounded_http, lens_trouble  # noqa: F401
    except Exception as error:  # whatever a broken requests raises
        return "it cannot be asked (%s)" % error, "run: %s -m pip install --upgrade requests" % python_command()
    answers: "List[Optional[tuple[str, str]]]" = []
    # A name server may keep us waiting much longer than any socket timeout.
    thread = threading.Thread(target=lambda: answers.append(_send_empty_report(base_url, token)), daemon=True)
    thread.start()
    thread.join(HEALTH_TIMEOUT_S + 0.5)
    if answers:
        return answers[0]
    trouble = lens_trouble.no_answer(HEALTH_TIMEOUT_S)
    return trouble.what, trouble.next_step


def _send_empty_report(base_url: str, token: str) -> "Optional[tuple[str, str]]":
    """As the exporter's own requests: the same certificates are trusted, and the same words tell what is wrong."""
    from ..sinks.bounded_http import BoundedHttp
    from ..sinks.lens_address import join_path
    from ..sinks.lens_batches import METRICS_PATH
    from ..sinks.lens_client import judge, make_headers
    from ..sinks.lens_trouble import explain

    http = BoundedHttp()
    try:
        reply = http.exchange(
            "POST", join_path(base_url, METRICS_PATH), make_headers(token), _EMPTY_REPORT, HEALTH_TIMEOUT_S
        )
    except Exception as error:
        trouble = explain(error, base_url, HEALTH_TIMEOUT_S)
        return trouble.what, trouble.next_step
    finally:
        http.close()
    answer = judge(reply.status, reply.headers, reply.content)
    if answer.delivered or (reply.status == 400 and not answer.retry):
        return None
    if reply.status in (401, 403):
        return answer.reason, "set PRIMUS_LENS_API_TOKEN to the token of this Lens"
    if answer.needs_a_person:
        return answer.reason, "correct PRIMUS_LENS_API_BASE_URL, path included (the default's is /api/v1)"
    return answer.reason, "look at the log of Lens, and of what is in between"
