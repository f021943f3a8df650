"""Pre-signed addresses anywhere in a spec: they do not distinguish jobs, and are never shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from graphql_jobs import LocalStore, errors
from graphql_jobs.providers.aiware import AiwareClient, AiwareJobSpec, EngineJobSpec, EngineTask
from graphql_jobs.providers.datasaur import AutoLabelSpec, DatasaurClient, ProjectDocument, ProjectSpec
from graphql_jobs.transport.limits import Limits
from graphql_jobs.transport.redaction import KeptSecrets, redacted
from graphql_jobs.urls import urls_in, without_queries
from tests.graphql_jobs.submitting import ENGINE, LABEL, jobs, submitted

if TYPE_CHECKING:
    from blocks import AiwareCredentials, DatasaurCredentials
    from graphql_jobs import JobSpec
    from graphql_jobs.emulator import Emulator
    from tests.graphql_jobs.conftest import OpenSession, Serve


def signed(signature: str) -> dict[str, JobSpec]:
    """A newly signed spec of each kind that may have addresses."""
    url = f"https://media.example.com/a.mp4?X-Amz-Date=20260101&X-Amz-Signature={signature}"
    return {
        "document": ProjectSpec.of(name="mine", documents=[ProjectDocument(name="a.txt", external_url=url)]),
        "settings": ProjectSpec.of(
            name="mine",
            documents=[ProjectDocument(name="a.txt", object_key="k")],
            settings={"guideline": {"urls": [url]}},
        ),
        "model": AutoLabelSpec.of(
            project_id="p", labeler_email="me@example.com", target_endpoint=url, target_secret="s3cret-of-model"
        ),
        "payload": AiwareJobSpec.of(tasks=[EngineTask(engine_id=ENGINE, payload={"url": url, "more": [{"u": url}]})]),
        "standby": AiwareJobSpec.of(
            tasks=[EngineTask(engine_id=ENGINE, standby_task=EngineTask(engine_id=ENGINE, payload={"url": url}))]
        ),
        "job config": AiwareJobSpec.of(tasks=[EngineTask(engine_id=ENGINE)], job_config={"callback": url}),
        "target": AiwareJobSpec.of(tasks=[EngineTask(engine_id=ENGINE)], target={"details": {"source": url}}),
        "upload": EngineJobSpec.of(engine_id=ENGINE, upload_url=url),
        "template": EngineJobSpec.of(engine_id=ENGINE, target_id="7", fields={"url": url, "json": f'{{"u": "{url}"}}'}),
    }


@pytest.mark.parametrize("name", [name for name in signed("") if name != "template"])
def test_url_with_a_new_signature_is_the_same_job(name: str) -> None:
    """Signed again for the second attempt, deep in a document or a payload: the same summary, the same key."""
    assert signed("1" * 64)[name].summary("salt") == signed("2" * 64)[name].summary("salt")


def test_another_url_is_another_job() -> None:
    """Only the query of an address is ignored."""
    one, other = [
        AiwareJobSpec.of(tasks=[EngineTask(engine_id=ENGINE, payload={"url": url, "question": "why?"})])
        for url in ("https://h.example.com/a?x=1", "https://h.example.com/b?x=1")
    ]
    asked = AiwareJobSpec.of(
        tasks=[EngineTask(engine_id=ENGINE, payload={"url": "https://h.example.com/a", "question": "why?not"})]
    )
    assert len({str(spec.summary("salt")) for spec in (one, other, asked)}) == 3


@pytest.mark.parametrize("name", ["document", "payload"])
async def test_flow_with_a_newly_signed_url_goes_on_with_its_job(
    name: str, emulator: Emulator, aiware: AiwareCredentials, datasaur: DatasaurCredentials
) -> None:
    """The caller's own key, and an address that is signed again in each attempt: one job, and no conflict."""
    client, store = (datasaur if name == "document" else aiware).get_client(), LocalStore()
    first, second = [await submitted(client, signed(one * 64)[name], store) for one in "12"]
    assert first == second
    assert len(jobs(emulator)) == 1


@pytest.mark.parametrize("name", signed(""))
async def test_a_signature_that_a_server_repeats_is_not_shown(
    name: str, serve: Serve, open_session: OpenSession, caplog: pytest.LogCaptureFixture
) -> None:
    """The error of each request quotes the whole request: stars in the error and in the log."""
    signature = "5ec7e7" * 8
    spec = signed(signature)[name]
    echo = {"errors": [{"message": f"bad input: {spec.to_wire() if hasattr(spec, 'to_wire') else spec.fields}"}]}  # type: ignore[attr-defined]
    quoted = f"cannot fetch https://media.example.com/a.mp4?X-Amz-Date=20260101&X-Amz-Signature={signature}"
    for answer in (echo, {"errors": [{"message": quoted}]}):
        server = await serve(answer)
        session = await open_session(server.url, limits=Limits(attempts=1))
        client: Any = (DatasaurClient if name in {"document", "settings", "model"} else AiwareClient)(session)
        work = client.make_container(spec, LABEL) if name == "target" else client.submit(spec)
        with pytest.raises(errors.GraphqlJobsError) as caught:
            await work
        assert "5ec7e7" not in f"{caught.value} {caught.value.__cause__} {caplog.text}"


def test_urls_are_found_anywhere_in_json() -> None:
    """In lists, in names of fields, within a text."""
    plain = {"a": ["https://h/1?s=1", 7, None, {"b": "see <http://h/2?s=2>, please"}], "https://h/3?s=3": True}
    assert list(urls_in(plain)) == ["https://h/1?s=1", "http://h/2?s=2", "https://h/3?s=3"]
    assert without_queries({"a": ["https://h/1?s=1", "why?"]}) == {"a": ["https://h/1", "why?"]}


@pytest.mark.parametrize(
    "text", ["https://[bad?token=abcdefghijklmnopqrst", "://?a", "https://h:x/?k=1234567890123456"]
)
def test_text_that_only_resembles_a_url_is_harmless(text: str) -> None:
    """The text of a payload is not a URL; the part after its question mark is still hidden."""
    kept = KeptSecrets()
    kept.keep_queries({"url": text})
    assert "1234567890" not in redacted(text, set(kept))
    assert "abcdefgh" not in redacted(text, set(kept))


def test_a_query_of_a_letter_is_no_secret() -> None:
    """Otherwise every such letter in a message would become stars."""
    kept = KeptSecrets()
    kept.keep_queries(["https://h/?a"])
    assert redacted("a message", set(kept)) == "a message"


def test_the_signatures_of_a_large_project_are_all_kept() -> None:
    """A hundred documents, four long values in each address."""
    kept = KeptSecrets()
    batched = [tuple(f"{part}-{number:030d}" for part in "abcd") for number in range(100)]
    kept.keep_queries([f"https://h/?a={a}&b={b}&c={c}&d={d}" for a, b, c, d in batched])
    assert {value for values in batched for value in values} <= set(kept)
