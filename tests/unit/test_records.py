"""From a logged dict to metrics and data."""

from __future__ import annotations

import enum
import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from primus_lens_wandb_exporter.records import MAXIMUM_TEXT_LENGTH, RESERVED_NAMES, convert, to_plain


class Tensor:
    """As torch's: ``size`` is a method, ``item`` refuses more than one element."""

    def __init__(self, *values: Any, shape: tuple[int, ...] = ()) -> None:
        self.values, self.shape = values, shape

    def size(self) -> tuple[int, ...]:
        return self.shape

    def item(self) -> Any:
        if len(self.values) != 1:
            raise RuntimeError("a Tensor with 2 elements cannot be converted to Scalar")
        return self.values[0]


class EagerTensor:
    """As TensorFlow's: no ``item``, but ``numpy()``."""

    def __init__(self, array: Any) -> None:
        self.array, self.shape = array, array.shape

    def numpy(self) -> Any:
        return self.array


class MetaTensor(Tensor):
    def item(self) -> Any:
        raise RuntimeError("Tensor.item() cannot be called on meta tensors")


class Color(enum.IntEnum):
    RED = 3


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, 1),
        (0.5, 0.5),
        (True, 1.0),
        (False, 0.0),
        (np.float32(0.5), 0.5),
        (np.float64(0.1), 0.1),
        (np.int64(-3), -3),
        (np.uint8(7), 7),
        (np.bool_(True), 1.0),
        (np.array(2.5), 2.5),
        (np.array([2]), 2),
        (np.array([[True]]), 1.0),
        (Tensor(0.25), 0.25),
        (Tensor(4, shape=(1, 1)), 4),
        (EagerTensor(np.float32(1.5)), 1.5),
        (EagerTensor(np.array([3])), 3),
        (Color.RED, 3),
        (2**70, 2**70),
    ],
)
def test_what_holds_one_number_is_a_metric(value: Any, expected: float) -> None:
    metrics, _ = convert({"x": value})
    assert metrics == {"x": expected}
    assert type(metrics["x"]) in (int, float)


@pytest.mark.parametrize(
    "value",
    [
        None,
        "0.5",
        [1.0],
        (1,),
        {1},
        b"1",
        1j,
        np.complex64(1),
        np.datetime64("2026-01-01"),
        np.zeros(2),
        np.zeros((1, 0)),
        np.array(["a"]),
        Tensor(1, 2, shape=(2,)),
        MetaTensor(1),
        float("nan"),
        np.float32("inf"),
        -math.inf,
        10**400,
        object(),
        len,
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_does_not_hold_one_finite_number_is_none(value: Any) -> None:
    metrics, data = convert({"x": value, "y": 1})
    assert metrics == {"y": 1}
    assert set(data) == {"x", "y"}


@pytest.mark.parametrize("name", sorted(RESERVED_NAMES))
def test_reserved_names_stay_in_the_file_only(name: str) -> None:
    assert convert({name: 1}) == ({}, {name: 1})


def test_nested_dicts_become_dotted_names() -> None:
    metrics, data = convert({"train": {"loss": 1, "by": {"head": 2.5, "tag": "x"}}, 3: {4: 5}})
    assert metrics == {"train.loss": 1, "train.by.head": 2.5, "3.4": 5}
    assert data == {**metrics, "train.by.tag": "x"}


def test_booleans_stay_booleans_in_the_file() -> None:
    metrics, data = convert({"flag": True})
    assert (metrics, data) == ({"flag": 1.0}, {"flag": True})
    assert data["flag"] is True


def test_a_dict_that_contains_itself_ends() -> None:
    loop: dict[str, Any] = {"a": 1}
    loop["loop"] = loop
    metrics, data = convert(loop)
    assert metrics["a"] == 1
    assert len(data) < 100


def test_big_things_become_short_descriptions() -> None:
    assert to_plain(np.zeros((1000, 1000))) == {"_type": "numpy.ndarray", "shape": [1000, 1000]}
    assert to_plain(list(range(100000))) == {"_type": "list", "shape": [100000]}
    assert to_plain(10**10000) == {"_type": "int", "bits": (10**10000).bit_length()}
    assert len(to_plain("x" * 100000)) == MAXIMUM_TEXT_LENGTH + 1


def test_plain_scalars_share_one_dict_that_is_not_the_users() -> None:
    logged = {"a": 1, "b": 0.5}
    metrics, data = convert(logged)
    assert metrics is data
    assert metrics == logged
    assert metrics is not logged


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.complex_numbers(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), values))
def test_any_dict_is_converted_to_finite_metrics_and_json(logged: dict[str, Any]) -> None:
    metrics, data = convert(logged)
    json.dumps(data)
    assert all(type(value) in (int, float) and math.isfinite(value) for value in metrics.values())
    assert set(metrics) <= set(data)
    assert not RESERVED_NAMES & set(metrics)
