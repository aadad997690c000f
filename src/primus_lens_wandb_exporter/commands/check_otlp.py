"""What ``check`` says of OpenTelemetry: whether a server would take metrics, asked with a message without any."""

from ..sinks.answers import Answer
from ..sinks.otlp_batches import EncodingError, load_encoding
from ..sinks.otlp_client import OtlpClient
from ..sinks.otlp_settings import OWN_ENDPOINT, STANDARD_ENDPOINT, OtlpSettings
from .lens_questions import LIMIT_S
from .report import Report

# As protobuf has it, a message with nothing in it.
_EMPTY_REQUEST = b""


def _is_final(answer: Answer) -> bool:
    return answer.needs_a_person or not answer.retry


def report_otlp(report: Report, settings: OtlpSettings) -> None:
    variable = OWN_ENDPOINT if settings.is_own else STANDARD_ENDPOINT
    client = OtlpClient(settings)
    told = {"address": client.address, "named_by": variable, "state": "not_asked"}
    report.tell("otlp", told)
    try:
        load_encoding()
    except EncodingError as error:
        # The standard's variable may be there for something else in the job.
        say = report.bad if settings.is_own else report.note
        say("nothing is sent to OpenTelemetry at %s (%s): %s" % (client.address, variable, error))
        return
    answer = client.post("", _EMPTY_REQUEST, LIMIT_S)
    told["state"] = "takes_metrics" if answer.delivered else "refuses" if _is_final(answer) else "unreachable"
    if answer.delivered:
        report.good("OpenTelemetry at %s answers (%s)" % (client.address, variable))
    else:
        # What waiting does not help is a failure.
        say = report.bad if _is_final(answer) else report.warning
        say("OpenTelemetry at %s: %s" % (client.address, answer.reason), answer.next_step or "correct " + variable)
