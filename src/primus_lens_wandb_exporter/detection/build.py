"""Where the image and the code of a job come from, by the variables that CI systems leave in an image or a job.

A variable made for the purpose (IMAGE_TAG, BUILD_URL, GIT_COMMIT) counts before those of GitHub, GitLab and Jenkins.
GitLab's CI_REPOSITORY_URL is not read: it holds a token.
"""

from typing import Callable, Dict, Mapping, Tuple, Union

from .environment import presentable

Environment = Mapping[str, str]
_Source = Union[str, Callable[[Environment], str]]


def _github_repository(environment: Environment) -> str:
    repository = environment.get("GITHUB_REPOSITORY", "")
    server = environment.get("GITHUB_SERVER_URL", "https://github.com").rstrip("/")
    return "%s/%s" % (server, repository) if repository else ""


def _github_run(environment: Environment) -> str:
    repository, run = _github_repository(environment), environment.get("GITHUB_RUN_ID", "")
    return "%s/actions/runs/%s" % (repository, run) if repository and run else ""


def _jenkins_build(environment: Environment) -> str:
    # BUILD_ID and BUILD_NUMBER mean something elsewhere too.
    is_jenkins = environment.get("JENKINS_URL") or environment.get("BUILD_TAG", "").startswith("jenkins-")
    return (environment.get("BUILD_NUMBER") or environment.get("BUILD_ID", "")) if is_jenkins else ""


_SOURCES = (
    (
        "build_url",
        (
            *("BUILD_URL", "CI_BUILD_URL", "JENKINS_BUILD_URL", "GITHUB_RUN_URL", "CI_JOB_URL", "CI_PIPELINE_URL"),
            _github_run,
        ),
    ),
    ("dockerfile_url", ("DOCKERFILE_URL", "DOCKER_FILE_URL")),
    ("image_tag", ("IMAGE_TAG", "DOCKER_TAG", "DOCKER_IMAGE", "CONTAINER_IMAGE", "IMAGE_NAME", "CI_REGISTRY_IMAGE")),
    ("build_date", ("BUILD_DATE", "BUILD_TIME", "BUILD_TIMESTAMP", "CI_PIPELINE_CREATED_AT")),
    ("git_commit", ("GIT_COMMIT", "GIT_SHA", "GITHUB_SHA", "CI_COMMIT_SHA")),
    ("git_branch", ("GIT_BRANCH", "GITHUB_HEAD_REF", "GITHUB_REF_NAME", "CI_COMMIT_BRANCH", "CI_COMMIT_REF_NAME")),
    ("git_repo", ("GIT_REPO", "GIT_REPOSITORY", "GIT_URL", "CI_PROJECT_URL", _github_repository)),
    ("ci_pipeline_id", ("CI_PIPELINE_ID", "GITHUB_RUN_ID", _jenkins_build)),
)  # type: Tuple[Tuple[str, Tuple[_Source, ...]], ...]


def build_evidence(environment: Environment) -> Dict[str, str]:
    """The `build` part of the evidence; an empty text for what no variable says."""
    return {field: _first(field, sources, environment) for field, sources in _SOURCES}


def _first(field: str, sources: "Tuple[_Source, ...]", environment: Environment) -> str:
    for source in sources:
        value = (environment.get(source, "") if isinstance(source, str) else source(environment)).strip()
        if value:
            return presentable(field, value)
    return ""
