"""Variables that may leave the job, versions from metadata, and what CI systems leave in an image."""

import re
from pathlib import Path
from typing import Any, Callable, Dict

import pytest

from primus_lens_wandb_exporter.detection import environment, software

from .contract import BUILD
from .stand_ins import Modules, payload

SetVariables = Callable[..., None]
EMPTY = dict.fromkeys(BUILD, "")


def evidence(modules: Modules) -> Dict[str, Any]:
    found = payload(modules)["evidence"]
    assert isinstance(found, dict)
    return found


def test_only_allowed_variables_leave_the_job(modules: Modules, set_variables: SetVariables) -> None:
    set_variables(RANK="3", POD_NAME="pod-0", PRIMUS_CONFIG="/c.yaml", MY_SECRET="x", HF_TOKEN="x", PATH_TO_DATA="/d")
    assert evidence(modules)["environment"] == {"RANK": "3", "POD_NAME": "pod-0", "PRIMUS_CONFIG": "/c.yaml"}


PLATFORM = """
MODEL_NAME MODEL_ID PRIMUS_MODEL HF_MODEL_NAME PRETRAINED_MODEL TRAINING_MODE MODE TRAIN_MODE PRECISION DTYPE
COMPUTE_DTYPE TORCH_DTYPE WORKLOAD_ID WORKLOAD_KIND WORKSPACE DISPLAY_NAME DISPATCH_COUNT GPUS_PER_NODE
TRAINING_FRAMEWORK GPU_ARCH AMD_GPU_ARCH NVIDIA_GPU_ARCH SLURM_RESTART_COUNT
"""


@pytest.mark.parametrize("name", PLATFORM.split())
def test_what_the_platform_sets_and_reads_is_in_the_environment(
    name: str, modules: Modules, set_variables: SetVariables
) -> None:
    set_variables(**{name: "a-value"}, USER_APIKEY="not-for-anybody", USER_APIKEY_ID="1")
    body = payload(modules)
    assert body["evidence"]["environment"] == {name: "a-value"}
    assert "not-for-anybody" not in str(body)


def test_every_variable_that_may_leave_the_job_is_in_the_docs() -> None:
    text = (Path(__file__).parents[2] / "docs" / "detection.md").read_text(encoding="utf-8")
    named = set(re.findall("`([A-Z][A-Z0-9_]+)`", text))
    assert set(environment.ALLOWED) <= named


def test_values_of_variables_are_redacted_and_bounded(modules: Modules, set_variables: SetVariables) -> None:
    set_variables(
        PRIMUS_CONFIG="https://token@host/c.yaml",
        RAY_ADDRESS="ray://u:p@h:1",
        HOSTNAME="h" * 100_000,
        NODE_NAME="n\udc80",
    )
    environment = evidence(modules)["environment"]
    assert environment["PRIMUS_CONFIG"] == "https://[redacted]@host/c.yaml"
    assert environment["RAY_ADDRESS"] == "ray://u:[redacted]@h:1"
    assert len(environment["HOSTNAME"]) <= 1000
    environment["NODE_NAME"].encode("utf-8")


def test_versions_come_from_the_names_of_metadata_folders(tmp_path: Path) -> None:
    for name in (
        "torch-2.9.0+rocm6.4.dist-info",
        "flash_attn-2.8.3.dist-info",
        "megatron_core-0.15.0rc1.dist-info",
        "apex-0.1-py3.12.egg-info",
        "primus-0.0.1.dist-info",
        "unknown-1.0.dist-info",
        "torch",
        "broken-.dist-info",
    ):
        (tmp_path / name).mkdir()
    assert software.installed_versions([str(tmp_path), str(tmp_path / "missing")]) == {
        "apex": "0.1",
        "flash-attn": "2.8.3",
        "megatron-core": "0.15.0rc1",
        "torch": "2.9.0+rocm6.4",
    }


def test_the_first_on_the_path_counts(tmp_path: Path) -> None:
    for folder, version in (("first", "2.9"), ("second", "2.8")):
        (tmp_path / folder / ("torch-%s.dist-info" % version)).mkdir(parents=True)
    assert software.installed_versions([str(tmp_path / "first"), str(tmp_path / "second")]) == {"torch": "2.9"}


def test_only_folders_of_packages_are_listed() -> None:
    path = ["", "/home/me/project", "/usr/lib/python3/dist-packages", "/venv/lib/python3.12/site-packages/"]
    assert software.package_folders(path) == path[2:]


def test_this_interpreters_packages_are_found(modules: Modules) -> None:
    importlib_metadata = pytest.importorskip("importlib.metadata")
    assert evidence(modules)["software"]["packages"]["numpy"] == importlib_metadata.version("numpy")


def test_a_frameworks_own_word_on_its_version_is_preferred(modules: Modules, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(software, "installed_versions", lambda paths: {"deepspeed": "0.1", "levanter": "1.2"})
    modules.load("deepspeed", __version__="0.18")
    assert evidence(modules)["base_frameworks"]["deepspeed"]["version"] == "0.18"
    modules.load("levanter")
    assert evidence(modules)["wrapper_frameworks"]["levanter"]["version"] == "1.2"


def test_a_broken_part_leaves_the_others(modules: Modules, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise OSError("broken")

    monkeypatch.setattr(software, "installed_versions", fail)
    monkeypatch.setattr("primus_lens_wandb_exporter.detection.hardware.hardware_evidence", fail)
    found = evidence(modules)
    assert found["software"] == {"rocm_version": "", "packages": {}}
    assert found["hardware"]["gpu_count"] == 0
    assert found["wandb"]["project"] == ""


def test_a_job_without_ci_has_an_empty_build(modules: Modules) -> None:
    assert evidence(modules)["build"] == EMPTY


def test_github_actions(modules: Modules, set_variables: SetVariables) -> None:
    set_variables(
        GITHUB_SERVER_URL="https://github.com",
        GITHUB_REPOSITORY="AMD/Primus",
        GITHUB_RUN_ID="42",
        GITHUB_SHA="abc",
        GITHUB_REF_NAME="main",
    )
    assert evidence(modules)["build"] == {
        **EMPTY,
        "build_url": "https://github.com/AMD/Primus/actions/runs/42",
        "git_commit": "abc",
        "git_branch": "main",
        "git_repo": "https://github.com/AMD/Primus",
        "ci_pipeline_id": "42",
    }


def test_gitlab(modules: Modules, set_variables: SetVariables) -> None:
    set_variables(
        CI_JOB_URL="https://gitlab.com/a/b/-/jobs/1",
        CI_COMMIT_SHA="abc",
        CI_COMMIT_REF_NAME="main",
        CI_PROJECT_URL="https://gitlab.com/a/b",
        CI_REPOSITORY_URL="https://gitlab-ci-token:secret@gitlab.com/a/b.git",
        CI_PIPELINE_ID="7",
        CI_PIPELINE_CREATED_AT="2026-01-02T03:04:05Z",
    )
    assert evidence(modules)["build"] == {
        **EMPTY,
        "build_url": "https://gitlab.com/a/b/-/jobs/1",
        "build_date": "2026-01-02T03:04:05Z",
        "git_commit": "abc",
        "git_branch": "main",
        "git_repo": "https://gitlab.com/a/b",
        "ci_pipeline_id": "7",
    }


def test_jenkins(modules: Modules, set_variables: SetVariables) -> None:
    set_variables(
        BUILD_URL="https://jenkins/job/1/",
        BUILD_NUMBER="12",
        BUILD_TAG="jenkins-job-12",
        GIT_COMMIT="abc",
        GIT_BRANCH="origin/main",
        GIT_URL="https://user:password@host/a.git",
    )
    assert evidence(modules)["build"] == {
        **EMPTY,
        "build_url": "https://jenkins/job/1/",
        "git_commit": "abc",
        "git_branch": "origin/main",
        "git_repo": "https://[redacted]@host/a.git",
        "ci_pipeline_id": "12",
    }


def test_what_an_image_says_of_itself_counts_first(modules: Modules, set_variables: SetVariables) -> None:
    set_variables(
        IMAGE_TAG="primus:v25.9",
        DOCKERFILE_URL="https://github.com/a/b/Dockerfile",
        BUILD_DATE="2026-01-02",
        GIT_COMMIT="image",
        GITHUB_SHA="job",
        BUILD_NUMBER="elsewhere",
    )
    build = evidence(modules)["build"]
    assert (build["image_tag"], build["git_commit"], build["build_date"]) == ("primus:v25.9", "image", "2026-01-02")
    assert build["dockerfile_url"] == "https://github.com/a/b/Dockerfile"
    assert build["ci_pipeline_id"] == ""


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("CI_BUILD_URL", "build_url"),
        ("JENKINS_BUILD_URL", "build_url"),
        ("GITHUB_RUN_URL", "build_url"),
        ("DOCKER_FILE_URL", "dockerfile_url"),
        ("DOCKER_TAG", "image_tag"),
        ("BUILD_TIMESTAMP", "build_date"),
        ("GIT_SHA", "git_commit"),
        ("CI_COMMIT_BRANCH", "git_branch"),
        ("GIT_REPOSITORY", "git_repo"),
    ],
)
def test_other_spellings_tell_of_the_build_too(
    name: str, field: str, modules: Modules, set_variables: SetVariables
) -> None:
    set_variables(**{name: "https://user:password@host/a"})
    assert evidence(modules)["build"] == {**EMPTY, field: "https://[redacted]@host/a"}


@pytest.mark.parametrize("name", ["FRAMEWORK", "TRAINING_FRAMEWORK", "PRIMUS_BACKEND"])
def test_names_of_frameworks_in_variables_are_cut_to_what_lens_stores(
    name: str, modules: Modules, set_variables: SetVariables
) -> None:
    set_variables(**{name: "f" * 101})
    assert len(evidence(modules)["environment"][name]) <= 100


@pytest.mark.parametrize("key", ["framework", "base_framework"])
@pytest.mark.parametrize(
    ("value", "is_kept"),
    [
        ("f" * 100, True),
        ("f" * 101, False),
        ({"name": "a", "version": 2}, True),
        ({"name": "a" * 100}, False),
        # Go prints an empty object as map[], which is longer.
        ([{}] * 25, False),
        (None, True),
        (7, True),
    ],
)
def test_names_of_frameworks_in_the_config_are_cut_to_what_lens_stores(
    key: str, value: Any, is_kept: bool, modules: Modules
) -> None:
    found = payload(modules, {key: value, "other": value})["evidence"]["wandb"]["config"]
    assert found["other"] == value
    assert (found[key] == value) is is_kept
    assert is_kept or (isinstance(found[key], str) and len(found[key]) <= 100)
