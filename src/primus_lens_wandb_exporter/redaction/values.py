"""Texts that are no secrets whatever they are called: counts, names of variables, placeholders, paths."""

from .keys import NAMED_BY_USER, NOTHING, ODD, TOKEN, compiled, level_of, words_of

REDACTED = "[redacted]"

_SPECIAL_TOKEN = r"<[^<>]{0,64}>|\[[A-Z_]{1,24}\]"
# $HF_TOKEN, ${HF_TOKEN}, ${oc.env:HF_TOKEN}, {{ secrets.HF_TOKEN }}, {token}, ****; not ${HF_TOKEN:-a default}.
_REFERENCE = (
    r"\$[A-Z_][A-Z0-9_]*|\$\{(?:[a-z.]{1,20}:)?[A-Za-z_][\w.]*\}|\$?\{\{[ \t]{0,3}[\w.]{1,80}[ \t]{0,3}\}\}"
    r"|\*+|\{[A-Za-z_][\w.]{0,40}\}"
)
_VARIABLE_NAME = r"(?:os\.environ/|env[.:/])?[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+"
_PATH = r"(?:~|\.{1,2})?(?:/[\w.@+~-]+)+/?"
_PLAIN_WORD = r"[A-Za-z]?[a-z]{0,23}"
# Words of configs and of prose, and the names of ways to authenticate.
_HARMLESS_WORDS = words_of(
    """none null true false yes no on off auto required optional disabled enabled basic bearer digest token oauth oauth2
    api_key apikey password secret ntlm kerberos iam ldap mtls jwt anonymous empty dummy fake unset ~"""
)


def is_harmless(value: str, level: int) -> bool:
    """Whether a text under a key of this level stays."""
    if not value or value == REDACTED:
        return True
    if level == NAMED_BY_USER:
        return False
    if value.lower() in _HARMLESS_WORDS or (level == ODD and not _looks_made(value)) or _is_reference(value):
        return True
    # "4096" under max_token is a count; "12345" under password is not.
    return level == TOKEN and (
        value.isdecimal()
        or compiled(_SPECIAL_TOKEN).fullmatch(value) is not None
        or (value[0] in "/~." and is_path(value))
    )


def is_path(value: str) -> bool:
    # Base64 may begin with a slash too, but is long then and has none of the other characters.
    return compiled(_PATH).fullmatch(value) is not None and (
        len(value) < 40 or any(character in value for character in "._-~")
    )


def is_plain_word(value: str, longest: int) -> bool:
    return len(value) <= longest and compiled(_PLAIN_WORD).fullmatch(value) is not None


def _is_reference(value: str) -> bool:
    if value[0] in "${*":
        return compiled(_REFERENCE).fullmatch(value) is not None
    # api_key: OPENAI_API_KEY. A name in capitals that names a secret by itself.
    return (
        "_" in value
        and compiled(_VARIABLE_NAME).fullmatch(value) is not None
        and level_of(value, frozenset()) > NOTHING
    )


def _looks_made(value: str) -> bool:
    """Whether the text is made by a machine or a careful person, and no word, version or path."""
    if REDACTED in value:
        return False
    if value[-1:] == "=" and len(value) >= 24:
        return True
    if len(value) < 6 or "/" in value or " " in value:
        return False
    if any(character in "!@#$%^&*?" for character in value):
        return True
    has_digit = any(character.isdigit() for character in value)
    has_capitals = compiled(r"[A-Z]{2}|[a-z][A-Z]").search(value) is not None
    if has_digit and has_capitals and len(value) >= 12:
        return True
    # apache-2.0 and cc-by-4.0 are words and versions; hunter2 is neither.
    return any(
        len(part) >= 6 and not part.isalpha() and not part.isdigit()
        for part in compiled(r"[A-Za-z0-9]+").findall(value)
    )
