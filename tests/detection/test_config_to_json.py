"""Configs of any kind become JSON of bounded size, whatever they hold."""

import argparse
import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import json
import math
import pathlib
import sys
import threading
import time
import types
import uuid
from typing import Any, Dict, Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from primus_lens_wandb_exporter.detection import json_safe
from primus_lens_wandb_exporter.detection.json_safe import MAXIMUM_BYTES, TRUNCATED, clean_text, to_json


class Precision(enum.Enum):
    BF16 = 1


class Strategy(str, enum.Enum):
    STEPS = "steps"


class Level(enum.IntEnum):
    HIGH = 3


@dataclasses.dataclass
class Optimizer:
    lr: float = 0.1
    betas: Any = (0.9, 0.95)


Point = collections.namedtuple("Point", "x y")


class ModelConfig:
    """As transformers' configs are: attributes, some of them private."""

    def __init__(self) -> None:
        self.layers = 2
        self._attn_implementation = "eager"

    def __repr__(self) -> str:
        raise AssertionError("repr of a config was called")


class DictConfig(collections.abc.Mapping):  # type: ignore[type-arg]
    """As OmegaConf's are: a mapping that resolves interpolations when it is read, by `items_ex` only if asked."""

    def __init__(self, content: Dict[str, Any]) -> None:
        self._content = content

    def __getitem__(self, key: str) -> Any:
        raise AssertionError("an interpolation was resolved")

    def __iter__(self) -> Iterator[str]:
        return iter(self._content)

    def __len__(self) -> int:
        return len(self._content)

    def items_ex(self, resolve: bool = True) -> Any:
        assert not resolve
        return self._content.items()


def torch_class(name: str, text: str) -> Any:
    return type(name, (), {"__module__": "torch", "__str__": lambda self: text, "__repr__": lambda self: text})()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (3, 3),
        (0.5, 0.5),
        ("text", "text"),
        (math.nan, "NaN"),
        (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
        ([1, (2, 3)], [1, [2, 3]]),
        ({3, 1, 2}, [1, 2, 3]),
        (frozenset(("b", "a")), ["a", "b"]),
        (collections.deque([1]), [1]),
        (range(3), "range(0, 3)"),
        ({1: "a", None: "b", (1, 2): "c"}, {"1": "a", "None": "b", "<builtins.tuple>": "c"}),
        (b"secret", "<6 bytes>"),
        (Precision.BF16, "Precision.BF16"),
        (Strategy.STEPS, "steps"),
        (Level.HIGH, "Level.HIGH"),
        ({Precision.BF16: 1}, {"Precision.BF16": 1}),
        (Optimizer(), {"lr": 0.1, "betas": [0.9, 0.95]}),
        (Optimizer, "%s.Optimizer" % __name__),
        (len, "builtins.len"),
        (Point(1, 2), {"x": 1, "y": 2}),
        (argparse.Namespace(lr=0.1, _hidden=1), {"lr": 0.1}),
        (types.SimpleNamespace(lr=0.1), {"lr": 0.1}),
        (ModelConfig(), {"layers": 2}),
        (DictConfig({"key": "${oc.env:HF_TOKEN}"}), {"key": "${oc.env:HF_TOKEN}"}),
        (pathlib.PurePosixPath("/a/b"), "/a/b"),
        (datetime.date(2026, 1, 2), "2026-01-02"),
        (datetime.timedelta(seconds=5), "0:00:05"),
        (decimal.Decimal("1.5"), "1.5"),
        (fractions.Fraction(1, 3), "1/3"),
        (uuid.UUID(int=1), str(uuid.UUID(int=1))),
        (1 + 2j, "(1+2j)"),
        (np.float32(0.5), 0.5),
        (np.float64("nan"), "NaN"),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.array(2), 2),
        (np.arange(3), [0, 1, 2]),
        (np.zeros((100, 100)), "<numpy.ndarray of shape (100, 100)>"),
        (np.dtype("float16"), "float16"),
        (np.float16, "numpy.float16"),
        (torch_class("dtype", "torch.bfloat16"), "torch.bfloat16"),
        (torch_class("device", "cuda:0"), "cuda:0"),
        (torch_class("Tensor", "never read"), "<torch.Tensor>"),
        (10**400, "int of 1329 bits"),
        (2**63, 2**63),
        (object(), "<builtins.object>"),
        (iter([1]), "<builtins.list_iterator>"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_of_every_kind_have_a_json_form(value: Any, expected: Any) -> None:
    converted = to_json(value)
    assert converted == expected
    assert type(converted) is type(expected)


def test_a_cycle_ends() -> None:
    config = {"a": [1]}  # type: Dict[str, Any]
    config["a"].append(config)
    config["again"] = config["a"]
    assert to_json(config) == {"a": [1, "…cycle"], "again": [1, "…cycle"]}


def test_objects_that_break_when_looked_at_are_named() -> None:
    class Broken(collections.abc.Mapping):  # type: ignore[type-arg]
        def __getitem__(self, key: str) -> Any:
            raise RuntimeError

        __iter__ = __len__ = __getitem__  # type: ignore[assignment]

    class Liar:
        @property  # type: ignore[misc]
        def __class__(self) -> Any:
            raise RuntimeError

    name = __name__ + ".test_objects_that_break_when_looked_at_are_named.<locals>"
    assert to_json([Broken(), Liar()]) == ["<%s.Broken>" % name, "<%s.Liar>" % name]


def test_deep_nesting_ends_with_a_marker() -> None:
    config = {}  # type: Dict[str, Any]
    for _ in range(100000):
        config = {"inner": config}
    text = json.dumps(to_json(config), ensure_ascii=False)
    assert TRUNCATED in text
    assert len(text) < 1000


@pytest.mark.parametrize(
    "config",
    [
        {"text_%d" % index: "x" * 5000 for index in range(2000)},
        {"text": "x" * 10_000_000},
        {"unprintable": "\x01" * 10_000_000},
        {"list": list(range(1_000_000))},
        {"nested": [{"a": [{"b": [1.5] * 100}] * 100}] * 100},
        {"wide": {str(number): number for number in range(300_000)}},
        {"key" * 100_000: 1, "other": 2},
        {"lists": [[[["a"] * 9] * 9] * 9] * 9 * 20},
    ],
    ids=lambda config: next(iter(config))[:20],
)
def test_ten_megabytes_become_few_and_say_so(config: Dict[str, Any]) -> None:
    began = time.thread_time()
    text = json.dumps(to_json(config), allow_nan=False)
    assert time.thread_time() - began < 0.2
    assert len(text) <= MAXIMUM_BYTES
    assert json.dumps(TRUNCATED)[1:-1] in text


def test_a_huge_section_leaves_room_for_what_follows() -> None:
    converted = to_json({"huge": {str(number): "x" * 100 for number in range(100000)}, "lr": 0.1, "name": "run"})
    assert (converted["lr"], converted["name"]) == (0.1, "run")
    assert converted["huge"][TRUNCATED] is True


@pytest.mark.parametrize("text", ["a\0b", "a\ud800b", "\udfff", "ä€😀"])
def test_texts_are_what_the_server_can_store(text: str) -> None:
    cleaned = clean_text(text)
    assert "\0" not in cleaned
    cleaned.encode("utf-8")
    assert clean_text("ä€😀") == "ä€😀"


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.text(alphabet=st.characters()),
    st.binary(),
    st.complex_numbers(),
    st.decimals(),
    st.dates(),
    st.sampled_from([Precision.BF16, Strategy.STEPS, Level.HIGH, np.float32(1), np.arange(5), object(), int, len]),
)
configs = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner),
        st.tuples(inner),
        st.dictionaries(st.one_of(st.text(), st.integers(), st.floats(), st.booleans(), st.none()), inner),
        st.builds(Optimizer, lr=st.floats(), betas=inner),
        st.builds(lambda value: argparse.Namespace(value=value), inner),
        st.builds(lambda value: DictConfig({"value": value}), inner),
    ),
    max_leaves=50,
)
quick = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@quick
@given(configs)
def test_any_config_becomes_json_within_bounds(config: Any) -> None:
    text = json.dumps(to_json(config), allow_nan=False)
    assert len(text) <= MAXIMUM_BYTES
    assert "\\ud8" not in text.lower() or json.loads(text) is not None
    json.dumps(json.loads(text), ensure_ascii=False).encode("utf-8")
    assert "\\u0000" not in text


@quick
@given(configs, st.integers(2100, 3000))
def test_any_config_keeps_to_any_bound(config: Any, bound: int) -> None:
    original = json_safe.MAXIMUM_BYTES
    json_safe.MAXIMUM_BYTES = bound
    try:
        assert len(json.dumps(to_json([config] * 20), allow_nan=False)) <= bound
    finally:
        json_safe.MAXIMUM_BYTES = original


@quick
@given(st.dictionaries(st.text(max_size=20), st.one_of(st.integers(-(2**63), 2**63), st.text(max_size=50), st.none())))
def test_a_plain_config_passes_unchanged(config: Dict[str, Any]) -> None:
    if any("\0" in text or not text.isprintable() for item in config.items() for text in item if isinstance(text, str)):
        return
    assert to_json(config) == config


def test_a_dict_that_another_thread_fills_does_no_harm() -> None:
    config = {}  # type: Dict[int, int]
    stop = threading.Event()

    def fill() -> None:
        number = 0
        while not stop.is_set():
            config[number % 5000] = number
            number += 1
            if number % 5000 == 0:
                config.clear()

    thread = threading.Thread(target=fill)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    thread.start()
    try:
        results = [to_json(config) for _ in range(200)]
    finally:
        stop.set()
        thread.join()
        sys.setswitchinterval(interval)
    assert all(isinstance(result, dict) for result in results)
