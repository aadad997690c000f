"""`GET /api/v1/workloads`, its runs and its detection: the local Lens' own queries. Times are in milliseconds."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from primus_lens_local import queries
from primus_lens_local.detections import framework_detection
from primus_lens_local.routes.dependencies import EngineOfApp

router = APIRouter(prefix="/workloads", tags=["workloads"])


@router.get("")
def list_workloads(engine: EngineOfApp) -> dict[str, Any]:
    """List all workloads, the one with the latest metric first."""
    found = queries.workloads(engine)
    return {"workloads": found, "total_count": len(found)}


@router.get("/{workload_uid:anytext}/runs")
def list_runs(engine: EngineOfApp, workload_uid: str) -> dict[str, Any]:
    """List the runs of a workload, the earliest first."""
    found = queries.runs(engine, workload_uid)
    return {"workload_uid": workload_uid, "runs": found, "total_count": len(found)}


@router.get("/{workload_uid:anytext}/framework-detection")
def read_framework_detection(engine: EngineOfApp, workload_uid: str) -> dict[str, Any]:
    """Read the merged detection, and the wrapper and base framework the cluster would name."""
    return {"workload_uid": workload_uid, **framework_detection(engine, workload_uid)}
