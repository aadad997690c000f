"""What the server says on stdout once it listens: where it is, and the tokens that it made."""

from __future__ import annotations

import ipaddress
import socket

from primus_lens_local.access import TOKEN_VARIABLE, Tokens


def announcement(listener: socket.socket, tokens: Tokens) -> list[str]:
    """Return the lines. Programs read the first, which ends with the address; tokens that were given stay out."""
    host, port = listener.getsockname()[:2]
    lines = [f"Primus Lens (local) is listening on {_url(host, port)}"]
    is_wildcard = ipaddress.ip_address(host.partition("%")[0]).is_unspecified
    url = _url(socket.gethostname(), port) if is_wildcard else _url(host, port)
    if tokens.write in tokens.made:
        lines.append(f"Open in a browser:  {url}/?token={tokens.write}")
        variables = f"PRIMUS_LENS_API_BASE_URL={url}/api/v1 {TOKEN_VARIABLE}={tokens.write}"
        lines.append(f"For training jobs:  export {variables}")
    elif is_wildcard:
        lines.append(f"Open in a browser:  {url}/")
    if tokens.read in tokens.made:
        lines.append(f"To look only:       {url}/?token={tokens.read}")
    if is_wildcard:
        lines.append(f"{host} is every address of this machine: any of its names or addresses will do instead.")
    return lines


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
