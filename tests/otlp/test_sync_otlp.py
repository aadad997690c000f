"""`primus-lens-wandb sync --to otlp`: what comes late is what would have come live, and nothing comes twice."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any, Iterator

import pytest

from ..faults.test_follow import Follower, wait_for
from ..support import mirrors, otlp_receiver
from ..support.commands import start_follow, sync
from ..support.faults import FaultyLens
from ..support.lens import Lens
from ..support.metric_servers import SERVERS, MetricServer
from ..support.mirrors import call, introduction, ledger_of, lines
from ..support.otlp_receiver import OtlpReceiver, Point, running_receiver
from ..support.stand_in_lens import StandInLens, running_stand_in
from ..support.training import Trainer

TOKEN = "-".join(["token", "of", "lens"])
KEY = "-".join(["key", "of", "the", "collector"])

SCRIPT = """
import time, wandb
run = wandb.init(project="p", name="the name", config={"lr": 0.1})
for i in range(30):
    run.log({"a": i, "bad": float("nan"), "far": float("-inf"), "flag": i % 2 == 0, "n": {"x": i / 3}, "text": "t"})
run.log({"a": 1.5}, step=40)
run.log({"a": 2.5, "huge": 2 ** 70}, step=40)
run.log({"late": 1}, step=3)
run.summary["best"] = 7
run.summary["limit"] = float("inf")
run.finish()
"""


def to_otlp(trainer: Trainer, receiver: OtlpReceiver, *arguments: str, **variables: str) -> Any:
    return sync(trainer, "--to", "otlp", "--otlp-endpoint", receiver.endpoint, *arguments, **variables)


def mirror_of(trainer: Trainer) -> Path:
    return trainer.directory / "mirror" / "node_0" / "rank_0" / mirrors.NAME


def forget(mirror: Path, field: str) -> None:
    """Removes the acknowledgements of one destination from a ledger."""
    ledger = ledger_of(mirror)
    ledger.write_text("".join(line + "\n" for line in ledger.read_text().splitlines() if f'"{field}"' not in line))


def comparable(points: list[Point]) -> list[str]:
    """Everything of each point; NaN is itself."""
    return sorted(repr((p.name, p.time_ns, type(p.value), p.value, p.attributes, p.resource)) for p in points)


def values_and_steps(receiver: OtlpReceiver) -> list[Point]:
    return [point for point in receiver.all_points() if point.name not in (otlp_receiver.INFO, otlp_receiver.CONFIG)]


@pytest.mark.parametrize("identity", [{}, {"WORKLOAD_UID": ""}])
def test_points_from_the_mirror_are_the_points_of_the_job(
    otlp_trainer: Trainer, receiver: OtlpReceiver, identity: dict[str, str]
) -> None:
    """Names, types, times, attributes, series; also of NaN, infinities, bools and what was logged again in its step."""
    places = {"RANK": "5", "LOCAL_RANK": "1", "NODE_RANK": "2", "WORLD_SIZE": "8", "DISPATCH_COUNT": "3"}
    otlp_trainer.run(SCRIPT, POD_NAME="the-pod", POD_NAMESPACE="ns", **places, **identity)
    live = comparable(values_and_steps(receiver))
    mirror = otlp_trainer.directory / "mirror" / "node_2" / "rank_1" / mirrors.NAME
    # 5 values of 30 calls, 3 of those in step 40, 2 of the summary, and a step for each.
    assert len(live) > 30 * 6
    receiver.taken.clear()
    assert to_otlp(otlp_trainer, receiver, "mirror").returncode == 0
    assert receiver.all_points() == [], "nothing was missing"

    forget(mirror, "delivered")
    found = to_otlp(otlp_trainer, receiver, "mirror")
    assert found.returncode == 0, found.stdout + found.stderr
    assert comparable(values_and_steps(receiver)) == live

    receiver.taken.clear()
    again = to_otlp(otlp_trainer, receiver, "mirror")
    assert again.returncode == 0
    assert "nothing was missing" in again.stdout
    assert receiver.all_points() == []


def samples_of(server: MetricServer, selector: str) -> set[str]:
    """Without duplicates, which VictoriaMetrics keeps unless it is told otherwise."""
    found = server.samples(selector, time.time() + 60)
    return {repr((sorted(series["metric"].items()), sample)) for series in found for sample in series["values"]}


@pytest.mark.parametrize("name", list(SERVERS))
def test_in_a_store_what_comes_twice_is_the_same(trainer: Trainer, tmp_path: Path, name: str) -> None:
    """As where an answer was lost; most of it is older than what the store has by then."""
    with SERVERS[name](tmp_path) as server:
        trainer.variables = {
            "PRIMUS_LENS_WANDB_OTLP_ENDPOINT": server.endpoint,
            "PRIMUS_LENS_WANDB_API_REPORTING": "false",
        }
        # Prometheus has one sample for a millisecond.
        training = trainer.run(SCRIPT.replace("    run.log(", "    time.sleep(0.005)\n    run.log(", 1))
        runs = f'{{wandb_run_id="{training.run_id}", wandb_metric=~"flag|n.x|best"}}'
        server.wait_for(runs, 30 + 30 + 1)
        before = samples_of(server, runs)
        forget(mirror_of(trainer), "delivered")
        found = sync(trainer, "--to", "otlp", "mirror")
        assert found.returncode == 0, found.stdout + found.stderr
        assert "metrics delivered to OpenTelemetry" in found.stdout
        time.sleep(3)
        assert samples_of(server, runs) == before


@pytest.fixture
def both(faulty_trainer: Trainer, receiver: OtlpReceiver) -> Trainer:
    """Trains with Lens and OpenTelemetry."""
    faulty_trainer.variables = {"PRIMUS_LENS_WANDB_OTLP_ENDPOINT": receiver.endpoint}
    return faulty_trainer


def test_after_an_outage_of_one_the_other_gets_nothing_twice(
    both: Trainer, faulty: FaultyLens, receiver: OtlpReceiver, lens: Lens
) -> None:
    receiver.down()
    both.run(SCRIPT, PRIMUS_LENS_WANDB_FLUSH_TIMEOUT="1")
    receiver.up()
    stored = lens.scalars(both.workload)
    count = len(faulty.requests)
    assert "nothing was missing" in sync(both, "mirror").stdout
    assert to_otlp(both, receiver, "mirror").returncode == 0
    assert len(faulty.requests) == count
    assert receiver.history()[40, "a"] == [1.5, 2.5]

    receiver.taken.clear()
    faulty.down()
    shutil.rmtree(both.directory / "mirror")
    both.run(SCRIPT, PRIMUS_LENS_WANDB_FLUSH_TIMEOUT="1")
    faulty.up()
    assert len(receiver.history()) > len(stored) / 2
    receiver.taken.clear()
    assert "nothing was missing" in to_otlp(both, receiver, "mirror").stdout
    delivered = sync(both, "--to", "lens", "--to", "otlp", "--otlp-endpoint", receiver.endpoint, "mirror")
    assert delivered.returncode == 0, delivered.stdout
    assert receiver.all_points() == []
    assert len(lens.points(both.workload)) == 2 * len(stored)


def test_a_run_that_was_never_seen_is_delivered_from_wandbs_file_and_told_of_once(
    otlp_trainer: Trainer, receiver: OtlpReceiver
) -> None:
    training = otlp_trainer.run(SCRIPT, PRIMUS_LENS_WANDB_HOOK="false")
    found = to_otlp(otlp_trainer, receiver, "wandb")
    assert found.returncode == 0, found.stdout + found.stderr
    assert "the run's own id" not in found.stdout
    history = {key: values[0] for key, values in receiver.history().items()}
    numbers = {
        (step, name): float(value) if isinstance(value, str) else value
        for step, row in training.history.items()
        for name, value in row.items()
        if name != "text"
    }
    assert {key: repr(float(value)) for key, value in history.items()} == {
        key: repr(float(value)) for key, value in numbers.items()
    }
    summary = {point.attributes["wandb.metric"]: point.value for point in receiver.points() if point.kind == "summary"}
    assert summary == {"best": 7, "limit": float("inf")}
    (info,) = [point for point in receiver.all_points() if point.name == otlp_receiver.INFO]
    assert info.resource["wandb.project"] == "p"
    assert info.resource["wandb.run.name"] == "the name"
    assert "primus.workload.uid" not in info.resource
    assert len({str(point.resource) for point in receiver.all_points()}) == 1

    receiver.taken.clear()
    assert "nothing was missing" in to_otlp(otlp_trainer, receiver, "wandb").stdout
    assert receiver.all_points() == []


def test_all_files_of_a_resumed_run_are_delivered_and_a_copy_of_one_is_not(
    otlp_trainer: Trainer, receiver: OtlpReceiver
) -> None:
    """Offline, a resumed run begins at step 0 again: a live job would have sent both values of each step."""
    for value in ("1", "2"):
        script = f"import wandb\nr = wandb.init(id='again', resume='allow')\nr.log({{'a': {value}}})\nr.finish()\n"
        otlp_trainer.run(script, PRIMUS_LENS_WANDB_HOOK="false")
        # The folder's name tells the second in which it was made.
        time.sleep(1.1)
    for folder in sorted((otlp_trainer.directory / "wandb").glob("offline-run-*")):
        shutil.copytree(folder, otlp_trainer.directory / "copies" / folder.name)
    found = to_otlp(otlp_trainer, receiver, ".")
    assert found.returncode == 0, found.stdout + found.stderr
    assert {key: sorted(values) for key, values in receiver.history().items()} == {(0, "a"): [1, 2]}
    receiver.taken.clear()
    assert to_otlp(otlp_trainer, receiver, ".").returncode == 0
    assert receiver.all_points() == []


def test_what_mirror_and_wandbs_file_both_have_goes_once(otlp_trainer: Trainer, receiver: OtlpReceiver) -> None:
    receiver.down()
    otlp_trainer.run(SCRIPT, PRIMUS_LENS_WANDB_FLUSH_TIMEOUT="0")
    receiver.up()
    found = to_otlp(otlp_trainer, receiver, ".")
    assert found.returncode == 0, found.stdout + found.stderr
    history = receiver.history()
    assert {key for key, values in history.items() if len(values) != 1} == {(40, "a")}
    assert len(history) == 30 * 5 + 2
    (_,) = [point for point in receiver.all_points() if point.name == otlp_receiver.INFO]
    receiver.taken.clear()
    assert to_otlp(otlp_trainer, receiver, ".").returncode == 0
    assert receiver.all_points() == []


def test_no_secret_and_no_address_goes_from_one_destination_to_the_other(
    trainer: Trainer, receiver: OtlpReceiver
) -> None:
    """Also where a file names another OTLP server as its Lens."""
    variables = {"PRIMUS_LENS_API_TOKEN": TOKEN, "OTEL_EXPORTER_OTLP_HEADERS": f"api-key={KEY}"}
    with running_receiver() as elsewhere, running_stand_in(StandInLens()) as lens:
        mirror = mirrors.write(trainer.directory / "mirror", "w", f"http://127.0.0.1:{elsewhere.port}/v1")
        found = to_otlp(
            trainer, receiver, "--to", "lens", str(mirror), PRIMUS_LENS_API_BASE_URL=lens.base_url, **variables
        )
        assert elsewhere.requests == []
    assert f"target: {receiver.endpoint} (--otlp-endpoint)" in found.stdout
    (_, headers, message), *_ = receiver.requests
    assert headers["api-key"] == KEY
    assert TOKEN not in str(headers) + str(message)
    assert lens.headers_of_last["Authorization"] == f"Bearer {TOKEN}"
    assert KEY not in str(lens.headers_of_last)


def test_a_dry_run_counts_what_goes_there(otlp_trainer: Trainer, receiver: OtlpReceiver) -> None:
    mirror = mirrors.write(otlp_trainer.directory / "mirror", "w")
    mirror.write_bytes(lines(call(0, data={"a": 1, "b": "NaN", "c": True, "d": "text", "e": {"_type": "image"}})))
    found = to_otlp(otlp_trainer, receiver, "--dry-run", "mirror")
    assert found.returncode == 0
    assert "3 metrics are missing in OpenTelemetry; nothing was sent" in found.stdout
    assert receiver.requests == []
    assert "2 metrics are missing in Lens" in sync(otlp_trainer, "--dry-run", "mirror").stdout


def test_what_was_stored_in_part_is_no_success_and_is_delivered_again(
    otlp_trainer: Trainer, receiver: OtlpReceiver
) -> None:
    mirrors.write(otlp_trainer.directory / "mirror", "w")
    receiver.behaviour = otlp_receiver.accept_but_for(2, "too old")
    found = to_otlp(otlp_trainer, receiver, "mirror")
    assert found.returncode == 1
    assert "2 metrics of run r: too old" in found.stdout
    assert "1 metrics delivered to OpenTelemetry" in found.stdout
    receiver.behaviour = otlp_receiver.accept
    assert to_otlp(otlp_trainer, receiver, "mirror").returncode == 0
    assert receiver.history() == {key: [value] for key, value in mirrors.whole().items()}


def test_ranks_do_not_overwrite_each_other_also_from_ledgers_that_tell_no_place(
    otlp_trainer: Trainer, receiver: OtlpReceiver
) -> None:
    for node in range(2):
        for rank in range(2):
            mirrors.write(otlp_trainer.directory / "mirror" / f"node_{node}" / f"rank_{rank}", "w")
    assert to_otlp(otlp_trainer, receiver, "mirror").returncode == 0
    assert {point.resource["service.instance.id"] for point in receiver.points()} == {
        "r/0.0",
        "r/0.1",
        "r/1.0",
        "r/1.1",
    }
    assert len(receiver.points()) == 12


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"place": {"node_rank": 1, "rank": 9, "local_rank": 1, "attempt": 2}}, ("r/1.1.2", 9, "", "")),
        ({"place": {"node_rank": -1}, "project": 7, "name": None}, ("r/0.0", 0, "", "")),
        ({"place": [1], "project": "p" * 3000, "name": "the name"}, ("r/0.0", 0, "", "the name")),
        ({"place": {"rank": 3, "another": {}}, "project": "p"}, ("r/0.0", 3, "p", "")),
    ],
)
def test_a_ledger_of_anything_tells_the_place_or_it_does_not(
    otlp_trainer: Trainer, receiver: OtlpReceiver, changes: dict[str, Any], expected: tuple[object, ...]
) -> None:
    mirror = mirrors.write(otlp_trainer.directory / "mirror", "w")
    ledger_of(mirror).write_bytes(lines(introduction("w", **changes)))
    assert to_otlp(otlp_trainer, receiver, "mirror").returncode == 0
    names = ("service.instance.id", "wandb.rank", "wandb.project", "wandb.run.name")
    (found,) = {tuple(point.resource.get(name, "") for name in names) for point in receiver.points()}
    assert found == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--to", "otlp"], "--to otlp wants an address: give --otlp-endpoint http://host:4318, or set PRIMUS_LENS"),
        (["--to", "otlp", "--otlp-endpoint", "collector:4318"], "is not an address of the form http://host:4318"),
        (["--otlp-endpoint", "http://collector:4318"], "--otlp-endpoint goes with --to otlp"),
        (["--to", "otlp", "--base-url", "http://lens/v1"], "--base-url is where Lens is"),
        (["--to", "nowhere"], "invalid choice: 'nowhere'"),
    ],
)
def test_wrong_usage_is_exit_2(trainer: Trainer, arguments: list[str], message: str) -> None:
    found = sync(trainer, *arguments, ".")
    assert found.returncode == 2
    assert message in found.stderr


def test_without_the_extra_it_says_what_to_install(trainer: Trainer, tmp_path: Path, receiver: OtlpReceiver) -> None:
    mirrors.write(trainer.directory / "mirror", "w")
    hiding = tmp_path / "hiding" / "opentelemetry"
    hiding.mkdir(parents=True)
    (hiding / "__init__.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'opentelemetry'\", name='opentelemetry')\n"
    )
    found = to_otlp(trainer, receiver, "mirror", PYTHONPATH=str(hiding.parent))
    assert found.returncode == 1
    assert 'pip install "primus-lens-wandb-exporter[otlp]"' in found.stdout
    assert "nothing is sent to OpenTelemetry" in found.stdout


@pytest.fixture
def followers() -> Iterator[list[Follower]]:
    started: list[Follower] = []
    yield started
    for follower in started:
        follower.process.kill()
        follower.process.wait()


def test_a_follower_delivers_to_one_while_the_other_is_away(
    both: Trainer, faulty: FaultyLens, receiver: OtlpReceiver, lens: Lens, followers: list[Follower]
) -> None:
    mirrors.write(both.directory / "mirror", both.workload)
    receiver.down()
    follower = Follower(start_follow(both, "--to", "lens", "--to", "otlp", "mirror"))
    followers.append(follower)
    wait_for(lambda: follower.said("does not take anything") == 1)
    wait_for(lambda: follower.said("3 metrics delivered to Lens") == 1)
    sent = [path for path, _ in faulty.taken]
    receiver.up()
    wait_for(lambda: follower.said("3 metrics delivered to OpenTelemetry") == 1)
    wait_for(lambda: follower.said("OpenTelemetry at " + receiver.endpoint + " answers again") == 1)
    assert [path for path, _ in faulty.taken] == sent, "Lens got nothing twice"
    assert receiver.history() == {key: [value] for key, value in mirrors.whole().items()}
    fields = [json.loads(line).keys() for line in ledger_of(both.directory / "mirror" / mirrors.NAME).open()]
    assert sum("acknowledged" in names for names in fields) == 1
    assert sum("delivered" in names for names in fields) == 1
    assert follower.end() == 0
