"""The environment of an OTLP endpoint: our own variable, and the standard's as their users know them."""

from __future__ import annotations

import logging

import pytest

from primus_lens_wandb_exporter import diagnostics
from primus_lens_wandb_exporter.settings import read_settings
from primus_lens_wandb_exporter.sinks.otlp_settings import OtlpSettings, read_otlp_settings

OURS = "PRIMUS_LENS_WANDB_OTLP_ENDPOINT"
STANDARD = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"


@pytest.fixture(autouse=True)
def fresh_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnostics, "_seen", {})


def read(environ: dict[str, str]) -> OtlpSettings:
    settings = read_otlp_settings(environ)
    assert settings is not None
    return settings


@pytest.mark.parametrize(
    ("given", "endpoint"),
    [
        ("http://collector:4318", "http://collector:4318/v1/metrics"),
        ("http://collector:4318/", "http://collector:4318/v1/metrics"),
        ("https://host/opentelemetry/v1/metrics", "https://host/opentelemetry/v1/metrics"),
        ("http://host:9090/api/v1/otlp/v1/metrics?tenant=a", "http://host:9090/api/v1/otlp/v1/metrics?tenant=a"),
        ("http://host:4318?tenant=a", "http://host:4318/v1/metrics?tenant=a"),
    ],
)
def test_a_base_address_gets_the_standards_path_and_a_whole_one_stays(given: str, endpoint: str) -> None:
    assert read({OURS: given}).endpoint == endpoint


def test_the_standards_variable_is_taken_as_it_is_and_ours_counts_before_it() -> None:
    found = read({STANDARD: "http://collector:4318"})
    assert (found.endpoint, found.is_own) == ("http://collector:4318", False)
    found = read({STANDARD: "http://collector:4318", OURS: "http://mine/v1/metrics"})
    assert (found.endpoint, found.is_own) == ("http://mine/v1/metrics", True)


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {OURS: " "},
        # The application's own, for whatever signal.
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"},
        {STANDARD: "http://collector:4318", "OTEL_SDK_DISABLED": "true"},
        {STANDARD: "http://collector:4318", "OTEL_METRICS_EXPORTER": "none"},
    ],
)
def test_nothing_is_sent_where_nobody_asks_for_it(environ: dict[str, str]) -> None:
    assert read_settings(environ).otlp is None


def test_our_own_variable_is_not_switched_off_with_the_application() -> None:
    assert read({OURS: "http://c:4318", "OTEL_SDK_DISABLED": "true", "OTEL_METRICS_EXPORTER": "none"})


@pytest.mark.parametrize("address", ["collector:4318", "grpc://collector:4317", "http://", "http://a b/", "http://h:x"])
def test_an_address_that_is_none_is_one_line_and_nothing_is_sent(
    address: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert read_settings({OURS: address, STANDARD: "http://other:4318"}).otlp is None
        assert read_settings({OURS: address}).otlp is None
    (line,) = caplog.messages
    assert OURS in line
    assert "http://host:4318/v1/metrics" in line


def test_what_is_said_of_metrics_counts_before_what_is_said_of_all_signals() -> None:
    found = read(
        {
            STANDARD: "https://collector/v1/metrics",
            "OTEL_EXPORTER_OTLP_HEADERS": "a=1",
            "OTEL_EXPORTER_OTLP_METRICS_HEADERS": "api-key=k%2C%3D1, x-tenant = team a",
            "OTEL_EXPORTER_OTLP_TIMEOUT": "3000",
            "OTEL_EXPORTER_OTLP_METRICS_COMPRESSION": "gzip",
            "OTEL_EXPORTER_OTLP_COMPRESSION": "none",
            "OTEL_EXPORTER_OTLP_CERTIFICATE": "/ca.pem",
            "OTEL_EXPORTER_OTLP_METRICS_CLIENT_CERTIFICATE": "/me.pem",
            "OTEL_EXPORTER_OTLP_CLIENT_KEY": "/me.key",
            "OTEL_SERVICE_NAME": "training",
            "OTEL_RESOURCE_ATTRIBUTES": "service.name=other,team=a%20b",
        }
    )
    assert found == OtlpSettings(
        endpoint="https://collector/v1/metrics",
        headers=(("api-key", "k,=1"), ("x-tenant", "team a")),
        timeout_s=3.0,
        certificate="/ca.pem",
        client_certificate="/me.pem",
        client_key="/me.key",
        is_compressed=True,
        is_own=False,
        service_name="training",
        resource_attributes=(("service.name", "other"), ("team", "a b")),
    )


@pytest.mark.parametrize(
    ("text", "seconds"), [("10000", 10.0), ("250", 0.25), ("10", 10.0), ("2.5", 2.5), ("1e300", 3600.0)]
)
def test_a_timeout_in_milliseconds_or_as_python_counts_it_in_seconds(text: str, seconds: float) -> None:
    assert read({OURS: "http://c:4318", "OTEL_EXPORTER_OTLP_TIMEOUT": text}).timeout_s == seconds


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "-1"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "brotli"),
        ("PRIMUS_LENS_WANDB_OTLP_STEP_ATTRIBUTE", "perhaps"),
    ],
)
def test_a_malformed_value_is_one_line_and_the_default(
    variable: str, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert read({OURS: "http://c:4318", variable: text}) == OtlpSettings("http://c:4318/v1/metrics")
    (line,) = caplog.messages
    # In the units and words in which the variable is written.
    default = {"OTEL_EXPORTER_OTLP_TIMEOUT": "10000", "OTEL_EXPORTER_OTLP_COMPRESSION": "none"}.get(variable, "")
    assert line.endswith(default)
    assert variable in line
    assert text in line


def test_malformed_headers_are_one_line_that_tells_no_value(caplog: pytest.LogCaptureFixture) -> None:
    secret = "s3cret" + "-value"
    headers = f"good=1,{secret},bad name={secret},new=line%0A{secret},=nothing,api-key={secret}"
    with caplog.at_level(logging.WARNING):
        found = read({OURS: "http://c:4318", "OTEL_EXPORTER_OTLP_HEADERS": headers})
    assert found.headers == (("good", "1"), ("api-key", secret))
    (line,) = caplog.messages
    assert "OTEL_EXPORTER_OTLP_HEADERS: 4 of 6 entries left out" in line
    assert secret not in line


def test_headers_for_another_server_do_not_go_to_ours() -> None:
    """They are keys of a vendor, as a rule."""
    shared = {
        OURS: "http://victoria:8428/opentelemetry/v1/metrics",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "https://vendor.example",
        "OTEL_EXPORTER_OTLP_HEADERS": "api-key=for-the-vendor",
        "OTEL_EXPORTER_OTLP_CLIENT_KEY": "/vendor.key",
    }
    assert read(shared).headers == ()
    assert read(shared).client_key == ""
    assert read({**shared, "OTEL_EXPORTER_OTLP_METRICS_HEADERS": "a=1"}).headers == (("a", "1"),)
    assert read({**shared, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://victoria:8428"}).headers
    other_metrics = {"OTEL_EXPORTER_OTLP_METRICS_HEADERS": "a=1", STANDARD: "https://vendor.example/v1/metrics"}
    assert read({**shared, **other_metrics}).headers == ()


@pytest.mark.parametrize("variable", ["OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL"])
def test_a_port_for_grpc_that_only_the_standard_names_gets_nothing(
    variable: str, caplog: pytest.LogCaptureFixture
) -> None:
    grpc = {variable: "grpc"}
    assert read({OURS: "http://c:4318", **grpc}).endpoint == "http://c:4318/v1/metrics"
    assert read({STANDARD: "http://c:4318/v1/metrics", variable: "http/protobuf"}).endpoint
    with caplog.at_level(logging.WARNING):
        assert read_otlp_settings({STANDARD: "http://c:4317", **grpc}) is None
    assert not caplog.messages, "the job did not ask us"
