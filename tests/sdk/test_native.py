"""Anthropic's and Google's own SDKs through `/anthropic` and `/gemini`: nothing is translated."""

import anthropic
import pytest
from google import genai

from samples import PNG, ask, sha256


@pytest.fixture
def claude(gateway):
    with anthropic.Anthropic(base_url=f"{gateway}/anthropic", api_key="the-clients-own", timeout=12, max_retries=0) as client:
        yield client


@pytest.fixture
def gemini(gateway):
    options = genai.types.HttpOptions(base_url=f"{gateway}/gemini", timeout=12_000)
    yield genai.Client(api_key="the-clients-own", http_options=options)


def test_anthropic_messages(claude):
    raw = claude.messages.with_raw_response.create(model="claude-sonnet-4-5", max_tokens=200, messages=ask("Hello there"))
    message = raw.parse()
    assert "Hello there" in message.content[0].text and message.stop_reason == "end_turn"
    assert raw.headers["x-heliostat-attempts"].startswith("anthropic/claude-sonnet-4-5#")
    assert message._request_id == raw.headers["x-request-id"]


def test_anthropic_streams(claude):
    with claude.messages.stream(model="claude-sonnet-4-5", max_tokens=200, messages=ask("Hello there")) as stream:
        text = "".join(stream.text_stream)
        assert "Hello there" in text and stream.get_final_message().usage.output_tokens > 0


def test_anthropic_counts_tokens(claude):
    assert claude.messages.count_tokens(model="claude-sonnet-4-5", messages=ask()).input_tokens > 0


def test_anthropic_errors_are_its_own(claude):
    with pytest.raises(anthropic.BadRequestError):
        claude.messages.create(model="fail-400", max_tokens=5, messages=ask())


def test_google_generates(gemini):
    image = genai.types.Part.from_bytes(data=PNG, mime_type="image/png")
    reply = gemini.models.generate_content(model="gemini-2.5-flash", contents=["What is it?", image])
    assert sha256(PNG) in reply.text and reply.usage_metadata.total_token_count > 0


def test_google_streams(gemini):
    chunks = list(gemini.models.generate_content_stream(model="gemini-2.5-flash", contents="Hello there"))
    assert "Hello there" in "".join(chunk.text or "" for chunk in chunks) and len(chunks) > 1


def test_google_errors_are_its_own(gemini):
    with pytest.raises(genai.errors.APIError) as caught:
        gemini.models.generate_content(model="fail-400", contents="Hello")
    assert caught.value.code == 400
