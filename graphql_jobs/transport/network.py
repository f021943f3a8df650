"""How requests reach a service: extra headers, a client certificate and the system's proxy. All are off by default."""

from __future__ import annotations

import hashlib
import re
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.request import getproxies, proxy_bypass

from yarl import URL

from graphql_jobs.errors import InvalidInput
from graphql_jobs.transport.auth import fits_a_header

if TYPE_CHECKING:
    from collections.abc import Mapping

#: RFC 9110 5.6.2.
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
#: The sign-in, gql and aiohttp set these.
_TAKEN = frozenset(
    {"authorization", "connection", "content-length", "content-type", "host", "proxy-authorization", "te", "trailer"}
    | {"transfer-encoding", "upgrade"}
)
#: Our choice: stars for shorter values, such as a number or "dev", would make messages unreadable.
_SHORTEST_SECRET = 6


@dataclass(frozen=True, slots=True)
class Network:
    """How a session's requests are sent.

    `headers` are added to each request to the service, and to no other address, such as that of a file; their values
    are secrets. `client_certificate` and `client_key` are paths of PEM files, for services that ask for a certificate;
    an empty key is in the file of the certificate. With `trust_env`, requests go through the proxy that the process's
    environment or system names (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY); ~/.netrc is not read.
    """

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    client_certificate: str = ""
    client_key: str = ""
    trust_env: bool = False

    def __post_init__(self) -> None:
        for name, value in self.headers.items():
            where = f"headers.{name[:80]}"
            if not _HEADER_NAME.fullmatch(name):
                raise InvalidInput("headers", f"{name[:80]!r} is not the name of a header.")
            if name.lower() in _TAKEN:
                raise InvalidInput(where, "it is set by the client. Remove it.")
            if not fits_a_header(value):
                raise InvalidInput(where, "give a text of printable ASCII characters.")
        if len({name.lower() for name in self.headers}) < len(self.headers):
            raise InvalidInput("headers", "give each header once.")
        if self.client_key and not self.client_certificate:
            raise InvalidInput("client_certificate", "client_key needs it.")

    @property
    def fingerprint(self) -> str:
        """Equal for equal settings; no secret can be derived from it."""
        settings = sorted(self.headers.items()), self.client_certificate, self.client_key, self.trust_env
        return hashlib.sha256(repr(settings).encode()).hexdigest()

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return the texts that no message may contain: the values of headers, and the password of a proxy."""
        words = [word for value in self.headers.values() for word in (value, value.rpartition(" ")[2])]
        passwords = [URL(proxy).password or "" for proxy in getproxies().values()] if self.trust_env else []
        return (*(word for word in words if len(word) >= _SHORTEST_SECRET), *filter(None, passwords))

    def options(self, url: str | URL, endpoint: str, headers: Mapping[str, str]) -> dict[str, Any]:
        """Return aiohttp's options for a request to `url`: its `headers`, and what these settings add.

        Raises `InvalidInput` for a proxy that cannot be used.
        """
        options: dict[str, Any] = {"headers": dict(headers)}
        if is_at(url, endpoint):
            own = {name.lower() for name in headers}
            options["headers"] |= {name: value for name, value in self.headers.items() if name.lower() not in own}
        if self.trust_env and (proxy := _proxy_for(URL(url))):
            options["proxy"] = proxy
        return options

    def ssl(self) -> ssl.SSLContext | bool:
        """Return the TLS settings for the service. Raises `InvalidInput` for a file that cannot be used."""
        if not self.client_certificate:
            return True
        context = ssl.create_default_context()
        try:
            # With no password, OpenSSL would ask for one on the terminal.
            context.load_cert_chain(self.client_certificate, self.client_key or None, password="")
        except (OSError, ValueError) as error:
            words = f"the certificate or its key cannot be read: {type(error).__name__}."
            raise InvalidInput("client_certificate", words) from None
        return context


def is_at(url: str | URL, endpoint: str) -> bool:
    """Whether `url` has the scheme, host and port of the service."""
    return URL(url).origin() == URL(endpoint).origin()


def _proxy_for(url: URL) -> str | None:
    """Return the proxy that the environment or system has for `url`."""
    if proxy_bypass(url.host or ""):
        return None
    proxies = getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    if proxy and not proxy.startswith(("http://", "https://")):
        raise InvalidInput("trust_env", "the system's proxy is no HTTP proxy. Its address must begin with http://.")
    return proxy
