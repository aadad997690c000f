"""Where `sync` sends, and that the token goes only where the user pointed it."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Iterator

import pytest

from primus_lens_wandb_exporter import cli, settings
from primus_lens_wandb_exporter.commands import delivery
from primus_lens_wandb_exporter.commands.targets import LensTargets
from primus_lens_wandb_exporter.sinks.lens_address import KNOWN_ADDRESSES

from ..support import faults, hostile, mirrors
from ..support.commands import sync
from ..support.faults import FaultyLens, Handler, faulty_lens
from ..support.lens import Lens
from ..support.mirrors import introduction, ledger_of, lines
from ..support.training import Trainer

TOKEN = "token-of-" + "this-test"
TARGET_KNOWN = "target: the first of these where a Lens answers, as none is set: " + ", ".join(KNOWN_ADDRESSES)
ONLY_THE_FILE = "an address that only the file names: it gets no token"


class Listener:
    """A Lens that notes the Authorization header of each request."""

    def __init__(self, server: FaultyLens) -> None:
        self.server = server
        self.base_url = server.base_url
        self.authorizations: list[str | None] = []
        server.behaviour = self._note

    def _note(self, handler: Handler, body: bytes) -> None:
        self.authorizations.append(handler.headers.get("Authorization"))
        faults.forward(handler, body)


@pytest.fixture
def listen(lens: Lens) -> Iterator[Callable[[], Listener]]:
    servers = []

    def start() -> Listener:
        context = faulty_lens(lens)
        servers.append(context)
        return Listener(context.__enter__())

    yield start
    for context in servers:
        context.__exit__(None, None, None)


def test_an_address_that_only_the_file_names_gets_the_metrics_but_no_token(
    listen: Callable[[], Listener], trainer: Trainer, lens: Lens
) -> None:
    listener = listen()
    mirrors.write(trainer.directory / "out", trainer.workload, listener.base_url)
    found = sync(trainer, "out", PRIMUS_LENS_API_BASE_URL="", PRIMUS_LENS_API_TOKEN=TOKEN)
    assert found.returncode == 0, found.stdout
    assert listener.authorizations == [None]
    assert f"target: {listener.base_url}, {ONLY_THE_FILE}" in found.stdout
    assert f"--base-url {listener.base_url}" in found.stdout
    assert found.stdout.index("target: ") < found.stdout.index("3 metrics delivered")
    assert lens.scalars(trainer.workload) == mirrors.whole()


@pytest.mark.parametrize("way", ["--base-url", "PRIMUS_LENS_API_BASE_URL"])
def test_an_address_of_the_user_gets_the_token_and_that_of_the_file_nothing(
    way: str, listen: Callable[[], Listener], trainer: Trainer
) -> None:
    of_the_user, of_the_file = listen(), listen()
    mirrors.write(trainer.directory / "out", trainer.workload, of_the_file.base_url)
    in_environment = of_the_user.base_url if way != "--base-url" else ""
    arguments = ["--base-url", of_the_user.base_url] if way == "--base-url" else []
    found = sync(trainer, *arguments, "out", PRIMUS_LENS_API_BASE_URL=in_environment, PRIMUS_LENS_API_TOKEN=TOKEN)
    assert found.returncode == 0, found.stdout
    assert of_the_user.authorizations == ["Bearer " + TOKEN]
    assert of_the_file.authorizations == []
    assert f"target: {of_the_user.base_url} ({way})" in found.stdout
    assert of_the_file.base_url not in found.stdout


def test_a_later_introduction_does_not_replace_an_earlier_one(
    listen: Callable[[], Listener], trainer: Trainer, lens: Lens
) -> None:
    genuine, planted = listen(), listen()
    mirror = mirrors.write(trainer.directory / "out", trainer.workload, genuine.base_url)
    with ledger_of(mirror).open("ab") as ledger:
        ledger.write(lines(introduction("stolen-" + trainer.workload, planted.base_url)))
    found = sync(trainer, "out", PRIMUS_LENS_API_BASE_URL="", PRIMUS_LENS_API_TOKEN=TOKEN)
    assert found.returncode == 0
    assert (genuine.authorizations, planted.authorizations) == ([None], [])
    assert lens.scalars(trainer.workload) == mirrors.whole()


def test_each_mirror_says_its_own_target_also_in_a_dry_run(listen: Callable[[], Listener], trainer: Trainer) -> None:
    one, two = listen(), listen()
    for name, listener in (("one", one), ("two", two)):
        mirrors.write(trainer.directory / "out" / name, trainer.workload, listener.base_url)
    dry = sync(trainer, "--dry-run", "out", PRIMUS_LENS_API_BASE_URL="")
    assert dry.returncode == 0
    assert (one.authorizations, two.authorizations) == ([], [])
    for output in (dry.stdout, sync(trainer, "out", PRIMUS_LENS_API_BASE_URL="").stdout):
        parts = output.split("\n\n")
        assert [(one.base_url in part, two.base_url in part) for part in parts] == [(True, False), (False, True)]

    # Also where nothing is left to send.
    again = sync(trainer, "out", PRIMUS_LENS_API_BASE_URL="")
    assert again.stdout.count("target: ") == again.stdout.count("nothing was missing") == 2


@pytest.mark.parametrize(
    "address",
    [
        "file:///etc/passwd",
        "http://",
        "http://host:port",
        "http://a b/",
        "http://a/\n✓ all is well",
        settings.DEFAULT_BASE_URL + "@evil.invalid/",
        "http://evil.invalid\\@primus-lens-telemetry-processor:8080/api/v1",
        5,
        None,
        ["http://a"],
    ],
)
def test_a_malformed_address_in_a_file_counts_as_none(address: object, trainer: Trainer) -> None:
    mirror = mirrors.write(trainer.directory / "out", trainer.workload)
    ledger_of(mirror).write_bytes(lines(introduction(trainer.workload, base_url=address)))
    found = sync(trainer, "--dry-run", "out", PRIMUS_LENS_API_BASE_URL="")
    assert found.returncode == 0
    assert TARGET_KNOWN in found.stdout
    assert "1 line(s) of the file's .delivery name no valid address" in found.stdout


def test_the_guides_address_in_a_file_is_none_that_somebody_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PRIMUS_LENS_API_BASE_URL", raising=False)
    targets = LensTargets(None)
    assert targets.choose(settings.DEFAULT_BASE_URL) == targets.choose("")
    assert targets.choose("").address == ""
    assert not targets.choose(settings.DEFAULT_BASE_URL + "2").is_users


def test_each_address_has_one_client_with_and_one_without_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PRIMUS_LENS_API_BASE_URL", raising=False)
    monkeypatch.setenv("PRIMUS_LENS_API_TOKEN", TOKEN)
    targets = LensTargets(None)
    of_a_file, known, users = (
        targets.choose("http://a/api/v1"),
        targets.choose(""),
        LensTargets("http://b/v1").choose(""),
    )
    assert targets.client(of_a_file) is targets.client(targets.choose("http://a/api/v1"))
    assert targets.client(of_a_file) is not targets.client(known)
    sent = [targets.client(target).headers.get("Authorization") for target in (of_a_file, known, users)]
    assert sent == [None, None, "Bearer " + TOKEN]


def test_a_password_in_an_address_of_a_file_is_not_shown(trainer: Trainer) -> None:
    mirrors.write(trainer.directory / "out", trainer.workload, "http://me:hidden@lens.invalid/api?key=hidden")
    found = sync(trainer, "--dry-run", "out", PRIMUS_LENS_API_BASE_URL="")
    assert "lens.invalid" in found.stdout
    assert "hidden" not in found.stdout


def test_only_the_first_mirror_waits_for_a_lens_that_is_away(
    faulty: FaultyLens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With hundreds of mirrors a minute for each would be hours; each still says that it was not delivered."""
    monkeypatch.setattr(delivery, "PATIENCE_S", 2.0)
    faulty.behaviour = faults.refuse(503, "starting")
    for number in range(4):
        mirrors.write(tmp_path / str(number), f"workload-{number}")
    assert cli.main(["sync", "--base-url", faulty.base_url, str(tmp_path)]) == 1
    assert capsys.readouterr().out.count("HTTP 503 starting") == 4
    assert [body["workload_uid"][-1] for _, body in faulty.requests[-3:]] == ["1", "2", "3"]
    assert len(faulty.requests) > 4


def test_a_password_in_a_malformed_address_is_not_shown(trainer: Trainer) -> None:
    mirrors.write(trainer.directory / "out", trainer.workload)
    found = sync(trainer, "--base-url", "htps://me:hidden@lens.invalid/api", "out")
    assert found.returncode == 2
    assert "lens.invalid/api' is not an address" in found.stderr
    assert "hidden" not in found.stdout + found.stderr


def test_a_malformed_variable_sends_the_token_nowhere_and_is_not_said_to_be_the_target(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PRIMUS_LENS_API_BASE_URL", "htps://lens.invalid/api")
    monkeypatch.setenv("PRIMUS_LENS_API_TOKEN", TOKEN)
    targets = LensTargets(None)
    target = targets.choose("http://a/api/v1")
    assert target == targets.choose("")
    assert target.address == ""
    assert "Authorization" not in targets.client(target).headers


@pytest.mark.parametrize(
    "behaviour",
    [
        hostile.answer(400, hostile.envelope(4000, "bad header: Bearer " + TOKEN)),
        hostile.answer(403, b"x" * 50 + TOKEN.encode()),
        hostile.answer(307, b"", b"Location: http://b/?" + TOKEN.encode()),
        hostile.answer(307, b"", b"Location: http://b/" + TOKEN.encode()),
        hostile.send_and_close(b"Authorization: Bearer " + TOKEN.encode() + b"\r\n\r\n"),
    ],
    ids=["in Lens's form", "cut off", "query", "path", "no HTTP"],
)
def test_a_server_that_says_the_token_back_does_not_get_it_printed(
    behaviour: hostile.Behaviour, trainer: Trainer
) -> None:
    mirrors.write(trainer.directory / "out", trainer.workload)
    with hostile.hostile_server(behaviour) as server:
        found = sync(trainer, "--base-url", server.base_url, "out", PRIMUS_LENS_API_TOKEN=TOKEN)
    assert found.returncode == 1
    assert "3 metrics of run r: " in found.stdout
    assert TOKEN[:6] not in found.stdout + found.stderr
