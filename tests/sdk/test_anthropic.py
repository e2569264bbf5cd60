"""Anthropic's own SDK, to every provider: the gateway translates its Messages API."""

import base64
import json

import anthropic
import pytest

from samples import ALL, ANTHROPIC, GEMINI, JPEG, OPENAI, PNG, Verdict, ask, sha256

TOOL = {
    "name": "weather",
    "description": "Tells the weather of a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


@pytest.fixture
def claude(gateway):
    """As an application has it, without retries of its own."""
    with anthropic.Anthropic(base_url=gateway, api_key="unused", timeout=12, max_retries=0) as client:
        yield client


def shown(*images):
    """A question with images, each a pair of media type and bytes."""
    encoded = [(kind, base64.b64encode(image).decode()) for kind, image in images]
    parts = [{"type": "image", "source": {"type": "base64", "media_type": kind, "data": data}} for kind, data in encoded]
    return [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, *parts]}]


@pytest.mark.parametrize("model", ALL)
def test_a_plain_answer(claude, model):
    message = claude.messages.create(model=model, max_tokens=200, system="Be brief.", messages=ask("Hello there"))
    assert "Hello there" in message.content[0].text and "1 system" in message.content[0].text
    assert message.stop_reason == "end_turn" and message.role == "assistant"
    assert message.usage.input_tokens > 0 and message.usage.output_tokens > 0


@pytest.mark.parametrize("model", ALL)
def test_an_answer_cut_short_says_so(claude, model):
    assert claude.messages.create(model=model, max_tokens=3, messages=ask()).stop_reason == "max_tokens"


@pytest.mark.parametrize("model", ALL)
def test_a_stream_gathers_to_what_a_plain_answer_says(claude, model):
    plain = claude.messages.create(model=model, max_tokens=200, messages=ask("Hello there")).content[0].text
    with claude.messages.stream(model=model, max_tokens=200, messages=ask("Hello there")) as stream:
        pieces = list(stream.text_stream)
        final = stream.get_final_message()
    assert "".join(pieces) == plain == final.content[0].text and len(pieces) > 1
    assert final.stop_reason == "end_turn" and final.usage.output_tokens > 0


@pytest.mark.parametrize("model", ALL)
def test_images_arrive_as_they_are(claude, model):
    message = claude.messages.create(model=model, max_tokens=400, messages=shown(("image/png", PNG), ("image/jpeg", JPEG)))
    assert sha256(PNG) in message.content[0].text and sha256(JPEG) in message.content[0].text


@pytest.mark.parametrize("model", ALL)
@pytest.mark.parametrize("streamed", [False, True])
def test_a_round_trip_with_a_tool(claude, model, streamed):
    def create(**request):
        if not streamed:
            return claude.messages.create(**request)
        with claude.messages.stream(**request) as stream:
            return stream.get_final_message()

    request = {"model": model, "max_tokens": 400, "tools": [TOOL]}
    messages = ask("What is the weather? Call the tool.")
    first = create(messages=messages, **request)
    assert first.stop_reason == "tool_use"
    call = next(block for block in first.content if block.type == "tool_use")
    assert call.name == "weather" and "city" in call.input
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "rain and 12 degrees"}
    messages += [{"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
    second = create(messages=messages, **request)
    assert "rain and 12 degrees" in second.content[0].text and second.stop_reason == "end_turn"


@pytest.mark.parametrize("model", ALL)
def test_a_structured_answer(claude, model):
    schema = {**Verdict.model_json_schema(), "additionalProperties": False}
    form = {"format": {"type": "json_schema", "schema": schema}}
    message = claude.messages.create(model=model, max_tokens=400, messages=ask("Score it."), output_config=form)
    assert Verdict.model_validate(json.loads(message.content[0].text))


@pytest.mark.parametrize("model", ALL)
def test_tokens_are_counted(claude, model):
    assert claude.messages.count_tokens(model=model, messages=ask()).input_tokens > 0


@pytest.mark.parametrize("provider", ["openai", "anthropic", "gemini"])
def test_errors_are_its_own(claude, provider):
    def fails_as(fault, error):
        with pytest.raises(error) as caught:
            claude.messages.create(model=f"{provider}/{fault}", max_tokens=5, messages=ask(), extra_body={"fallbacks": []})
        assert caught.value.body["type"] == "error" and caught.value.body["error"]["message"]

    fails_as("fail-400", anthropic.BadRequestError)
    fails_as("fail-500", anthropic.InternalServerError)


def test_a_fault_is_served_by_the_fallback(claude):
    body = {"fallbacks": [GEMINI]}
    raw = claude.messages.with_raw_response.create(model="openai/fail-529-5", max_tokens=200, messages=ask(), extra_body=body)
    assert raw.headers["x-heliostat-provider"] == "gemini" and raw.parse().content[0].text


@pytest.mark.parametrize("model", [OPENAI, GEMINI])
def test_what_is_lost_is_told(claude, model):
    raw = claude.messages.with_raw_response.create(model=model, max_tokens=200, messages=ask(), extra_body={"container": "c_1"})
    assert "container" in raw.headers["x-heliostat-loss"]


def test_a_caller_may_ask_anthropic_itself(claude):
    raw = claude.messages.with_raw_response.create(model=ANTHROPIC, max_tokens=200, messages=ask())
    assert "x-heliostat-loss" not in raw.headers and raw.parse().model.startswith("claude")
