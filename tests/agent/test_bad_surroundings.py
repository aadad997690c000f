"""Malformed settings, a Lens that is none, a path that cannot be written: the job runs to its normal end."""

from __future__ import annotations

import pytest

from ..support import faults
from ..support.faults import FaultyLens
from ..support.lens import Lens, running_lens
from ..support.training import Trainer
from ..support.wandb_file import scalars

SCRIPT = """
import wandb
run = wandb.init(project="p")
for i in range(30):
    run.log({"a": i, "b": i * 0.5})
run.finish()
print("trained")
"""


@pytest.mark.parametrize(
    ("variable", "value", "default"),
    [
        ("PRIMUS_LENS_WANDB_BATCH_SIZE", "abc", "500"),
        ("PRIMUS_LENS_WANDB_BATCH_SIZE", "0", "500"),
        ("PRIMUS_LENS_WANDB_FLUSH_INTERVAL", "-1", "1.0"),
        ("PRIMUS_LENS_WANDB_FLUSH_INTERVAL", "nan", "1.0"),
        ("PRIMUS_LENS_WANDB_ENHANCE_METRICS", "maybe", "False"),
        ("PRIMUS_LENS_WANDB_HOOK", "maybe", "True"),
        ("NODE_RANK", "x", "0"),
        ("LOCAL_RANK", "-1", "0"),
    ],
)
def test_a_malformed_setting_is_one_line_and_the_default(
    variable: str, value: str, default: str, trainer: Trainer, lens: Lens
) -> None:
    training = trainer.run(SCRIPT, **{variable: value})

    (line,) = [line for line in training.stderr.splitlines() if "Primus Lens" in line]
    assert variable in line
    assert repr(value) in line
    assert line.endswith(default)
    assert lens.scalars(trainer.workload) == scalars(training.history)


def test_a_malformed_address_is_one_line_and_the_known_ones(trainer: Trainer) -> None:
    training = trainer.run(
        SCRIPT, PRIMUS_LENS_API_BASE_URL="http://lens:eighty/api/v1", PRIMUS_LENS_WANDB_FLUSH_TIMEOUT="0.5"
    )

    malformed = [line for line in training.stderr.splitlines() if "PRIMUS_LENS_API_BASE_URL" in line]
    assert len(malformed) == 1
    assert "'http://lens:eighty/api/v1'" in malformed[0]
    assert malformed[0].endswith("using the known addresses of Lens")
    assert "trained" in training.stdout


@pytest.mark.parametrize("behaviour", [faults.html, faults.redirect, faults.close], ids=["html", "redirect", "close"])
def test_a_lens_that_is_none_does_not_touch_the_job(
    behaviour: faults.Behaviour, faulty: FaultyLens, faulty_trainer: Trainer
) -> None:
    faulty.behaviour = behaviour
    training = faulty_trainer.run(SCRIPT, PRIMUS_LENS_WANDB_FLUSH_TIMEOUT="1")

    assert training.stdout == "trained\n"
    assert faulty.request_count >= 1
    assert 1 <= len([line for line in training.stderr.splitlines() if "Primus Lens" in line]) <= 2
    assert len(training.lines()) == 30


def test_an_address_that_does_not_exist_does_not_touch_the_job(trainer: Trainer) -> None:
    training = trainer.run(
        SCRIPT, PRIMUS_LENS_API_BASE_URL="http://no-such-host.invalid:8080/api/v1", PRIMUS_LENS_WANDB_FLUSH_TIMEOUT="1"
    )

    assert training.stdout == "trained\n"
    (line,) = [line for line in training.stderr.splitlines() if "Primus Lens" in line]
    assert "60 metrics" in line


def test_without_an_identity_one_line_says_what_to_set_and_nothing_is_sent(
    faulty: FaultyLens, faulty_trainer: Trainer
) -> None:
    training = faulty_trainer.run(SCRIPT + SCRIPT, WORKLOAD_UID="")

    (line,) = [line for line in training.stderr.splitlines() if "Primus Lens" in line]
    assert "WORKLOAD_UID" in line
    assert "POD_NAME" in line
    assert faulty.requests == []
    assert len(training.lines()) == 60


def test_on_kubernetes_the_hostname_stands_in_for_the_pods_name(faulty: FaultyLens, faulty_trainer: Trainer) -> None:
    import socket

    faulty_trainer.run(SCRIPT, WORKLOAD_UID="", KUBERNETES_SERVICE_HOST="10.0.0.1", POD_UID="u", POD_NAMESPACE="ns")

    bodies = [body for _, body in faulty.requests]
    assert {(body["workload_uid"], body["pod_name"], body["pod_uid"]) for body in bodies} == {
        ("", socket.gethostname(), "u")
    }


def test_the_hostname_of_a_node_names_no_pod(faulty: FaultyLens, faulty_trainer: Trainer) -> None:
    import socket

    in_pod = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "NODE_NAME": socket.gethostname()}
    training = faulty_trainer.run(SCRIPT, WORKLOAD_UID="", **in_pod)

    assert faulty.requests == []
    assert "neither WORKLOAD_UID nor POD_NAME is set" in training.stderr


def test_an_unwritable_path_is_one_warning(trainer: Trainer, lens: Lens) -> None:
    (trainer.directory / "file").write_text("")
    path = str(trainer.directory / "file" / "below")
    training = trainer.run(SCRIPT, PRIMUS_LENS_WANDB_OUTPUT_PATH=path)

    (line,) = [line for line in training.stderr.splitlines() if "Primus Lens" in line]
    assert path in line
    assert lens.scalars(trainer.workload) == scalars(training.history)


def test_saving_and_reporting_can_be_switched_off(faulty: FaultyLens, faulty_trainer: Trainer) -> None:
    training = faulty_trainer.run(SCRIPT, PRIMUS_LENS_WANDB_SAVE_LOCAL="no", PRIMUS_LENS_WANDB_API_REPORTING="0")

    assert faulty.requests == []
    assert not (faulty_trainer.directory / "mirror").exists()
    assert "Primus Lens" not in training.stderr


def test_steps_that_lens_cannot_store_stay_out_of_it(trainer: Trainer, lens: Lens) -> None:
    training = trainer.run(
        """
        import wandb
        run = wandb.init(project="p")
        run.log({"a": 1}, step=2**31 - 1)
        run.log({"a": 2}, step=2**31)
        run.finish()
        """
    )

    assert lens.scalars(trainer.workload) == {(2**31 - 1, "a"): 1.0}
    assert [line["step"] for line in training.lines()] == [2**31 - 1, 2**31]
    assert "2147483648" in training.stderr


def test_a_token_opens_a_lens_that_asks_for_one_and_is_never_shown(trainer: Trainer) -> None:
    with running_lens(trainer.directory, 0, "--token", "s3cret-token") as guarded:
        address = {"PRIMUS_LENS_API_BASE_URL": guarded.base_url, "PRIMUS_LENS_WANDB_DEBUG": "true"}
        refused = trainer.run(SCRIPT, **address)
        accepted = trainer.run(SCRIPT, PRIMUS_LENS_API_TOKEN="s3cret-token", **address)

    assert any("Lens refused" in line and "401" in line for line in refused.stderr.splitlines())
    assert "received=60, delivered=60" in accepted.stderr
    mirror = "".join(path.read_text() for path in (trainer.directory / "mirror").rglob("*.*"))
    assert "s3cret-token" not in refused.stderr + accepted.stderr + mirror


def test_the_debug_log_shows_the_way_of_the_data(trainer: Trainer) -> None:
    training = trainer.run(SCRIPT, PRIMUS_LENS_WANDB_DEBUG="true")

    lines = [line for line in training.stderr.splitlines() if "Primus Lens" in line]
    for expected in ("is intercepted", "intercepted wandb.init()", "intercepted wandb.log()", "✓ Metrics data queued"):
        assert any(expected in line for line in lines), expected
    assert any("received=60, delivered=60, rejected=0, dropped=0, pending=0" in line for line in lines)


def test_the_logger_can_be_quieted(trainer: Trainer) -> None:
    training = trainer.run(
        "import logging; logging.getLogger('primus_lens_wandb_exporter').setLevel(logging.WARNING)\n" + SCRIPT,
        PRIMUS_LENS_WANDB_DEBUG="true",
    )
    assert "Primus Lens" not in training.stderr


def test_a_pipe_in_place_of_wandbs_file_holds_nobody_up(trainer: Trainer) -> None:
    training = trainer.run(
        """
        import os, time, wandb
        run = wandb.init(project="p")
        run.log({"a": 1})
        file = run._settings.sync_file
        while not os.path.exists(file):
            time.sleep(0.01)
        # Out of sight of wandb, which has it open.
        os.rename(file, file + ".away")
        os.mkfifo(file)
        child = os.fork()
        if not child:
            # Its calls are to be found in the file alone, from here on those of its parent too.
            run.log({"a": 2})
            os._exit(0)
        os.waitpid(child, 0)
        run.log({"a": 3})
        run.finish()
        os.rename(file + ".away", file)
        print("trained")
        """
    )

    assert training.stdout.splitlines()[-1] == "trained"
    assert "it is no regular file. Deliver the rest with: primus-lens-wandb sync " in training.stderr


def test_a_handler_of_the_job_that_raises_or_logs_to_wandb_changes_nothing(trainer: Trainer, lens: Lens) -> None:
    training = trainer.run(
        """
        import logging, wandb

        class ToWandb(logging.Handler):
            def emit(self, record):
                if wandb.run is not None:
                    wandb.log({record.name: 1})
                raise RuntimeError("a broken handler")

        logging.getLogger().setLevel(logging.DEBUG)
        logging.getLogger("urllib3").setLevel(logging.WARNING)
        run = wandb.init(project="p")
        logging.getLogger().handlers[:] = [ToWandb()]
        for i in range(5):
            run.log({"a": i})
        # Our warning that nothing of it can be sent comes at exit.
        other = wandb.init(project="p", id="texts", reinit=True)
        other.log({"text": "x"})
        wandb.run = None
        other.finish()
        """
    )

    assert training.returncode == 0
    names = {name for history in training.histories.values() for row in history.values() for name in row}
    assert not [name for name in names if name.startswith("primus_lens")], "our messages became rows"
    (run_id,) = training.histories.keys() - {"texts"}
    assert lens.scalars(trainer.workload, run_id) == scalars(training.histories[run_id])
    assert "broken handler" not in training.stderr


def test_a_service_that_dies_with_the_rows_of_a_run_is_said(trainer: Trainer) -> None:
    training = trainer.run(
        """
        import contextlib, os, psutil, wandb
        run = wandb.init(project="p")
        run.log({"a": 1})
        child = os.fork()
        if not child:
            run.log({"a": 2})
            os._exit(0)
        os.waitpid(child, 0)
        run.log({"a": 3})
        for helper in psutil.Process().children(recursive=True):
            helper.kill()
        with contextlib.suppress(Exception):
            run.finish()
        """
    )

    assert "wandb has not written the end of the run to its own file. Deliver the rest with: " in training.stderr
