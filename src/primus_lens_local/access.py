"""Which tokens a server gets, from its arguments and the environment, and what is said about that at its start."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Mapping, Optional

TOKEN_VARIABLE = "PRIMUS_LENS_API_TOKEN"
READ_TOKEN_VARIABLE = "PRIMUS_LENS_READ_TOKEN"
AUTO = "auto"
# Shorter ones can be found by trying; the names of things, as people choose them, sooner.
_SAFE_LENGTH = 16
_MADE_BYTES = 32

_OPEN_TO_ALL = (
    "warning: everybody who reaches this address can read and write. Without --no-token the server "
    f"makes a token; {TOKEN_VARIABLE} sets one (here and for the training jobs)"
)
_OPEN_TO_MACHINE = (
    "note: everybody who is logged in on this machine can read and write here; --token auto asks for a token"
)


class TokenError(Exception):
    """The tokens cannot be used as given; the message says which, why and what to do next, and does not show them."""


@dataclass(frozen=True)
class Tokens:
    """The tokens of a server: none, the one that may do everything, and the one that may read, too.

    `made` are those that were made here, which nobody knows before they are shown.
    """

    write: Optional[str] = None
    read: Optional[str] = None
    made: frozenset[str] = frozenset()


def choose_tokens(
    token: Optional[str], read_token: Optional[str], no_token: bool, environment: Mapping[str, str], on_loopback: bool
) -> Tokens:
    """Choose: the argument, else the variable, else a new one where others than this machine's users reach the server.

    Raises TokenError.
    """
    if no_token:
        if read_token is not None:
            raise TokenError("--read-token restricts what another token may do: leave out --no-token")
        return Tokens()
    made: set[str] = set()
    write = _given(token, "--token", TOKEN_VARIABLE, environment, made)
    read = _given(read_token, "--read-token", READ_TOKEN_VARIABLE, environment, made)
    if write is None and (read is not None or not on_loopback):
        write = _make(made)
    if write is not None and write == read:
        raise TokenError("the token and the read-only token are the same: whoever may read could write")
    return Tokens(write, read, frozenset(made))


def remarks(tokens: Tokens, no_token: bool, on_loopback: bool) -> list[str]:
    """Return what somebody who starts a server should know about who else can use it."""
    if tokens.write is None:
        if on_loopback:
            return [] if no_token else [_OPEN_TO_MACHINE]
        return [_OPEN_TO_ALL]
    given = (("token", "--token", tokens.write), ("read-only token", "--read-token", tokens.read))
    return [
        f"note: the {name} has {len(token)} characters, which can be guessed; {option} {AUTO} makes a long one"
        for name, option, token in given
        if token is not None and len(token) < _SAFE_LENGTH
    ]


def _given(
    argument: Optional[str], option: str, variable: str, environment: Mapping[str, str], made: set[str]
) -> Optional[str]:
    if argument == AUTO:
        return _make(made)
    if argument is None:
        argument, option = environment.get(variable) or None, variable
    if argument is None:
        return None
    if not argument.strip():
        raise TokenError(f"{option} is empty: give a token, or {AUTO} to have one made")
    if not (argument.isascii() and argument.isprintable() and " " not in argument):
        raise TokenError(f"the token in {option} can only have printable ASCII characters, without spaces")
    if argument == AUTO:
        raise TokenError(f"{option} is {AUTO!r}, which everybody guesses: only --token and --read-token take it")
    return argument


def _make(made: set[str]) -> str:
    token = secrets.token_urlsafe(_MADE_BYTES)
    made.add(token)
    return token
