"""The names that backends see are fixed: docs/opentelemetry.md has each of them."""

from __future__ import annotations

from pathlib import Path

from primus_lens_wandb_exporter.identity import Identity, Place
from primus_lens_wandb_exporter.records import Run
from primus_lens_wandb_exporter.sinks import otlp_encoding
from primus_lens_wandb_exporter.sinks.otlp_attributes import info_attributes, resource_attributes
from primus_lens_wandb_exporter.sinks.otlp_settings import OtlpSettings

GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "opentelemetry.md").read_text(encoding="utf-8")


def test_every_attribute_of_the_resource_is_documented() -> None:
    run = Run("r", Identity("w", "pu", "pn", "ns"), Place(1, 2, 3, 4, 5), "writer", "", "project", "name")
    found = resource_attributes(run, OtlpSettings("http://collector:4318"))
    assert len(found) == 13
    assert [name for name in found if f"`{name}`" not in GUIDE] == []
    assert found["service.instance.id"] == "r/1.3.5"


def test_every_name_of_ours_is_documented() -> None:
    names = ("STEP", "METRIC", "KIND", "RUN_INFO", "RUN_CONFIG", "CONFIG_KEY", "CONFIG_VALUE")
    assert [name for name in names if f"`{getattr(otlp_encoding, name)}`" not in GUIDE] == []


def test_every_attribute_of_a_runs_description_is_documented() -> None:
    detection = {
        "hints": {"wrapper_frameworks": ["primus"], "base_frameworks": ["megatron"], "confidence": "high"},
        "evidence": {
            "wandb": {"tags": ["a", "b"]},
            "wrapper_frameworks": {"primus": {"version": "1.2"}},
            "base_frameworks": {"megatron": {"version": "0.9"}},
            "pytorch": {"version": "2.9"},
            "system": {"python_version": "3.12.1"},
            "hardware": {"gpu_name": "MI300X", "gpu_count": 8},
            "build": {"image_tag": "image:1", "git_commit": "abc"},
        },
    }
    found = info_attributes(detection)
    assert found == {
        "wandb.framework": "primus",
        "wandb.framework.version": "1.2",
        "wandb.framework.base": "megatron",
        "wandb.framework.confidence": "high",
        "wandb.tags": "a,b",
        "wandb.pytorch.version": "2.9",
        "wandb.python.version": "3.12.1",
        "wandb.gpu.name": "MI300X",
        "wandb.gpu.count": 8,
        "wandb.image": "image:1",
        "wandb.git.commit": "abc",
    }
    short = (f"`{name.replace('wandb.framework', '')}`" for name in found if name != "wandb.framework")
    assert [name for name in short if name not in GUIDE] == []
