from typing import Dict, List, Optional

import pytest

from primus_lens_wandb_exporter.system_metrics.visible_devices import amd_visible, find_by_prefix, parse_cuda_list

IDS = [0xA1B2C3D4E5F60718, 0xA1FFFFFFFFFFFFFF, 0x00000000000000C3, 0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, None),
        ("", []),
        ("-1", []),
        ("NoDevFiles", []),
        ("2,1", [2, 1]),
        (" 0, 2 ", [0, 2]),
        ("0,2,-1,1", [0, 2]),
        ("0,,1", [0]),
        ("1gpu2,2ampere", [1, 2]),
        ("0,1,0", []),
        ("0,GPU-1234", [0]),
        ("GPU-12,GPU-34", ["GPU-12", "GPU-34"]),
        ("GPU-12,0", ["GPU-12"]),
        ("GPU-12,GPU-12", []),
        ("MIG-12,MIG-GPU-34/1/0", ["MIG-12", "MIG-GPU-34/1/0"]),
    ],
)
def test_cuda_lists_are_read_as_cuda_reads_them(text: Optional[str], expected: Optional[List[object]]) -> None:
    assert parse_cuda_list(text) == expected


def test_an_abbreviated_name_must_be_unambiguous() -> None:
    names = ["GPU-abc1", "GPU-abd2", ""]
    assert find_by_prefix("GPU-ABC", names) == 0
    assert find_by_prefix("GPU-ab", names) is None
    assert find_by_prefix("GPU-x", names) is None


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, [0, 1, 2, 3]),
        ({"ROCR_VISIBLE_DEVICES": "3,1"}, [3, 1]),
        ({"ROCR_VISIBLE_DEVICES": " 3 , 0x1"}, [3, 1]),
        ({"ROCR_VISIBLE_DEVICES": ""}, []),
        ({"ROCR_VISIBLE_DEVICES": "-1"}, []),
        ({"ROCR_VISIBLE_DEVICES": "2,9,0"}, [2]),
        ({"ROCR_VISIBLE_DEVICES": "2,2,0"}, [2]),
        ({"ROCR_VISIBLE_DEVICES": "1x,0"}, []),
        ({"ROCR_VISIBLE_DEVICES": "gpu-A1B2,0"}, [0]),
        ({"ROCR_VISIBLE_DEVICES": "GPU-00000000000000c3,GPU-a1ff"}, [2, 1]),
        # Two GPUs begin like that.
        ({"ROCR_VISIBLE_DEVICES": "3,GPU-a1,0"}, [3]),
        ({"HIP_VISIBLE_DEVICES": "2,0"}, [2, 0]),
        ({"HIP_VISIBLE_DEVICES": "2,2,0"}, [2, 0]),
        ({"HIP_VISIBLE_DEVICES": "1,7,0"}, [1]),
        ({"HIP_VISIBLE_DEVICES": "0, 1"}, [0]),
        ({"HIP_VISIBLE_DEVICES": "-1"}, []),
        ({"HIP_VISIBLE_DEVICES": "GPU-00000000000000c3,0"}, [2, 0]),
        ({"HIP_VISIBLE_DEVICES": ""}, []),
        ({"CUDA_VISIBLE_DEVICES": "1"}, [1]),
        ({"CUDA_VISIBLE_DEVICES": ""}, []),
        ({"HIP_VISIBLE_DEVICES": "3", "CUDA_VISIBLE_DEVICES": "1"}, [3]),
        ({"HIP_VISIBLE_DEVICES": "", "CUDA_VISIBLE_DEVICES": "1"}, [1]),
        # ROCR filters, HIP counts in what it left.
        ({"ROCR_VISIBLE_DEVICES": "3,1,0", "HIP_VISIBLE_DEVICES": "2,0"}, [0, 3]),
        ({"ROCR_VISIBLE_DEVICES": "3,1", "CUDA_VISIBLE_DEVICES": "1,2"}, [1]),
    ],
)
def test_amd_gpus_are_filtered_as_rocr_and_hip_filter_them(environ: Dict[str, str], expected: List[int]) -> None:
    assert amd_visible(environ, IDS) == expected


def test_partitions_that_share_an_id_cannot_be_chosen_by_it() -> None:
    assert amd_visible({"ROCR_VISIBLE_DEVICES": "GPU-00000000000000c3"}, [0xC3, 0xC3]) == []
