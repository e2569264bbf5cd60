"""OpenAI's Responses API: each provider by its name, one of them natively, the others translated."""

import json

import openai
import pytest

from samples import ALL, ANTHROPIC, GEMINI, JPEG, OPENAI, PNG, Verdict, data_uri, sha256

WEATHER = {
    "type": "function",
    "name": "weather",
    "description": "Tells the weather of a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}


@pytest.mark.parametrize("model", ALL)
def test_a_plain_answer(client, model):
    reply = client.responses.create(model=model, input="Hello there", instructions="Be brief.")
    assert "Hello there" in reply.output_text and "1 system" in reply.output_text
    assert reply.status == "completed" and reply.id.startswith("resp_")
    assert reply.usage.total_tokens == reply.usage.input_tokens + reply.usage.output_tokens > 0


@pytest.mark.parametrize("model", ALL)
def test_a_stream_says_what_a_plain_answer_says(client, model):
    plain = client.responses.create(model=model, input="Hello").output_text
    events = list(client.responses.create(model=model, input="Hello", stream=True))
    assert "".join(e.delta for e in events if e.type == "response.output_text.delta") == plain
    assert [e.sequence_number for e in events] == list(range(len(events)))
    assert [e.type for e in events[:3]] == ["response.created", "response.in_progress", "response.output_item.added"]
    assert events[-1].type == "response.completed" and events[-1].response.output_text == plain


@pytest.mark.parametrize("model", ALL)
def test_the_sdks_stream_helper_gathers_the_same(client, model):
    with client.responses.stream(model=model, input="Hello") as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_response()
    assert {"response.output_text.delta", "response.output_text.done", "response.completed"} <= kinds
    assert "Hello" in final.output_text


@pytest.mark.parametrize("model", ALL)
@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_is_called_and_answered(client, model, stream):
    turn = [{"role": "user", "content": "What is the weather in Paris?"}]
    if stream:
        with client.responses.stream(model=model, input=turn, tools=[WEATHER]) as events:
            kinds = [event.type for event in events]
            first = events.get_final_response()
        assert "response.function_call_arguments.delta" in kinds and "response.function_call_arguments.done" in kinds
    else:
        first = client.responses.create(model=model, input=turn, tools=[WEATHER])
    calls = [item for item in first.output if item.type == "function_call"]
    assert [call.name for call in calls] == ["weather"] and "city" in json.loads(calls[0].arguments)
    turn += [item.model_dump(exclude_none=True, exclude={"parsed_arguments"}) for item in first.output]
    turn.append({"type": "function_call_output", "call_id": calls[0].call_id, "output": "It rains."})
    second = client.responses.create(model=model, input=turn, tools=[WEATHER])
    assert "It rains." in second.output_text


@pytest.mark.parametrize("model", ALL)
def test_images_arrive_as_they_were_sent(client, model):
    parts = [{"type": "input_image", "detail": "auto", "image_url": data_uri(*image)} for image in [("image/png", PNG), ("image/jpeg", JPEG)]]
    reply = client.responses.create(model=model, input=[{"role": "user", "content": [{"type": "input_text", "text": "See?"}, *parts]}])
    assert sha256(PNG) in reply.output_text and sha256(JPEG) in reply.output_text


@pytest.mark.parametrize("model", ALL)
def test_a_structured_answer_is_parsed(client, model):
    reply = client.responses.parse(model=model, input="Judge it.", text_format=Verdict)
    assert isinstance(reply.output_parsed, Verdict)


def test_reasoning_of_another_vendor_is_replayed(client):
    """Signed thinking comes back as encrypted content, and is the vendor's own again in the next turn."""
    turn = [{"role": "user", "content": "What is the weather?"}]
    settings = {"model": ANTHROPIC, "tools": [WEATHER], "reasoning": {"effort": "high"}, "include": ["reasoning.encrypted_content"]}
    first = client.responses.create(input=turn, **settings)
    thought = next(item for item in first.output if item.type == "reasoning")
    assert thought.summary[0].text and thought.encrypted_content
    call = next(item for item in first.output if item.type == "function_call")
    turn += [item.model_dump(exclude_none=True, exclude={"parsed_arguments"}) for item in first.output]
    turn.append({"type": "function_call_output", "call_id": call.call_id, "output": "It rains."})
    assert "It rains." in client.responses.create(input=turn, **settings).output_text


@pytest.mark.parametrize("model", [ANTHROPIC, GEMINI])
def test_what_only_a_native_provider_keeps_is_refused(once, model):
    with pytest.raises(openai.BadRequestError) as refused:
        once.responses.create(model=model, input="Hello", previous_response_id="resp_1")
    assert refused.value.param == "previous_response_id"


def test_an_overloaded_provider_gives_way(client):
    reply = client.responses.create(model="openai/fail-529-4", input="Hello", extra_body={"fallbacks": [ANTHROPIC]})
    assert "anthropic simulator" in reply.output_text


def test_the_native_provider_answers_in_its_own_words(client):
    assert "openai responses simulator" in client.responses.create(model=OPENAI, input="Hello").output_text
