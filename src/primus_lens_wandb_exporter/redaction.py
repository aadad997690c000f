"""Keeps secrets out of everything that leaves the job: Lens payloads, the JSONL file and the debug log.

Two rules, applied together. By key: what is called ``hf_token`` or ``db.password`` is replaced whatever it looks
like. By shape: a text that contains a well-known key format, a private key or ``user:password@`` in a URL loses that
part whatever it is called. Floats, booleans, None and empty texts always stay, and so does ``max_tokens: 4096``:
numbers under a token-like key are counts. Which words and shapes count stands in `docs/detection.md`.

All patterns run in time linear in the text: repetitions are bounded or start at a word's beginning only.
"""

import os
import re
from functools import lru_cache
from typing import Any, Dict, FrozenSet, List, Mapping, Match, Pattern, Tuple

REDACTED = "[redacted]"
EXTRA_KEYS_VARIABLE = "PRIMUS_LENS_WANDB_REDACT_KEYS"

_MAXIMUM_DEPTH = 40
_LONGEST_KEY = 256


def _words_of(text: str) -> "FrozenSet[str]":
    return frozenset(text.split())


# How much a key tells: NOTHING; TOKEN, where numbers are counts; SECRET, where any value is one.
_NOTHING, _TOKEN, _SECRET = 0, 1, 2

# One word of a key, or the end of one written together ("dbpassword", "clientsecret").
_SECRET_ENDINGS = tuple(
    _words_of(
        """password passwords passwd passphrase secret secrets credential credentials apikey apikeys privatekey
        accesskey secretkey authkey authtoken accesstoken apitoken bearertoken refreshtoken"""
    )
)
_SECRET_WORDS = frozenset(("authorization", "cookie", "cookies", "bearer", "creds", "dsn"))
# X in "X key": which keys are secrets. Others (sort_key, prng_key, public_key) are not.
_KEY_OWNERS = _words_of(
    """access api private secret encryption decryption signing ssh gpg pgp rsa account storage license master auth
    deploy service subscription wandb openai anthropic gemini mistral hf huggingface aws azure ngc comet"""
)
# X in "X pass" and "X pwd"; "backward_pass" is none.
_PASS_OWNERS = _words_of("db database user root admin smtp sql mysql postgres redis mongo ftp ssh proxy sudo")
# X in "X token" when it is one of a tokenizer's own, which are texts but no secrets.
_TOKENIZER_WORDS = _words_of(
    """pad eos bos unk mask sep cls image video audio speech special start end stop begin additional prompt next
    first last im vision boi eoi eot eom eod fim prefix suffix middle think thinking tool per ignore separator
    delimiter class target source text reward newline summary query latent memory register placeholder new
    trigger word sub patch pooling reasoning answer assistant"""
)
# X in "X tokens" when those are secrets and not counts.
_TOKENS_OWNERS = _words_of("auth access api bearer refresh secret hf huggingface github gitlab oauth jwt")
# Keys of a URL's query that are secrets there only.
_QUERY_KEYS = frozenset(("sig", "signature", "x-amz-signature", "x-amz-credential", "awsaccesskeyid", "code", "key"))

# The words of snake_case, kebab-case, camelCase, dotted and SCREAMING keys; digits separate and count for nothing.
_WORD = r"[A-Z]{1,64}(?![a-z])|[A-Z]?[a-z]{1,64}|[A-Z]"
_SPECIAL_TOKEN = r"<[^<>]{0,64}>|\[[A-Z_]{1,24}\]"

_SHAPES = (
    r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY[A-Z ]{0,20}-----[^-]*(?:-(?!----)[^-]*)*(?:-----END [A-Z ]{0,60}-----)?"
    r"|(?<![A-Za-z0-9])(?:"
    r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Za-z0-9])"  # AWS
    r"|gh[pousr]_[A-Za-z0-9]{16,255}|github_pat_[A-Za-z0-9_]{16,255}"
    r"|gl(?:pat|dt|rt|cbt|ptt|ft|soat|agent|imt|ffct|oas)-[\w.-]{16,255}"  # GitLab
    r"|(?:hf|api_org)_[A-Za-z0-9]{16,255}"  # Hugging Face
    r"|sk-(?:proj|ant|or|svcacct|admin|None|lf|live|test)-[\w-]{16,255}|sk-[A-Za-z0-9]{16,255}"  # OpenAI and others
    r"|[srp]k_(?:live|test)_[A-Za-z0-9]{10,255}|whsec_[A-Za-z0-9]{16,255}"  # Stripe
    r"|xox[abeoprs]-[A-Za-z0-9-]{10,255}|xapp-[A-Za-z0-9-]{10,255}"  # Slack
    r"|AIza[\w-]{30,255}|ya29\.[\w-]{16,255}|GOCSPX-[\w-]{16,255}"  # Google
    r"|wandb_v1_[\w-]{16,255}|nvapi-[\w-]{16,255}|gsk_[A-Za-z0-9]{16,255}|xai-[A-Za-z0-9]{16,255}"
    r"|r8_[A-Za-z0-9]{30,255}|npm_[A-Za-z0-9]{30,255}|pypi-AgEI[\w-]{16,255}|dckr_pat_[\w-]{16,255}"
    r"|glsa_\w{20,255}|dop_v1_[0-9a-f]{32,255}|dapi[0-9a-f]{32}|SG\.[\w-]{16,255}\.[\w-]{16,255}"
    r"|AGE-SECRET-KEY-1[A-Z0-9]{20,255}|LTAI[A-Za-z0-9]{12,64}"
    r"|eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?"  # JSON web tokens
    r")"
    r"|hooks\.slack\.com/services/[\w/-]{8,255}"
)
_BEARER = r"(?i)(?<![\w-])(bearer|authorization:?[ \t]{1,3}(?:basic|token))[ \t]{1,3}[\w.~+/=-]{8,}"
# scheme://user:password@host; the password may hold anything but a blank or a quote, and is no port.
_URL_USER = (
    r"(?i)(?<![a-z0-9+.-])([a-z][a-z0-9+.-]{0,30}://)([^\s/?#\"'<>:@]{0,256})"
    r"(:(?!\d{1,5}(?:[/?#\s]|$))[^\s\"'<>]{0,256})?@"
)
_URL_QUERY = r"([?&])([\w.%-]{1,64})=([^&\s#\"'<>]{1,4096})"
# The head of name=value, name: value, "name": "value": command lines, .env files and JSON inside a text.
_ASSIGNMENT = r"(?<![\w.-])-{0,2}([A-Za-z_][\w.-]{0,63})\\?[\"']?[ \t]{0,3}(?:=|:(?!//))[ \t]{0,3}"
# The head of --name value.
_FLAG = r"(?<!\S)--?([A-Za-z][\w.-]{0,63})[ \t]{1,3}(?!-)"
# What follows such a head: a quoted text, or all up to a blank or the next assignment.
_ASSIGNED = (
    r"""(?i)\\"[^"\n]*"|\\'[^'\n]*'|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'"""
    r"""|(?:(?:bearer|basic|token)[ \t]{1,3})?(?:[^\s"'&,;]|[&,;](?![\w.%-]{1,64}[=:]))+"""
)
# A shorter value in free text ("next token: the") is none of a well-made token.
_SHORTEST_TOKEN = 8


@lru_cache(maxsize=None)
def _compiled(pattern: str) -> "Pattern[str]":
    """Compiled at first use: importing the exporter must not cost the dozen milliseconds that all of them take."""
    return re.compile(pattern)


def redact_value(key: str, value: Any) -> Any:
    """The value as it may leave the job under this key. Containers are copied, other objects pass as they are."""
    return _redact(key, value, _extra_keys(), 0)


def redact_mapping(mapping: "Mapping[str, Any]") -> "Dict[str, Any]":
    """A copy of JSON-like data (dicts, lists, texts, numbers) without its secrets."""
    extra = _extra_keys()
    return {_redact_key(key): _redact(key, value, extra, 0) for key, value in mapping.items()}


def redact_text(text: str) -> str:
    """The text without what looks like a secret in it."""
    if len(text) < 4 or text.isdecimal():
        return text
    text = _compiled(_SHAPES).sub(REDACTED, text)
    if "://" in text and "@" in text:
        text = _compiled(_URL_USER).sub(_without_password, text)
    if " " in text:
        text = _compiled(_BEARER).sub(r"\1 " + REDACTED, text)
        if "-" in text:
            text = _redact_assigned(_FLAG, text)
    if "=" in text:
        text = _compiled(_URL_QUERY).sub(_without_query_value, text)
    if "=" in text or ":" in text:
        text = _redact_assigned(_ASSIGNMENT, text)
    return text


def _redact(key: str, value: Any, extra: "FrozenSet[str]", depth: int) -> Any:
    kind = type(value)
    # What a secret never is, and most values are.
    if kind is float or kind is bool or value is None:
        return value
    level = _level_of_key(key[-_LONGEST_KEY:], extra) if isinstance(key, str) else _NOTHING
    if isinstance(value, str):
        if level and not _is_harmless(value, level):
            return REDACTED
        return redact_text(value)
    if level == _SECRET and (kind is int or isinstance(value, (dict, list, tuple, bytes))):
        return REDACTED
    if depth >= _MAXIMUM_DEPTH:
        return REDACTED if isinstance(value, (dict, list, tuple)) else value
    if isinstance(value, dict):
        return _redact_dict(key, value, level, extra, depth)
    if isinstance(value, (list, tuple)):
        return _redact_list(key, value, extra, depth)
    return value


def _redact_dict(
    key: str, value: "Dict[str, Any]", level: int, extra: "FrozenSet[str]", depth: int
) -> "Dict[str, Any]":
    # {"hf_token": {"value": ...}} is how sweeps and YAML files write it; {"name": "HF_TOKEN", "value": ...} Kubernetes.
    named = value.get("name", value.get("key"))
    owner = key if level else named if isinstance(named, str) and _level_of_key(named, extra) else None
    redacted = {}
    for name, item in value.items():
        if owner is not None and name in ("value", "default"):
            full_name = owner
        elif name == "key":
            full_name = "%s_key" % key
        else:
            full_name = name
        redacted[_redact_key(name)] = _redact(full_name, item, extra, depth + 1)
    return redacted


def _redact_list(key: str, value: Any, extra: "FrozenSet[str]", depth: int) -> "List[Any]":
    redacted = []
    flag = ""
    for item in value:
        # ["--hf_token", "..."]: a command line taken apart.
        redacted.append(_redact(flag or key, item, extra, depth + 1))
        flag = item.lstrip("-") if isinstance(item, str) and item.startswith("-") and "=" not in item else ""
    return redacted


def _redact_key(key: Any) -> Any:
    return redact_text(key) if isinstance(key, str) and len(key) >= 16 else key


def _is_harmless(value: str, level: int) -> bool:
    if not value or value == REDACTED:
        return True
    # "4096" under max_token is a count; "12345" under password is not.
    return level == _TOKEN and (value.isdecimal() or _compiled(_SPECIAL_TOKEN).fullmatch(value) is not None)


def _extra_keys() -> "FrozenSet[str]":
    return _parse_extra_keys(os.environ.get(EXTRA_KEYS_VARIABLE, ""))


@lru_cache(maxsize=8)
def _parse_extra_keys(text: str) -> "FrozenSet[str]":
    """The user's own keys, as words joined by blanks: "InternalUrl" and "internal-url" are the same key."""
    return frozenset(" ".join(_words(name)) for name in text.split(",") if _words(name))


@lru_cache(maxsize=1024)
def _words(key: str) -> "Tuple[str, ...]":
    return tuple(word.lower() for word in _compiled(_WORD).findall(key))


@lru_cache(maxsize=8192)
def _level_of_key(key: str, extra: "FrozenSet[str]") -> int:
    words = _words(key)
    if not words:
        return _NOTHING
    if extra:
        joined = " %s " % " ".join(words)
        if any(" %s " % name in joined for name in extra):
            return _SECRET
    last, before = words[-1], words[-2] if len(words) > 1 else ""
    if _names_a_secret(words, last, before):
        return _SECRET
    if any(word.endswith(_SECRET_ENDINGS) or word in _SECRET_WORDS for word in words) or _owns_a_key(words):
        # password_length, secret_dim: a number there is no secret, a text may be.
        return _TOKEN
    if words == ("pass",):
        return _TOKEN
    if last == "tokens":
        return _TOKEN if before in _TOKENS_OWNERS else _NOTHING
    if last.endswith("token"):
        return _NOTHING if before in _TOKENIZER_WORDS else _TOKEN
    return _NOTHING


def _names_a_secret(words: "Tuple[str, ...]", last: str, before: str) -> bool:
    if last.endswith(_SECRET_ENDINGS) or last in _SECRET_WORDS:
        return True
    if last in ("key", "keys"):
        return before in _KEY_OWNERS
    if last in ("pass", "pwd"):
        return before in _PASS_OWNERS
    if last == "string":
        return before == "connection"
    return last == "auth" and len(words) <= 2


def _owns_a_key(words: "Tuple[str, ...]") -> bool:
    """Whether "X key" stands anywhere in the key, as in AWS_SECRET_ACCESS_KEY_PROD."""
    return any(word == "key" and words[index - 1] in _KEY_OWNERS for index, word in enumerate(words) if index)


def _without_password(match: "Match[str]") -> str:
    scheme, user, password = match.groups()
    if scheme.lower() in ("http://", "https://", "git+https://"):
        # Tokens travel as the user: https://TOKEN@github.com, https://TOKEN:x-oauth-basic@github.com.
        return scheme + REDACTED + "@"
    return match.group() if password is None else "%s%s:%s@" % (scheme, user, REDACTED)


def _without_query_value(match: "Match[str]") -> str:
    separator, name, _ = match.groups()
    if name.lower() in _QUERY_KEYS:
        return "%s%s=%s" % (separator, name, REDACTED)
    return match.group()


def _redact_assigned(head: str, text: str) -> str:
    """Replaces what follows the heads that name a secret; linear, since nothing is looked at twice."""
    pieces = []
    done = 0
    extra = _extra_keys()
    for match in _compiled(head).finditer(text):
        if match.start() < done:
            continue
        level = _level_of_key(match.group(1), extra)
        value = _compiled(_ASSIGNED).match(text, match.end()) if level else None
        if value is None or _is_harmless_in_text(value.group().strip("\\\"'"), level):
            continue
        pieces += [text[done : match.end()], REDACTED]
        done = value.end()
    return "".join(pieces) + text[done:] if pieces else text


def _is_harmless_in_text(value: str, level: int) -> bool:
    if _is_harmless(value, level) or value.startswith(REDACTED) or value.lower() in ("none", "null", "true", "false"):
        return True
    return level == _TOKEN and len(value) < _SHORTEST_TOKEN
