"""Which token a server has: given, made where others reach it, or none where its user says so."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import Callable

import pytest
import requests

from primus_lens_local.access import TokenError, Tokens, choose_tokens, remarks

from .conftest import LensProcess, run_cli

StartLens = Callable[..., LensProcess]
GIVEN = "given-by-somebody"


def workloads(lens: LensProcess, token: str | None = None) -> int:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return requests.get(f"http://127.0.0.1:{lens.port}/api/v1/workloads", headers=headers, timeout=20).status_code


def report(lens: LensProcess, token: str) -> int:
    headers = {"authorization": f"Bearer {token}"}
    url = f"http://127.0.0.1:{lens.port}/api/v1/wandb/metrics"
    return requests.post(url, json={"workload_uid": "w", "metrics": []}, headers=headers, timeout=20).status_code


def ended(lens: LensProcess) -> tuple[str, str]:
    """End a server; return what it said on stdout after its first line, and on stderr."""
    lens.process.terminate()
    assert lens.process.stdout is not None
    assert lens.process.stderr is not None
    # Not communicate(), which misses what came together with the first line.
    return lens.process.stdout.read(), lens.process.stderr.read()


def test_where_others_reach_the_server_a_token_is_made_and_printed_once(tmp_path: Path, start_lens: StartLens) -> None:
    lens = start_lens(tmp_path / "lens.db", "--host", "0.0.0.0")
    assert lens.announcement == f"Primus Lens (local) is listening on http://0.0.0.0:{lens.port}\n"
    assert workloads(lens) == 401
    again = start_lens(tmp_path / "lens.db", "--host", "0.0.0.0")
    output, errors = ended(again)
    assert errors == ""
    opened, jobs, _ = output.splitlines()
    here = f"http://{socket.gethostname()}:{again.port}"
    token = opened.partition(f"{here}/?token=")[2]
    assert len(token) >= 32
    assert f"export PRIMUS_LENS_API_BASE_URL={here}/api/v1 PRIMUS_LENS_API_TOKEN={token}" in jobs
    assert workloads(lens, token) == 401


@pytest.mark.parametrize("option", ["--token", "--read-token"])
def test_auto_makes_a_token_on_loopback_too(tmp_path: Path, start_lens: StartLens, option: str) -> None:
    lens = start_lens(tmp_path / "lens.db", option, "auto")
    assert workloads(lens) == 401
    assert lens.process.stdout is not None
    opened, jobs = lens.process.stdout.readline(), lens.process.stdout.readline()
    token = opened.strip().partition(f"{lens.url}/?token=")[2]
    assert f"PRIMUS_LENS_API_TOKEN={token}" in jobs
    assert workloads(lens, token) == 200
    assert report(lens, token) == 200
    if option == "--read-token":
        read = lens.process.stdout.readline().strip().partition(f"{lens.url}/?token=")[2]
        assert read != token
        assert workloads(lens, read) == 200
        assert report(lens, read) == 403


def test_the_address_that_is_printed_opens_the_page(tmp_path: Path, start_lens: StartLens) -> None:
    lens = start_lens(tmp_path / "lens.db", "--token", "auto")
    assert lens.process.stdout is not None
    (url,) = re.findall(r"http://\S+", lens.process.stdout.readline())
    assert "data-key=" in requests.get(url, timeout=20).text


def test_without_a_token_loopback_says_who_can_use_it(tmp_path: Path, start_lens: StartLens) -> None:
    lens = start_lens(tmp_path / "lens.db")
    assert workloads(lens) == 200
    output, errors = ended(lens)
    assert output == ""
    (line,) = errors.splitlines()
    assert "everybody who is logged in on this machine" in line
    assert "--token auto" in line


def test_no_token_is_silent_on_loopback_and_a_warning_elsewhere(tmp_path: Path, start_lens: StartLens) -> None:
    # A token in the environment is for the jobs then.
    environment = {"PRIMUS_LENS_API_TOKEN": GIVEN, "PRIMUS_LENS_READ_TOKEN": GIVEN + "-2"}
    lens = start_lens(tmp_path / "lens.db", "--no-token", **environment)
    assert workloads(lens) == 200
    assert ended(lens) == ("", "")
    lens = start_lens(tmp_path / "lens.db", "--no-token", "--host", "0.0.0.0", **environment)
    assert workloads(lens) == 200
    output, errors = ended(lens)
    assert "warning: everybody who reaches this address" in errors
    assert f"http://{socket.gethostname()}:{lens.port}/\n" in output
    assert "0.0.0.0 is every address" in output


def test_an_argument_comes_before_the_environment(tmp_path: Path, start_lens: StartLens) -> None:
    lens = start_lens(tmp_path / "lens.db", "--token", GIVEN, PRIMUS_LENS_API_TOKEN="another-token")
    assert workloads(lens, GIVEN) == 200
    assert ended(lens) == ("", "")


def test_a_short_token_is_called_so_without_being_shown(tmp_path: Path, start_lens: StartLens) -> None:
    _, errors = ended(start_lens(tmp_path / "lens.db", "--token", "hunter2", "--read-token", GIVEN))
    assert "the token has 7 characters" in errors
    assert "hunter2" not in errors


def test_an_empty_variable_is_none() -> None:
    empty = {"PRIMUS_LENS_API_TOKEN": "", "PRIMUS_LENS_READ_TOKEN": ""}
    assert choose_tokens(None, None, False, empty, on_loopback=True) == Tokens()


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (["--token", ""], {}, "--token is empty"),
        (["--token", " "], {}, "--token is empty"),
        (["--read-token", ""], {}, "--read-token is empty"),
        (["--token", "two words"], {}, "--token"),
        (["--token", "ünï"], {}, "--token"),
        (["--read-token", "line\nbreak"], {}, "--read-token"),
        ([], {"PRIMUS_LENS_API_TOKEN": "two words"}, "PRIMUS_LENS_API_TOKEN"),
        ([], {"PRIMUS_LENS_API_TOKEN": "  "}, "PRIMUS_LENS_API_TOKEN is empty"),
        ([], {"PRIMUS_LENS_READ_TOKEN": "auto"}, "PRIMUS_LENS_READ_TOKEN is 'auto'"),
        (["--token", GIVEN, "--read-token", GIVEN], {}, "are the same"),
        (["--token", GIVEN], {"PRIMUS_LENS_READ_TOKEN": GIVEN}, "are the same"),
        (["--no-token", "--read-token", GIVEN], {}, "--no-token"),
    ],
)
def test_tokens_that_cannot_be_are_one_line_that_does_not_show_them(
    tmp_path: Path, arguments: list[str], environment: dict[str, str], said: str
) -> None:
    process = run_cli("serve", "--port", "0", "--database", str(tmp_path / "lens.db"), *arguments, **environment)
    output, errors = process.communicate(timeout=20)
    assert (process.returncode, output, len(errors.splitlines())) == (1, "", 1)
    assert said in errors
    assert "two words" not in errors
    assert GIVEN not in errors


@pytest.mark.parametrize(
    "arguments", [["--token", "x", "--no-token"], ["--allow-host", "http://x"], ["--allow-host", "x:80"]]
)
def test_arguments_that_contradict_are_a_usage_error(arguments: list[str]) -> None:
    process = run_cli("serve", "--port", "0", *arguments)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 2
    assert "usage:" in errors


def test_reading_alone_cannot_be_restricted() -> None:
    tokens = choose_tokens(None, GIVEN, False, {}, on_loopback=True)
    assert tokens.read == GIVEN
    assert tokens.write is not None
    assert tokens.made == {tokens.write}
    with pytest.raises(TokenError):
        choose_tokens(None, GIVEN, True, {}, on_loopback=True)


def test_a_short_token_is_remarked_on_with_the_option_that_makes_a_long_one() -> None:
    (write, read) = remarks(Tokens("short", "brief"), False, True)
    assert "the token has 5 characters" in write
    assert "; --token auto makes a long one" in write
    assert "the read-only token has 5 characters" in read
    assert "; --read-token auto makes a long one" in read
