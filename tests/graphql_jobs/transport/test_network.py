"""Extra headers, a client certificate and the system's proxy: off by default, and for the service only."""

from __future__ import annotations

import json
import ssl
from typing import TYPE_CHECKING, Any

import pytest

from graphql_jobs import BearerToken
from graphql_jobs.errors import InvalidInput, RequestRefused, SignInFailed
from graphql_jobs.providers.aiware.reader import DIALECT
from graphql_jobs.transport.limits import Limits
from graphql_jobs.transport.network import Network
from graphql_jobs.transport.session import Session
from graphql_jobs.transport.shared_session import shared_session
from tests.graphql_jobs.certificates import self_signed

if TYPE_CHECKING:
    import asyncio
    from contextlib import AsyncExitStack
    from pathlib import Path

    from graphql_jobs.transport.operation import Operation
    from tests.clocks import FakeClock
    from tests.graphql_jobs.conftest import Serve, ServeRaw

GOOD: dict[str, Any] = {"data": {"job": {"id": "1"}}}
SECRET = "g4teway-5ecret"
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of the test run has no say."""
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


async def opened(url: str, network: Network, clock: FakeClock, closing: AsyncExitStack) -> Session:
    """An open session with these settings."""
    session = Session(url, BearerToken("t0k3n-of-test"), DIALECT, Limits(attempts=1), clock, network)
    return await closing.enter_async_context(session)


async def test_extra_header_reaches_the_service_and_no_message(
    serve: Serve, operation: Operation, clock: FakeClock, closing: AsyncExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    """With the token, in each request; a message that repeats it has stars, and another host does not get it."""
    caplog.set_level("DEBUG")
    told = {"errors": [{"message": f"who is {SECRET}? and Basic {SECRET}"}]}
    service, files = await serve(GOOD, (403, told, {})), await serve(GOOD)
    network = Network({"X-Gateway": f"Basic {SECRET}"})
    session = await opened(service.url, network, clock, closing)
    await session.read(operation, {})
    with pytest.raises(SignInFailed) as raised:
        await session.read(operation, {})
    assert [sent["X-Gateway"] for sent in service.headers] == [f"Basic {SECRET}"] * 2
    assert service.headers[0]["Authorization"] == "Bearer t0k3n-of-test"
    assert "who is ***" in str(raised.value)
    assert SECRET not in f"{raised.value!r} {caplog.text} {network!r} {network.fingerprint}"
    await session.fetch("GET", files.url, lambda response: response.read(), "download", "file", {404: RequestRefused})
    assert "X-Gateway" not in files.headers[0]


@pytest.mark.parametrize(
    ("trust_env", "no_proxy", "passed"), [(False, "", False), (True, "", True), (True, "127.0.0.1", False)]
)
async def test_proxy_of_the_environment_is_used_only_with_trust_env(
    trust_env: bool,
    no_proxy: str,
    passed: bool,
    serve: Serve,
    operation: Operation,
    clock: FakeClock,
    closing: AsyncExitStack,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """HTTP_PROXY is set: the requests go to the service itself, or with `trust_env` to the proxy, but for NO_PROXY."""
    service, proxy = await serve(GOOD), await serve(GOOD)
    monkeypatch.setenv("HTTP_PROXY", proxy.url.replace("http://", "http://me:pr0xy-pass@").removesuffix("/graphql"))
    monkeypatch.setenv("NO_PROXY", no_proxy)
    session = await opened(service.url, Network(trust_env=trust_env), clock, closing)
    await session.read(operation, {})
    assert (service.count, proxy.count) == ((0, 1) if passed else (1, 0))
    assert ("pr0xy-pass" in session.redact("pr0xy-pass")) is not trust_env
    if passed:
        assert proxy.headers[0]["Proxy-Authorization"].startswith("Basic ")
        monkeypatch.setenv("HTTP_PROXY", "socks5://127.0.0.1:1")
        with pytest.raises(InvalidInput, match="is no HTTP proxy"):
            await session.read(operation, {})


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({"Authorization": SECRET}, "headers.Authorization: it is set by the client"),
        ({"X Gateway": SECRET}, "'X Gateway' is not the name of a header"),
        ({"X-A": f"{SECRET}\n"}, "headers.X-A: give a text of printable ASCII characters"),
        ({"X-A": SECRET, "x-a": SECRET}, "give each header once"),
    ],
)
def test_wrong_header_is_refused_without_its_value(headers: dict[str, str], message: str) -> None:
    """The name of the header is in the message."""
    with pytest.raises(InvalidInput, match=message) as raised:
        Network(headers)
    assert SECRET not in str(raised.value)


async def test_client_certificate_is_shown_to_the_service(
    tmp_path: Path,
    operation: Operation,
    serve_raw: ServeRaw,
    clock: FakeClock,
    closing: AsyncExitStack,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The server refuses connections without the certificate, and answers with it."""
    pem = tmp_path / "own.pem"
    pem.write_bytes(self_signed())
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pem)
    tls.load_verify_locations(pem)
    tls.verify_mode = ssl.CERT_REQUIRED
    shown: list[Any] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        shown.append(writer.get_extra_info("peercert"))
        await reader.readuntil(b"\r\n\r\n")
        body = json.dumps(GOOD).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: ")
        writer.write(f"{len(body)}\r\n\r\n".encode() + body)
        await writer.drain()

    url = (await serve_raw(talk, ssl=tls)).url.replace("http:", "https:")
    session = await opened(url, Network(client_certificate=str(pem)), clock, closing)
    await session.read(operation, {})
    assert shown[0]["subject"] == ((("commonName", "localhost"),),)


async def test_certificate_that_cannot_be_read_is_invalid_input(
    tmp_path: Path, clock: FakeClock, closing: AsyncExitStack
) -> None:
    """A missing file, and one that is no certificate: before anything is sent."""
    (tmp_path / "no.pem").write_text("no certificate")
    for name in ("missing.pem", "no.pem"):
        with pytest.raises(InvalidInput, match="client_certificate: the certificate or its key cannot be read"):
            await opened("https://a.example.com/graphql", Network({}, str(tmp_path / name)), clock, closing)
    with pytest.raises(InvalidInput, match="client_key needs it"):
        Network(client_key="key.pem")


async def test_sessions_differ_by_network_and_time_outs() -> None:
    """Two blocks with the same token and different headers or time-outs do not share a session."""
    url, auth = "https://network.example.com/graphql", BearerToken("t0k3n-of-test")
    given = [(Limits(), Network()), (Limits(), Network({"X-A": "1"})), (Limits(read_s=90), Network())]
    sessions = [shared_session(url, auth, DIALECT, limits, network) for limits, network in given * 2]
    assert len(set(map(id, sessions))) == 3
