"""Whatever one mirror or ledger holds or is: `sync` says one line about it and delivers the others."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from primus_lens_wandb_exporter import cli
from primus_lens_wandb_exporter.commands import delivery

from ..support import mirrors
from ..support.commands import sync
from ..support.lens import Lens
from ..support.mirrors import call, introduction, ledger_of, lines
from ..support.training import Trainer

DEEP = b"[" * 200_000 + b"]" * 200_000
HUGE = b"9" * 200_000

Spoil = Callable[[Path], None]


def instead_of(line: bytes) -> Spoil:
    """The mirror has this in the place of its first call."""

    def spoil(mirror: Path) -> None:
        mirror.write_bytes(line + b"\n" + lines(call(1), call(2)))

    return spoil


def with_field(**changes: Any) -> Spoil:
    return instead_of(json.dumps(call(0, **changes)).encode())


def with_text(field: str, text: bytes) -> Spoil:
    """JSON that Python does not write: numbers too large, nesting too deep."""
    return instead_of(json.dumps(call(0, **{field: "@"})).encode().replace(b'"@"', text))


def in_ledger(content: bytes) -> Spoil:
    """The ledger has this behind its introduction."""

    def spoil(mirror: Path) -> None:
        ledger_of(mirror).write_bytes(ledger_of(mirror).read_bytes() + content + b"\n")

    return spoil


def acknowledging(text: str) -> Spoil:
    return in_ledger(b'{"writer": "w", "run_id": "r", "acknowledged": %s}' % text.encode())


TORN = "1 torn or unreadable line(s) skipped"
UNREADABLE = "1 unreadable line(s) of the file's .delivery skipped"

# What is spoilt, what is said about it; two of three calls arrive for lines of the mirror, all for lines of the ledger.
MIRROR_LINES: dict[str, tuple[Spoil, str]] = {
    "timestamp 1e400": (with_text("timestamp", b"1e400"), TORN),
    "timestamp NaN": (with_field(timestamp=float("nan")), TORN),
    "timestamp -Infinity": (with_field(timestamp=float("-inf")), TORN),
    "timestamp beyond the year 9999": (with_field(timestamp=1e300), TORN),
    "timestamp a bool": (with_field(timestamp=True), TORN),
    "step 1e400": (with_text("step", b"1e400"), TORN),
    "step of 200,000 digits": (with_text("step", HUGE), TORN),
    "step beyond 64 bits": (with_field(step=2**70), TORN),
    "step a list": (with_field(step=[1]), TORN),
    "sequence a bool": (with_field(sequence=True), TORN),
    "sequence negative": (with_field(sequence=-1), TORN),
    "run id an object": (with_field(run_id={}), TORN),
    "run id with a surrogate": (with_field(run_id="\ud800"), TORN),
    "writer over-long": (with_field(writer="w" * 100_000), TORN),
    "data a list": (with_field(data=[1, 2]), TORN),
    "data nested deep": (with_text("data", DEEP), TORN),
    "constant NaN in data": (with_field(data={"a": float("nan")}), TORN),
    "no object": (instead_of(b"5"), TORN),
    "no JSON": (instead_of(b"\x7fELF\0\0\0"), TORN),
    "invalid UTF-8": (instead_of(b'{"\xff\xfe": 1}'), TORN),
    "NUL bytes": (instead_of(b"\0" * 100_000), TORN),
    "a line of 40 MB": (instead_of(b'{"data": "' + b"x" * 40_000_000 + b'"}'), TORN),
    "step beyond 31 bits": (with_field(step=2**40), "1 metrics cannot be stored by Lens"),
    "value 1e400": (with_text("data", b'{"a": 1e400}'), "2 metrics delivered"),
    "value of 200,000 digits": (with_text("data", b'{"a": %s}' % HUGE), "2 metrics delivered"),
    "name with a NUL": (with_field(data={"\0": 1}), "1 metrics cannot be stored by Lens"),
}
LEDGER_LINES: dict[str, tuple[Spoil, str]] = {
    "acknowledged 5": (acknowledging("5"), UNREADABLE),
    "acknowledged [[1]]": (acknowledging("[[1]]"), UNREADABLE),
    "acknowledged a text": (acknowledging('[["a", 2]]'), UNREADABLE),
    "acknowledged bools": (acknowledging("[[true, true]]"), UNREADABLE),
    "acknowledged backwards": (acknowledging("[[2, 0]]"), UNREADABLE),
    "acknowledged 1e400": (acknowledging("[[0, 1e400]]"), UNREADABLE),
    "acknowledged beyond 64 bits": (acknowledging(f"[[0, {2**80}]]"), UNREADABLE),
    "acknowledged no JSON": (acknowledging("[[0, 1],"), UNREADABLE),
    "ledger nested deep": (in_ledger(DEEP), UNREADABLE),
    "ledger no object": (in_ledger(b"[1]"), UNREADABLE),
    "ledger not UTF-8": (in_ledger(b"\xff\xff"), UNREADABLE),
    "ledger a line of 40 MB": (in_ledger(b"x" * 40_000_000), UNREADABLE),
    "identity a list": (in_ledger(lines(introduction("", writer="other", identity=[]))), UNREADABLE),
    "identity of numbers": (in_ledger(lines(introduction("", writer="other", identity={"pod_uid": 1}))), UNREADABLE),
    "identity over-long": (in_ledger(lines(introduction("w" * 300, writer="other"))), UNREADABLE),
    "identity with a surrogate": (in_ledger(lines(introduction("\udfff", writer="other"))), UNREADABLE),
    "address that is none": (
        in_ledger(lines(introduction("", "file:///etc/passwd", writer="other"))),
        "name no valid address, the first 'file:///etc/passwd'",
    ),
    "address a number": (in_ledger(lines(introduction("", writer="other", base_url=5))), "name no valid address"),
    "pid and host of odd types": (
        in_ledger(lines(introduction("", writer="other", pid=-1, host=[]))),
        "3 metrics delivered",
    ),
}


def replace(path_of: Callable[[Path], Path], make: Callable[[Path], object]) -> Spoil:
    def spoil(mirror: Path) -> None:
        path = path_of(mirror)
        path.unlink()
        make(path)

    return spoil


def make_socket(path: Path) -> None:
    """By a short name: those of sockets have little room."""
    here = os.getcwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path.name)
    finally:
        os.chdir(here)


def same(mirror: Path) -> Path:
    return mirror


KINDS: dict[str, tuple[Spoil, str]] = {
    f"{whose} {kind}": (replace(path_of, make), f"{suffix} is {said}, not a regular file")
    for whose, path_of, suffix in (("mirror", same, ".jsonl"), ("ledger", ledger_of, ".delivery"))
    for kind, make, said in (
        ("a FIFO", lambda path: os.mkfifo(path), "a FIFO"),
        ("a folder", lambda path: path.mkdir(), "a folder"),
        ("a socket", make_socket, "a device or a socket"),
        ("a link", lambda path: path.symlink_to("/etc/hostname"), "a symbolic link"),
        ("a dangling link", lambda path: path.symlink_to("nowhere"), "a symbolic link"),
        ("a link to a device", lambda path: path.symlink_to("/dev/zero"), "a symbolic link"),
    )
}
EMPTY: dict[str, tuple[Spoil, str]] = {
    "empty mirror": (lambda mirror: mirror.write_bytes(b"") and None, "nothing was missing"),
    "empty ledger": (lambda mirror: ledger_of(mirror).write_bytes(b"") and None, "does not say whose they are"),
}
ALL = {**MIRROR_LINES, **LEDGER_LINES, **KINDS, **EMPTY}
ARRIVES = {name: {1, 2} if name in MIRROR_LINES else {0, 1, 2} for name in (*MIRROR_LINES, *LEDGER_LINES)}
FAILS = {*KINDS, "empty ledger"}


def folder_of(name: str) -> str:
    return f"{1 + list(ALL).index(name):02d}"


def part_about(output: str, folder: str) -> str:
    """What was said below the title of one mirror."""
    (part,) = [part for part in output.split("\n\n") if f"/{folder}/{mirrors.NAME}" in part.splitlines()[0]]
    return part


@pytest.fixture(scope="module")
def hostile_sync(tmp_path_factory: pytest.TempPathFactory, training_python: str, lens: Lens) -> tuple[Any, ...]:
    """One sync of all of them, with good ones before, behind and between; the others look at what came of it."""
    directory = tmp_path_factory.mktemp("hostile")
    trainer = Trainer(training_python, directory, lens.base_url, "hostile")
    good = ["00", "99", *(folder_of(name) + "-good" for name in ALL)]
    for folder in good:
        mirrors.write(directory / "out" / folder, f"hostile-{folder}-{directory.name}")
    for name, (spoil, _) in ALL.items():
        folder = folder_of(name)
        spoil(mirrors.write(directory / "out" / folder, f"hostile-{folder}-{directory.name}"))
    began = time.monotonic()
    found = sync(trainer, "out")
    return found, time.monotonic() - began, good, directory.name


def test_all_good_mirrors_among_hostile_ones_are_delivered(hostile_sync: tuple[Any, ...], lens: Lens) -> None:
    found, seconds, good, unique = hostile_sync
    assert found.returncode == 1
    assert "Traceback" not in found.stdout + found.stderr
    assert "internal error" not in found.stdout
    for folder in good:
        assert lens.scalars(f"hostile-{folder}-{unique}") == mirrors.whole(), folder
    assert seconds < 100


@pytest.mark.parametrize("name", ALL)
def test_a_hostile_file_is_one_line_and_what_is_well_formed_in_it_arrives(
    name: str, hostile_sync: tuple[Any, ...], lens: Lens
) -> None:
    found, _, _, unique = hostile_sync
    part = part_about(found.stdout, folder_of(name))
    _, said = ALL[name]
    assert part.count(said) == 1, part
    assert ("✗" in part or "[X]" in part) == (name in FAILS), part
    arrived = {int(step) for step, _ in lens.scalars(f"hostile-{folder_of(name)}-{unique}")}
    assert arrived == ARRIVES.get(name, set())


@pytest.mark.parametrize("name", ["acknowledged 5", "timestamp 1e400", "ledger nested deep", "step of 200,000 digits"])
def test_bad_lines_alone_are_exit_0_and_a_second_sync_sends_nothing(name: str, trainer: Trainer, lens: Lens) -> None:
    mirror = mirrors.write(trainer.directory / "out", trainer.workload)
    ALL[name][0](mirror)
    assert sync(trainer, "out").returncode == 0
    again = sync(trainer, "out")
    assert again.returncode == 0
    assert "nothing was missing" in again.stdout


@pytest.mark.parametrize("kind", ["a FIFO", "a dangling link"])
def test_a_hostile_file_that_is_named_itself_is_refused(kind: str, trainer: Trainer) -> None:
    mirror = mirrors.write(trainer.directory / "out", trainer.workload)
    KINDS["mirror " + kind][0](mirror)
    found = sync(trainer, str(mirror))
    assert found.returncode == 1
    assert ("is a FIFO" if kind == "a FIFO" else "there is no mirror at") in found.stdout


def test_a_named_link_is_followed_to_the_mirror_and_its_own_ledger(trainer: Trainer, lens: Lens) -> None:
    """What the user names may be a link: people link what is long to type."""
    mirror = mirrors.write(trainer.directory / "out", trainer.workload)
    link = trainer.directory / "latest.jsonl"
    link.symlink_to(mirror)
    assert sync(trainer, str(link)).returncode == 0
    assert lens.scalars(trainer.workload) == mirrors.whole()
    assert "acknowledged" in ledger_of(mirror).read_text()
    assert not ledger_of(link).exists()

    (trainer.directory / "linked").symlink_to(mirror.parent)
    again = sync(trainer, "linked")
    assert again.returncode == 0
    assert "nothing was missing" in again.stdout


@pytest.fixture
def deep_tree() -> Iterator[Path]:
    """Outside of pytest's own folders, because what removes those does not go so deep."""
    folder = Path(tempfile.mkdtemp())
    here = os.getcwd()
    os.chdir(folder)
    try:
        for _ in range(2500):
            os.mkdir("dd")
            os.chdir("dd")
        yield folder
    finally:
        os.chdir(here)
        subprocess.run(["rm", "-rf", str(folder)], check=True)


def test_a_tree_too_deep_to_search_costs_only_itself(deep_tree: Path, trainer: Trainer, lens: Lens) -> None:
    mirrors.write(deep_tree / "good", trainer.workload)
    found = sync(trainer, str(deep_tree))
    assert found.returncode == 0
    assert "1 folder(s) could not be searched" in found.stdout
    assert lens.scalars(trainer.workload) == mirrors.whole()


def test_even_an_error_of_our_own_ends_one_mirror_only(
    tmp_path: Path, lens: Lens, workload: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("1", "2", "3"):
        mirrors.write(tmp_path / name, f"{workload}-{name}")
    real = delivery.Delivery.deliver

    def deliver(self: delivery.Delivery) -> None:
        if "/2/" in self._source.path:
            raise ZeroDivisionError("surprise")
        real(self)

    monkeypatch.setattr(delivery.Delivery, "deliver", deliver)
    assert cli.main(["sync", "--base-url", lens.base_url, str(tmp_path)]) == 1
    output = capsys.readouterr().out
    assert output.count("internal error: ZeroDivisionError: surprise") == 1
    assert output.count("3 metrics delivered") == 2
    assert [len(lens.points(f"{workload}-{name}")) for name in ("1", "2", "3")] == [3, 0, 3]


def test_a_sparse_file_of_terabytes_is_passed_over_at_once(trainer: Trainer, lens: Lens) -> None:
    hole = mirrors.write(trainer.directory / "out" / "1", trainer.workload + "-1")
    with hole.open("r+b") as file:
        first = file.readline()
        file.truncate(len(first))
        file.seek(2**42)
        file.write(b"\n" + lines(call(1), call(2)))
    mirrors.write(trainer.directory / "out" / "2", trainer.workload)
    found = sync(trainer, "out")
    assert found.returncode == 0
    assert found.stdout.count(TORN) == 1
    assert lens.scalars(trainer.workload) == lens.scalars(trainer.workload + "-1") == mirrors.whole()


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
def test_a_sync_without_stdout_delivers(closed: str, trainer: Trainer, lens: Lens) -> None:
    """Some daemons start their jobs so."""
    mirror = mirrors.write(trainer.directory / "out", trainer.workload)
    before = mirror.read_bytes()
    command = [trainer.python, "-m", "primus_lens_wandb_exporter.cli", "sync", "out"]
    shell = ["sh", "-c", f'"$@" {closed}', "sh", *command]
    assert subprocess.run(shell, cwd=trainer.directory, env=trainer.environment(), timeout=60).returncode == 0
    assert lens.scalars(trainer.workload) == mirrors.whole()
    assert mirror.read_bytes() == before
