"""Secrets on command lines that no name announces: `curl -u me:…`, `sshpass -p …`, `mysql -p…`, `wandb login …`."""

from typing import Any, List, Match

from .keys import TOKEN, compiled
from .values import REDACTED, is_harmless

# Between the words of a command taken apart, for which it is put together again.
_SEPARATOR = "\x00"
_BLANK = r"[ \t\x00]{1,3}"
_VALUE = r"(\"[^\"\x00\n]*\"|'[^'\x00\n]*'|[^\s\x00\"';|&]+)"
_START = r"(?<![^\s\x00])"
_USER_AND_PASSWORD = (
    _START + r"((?:-u|-U|--user|--proxy-user)[ =\t\x00]{0,3}[\"']?[^\s\x00:\"'/]{1,256}:)([^\s\x00\"']{1,256})"
)

# The program, and what follows its name: group 1 stays, group 2 is the secret.
_PROGRAMS = (
    ("curl", _USER_AND_PASSWORD),
    ("sshpass", _START + r"(-p(?:%s)?)" % _BLANK + _VALUE),
    ("mysql", _START + r"(-p)" + _VALUE),
    ("mysqldump", _START + r"(-p)" + _VALUE),
    ("mysqladmin", _START + r"(-p)" + _VALUE),
    ("mariadb", _START + r"(-p)" + _VALUE),
    ("redis-cli", _START + r"(-a%s)" % _BLANK + _VALUE),
    ("mongosh", _START + r"(-p%s)" % _BLANK + _VALUE),
    ("mongodump", _START + r"(-p%s)" % _BLANK + _VALUE),
    ("ldapsearch", _START + r"(-w%s)" % _BLANK + _VALUE),
    ("docker", r"(\blogin\b[^\n;|&]{0,256}?[ \t\x00]-p%s)" % _BLANK + _VALUE),
    ("az", r"(\blogin\b[^\n;|&]{0,256}?[ \t\x00]-p%s)" % _BLANK + _VALUE),
    ("podman", r"(\blogin\b[^\n;|&]{0,256}?[ \t\x00]-p%s)" % _BLANK + _VALUE),
    ("wandb", _START + r"(login%s(?:--[a-z-]{1,20}%s){0,4})([^\s\x00-]\S{15,255})" % (_BLANK, _BLANK)),
    ("wandb.login", r"(\(\s{0,8}(?:key=)?[\"'])([^\"'\s]{12,255})"),
    ("vault", _START + r"(login%s)([^\s\x00=-][^\s\x00=]{15,255})" % _BLANK),
    (
        "aws",
        _START + r"(configure%sset%s\S{0,64}(?:secret_access_key|session_token)%s)" % (_BLANK, _BLANK, _BLANK) + _VALUE,
    ),
    ("kubectl", _START + r"(--from-literal[ =\x00]{1,3}[\w.-]{1,256}=)" + _VALUE),
    ("openssl", _START + r"(-pass(?:in|out)?%spass:)" % _BLANK + _VALUE),
    ("ssh-keygen", _START + r"(-[NP]%s)" % _BLANK + _VALUE),
    ("unzip", _START + r"(-P%s)" % _BLANK + _VALUE),
    ("zip", _START + r"(-P%s)" % _BLANK + _VALUE),
    ("7z", _START + r"(-p)" + _VALUE),
    ("smbclient", _START + r"(-U%s[^\s\x00%%]{1,256}%%)" % _BLANK + _VALUE),
)
_NAMES = frozenset(name for name, _ in _PROGRAMS)


def redact_commands(text: str) -> str:
    for name, pattern in _PROGRAMS:
        if name in text:
            program = compiled(r"(?<![\w.-])%s(?![\w.-])" % name).search(text)
            if program:
                text = text[: program.end()] + compiled(pattern).sub(_without_value, text[program.end() :])
    return text


def redact_command_words(words: "List[Any]") -> "List[Any]":
    """The same for a command taken apart: ["curl", "-u", "me:…"]."""
    if not any(isinstance(word, str) and word.rpartition("/")[2] in _NAMES for word in words):
        return words
    texts = [word if isinstance(word, str) else "" for word in words]
    redacted = redact_commands(_SEPARATOR.join(texts)).split(_SEPARATOR)
    if len(redacted) != len(words):  # A word has the separator in it.
        return [redact_commands(word) if isinstance(word, str) else word for word in words]
    return [new if isinstance(word, str) else word for word, new in zip(words, redacted)]


def _without_value(match: "Match[str]") -> str:
    head, value = match.groups()
    if is_harmless(value.strip("\"'"), TOKEN) or value.startswith(REDACTED):
        return match.group()
    return head + REDACTED
