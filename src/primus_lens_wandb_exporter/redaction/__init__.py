"""Keeps secrets out of everything that leaves the job: Lens payloads, the JSONL file and the debug log.

Two rules, applied together. By key: what is called ``hf_token`` or ``db.password`` is replaced whatever it looks
like. By shape: a text that contains a well-known key format, a private key or ``user:password@`` in a URL loses that
part whatever it is called. Floats, booleans, None and empty texts always stay, and so does ``max_tokens: 4096``:
numbers under a token-like key are counts. Which words and shapes count stands in `docs/detection.md`.
"""

from typing import Any, Dict, FrozenSet, List, Mapping

from .commands import redact_command_words
from .keys import EXTRA_KEYS_VARIABLE, NOTHING, ODD, SECRET, TOKEN, compiled, extra_keys, is_about, level_of, words
from .shapes import redact_private_key_lines
from .text import redact_text
from .values import REDACTED, is_harmless, is_plain_word

__all__ = ["EXTRA_KEYS_VARIABLE", "REDACTED", "redact_mapping", "redact_text", "redact_value"]

_MAXIMUM_DEPTH = 40
# Below a key such as "token": {"padding": "left"} is none, {"token": {"prod": "..."}} is one.
_LONGEST_WORD = 12
_NAME = r"[\w.-]{1,64}"
_FLAG = r"--?[A-Za-z][\w.-]{0,63}"
_USER_KEYS = ("user", "username", "login", "uid")


def redact_value(key: str, value: Any) -> Any:
    """The value as it may leave the job under this key. Containers are copied, other objects pass as they are."""
    return _redact(key, value, NOTHING, extra_keys(), 0)


def redact_mapping(mapping: "Mapping[str, Any]") -> "Dict[str, Any]":
    """A copy of JSON-like data (dicts, lists, texts, numbers) without its secrets."""
    return _redact_dict("", mapping, NOTHING, extra_keys(), -1)


def _redact(key: Any, value: Any, above: int, extra: "FrozenSet[str]", depth: int) -> Any:
    """``above`` is TOKEN anywhere below a key that names one."""
    kind = type(value)
    # What a secret never is, and most values are.
    if kind is float or kind is bool or value is None:
        return value
    level = level_of(key, extra) if isinstance(key, str) else NOTHING
    if isinstance(value, str):
        if level and not is_harmless(value, level):
            return REDACTED
        if above and not level and not _is_harmless_below(key, value):
            return REDACTED
        text = redact_text(value)
        return REDACTED if (level or above) and text != value else text
    if level >= SECRET and (kind is int or isinstance(value, (dict, list, tuple))):
        return REDACTED
    if isinstance(value, bytes):
        return REDACTED if level else value
    if depth >= _MAXIMUM_DEPTH:
        return REDACTED if isinstance(value, (dict, list, tuple)) else value
    if isinstance(value, dict):
        return _redact_dict(key, value, TOKEN if level == TOKEN else above, extra, depth)
    if isinstance(value, (list, tuple)):
        return _redact_list(key, value, above, extra, depth)
    return value


def _is_harmless_below(key: Any, value: str) -> bool:
    if isinstance(key, str) and is_about(key):
        return True
    return is_harmless(value, TOKEN) or is_plain_word(value, _LONGEST_WORD)


def _redact_dict(
    key: Any, value: "Mapping[str, Any]", above: int, extra: "FrozenSet[str]", depth: int
) -> "Dict[str, Any]":
    level = level_of(key, extra) if isinstance(key, str) else NOTHING
    # {"hf_token": {"value": ...}} is how sweeps and YAML files write it; {"name": "HF_TOKEN", "value": ...} Kubernetes.
    named = value.get("name", value.get("key"))
    owner = key if level else named if _names_a_secret(named, extra) else None
    redacted = {}
    for name, item in value.items():
        full_name = name
        if owner is not None and name in ("value", "default"):
            full_name = owner
        elif name == "key":
            full_name = "_".join((*words(key)[-1:], "key")) if isinstance(key, str) else name
        elif name == "pass" and any(user in value for user in _USER_KEYS):
            full_name = "password"
        redacted[_redact_key(name)] = _redact(full_name, item, above, extra, depth + 1)
    return redacted


def _redact_list(key: Any, value: Any, above: int, extra: "FrozenSet[str]", depth: int) -> "List[Any]":
    items = list(value)
    if any(isinstance(item, str) for item in items):
        items = redact_private_key_lines(redact_command_words(items))
    if above or (isinstance(key, str) and level_of(key, extra)):
        return [_redact(key, item, above, extra, depth + 1) for item in items]
    if len(items) == 2 and _is_pair(items, extra):
        return [redact_text(items[0]), REDACTED]
    redacted = []
    flag = ""
    for item in items:
        is_flag = isinstance(item, str) and item.startswith("-") and compiled(_FLAG).fullmatch(item) is not None
        # ["--hf_token", "..."]: a command line taken apart.
        redacted.append(_redact(key if is_flag else flag or key, item, above, extra, depth + 1))
        flag = item if is_flag else ""
    return redacted


def _is_pair(items: "List[Any]", extra: "FrozenSet[str]") -> bool:
    """["HF_TOKEN", "..."], one of the items of a dict."""
    name, value = items
    return isinstance(value, str) and _names_a_secret(name, extra) and not is_harmless(value, ODD)


def _names_a_secret(name: Any, extra: "FrozenSet[str]") -> bool:
    return isinstance(name, str) and compiled(_NAME).fullmatch(name) is not None and level_of(name, extra) > NOTHING


def _redact_key(key: Any) -> Any:
    return redact_text(key) if isinstance(key, str) and len(key) >= 16 else key
