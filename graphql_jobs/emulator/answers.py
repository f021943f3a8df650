"""Answers, and the correct and faulty ways of sending them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web

_CHUNK_BYTES = 64 * 1024

Manner = Literal["whole", "drop", "truncate", "stream"]


@dataclass(frozen=True)
class Answer:
    """The content of a response, and how it is sent."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    # drop: reset the connection. truncate: announce all, send half. stream: chunked, without Content-Length.
    manner: Manner = "whole"


def json_answer(payload: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """Return an answer with a JSON body."""
    return Answer(status, json.dumps(payload).encode(), headers=headers or {})


def html_answer(status: int, title: str) -> Answer:
    """Return an answer like that of a proxy."""
    page = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
    return Answer(status, page.encode(), "text/html")


# Invented bodies in S3's format: the documentation only mentions "pre-signed", and 404 before a file exists.
_STORE_ERROR = '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{}</Code></Error>'


def store_refusal(status: int, code: str) -> Answer:
    """Return the failure of an object store."""
    return Answer(status, _STORE_ERROR.format(code).encode(), "application/xml")


async def send(request: web.Request, answer: Answer) -> web.StreamResponse:
    """Send the answer."""
    if answer.manner == "drop":
        return _drop(request)
    if answer.manner == "truncate":
        return await _send_half(request, answer)
    if answer.manner == "stream":
        return await _send_stream(request, answer)
    return web.Response(
        status=answer.status, body=answer.body, content_type=answer.content_type, headers=answer.headers
    )


def _drop(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    # aiohttp requires a response, but its connection is closed.
    return web.Response(status=500)


def _stream_response(answer: Answer) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status, headers=answer.headers)
    response.content_type = answer.content_type
    return response


async def _send_half(request: web.Request, answer: Answer) -> web.StreamResponse:
    response = _stream_response(answer)
    response.content_length = len(answer.body)
    await response.prepare(request)
    await response.write(answer.body[: len(answer.body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response


async def _send_stream(request: web.Request, answer: Answer) -> web.StreamResponse:
    response = _stream_response(answer)
    response.enable_chunked_encoding()
    await response.prepare(request)
    try:
        for start in range(0, len(answer.body), _CHUNK_BYTES):
            await response.write(answer.body[start : start + _CHUNK_BYTES])
    except ConnectionError:
        # A careful client stops reading and disconnects.
        pass
    return response
