"""LangChain's OpenAI classes: what agents and pipelines are built from."""

import pytest
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

from samples import ALL, GEMINI, OPENAI, PNG, Verdict, data_uri, sha256


@pytest.fixture
def chat(gateway):
    """Makes a chat model as an application does."""
    return lambda model, **settings: ChatOpenAI(
        model=model, base_url=f"{gateway}/v1", api_key="unused", timeout=12, max_retries=0, use_responses_api=False, **settings
    )


@tool
def weather(city: str) -> str:
    """Tells the weather of a city."""
    return f"rain and 12 degrees in {city}"


@pytest.mark.parametrize("model", ALL)
def test_invoke(chat, model):
    reply = chat(model, temperature=0.5).invoke([("system", "Be brief."), ("human", "Hello there")])
    assert "Hello there" in reply.content and "1 system" in reply.content
    assert reply.response_metadata["finish_reason"] == "stop"
    assert reply.usage_metadata["total_tokens"] == reply.usage_metadata["input_tokens"] + reply.usage_metadata["output_tokens"] > 0


@pytest.mark.parametrize("model", ALL)
def test_stream_with_usage(chat, model):
    chunks = list(chat(model, stream_usage=True).stream("Hello there"))
    whole = sum(chunks[1:], chunks[0])
    assert "Hello there" in whole.text and len(chunks) > 3
    assert whole.usage_metadata["output_tokens"] > 0


@pytest.mark.parametrize("model", ALL)
def test_an_image(chat, model):
    message = HumanMessage([{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": data_uri("image/png", PNG)}}])
    assert sha256(PNG) in chat(model).invoke([message]).content


@pytest.mark.parametrize("model", ALL)
@pytest.mark.parametrize("streaming", [False, True])
def test_a_tool_is_called_and_its_result_used(chat, model, streaming):
    bound = chat(model, streaming=streaming).bind_tools([weather])
    messages = [HumanMessage("What is the weather? Call the tool.")]
    call = bound.invoke(messages)
    assert [c["name"] for c in call.tool_calls] == ["weather"] and "city" in call.tool_calls[0]["args"]
    messages += [call, ToolMessage(weather.invoke(call.tool_calls[0]["args"]), tool_call_id=call.tool_calls[0]["id"])]
    assert "rain and 12 degrees" in bound.invoke(messages).content


@pytest.mark.parametrize("model", ALL)
@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_structured_output(chat, model, method):
    verdict = chat(model).with_structured_output(Verdict, method=method).invoke("Score it. Call the tool if there is one.")
    assert isinstance(verdict, Verdict)


@pytest.mark.parametrize("model", ALL)
def test_batches_run_in_parallel(chat, model):
    replies = chat(model).batch([f"question {i}" for i in range(8)])
    assert all(f"question {i}" in reply.content for i, reply in enumerate(replies))


@pytest.mark.parametrize("model", ALL)
def test_a_failure_keeps_its_class(chat, model):
    provider = model.split("/")[0]
    with pytest.raises(Exception) as caught:
        chat(f"{provider}/fail-400").invoke("Hello")
    assert caught.value.status_code == 400


@pytest.mark.parametrize("model", ["openai/text-embedding-3-small", "gemini/gemini-embedding-001"])
def test_embeddings(gateway, model):
    embeddings = OpenAIEmbeddings(model=model, base_url=f"{gateway}/v1", api_key="unused", check_embedding_ctx_length=False)
    one, two = embeddings.embed_documents(["a shoe", "a shadow"])
    assert len(one) == len(two) > 0 and one != two
    assert one == pytest.approx(embeddings.embed_query("a shoe"), abs=1e-6)


def test_fallbacks_travel_as_extra_body(chat):
    # Each test fails a model of its own: the breaker of one that others failed would be open by now.
    reply = chat("openai/fail-529-2", extra_body={"fallbacks": [GEMINI]}, include_response_headers=True).invoke("Hello")
    assert reply.response_metadata["headers"]["x-heliostat-provider"] == "gemini"
    assert OPENAI.split("/")[0] in reply.response_metadata["headers"]["x-heliostat-attempts"]
