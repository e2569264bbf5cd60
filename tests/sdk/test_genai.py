"""Google's own SDK, to every provider: the gateway translates its API."""

import pytest
from google import genai
from google.genai import errors, types

from samples import ALL, ANTHROPIC, GEMINI, JPEG, OPENAI, PNG, Verdict, sha256


@pytest.fixture
def google(gateway):
    """As an application has it, without retries of its own."""
    options = types.HttpOptions(base_url=gateway, timeout=12_000)
    with genai.Client(api_key="unused", http_options=options) as client:
        yield client


def weather(city: str) -> str:
    """Tells the weather of a city.

    Args:
        city: Where.
    """
    return "rain and 12 degrees" if city else "nowhere"


def alone():
    """No fallback, so that each failure is seen."""
    return types.GenerateContentConfig(http_options=types.HttpOptions(extra_body={"fallbacks": []}))


def image(kind, data):
    return types.Part.from_bytes(data=data, mime_type=kind)


@pytest.mark.parametrize("model", ALL)
def test_a_plain_answer(google, model):
    config = types.GenerateContentConfig(system_instruction="Be brief.", max_output_tokens=200)
    answer = google.models.generate_content(model=model, contents="Hello there", config=config)
    assert "Hello there" in answer.text and "1 system" in answer.text
    assert answer.candidates[0].finish_reason == types.FinishReason.STOP
    assert answer.usage_metadata.prompt_token_count > 0 and answer.usage_metadata.candidates_token_count > 0


@pytest.mark.parametrize("model", ALL)
def test_an_answer_cut_short_says_so(google, model):
    config = types.GenerateContentConfig(max_output_tokens=3)
    answer = google.models.generate_content(model=model, contents="Hello", config=config)
    assert answer.candidates[0].finish_reason == types.FinishReason.MAX_TOKENS


@pytest.mark.parametrize("model", ALL)
def test_a_stream_gathers_to_what_a_plain_answer_says(google, model):
    plain = google.models.generate_content(model=model, contents="Hello there").text
    events = list(google.models.generate_content_stream(model=model, contents="Hello there"))
    pieces = [event.text for event in events if event.text]
    assert "".join(pieces) == plain and len(pieces) > 1
    assert events[-1].candidates[0].finish_reason == types.FinishReason.STOP
    assert events[-1].usage_metadata.total_token_count > 0


@pytest.mark.parametrize("model", ALL)
def test_images_arrive_as_they_are(google, model):
    parts = ["What is it?", image("image/png", PNG), image("image/jpeg", JPEG)]
    text = google.models.generate_content(model=model, contents=parts).text
    assert sha256(PNG) in text and sha256(JPEG) in text


@pytest.mark.parametrize("model", ALL)
def test_the_sdk_calls_a_function_by_itself(google, model):
    config = types.GenerateContentConfig(tools=[weather])
    answer = google.models.generate_content(model=model, contents="What is the weather? Call the tool.", config=config)
    assert "rain and 12 degrees" in answer.text


@pytest.mark.parametrize("model", ALL)
@pytest.mark.parametrize("streamed", [False, True])
def test_a_chat_with_a_function(google, model, streamed):
    declared = {"name": "weather", "description": "Tells the weather.", "parameters": {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}, "required": ["city"]}}
    off = types.AutomaticFunctionCallingConfig(disable=True)
    chat = google.chats.create(model=model, config=types.GenerateContentConfig(tools=[{"function_declarations": [declared]}], automatic_function_calling=off))

    def say(message):
        if not streamed:
            answer = chat.send_message(message)
            return answer.function_calls or [], answer.text or ""
        events = list(chat.send_message_stream(message))
        calls = [call for event in events for call in event.function_calls or []]
        return calls, "".join(event.text or "" for event in events)

    calls, _ = say("What is the weather? Call the tool.")
    assert calls[0].name == "weather" and "city" in calls[0].args
    # Without the call's id, as many applications do.
    _, text = say(types.Part.from_function_response(name="weather", response={"output": "rain and 12 degrees"}))
    assert "rain and 12 degrees" in text


@pytest.mark.parametrize("model", ALL)
def test_a_structured_answer(google, model):
    config = types.GenerateContentConfig(response_mime_type="application/json", response_schema=Verdict)
    answer = google.models.generate_content(model=model, contents="Score it.", config=config)
    assert isinstance(answer.parsed, Verdict)
    config = types.GenerateContentConfig(response_mime_type="application/json", response_json_schema=Verdict.model_json_schema())
    answer = google.models.generate_content(model=model, contents="Score it.", config=config)
    assert Verdict.model_validate_json(answer.text)


@pytest.mark.parametrize("model", ALL)
def test_tokens_are_counted(google, model):
    assert google.models.count_tokens(model=model, contents="Hello there").total_tokens > 0


def test_vectors_come_from_google(google):
    vectors = google.models.embed_content(model="gemini-embedding-001", contents=["a red shoe", "a blue one"])
    assert len(vectors.embeddings) == 2 and all(each.values for each in vectors.embeddings)


def test_models_are_listed(google):
    listed = [model.name for model in google.models.list()]
    assert listed and all(name.startswith("models/") for name in listed)
    assert google.models.get(model=OPENAI).name == f"models/{OPENAI}"


@pytest.mark.parametrize("provider", ["openai", "anthropic", "gemini"])
def test_errors_are_its_own(google, provider):
    for fault, kind, statuses in [
        ("fail-400", errors.ClientError, ["INVALID_ARGUMENT"]),
        ("fail-429", errors.ClientError, ["RESOURCE_EXHAUSTED"]),
        ("fail-500", errors.ServerError, ["INTERNAL", "UNAVAILABLE"]),
    ]:
        request = {"model": f"{provider}/{fault}", "contents": "Hello", "config": alone()}
        with pytest.raises(kind) as caught:
            google.models.generate_content(**request)
        assert caught.value.status in statuses and caught.value.message
        with pytest.raises(kind):
            list(google.models.generate_content_stream(**request))


def test_a_vertex_client_asks_for_any_model_too(gateway):
    """Its paths name a publisher: who serves the model."""
    options = types.HttpOptions(base_url=gateway, timeout=12_000)
    with genai.Client(vertexai=True, api_key="unused", http_options=options) as client:
        for model in (OPENAI, ANTHROPIC, "gemini-2.5-flash"):
            assert "Hello there" in client.models.generate_content(model=model, contents="Hello there").text
            assert "".join(event.text or "" for event in client.models.generate_content_stream(model=model, contents="Hello there"))


@pytest.mark.parametrize("model", [OPENAI, ANTHROPIC])
def test_what_is_lost_is_told(google, model):
    config = types.GenerateContentConfig(tools=[{"google_search": {}}], should_return_http_response=True)
    answer = google.models.generate_content(model=model, contents="Hello", config=config)
    assert "tools[0].googleSearch" in answer.sdk_http_response.headers["x-heliostat-loss"]


def test_a_fault_is_served_by_the_fallback(google):
    options = types.HttpOptions(extra_body={"fallbacks": [GEMINI]})
    config = types.GenerateContentConfig(http_options=options, should_return_http_response=True)
    answer = google.models.generate_content(model="openai/fail-529-3", contents="Hello", config=config)
    assert answer.sdk_http_response.headers["x-heliostat-provider"] == "gemini"
