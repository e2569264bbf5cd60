"""Pydantic AI's agents: typed answers, tools that are called until the answer stands, streams."""

import asyncio

import pytest
from pydantic_ai import Agent, BinaryContent, ModelHTTPError
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from samples import ALL, PNG, Verdict, sha256


@pytest.fixture
def chat(gateway):
    """Makes a model as an application does."""
    return lambda model: OpenAIChatModel(model, provider=OpenAIProvider(base_url=f"{gateway}/v1", api_key="unused"))


@pytest.mark.parametrize("model", ALL)
def test_an_answer_with_instructions(chat, model):
    result = Agent(chat(model), instructions="Be brief.").run_sync("Hello there")
    assert "Hello there" in result.output and "1 system" in result.output
    assert result.usage.input_tokens > 0 and result.usage.output_tokens > 0


@pytest.mark.parametrize("model", ALL)
def test_a_conversation_goes_on(chat, model):
    agent = Agent(chat(model))
    first = agent.run_sync("Paris?")
    assert "Lyon?" in agent.run_sync("Lyon?", message_history=first.all_messages()).output


@pytest.mark.parametrize("model", ALL)
def test_an_image(chat, model):
    result = Agent(chat(model)).run_sync(["What is it?", BinaryContent(PNG, media_type="image/png")])
    assert sha256(PNG) in result.output


@pytest.mark.parametrize("model", ALL)
def test_a_tool_is_called_and_its_result_used(chat, model):
    agent, asked = Agent(chat(model)), []

    @agent.tool_plain
    def weather(city: str) -> str:
        """Tells the weather of a city."""
        asked.append(city)
        return "rain and 12 degrees"

    assert "rain and 12 degrees" in agent.run_sync("What is the weather? Call the tool.").output
    assert len(asked) == 1


@pytest.mark.parametrize("model", ALL)
def test_a_typed_answer(chat, model):
    result = Agent(chat(model), output_type=Verdict).run_sync("Score it. Call the tool.")
    assert isinstance(result.output, Verdict)


@pytest.mark.parametrize("model", ALL)
def test_a_stream(chat, model):
    async def listen():
        async with Agent(chat(model)).run_stream("Hello there") as result:
            return [piece async for piece in result.stream_text(delta=True, debounce_by=None)]

    pieces = asyncio.run(listen())
    assert "Hello there" in "".join(pieces) and len(pieces) > 1


@pytest.mark.parametrize("provider", ["openai", "anthropic", "gemini"])
def test_a_failure_keeps_its_status(chat, provider):
    with pytest.raises(ModelHTTPError) as caught:
        Agent(chat(f"{provider}/fail-400")).run_sync("Hello")
    assert caught.value.status_code == 400
