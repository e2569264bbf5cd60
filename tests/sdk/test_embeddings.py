"""Embeddings, which the SDK asks for in base64 and decodes by itself."""

import math

import openai
import pytest

OPENAI = "openai/text-embedding-3-small"
GEMINI = "gemini/gemini-embedding-001"


@pytest.mark.parametrize("model", [OPENAI, GEMINI])
def test_one_text_and_several(client, model):
    one = client.embeddings.create(model=model, input="a red shoe")
    several = client.embeddings.create(model=model, input=["a blue shoe", "a red shoe"])
    assert [entry.index for entry in several.data] == [0, 1]
    assert several.data[1].embedding == one.data[0].embedding != several.data[0].embedding
    assert math.isclose(sum(x * x for x in one.data[0].embedding), 1, rel_tol=1e-3)
    assert one.object == "list" and one.data[0].object == "embedding"
    assert one.model == model.split("/")[1]


@pytest.mark.parametrize("model", [OPENAI, GEMINI])
def test_numbers_and_base64_are_the_same_vector(client, model):
    packed = client.embeddings.create(model=model, input="a red shoe").data[0].embedding
    numbers = client.embeddings.create(model=model, input="a red shoe", encoding_format="float").data[0].embedding
    assert packed == pytest.approx(numbers, rel=1e-6)


@pytest.mark.parametrize("model", [OPENAI, GEMINI])
def test_dimensions(client, model):
    assert len(client.embeddings.create(model=model, input="a red shoe", dimensions=64).data[0].embedding) == 64


def test_usage_is_given_or_told_as_a_loss(client):
    assert client.embeddings.create(model=OPENAI, input="a red shoe").usage.prompt_tokens == 3
    raw = client.embeddings.with_raw_response.create(model=GEMINI, input="a red shoe")
    assert raw.headers["x-heliostat-loss"] == "usage"


def test_a_fallback_to_another_model_is_refused(once):
    with pytest.raises(openai.BadRequestError) as refused:
        once.embeddings.create(model=OPENAI, input="x", extra_body={"fallbacks": [GEMINI]})
    assert refused.value.code == "incompatible_fallback"


def test_no_other_model_answers_for_one_that_fails(once):
    with pytest.raises(openai.APIStatusError) as failed:
        once.embeddings.create(model="openai/fail-529", input="x")
    assert failed.value.status_code == 503
    assert "All 2 attempts failed: openai/fail-529: 529, openai/fail-529: 529." in failed.value.message


def test_tokens_go_to_openai_only(once):
    assert once.embeddings.create(model=OPENAI, input=[1, 2, 3]).data
    with pytest.raises(openai.BadRequestError, match="tokens"):
        once.embeddings.create(model=GEMINI, input=[1, 2, 3])
