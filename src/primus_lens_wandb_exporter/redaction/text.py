"""Secrets in a text by what stands around them: addresses, headers, command lines, variables, JSON and YAML in texts.

All patterns run in time linear in the text: repetitions are bounded or start at a word's beginning only.
"""

from typing import FrozenSet, Match

from .commands import redact_commands
from .keys import NAMED_BY_USER, NOTHING, ODD, TOKEN, compiled, extra_keys, level_of, words, words_of
from .shapes import redact_shapes
from .values import REDACTED, is_harmless, is_plain_word

# Keys of a URL's query that are secrets there only; a short `code` or `key` is none.
_QUERY_KEYS = frozenset(
    ("sig", "signature", "x-amz-signature", "x-amz-credential", "x-goog-signature", "awsaccesskeyid")
)
_LONG_QUERY_KEYS = frozenset(("code", "key"))
_SHORTEST_QUERY_KEY = 16

_BEARER = (
    r"(?i)(?<![\w-])(bearer|authorization:?[ \t]{1,3}(?:basic|token))[ \t]{1,3}"
    r"(?:(?=[a-z.~+/=_-]{0,64}[0-9])[\w.~+/=-]{8,}|[\w.~+/=-]{24,})"
)
# scheme://user:password@host; the password may hold anything but a blank or a quote, and is no port.
_URL_USER = (
    r"(?i)(?<![a-z0-9+.-])([a-z][a-z0-9+.-]{0,30}://)([^\s/?#\"'<>:@]{0,256})"
    r"(:(?!\d{1,5}(?:[/?#\s]|$))[^\s\"'<>]{0,256})?@"
)
_URL_QUERY = r"([?&])([\w.%-]{1,64})=([^&\s#\"'<>]{1,4096})"
# user:password@host:5432 and user:password@host.name/db, without a scheme.
_ADDRESS = (
    r"(?<![\w./:@%+-])([A-Za-z][\w.-]{0,63}:)([^\s:@/\"'<>,;(){}\[\]]{3,128})"
    r"(?=@(?!sha\d)[A-Za-z0-9][\w-]{0,63}(?:\.[\w-]{1,63}){0,8}(?::\d{2,5}(?![\w.])|/[A-Za-z]))"
)
_ORACLE = r"(:thin:[\w$#]{1,64}/)([^\s@/]{1,128})(?=@)"
_NETRC = (
    r"(?<![\w-])((?:machine[ \t\n]{1,8}\S{1,256}|default)"
    r"(?:[ \t\n]{1,8}(?:login|account)[ \t\n]{1,8}\S{1,256}){0,2}[ \t\n]{1,8}password[ \t\n]{1,8})(\S{1,256})"
)
# The head of name=value, name: value, "name": "value": command lines, .env files and JSON inside a text.
_ASSIGNMENT = r"(?<![\w.-])-{0,2}([A-Za-z_][\w.-]{0,63})\\?[\"']?\]?[ \t]{0,3}(?:=(?!=)>?|:(?!//)=?)[ \t]{0,3}"
# The head of --name value.
_FLAG = r"(?<!\S)--?([A-Za-z][\w.-]{0,63})[ \t]{1,3}(?!-)"
# setenv NAME value; ENV NAME value.
_VARIABLE = r"(?<!\S)(?:setenv|ENV)[ \t]{1,3}([A-Za-z_]\w{0,63})[ \t]{1,3}(?!=)"
# "name", "value"
_PAIR = r"[\"']([A-Za-z_][\w.-]{0,63})[\"'][ \t]?,[ \t]?(?=[\"'])"
_ELEMENT = r"(<([A-Za-z_][\w.-]{0,63})>)([^<>\n]{1,256})(?=</\2>)"
# What follows such a head: a quoted text, a YAML block, all up to a blank or the next assignment, a text cut off.
_ASSIGNED = (
    r"""(?i)(?:!!\w{1,16}[ \t]{1,3})?(?:\\"[^"\n]*"|\\'[^'\n]*'|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'"""
    r"""|[|>][+-]?[ \t]*\n[ \t]+[^\n]+"""
    r"""|(?:(?:bearer|basic|token|apikey)[ \t]{1,3})?(?:[^\s"'&,;]|[&,;](?![\w.%-]{1,64}[=:]))+|\\?["'][^"'\n]+)"""
)
# password: Optional[str] = None
_ANNOTATION = (
    r"(?:(?:str|int|bytes|bool|float|string|Any|SecretStr)(?:\s?\|\s?None)?"
    r"|(?:typing\.|t\.)?(?:Optional|Union|List|Sequence|Dict|Mapping|Callable)\[[\w\[\]., |]{0,200})[)\]:]{0,3}"
)
# "password: not supported", "if password: raise"
_PROSE = words_of(
    """raise return not is was are must should may can cannot missing invalid incorrect wrong expired denied set empty
    unknown the a an your and or if in to of for see too this"""
)
# A shorter value in free text ("next token: the") is none of a well-made token; nor is a word.
_SHORTEST_TOKEN = 7
_LONGEST_WORD = 24
# Heads inside of a value that is harmless ("pass=pass=pass=..."); what follows one more is replaced unseen.
_MOST_LOOKS = 16
# What one pass leaves beside a marker may look different to the next.
_MOST_PASSES = 4


def redact_text(text: str) -> str:
    """The text without what looks like a secret in it."""
    if len(text) < 4 or text.isdecimal():
        return text
    for _ in range(_MOST_PASSES):
        before, text = text, _redact_once(text)
        if text == before:
            break
    return text


def _redact_once(text: str) -> str:
    text = redact_shapes(text)
    if "@" in text:
        text = _redact_addresses(text)
    if " " in text or "login(" in text:
        text = redact_commands(text)
    if " " in text:
        text = _redact_words(text)
    if "</" in text:
        text = compiled(_ELEMENT).sub(_without_element, text)
    if "=" in text:
        text = compiled(_URL_QUERY).sub(_without_query_value, text)
    if "=" in text or ":" in text:
        text = _redact_assigned(_ASSIGNMENT, text)
    return text


def _redact_addresses(text: str) -> str:
    if "://" in text:
        text = compiled(_URL_USER).sub(_without_password, text)
    if ":thin:" in text:
        text = compiled(_ORACLE).sub(r"\1" + REDACTED, text)
    return compiled(_ADDRESS).sub(_without_secret, text) if ":" in text else text


def _redact_words(text: str) -> str:
    if "earer" in text or "uthoriz" in text or "EARER" in text or "UTHORIZ" in text:
        text = compiled(_BEARER).sub(r"\1 " + REDACTED, text)
    if "password" in text and ("machine" in text or "default" in text):
        text = compiled(_NETRC).sub(_without_secret, text)
    if "setenv " in text or "ENV " in text:
        text = _redact_assigned(_VARIABLE, text)
    if "'," in text or '",' in text:
        text = _redact_assigned(_PAIR, text, ODD)
    return _redact_assigned(_FLAG, text) if "-" in text else text


def _without_secret(match: "Match[str]") -> str:
    return match.group(1) + REDACTED


def _without_element(match: "Match[str]") -> str:
    head, name, value = match.groups()
    level = level_of(name, extra_keys())
    return head + REDACTED if level and not _is_harmless_in_text(name, value, level) else match.group()


def _without_password(match: "Match[str]") -> str:
    scheme, user, password = match.groups()
    if scheme.lower() in ("http://", "https://", "git+https://"):
        # Tokens travel as the user: https://TOKEN@github.com, https://TOKEN:x-oauth-basic@github.com.
        return scheme + REDACTED + "@"
    return match.group() if password is None else "%s%s:%s@" % (scheme, user, REDACTED)


def _without_query_value(match: "Match[str]") -> str:
    separator, name, value = match.groups()
    name = name.lower()
    if name in _QUERY_KEYS or (name in _LONG_QUERY_KEYS and len(value) >= _SHORTEST_QUERY_KEY):
        return "%s%s=%s" % (separator, match.group(2), REDACTED)
    return match.group()


def _redact_assigned(head: str, text: str, at_most: int = NAMED_BY_USER) -> str:
    """Replaces what follows the heads that name a secret; linear, since no value is looked at often."""
    pieces = []
    done = looked_at = looks = 0
    extra = extra_keys()
    named = NOTHING
    for match in compiled(head).finditer(text):
        if match.start() < done:
            continue
        name = match.group(1)
        level = min(level_of(name, extra), at_most)
        if name in ("key", "Key"):
            level = _level_of_two_words(text, match.start(1), extra)
        if name in ("value", "default"):
            # {"name": "HF_TOKEN", "value": "..."}, as Kubernetes writes it.
            level, named = named, NOTHING
        is_name = name in ("name", "key")
        looks = looks + 1 if match.start() < looked_at else 0
        if not (level or (is_name and looks <= _MOST_LOOKS)):
            continue
        value = compiled(_ASSIGNED).match(text, match.end())
        if value is None:
            continue
        looked_at = value.end()
        bare = value.group().strip("\\\"'")
        if is_name:
            named = level_of(bare, extra)
        if level and (looks > _MOST_LOOKS or not _is_harmless_in_text(name, bare, level)):
            pieces += [text[done : match.end()], REDACTED]
            done = value.end()
    return "".join(pieces) + text[done:] if pieces else text


def _level_of_two_words(text: str, key: int, extra: "FrozenSet[str]") -> int:
    """Of "API Key: ..."; prose has such words too ("the private key: keep it safe")."""
    before = text[max(key - 20, 0) : key].rpartition("\n")[2].split(" ")
    return min(level_of(before[-2] + "_key", extra), ODD) if len(before) > 1 and not before[-1] else NOTHING


def _is_harmless_in_text(name: str, value: str, level: int) -> bool:
    if value.startswith(REDACTED) or is_harmless(value, level):
        return True
    if level == NAMED_BY_USER:
        return False
    # A list's comma, a call's bracket.
    bare = value.rstrip(",;)]}")
    if value.lower() in _PROSE or (bare != value and is_harmless(bare, level)):
        return True
    if compiled(_ANNOTATION).fullmatch(value):
        return True
    if level != TOKEN:
        return False
    return len(value) < _SHORTEST_TOKEN or (words(name) == ("token",) and is_plain_word(value, _LONGEST_WORD))
