"""Who the runs of a workload are, as their detection reports say: wandb's name for a run, its node and its rank."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select

from primus_lens_local.tables import FrameworkDetection

# The first variable that is set counts; the same order as in the exporter.
_NODE_RANK = ("NODE_RANK", "PET_NODE_RANK", "GROUP_RANK", "SLURM_NODEID")
_RANK = ("RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK")

_LONGEST_NAME = 256


class Identities:
    """Grows with the reports of one workload."""

    def __init__(self, workload_uid: str) -> None:
        self._workload_uid = workload_uid
        self._last_id = 0
        self._runs: dict[str, dict[str, str]] = {}

    def refresh(self, connection: Connection) -> bool:
        """Read new reports; return whether there were any."""
        table = FrameworkDetection
        query = (
            select(table.id, table.pod_name, table.evidence)
            .where(table.workload_uid == self._workload_uid, table.id > self._last_id)
            .order_by(table.id)
        )
        before = self._last_id
        for self._last_id, pod_name, evidence in connection.execute(query, execution_options={"yield_per": 10}):
            wandb, environment = _object(evidence, "wandb"), _object(evidence, "environment")
            self._runs.setdefault(shown_text(wandb.get("id")), {}).update(
                name=shown_text(wandb.get("name")),
                project=shown_text(wandb.get("project")),
                pod=pod_name,
                node=_first(environment, _NODE_RANK),
                rank=_first(environment, _RANK),
            )
        return self._last_id != before

    def of(self, run_id: str) -> dict[str, str]:
        """Return `name`, `project`, `pod`, `node` and `rank`, empty where not known; nothing without a report."""
        return self._runs.get(run_id, {}) if run_id else {}


def _object(evidence: dict[str, Any], key: str) -> dict[str, Any]:
    value = evidence.get(key)
    return value if isinstance(value, dict) else {}


def _first(environment: dict[str, Any], names: tuple[str, ...]) -> str:
    return next((shown_text(environment[name]) for name in names if environment.get(name)), "")


def shown_text(value: Any) -> str:
    """Return what a page shows; somebody may have sent megabytes."""
    text = str(value or "")
    return text if len(text) <= _LONGEST_NAME else text[:_LONGEST_NAME] + "…"
