"""Plain answers, streams, images, tools and structured answers, from each provider."""

import json

import openai
import pytest

from samples import ALL, ANTHROPIC, GEMINI, JPEG, OPENAI, PNG, Verdict, ask, attempts, sha256, show

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Tells the weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}


@pytest.mark.parametrize("model", ALL)
def test_a_plain_answer(client, model):
    reply = client.chat.completions.create(model=model, messages=ask("Hello there"))
    assert "Hello there" in reply.choices[0].message.content
    assert reply.choices[0].message.role == "assistant"
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens > 0


@pytest.mark.parametrize("model", ALL)
def test_a_conversation_with_settings(client, model):
    messages = [
        {"role": "system", "content": "Be brief."},
        *ask("Paris?"),
        {"role": "assistant", "content": "Yes."},
        *ask("Lyon?"),
    ]
    reply = client.chat.completions.create(model=model, messages=messages, max_tokens=100, temperature=0.5, stop=["END"])
    assert "1 system" in reply.choices[0].message.content
    assert "0.5" in reply.choices[0].message.content


@pytest.mark.parametrize("model", ALL)
def test_an_answer_cut_short_says_length(client, model):
    reply = client.chat.completions.create(model=model, messages=ask(), max_tokens=3)
    assert reply.choices[0].finish_reason == "length"


@pytest.mark.parametrize("model", ALL)
def test_a_stream_says_what_a_plain_answer_says(client, model):
    plain = client.chat.completions.create(model=model, messages=ask()).choices[0].message.content
    chunks = list(client.chat.completions.create(model=model, messages=ask(), stream=True))
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == plain
    assert [c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason] == ["stop"]
    assert len({c.id for c in chunks}) == 1 and len(chunks) > 3
    assert all(c.usage is None for c in chunks)


@pytest.mark.parametrize("model", ALL)
def test_a_stream_tells_usage_when_asked(client, model):
    stream = client.chat.completions.create(
        model=model, messages=ask(), stream=True, stream_options={"include_usage": True}
    )
    *_, last = stream
    assert last.choices == [] and last.usage.prompt_tokens > 0 and last.usage.completion_tokens > 0


@pytest.mark.parametrize("model", ALL)
def test_the_sdks_stream_helper_gathers_the_same(client, model):
    with client.chat.completions.stream(model=model, messages=ask()) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert "content.delta" in kinds and "content.done" in kinds
    assert "Hello" in final.choices[0].message.content


@pytest.mark.parametrize("model", ALL)
@pytest.mark.parametrize(("media_type", "image"), [("image/png", PNG), ("image/jpeg", JPEG)])
def test_an_image_arrives_with_its_type_length_and_hash(client, model, media_type, image):
    text = client.chat.completions.create(model=model, messages=show((media_type, image))).choices[0].message.content
    assert f"{media_type} {len(image)} bytes sha256:{sha256(image)}" in text


@pytest.mark.parametrize("model", [ANTHROPIC, GEMINI])
def test_a_wrongly_declared_image_arrives_under_its_true_type(client, model):
    text = client.chat.completions.create(model=model, messages=show(("image/png", JPEG))).choices[0].message.content
    assert f"image/jpeg {len(JPEG)} bytes" in text


@pytest.mark.parametrize("model", ALL)
def test_twelve_images_of_a_megabyte_arrive_in_order(client, model):
    images = [PNG + bytes([i]) * (1 << 20) for i in range(12)]
    messages = show(*(("image/png", image) for image in images))
    text = client.chat.completions.create(model=model, messages=messages).choices[0].message.content
    places = [text.index(sha256(image)) for image in images]
    assert places == sorted(places)


@pytest.mark.parametrize("model", ALL)
def test_a_round_trip_with_a_tool(client, model):
    messages = ask("What is the weather? Call the tool.")
    first = client.chat.completions.create(model=model, messages=messages, tools=[WEATHER])
    assert first.choices[0].finish_reason == "tool_calls"
    message = first.choices[0].message
    call = message.tool_calls[0]
    assert call.function.name == "weather" and "city" in json.loads(call.function.arguments)
    messages += [message, {"role": "tool", "tool_call_id": call.id, "content": "rain and 12 degrees"}]
    second = client.chat.completions.create(model=model, messages=messages, tools=[WEATHER])
    assert "rain and 12 degrees" in second.choices[0].message.content
    assert second.choices[0].finish_reason == "stop"


@pytest.mark.parametrize("model", ALL)
def test_a_tool_may_be_forced_and_is_streamed(client, model):
    forced = {"type": "function", "function": {"name": "weather"}}
    with client.chat.completions.stream(model=model, messages=ask(), tools=[WEATHER], tool_choice=forced) as stream:
        final = stream.get_final_completion()
    call = final.choices[0].message.tool_calls[0]
    assert call.function.name == "weather" and "city" in json.loads(call.function.arguments)
    assert final.choices[0].finish_reason in ("tool_calls", "stop")


@pytest.mark.parametrize("model", ALL)
def test_a_structured_answer_is_parsed(client, model):
    reply = client.chat.completions.parse(model=model, messages=show(("image/png", PNG)), response_format=Verdict)
    assert isinstance(reply.choices[0].message.parsed, Verdict)


def test_the_answer_tells_who_gave_it(client):
    raw = client.chat.completions.with_raw_response.create(model=ANTHROPIC, messages=ask())
    assert raw.headers["x-heliostat-provider"] == "anthropic"
    assert raw.headers["x-heliostat-model"] == "claude-sonnet-4-5"
    assert raw.headers["x-request-id"] == raw.parse()._request_id
    assert len(attempts(raw)) == 1


def test_models_are_listed(client):
    assert "prompt-rewrite" in [model.id for model in client.models.list()]


@pytest.mark.parametrize("model", ALL)
def test_the_async_client(gateway, model):
    import asyncio

    async def talk():
        async with openai.AsyncOpenAI(base_url=f"{gateway}/v1", api_key="unused") as client:
            plain = client.chat.completions.create(model=model, messages=ask("one"))
            streams = [client.chat.completions.create(model=model, messages=ask(f"n{i}"), stream=True) for i in range(5)]
            plain, *streams = await asyncio.gather(plain, *streams)
            assert "one" in plain.choices[0].message.content
            for i, stream in enumerate(streams):
                text = "".join([c.choices[0].delta.content or "" async for c in stream if c.choices])
                assert f"n{i}" in text

    asyncio.run(talk())


def test_what_is_lost_is_told(client):
    raw = client.chat.completions.with_raw_response.create(model=ANTHROPIC, messages=ask(), logit_bias={"50256": -100})
    assert "logit_bias" in raw.headers["x-heliostat-loss"]
    strict = client.with_options(default_headers={"x-heliostat-strict": "true"})
    with pytest.raises(openai.BadRequestError, match="logit_bias"):
        strict.chat.completions.create(model=ANTHROPIC, messages=ask(), logit_bias={"50256": -100})
    strict.chat.completions.create(model=OPENAI, messages=ask(), logit_bias={"50256": -100})
