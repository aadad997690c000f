"""The environment, read once and forgivingly."""

from __future__ import annotations

import itertools
import logging

import pytest

from primus_lens_wandb_exporter import diagnostics
from primus_lens_wandb_exporter.identity import Identity, Place, read_identity, read_place, why_no_pod_name
from primus_lens_wandb_exporter.settings import Settings, hook_is_enabled, parse_base_url, read_settings
from primus_lens_wandb_exporter.sinks.otlp_settings import OtlpSettings


@pytest.fixture(autouse=True)
def fresh_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnostics, "_seen", {})


def test_an_empty_environment_gives_the_documented_defaults() -> None:
    assert read_settings({}) == Settings()
    assert read_settings({"PRIMUS_LENS_WANDB_BATCH_SIZE": " ", "PRIMUS_LENS_API_BASE_URL": ""}) == Settings()


@pytest.mark.parametrize("text", ["true", "True", "1", "yes", "ON", " on "])
def test_words_for_true(text: str) -> None:
    assert hook_is_enabled({"PRIMUS_LENS_WANDB_HOOK": text}) is True


@pytest.mark.parametrize("text", ["false", "FALSE", "0", "no", "Off"])
def test_words_for_false(text: str) -> None:
    assert hook_is_enabled({"PRIMUS_LENS_WANDB_HOOK": text}) is False


def test_everything_can_be_set() -> None:
    settings = read_settings(
        {
            "PRIMUS_LENS_WANDB_API_REPORTING": "0",
            "PRIMUS_LENS_API_BASE_URL": "https://lens.example/api/v1/",
            "PRIMUS_LENS_API_TOKEN": "t0ken",
            "PRIMUS_LENS_WANDB_SAVE_LOCAL": "no",
            "PRIMUS_LENS_WANDB_OUTPUT_PATH": "/data",
            "PRIMUS_LENS_WANDB_ENHANCE_METRICS": "yes",
            "PRIMUS_LENS_WANDB_DEBUG": "on",
            "PRIMUS_LENS_WANDB_BATCH_SIZE": "10",
            "PRIMUS_LENS_WANDB_FLUSH_INTERVAL": "0.5",
            "PRIMUS_LENS_WANDB_FLUSH_TIMEOUT": "0",
            "PRIMUS_LENS_WANDB_BUFFER_MB": "1.5",
            "PRIMUS_LENS_WANDB_SYSTEM_INTERVAL": "9",
            "PRIMUS_LENS_WANDB_FLUSH_ON_SIGTERM": "true",
            "PRIMUS_LENS_WANDB_OTLP_ENDPOINT": "http://collector:4318",
            "PRIMUS_LENS_WANDB_ANNOUNCE": "true",
        }
    )
    assert settings == (
        False,
        "https://lens.example/api/v1",
        "t0ken",
        False,
        "/data",
        True,
        True,
        10,
        0.5,
        0.0,
        1.5,
        9.0,
        True,
        OtlpSettings("http://collector:4318/v1/metrics"),
        True,
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("PRIMUS_LENS_WANDB_API_REPORTING", "perhaps"),
        ("PRIMUS_LENS_API_BASE_URL", "lens:8080"),
        ("PRIMUS_LENS_API_BASE_URL", "http://lens:port/api"),
        ("PRIMUS_LENS_API_BASE_URL", "http://lens:99999/api"),
        ("PRIMUS_LENS_API_BASE_URL", "ftp://lens/api"),
        ("PRIMUS_LENS_API_BASE_URL", "http:///api"),
        ("PRIMUS_LENS_WANDB_BATCH_SIZE", "1.5"),
        ("PRIMUS_LENS_WANDB_BATCH_SIZE", "501"),
        ("PRIMUS_LENS_WANDB_FLUSH_INTERVAL", "0"),
        ("PRIMUS_LENS_WANDB_FLUSH_TIMEOUT", "inf"),
        ("PRIMUS_LENS_WANDB_BUFFER_MB", "lots"),
    ],
)
def test_a_malformed_value_is_one_line_and_the_default(name: str, text: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "primus_lens_wandb_exporter"):
        assert read_settings({name: text}) == Settings()
        assert read_settings({name: text}) == Settings()
    (line,) = caplog.messages
    assert name in line
    assert repr(text) in line


@pytest.mark.parametrize(
    ("environ", "place"),
    [
        ({}, Place(0, 0, 0, 1)),
        ({"NODE_RANK": "2", "RANK": "17", "LOCAL_RANK": "1", "WORLD_SIZE": "32"}, Place(2, 17, 1, 32)),
        ({"GROUP_RANK": "1", "RANK": "9", "LOCAL_RANK": "1", "WORLD_SIZE": "16"}, Place(1, 9, 1, 16)),
        ({"PET_NODE_RANK": "3"}, Place(3, 0, 0, 1)),
        ({"SLURM_NODEID": "1", "SLURM_PROCID": "12", "SLURM_LOCALID": "4", "SLURM_NTASKS": "16"}, Place(1, 12, 4, 16)),
        (
            {"OMPI_COMM_WORLD_RANK": "5", "OMPI_COMM_WORLD_LOCAL_RANK": "5", "OMPI_COMM_WORLD_SIZE": "8"},
            Place(0, 5, 5, 8),
        ),
        ({"NODE_RANK": "x", "SLURM_NODEID": "4"}, Place(4, 0, 0, 1)),
        ({"LOCAL_RANK": "-1", "WORLD_SIZE": "²"}, Place(0, 0, 0, 1)),
        ({"DISPATCH_COUNT": "3", "TORCHELASTIC_RESTART_COUNT": "1"}, Place(attempt=3)),
        ({"TORCHELASTIC_RESTART_COUNT": "1", "SLURM_RESTART_COUNT": "2"}, Place(attempt=1)),
        ({"DISPATCH_COUNT": "", "SLURM_RESTART_COUNT": "2"}, Place(attempt=2)),
    ],
)
def test_the_place_of_the_process_by_its_launcher(environ: dict[str, str], place: Place) -> None:
    assert read_place(environ) == place


def test_an_identity_needs_a_workload_or_a_pod() -> None:
    for workload, pod in itertools.product(("", "w"), ("", "p")):
        identity = read_identity({"WORKLOAD_UID": workload, "POD_NAME": pod, "POD_UID": "u", "POD_NAMESPACE": "n"})
        assert identity == Identity(workload, "u", pod, "n")
        assert identity.is_known == bool(workload or pod)


def test_an_id_that_lens_cannot_store_is_not_used(caplog: pytest.LogCaptureFixture) -> None:
    assert read_identity({"WORKLOAD_UID": "w" * 257, "POD_NAME": "p" * 256}).workload_uid == ""
    assert "257" in caplog.text


@pytest.mark.parametrize(
    "address",
    [
        r"http://one.example\@two.example/api/v1",
        "http://one.example/x@two.example:8080/api/v1",
        "http://one.example?@two.example/api/v1",
        "http://one.example/api#@two.example",
    ],
)
def test_an_address_that_two_readers_take_for_two_hosts_is_none(address: str) -> None:
    with pytest.raises(ValueError, match="is not an address"):
        parse_base_url(address)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("http://gw/api/v1?cluster=a", "http://gw/api/v1?cluster=a"),
        ("http://gw/api/v1//?path=/x/", "http://gw/api/v1?path=/x/"),
        ("http://gw/lens/v1/", "http://gw/lens/v1"),
    ],
)
def test_an_address_keeps_its_query_and_loses_the_slash_at_the_end_of_its_path(text: str, address: str) -> None:
    assert parse_base_url(text) == address


def test_the_token_for_a_malformed_address_goes_nowhere() -> None:
    token = {"PRIMUS_LENS_API_TOKEN": "t0ken"}
    assert read_settings({**token, "PRIMUS_LENS_API_BASE_URL": "htps://lens.example"}).api_token == ""
    assert read_settings({**token, "PRIMUS_LENS_API_BASE_URL": " https://lens.example// "}).api_token == "t0ken"
    assert read_settings({**token, "PRIMUS_LENS_API_BASE_URL": " "}).api_token == "t0ken"
    assert read_settings(token).api_token == "t0ken"


@pytest.mark.parametrize(
    ("hostname", "variables", "reason"),
    [
        ("train-0-x7k2p", {"NODE_NAME": "node-7", "POD_IP": "10.0.0.7", "HOST_IP": "10.0.0.1"}, ""),
        ("train-x7k2p", {"JOB_COMPLETION_INDEX": "0"}, ""),
        ("node-7", {"NODE_NAME": "node-7"}, "NODE_NAME"),
        ("node-7", {"MY_NODE_NAME": " node-7 "}, "MY_NODE_NAME"),
        ("node-7", {"POD_IP": "10.0.0.1", "HOST_IP": "10.0.0.1"}, "host's network"),
        ("node-7", {"POD_IP": "", "HOST_IP": ""}, ""),
        ("train-3", {"JOB_COMPLETION_INDEX": "3"}, "indexed Job"),
    ],
)
def test_a_hostname_that_is_known_to_be_another_is_no_name_of_a_pod(
    hostname: str, variables: dict[str, str], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = why_no_pod_name(hostname, variables)
    assert (reason in found) if reason else not found
    monkeypatch.setattr("socket.gethostname", lambda: hostname)
    in_pod = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", **variables}
    assert read_identity(in_pod).pod_name == ("" if reason else hostname)
    assert read_identity({**in_pod, "POD_NAME": "named"}).pod_name == "named"


def test_the_name_that_a_platform_gives_a_workload_is_no_uid() -> None:
    assert not read_identity({"WORKLOAD_ID": "train-llama"}).is_known
