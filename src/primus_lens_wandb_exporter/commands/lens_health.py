"""Asks Lens whether it is there, and tells what is wrong in words that help."""

import http.client
import os
import socket
import ssl
import threading
from typing import List, Optional
from urllib.parse import urlsplit

HEALTH_TIMEOUT_S = 3.0


def ask_health(base_url: str) -> "Optional[tuple[str, str]]":
    """Asks the server for ``/health``; returns None when it is well, else what is wrong and what to do next."""
    answers: "List[Optional[tuple[str, str]]]" = []
    # A name server may keep us waiting much longer than any socket timeout.
    thread = threading.Thread(target=lambda: answers.append(_get_health(base_url)), daemon=True)
    thread.start()
    thread.join(HEALTH_TIMEOUT_S + 0.5)
    return answers[0] if answers else _no_answer()


def _no_answer() -> "tuple[str, str]":
    return (
        "no answer within %.0f s" % HEALTH_TIMEOUT_S,
        "look at firewalls, network policies and the name server between here and Lens",
    )


def _get_health(base_url: str) -> "Optional[tuple[str, str]]":
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    connection: Optional[http.client.HTTPConnection] = None
    try:
        if parts.scheme == "https":
            connection = http.client.HTTPSConnection(
                host, parts.port, timeout=HEALTH_TIMEOUT_S, context=_make_tls_context()
            )
        else:
            connection = http.client.HTTPConnection(host, parts.port, timeout=HEALTH_TIMEOUT_S)
        connection.request("GET", "/health")
        status = connection.getresponse().status
    except (socket.gaierror, UnicodeError) as error:
        return (
            "the name %s is not known (%s)" % (host, error),
            "inside the cluster the default address works; elsewhere set PRIMUS_LENS_API_BASE_URL to the address of "
            "Lens, or to that of `primus-lens-local serve`",
        )
    except ConnectionRefusedError:
        return (
            "nothing listens there (connection refused)",
            "start Lens, or correct host and port in PRIMUS_LENS_API_BASE_URL",
        )
    except socket.timeout:
        return _no_answer()
    except ssl.SSLError as error:
        return (
            "TLS failed (%s)" % (error.reason or error),
            "set REQUESTS_CA_BUNDLE to the certificate of its authority, or use http:// if Lens has no TLS",
        )
    except (OSError, http.client.HTTPException) as error:
        return (
            "no HTTP answer (%s: %s)" % (type(error).__name__, error),
            "look at what listens there, and at PRIMUS_LENS_API_BASE_URL",
        )
    finally:
        if connection is not None:
            connection.close()
    if status == 200:
        return None
    return (
        "answers /health with HTTP status %d" % status,
        "look at the log of Lens, or correct PRIMUS_LENS_API_BASE_URL if this is another server",
    )


def _make_tls_context() -> ssl.SSLContext:
    """Trusts what the exporter's own requests trust."""
    bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    if not bundle:
        try:
            import certifi

            bundle = certifi.where()
        except ImportError:
            return ssl.create_default_context()
    if os.path.isdir(bundle):
        return ssl.create_default_context(capath=bundle)
    return ssl.create_default_context(cafile=bundle)
