"""Which names the page may be asked for by, and from which pages.

A foreign page can make its own name stand for this machine (DNS rebinding); the browser would then
let it read what is answered. A number cannot be made to stand for another. Nor is a foreign page to
have this machine work, though it could not read what comes of it.
"""

import socket
from ipaddress import ip_address
from urllib.parse import urlsplit

LOCAL = ("localhost", "127.0.0.1", "::1")
"""Names of this machine that nobody else can reach."""


def is_local(host: str) -> bool:
    """Tell whether only this machine reaches ``host``."""
    return _plain(host) in LOCAL


def is_anywhere(host: str) -> bool:
    """Tell whether ``host`` stands for all of this machine's addresses, e.g. 0.0.0.0."""
    return _is_number(host) and ip_address(host).is_unspecified


def may_ask(asked: str, host: str) -> bool:
    """Tell whether a request gets an answer.

    Args:
        asked: the request's Host, e.g. ``localhost:7860`` or ``[::1]:7860``.
        host: the name or address that is listened on.
    """
    try:
        name = _plain(urlsplit(f"//{asked}").hostname or "")
    except ValueError:  # "[::1" and the like
        return False
    if is_anywhere(host):
        return _is_number(name) or name in (LOCAL[0], _plain(socket.gethostname()))
    return name in (*LOCAL, _plain(host))


def is_foreign(asked: str, origin: str | None, site: str | None) -> bool:
    """Tell whether a foreign page has sent a request.

    Args:
        asked: the request's Host.
        origin: its Origin, e.g. ``http://localhost:7860``; None: it has none, for it is no page's.
        site: its Sec-Fetch-Site; None: an old browser, or none at all.
    """
    if origin is not None and origin.partition("://")[2].lower() != asked.lower():
        return True
    return site not in (None, "same-origin", "none")


def _plain(host: str) -> str:
    """Return a name or address as all its spellings are: ``MyBox``, ``::1`` and ``0::1``."""
    return str(ip_address(host)) if _is_number(host) else host.lower()


def _is_number(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
