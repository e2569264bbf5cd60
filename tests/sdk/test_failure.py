"""Errors arrive as the SDK's own classes, failover is invisible, and the SDK's retries do not multiply the gateway's."""

import time

import openai
import pytest

from conftest import demo
from samples import ALL, ANTHROPIC, GEMINI, OPENAI, PNG, ask, attempts, show

PROVIDERS = ["openai", "anthropic", "gemini"]
NO_FALLBACK = {"fallbacks": []}


@pytest.fixture
def gateway(tmp_path):
    """A demo of its own for each test: a key that failed rests, and one that was refused is off."""
    with demo(tmp_path) as url:
        yield url


def another(provider):
    return ANTHROPIC if provider == "openai" else OPENAI


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("fault", ["fail-529", "fail-500", "fail-503", "fail-429", "fail-401", "fail-404", "reset", "error-200"])
def test_a_fault_is_served_by_the_fallback(once, provider, fault):
    raw = once.chat.completions.with_raw_response.create(
        model=f"{provider}/{fault}", messages=show(("image/png", PNG)), extra_body={"fallbacks": [GEMINI if provider != "gemini" else OPENAI]}
    )
    assert len(attempts(raw)) >= 2 and attempts(raw)[0].startswith(f"{provider}/{fault}#")
    assert "image/png" in raw.parse().choices[0].message.content


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("fault", ["hang", "hang-after-200", "keepalive-stall", "role-then-stall", "error-first"])
def test_a_silent_stream_is_served_by_the_fallback_within_the_callers_time(client, provider, fault):
    began = time.monotonic()
    stream = client.with_options(timeout=4, max_retries=0).chat.completions.create(
        model=f"{provider}/{fault}", messages=ask(), stream=True, extra_body={"fallbacks": [another(provider)]}
    )
    text = "".join(c.choices[0].delta.content or "" for c in stream if c.choices)
    assert "Hello" in text and time.monotonic() - began < 4


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_bad_request_is_a_bad_request_error(once, provider):
    with pytest.raises(openai.BadRequestError) as caught:
        once.chat.completions.create(model=f"{provider}/fail-400", messages=ask())
    assert caught.value.type == "invalid_request_error" and caught.value.message


def test_a_bad_image_names_its_part(once):
    parts = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,*not*base64*"}}]
    with pytest.raises(openai.BadRequestError) as caught:
        once.chat.completions.create(model=ANTHROPIC, messages=[{"role": "user", "content": parts}])
    assert caught.value.param == "messages[0].content[0].image_url.url"


def test_an_unknown_model_is_a_not_found_error(once):
    with pytest.raises(openai.NotFoundError) as caught:
        once.chat.completions.create(model="nobody-serves-this", messages=ask())
    assert caught.value.code == "model_not_found"


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_rate_limit_is_a_rate_limit_error(once, provider):
    with pytest.raises(openai.RateLimitError) as caught:
        once.chat.completions.create(model=f"{provider}/fail-429", messages=ask(), extra_body=NO_FALLBACK)
    assert caught.value.response.headers["retry-after"]


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("fault", ["fail-500", "fail-529", "reset"])
def test_a_failure_is_an_internal_server_error(once, provider, fault):
    with pytest.raises(openai.InternalServerError):
        once.chat.completions.create(model=f"{provider}/{fault}", messages=ask(), extra_body=NO_FALLBACK)


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("fault", ["error-mid", "truncate", "reset-mid-stream", "stall-after-3"])
def test_a_stream_that_breaks_raises(once, provider, fault):
    with pytest.raises(openai.APIError) as caught:
        for _ in once.chat.completions.create(model=f"{provider}/{fault}", messages=ask(), stream=True):
            pass
    assert caught.value.message


def test_the_sdk_does_not_retry_what_the_gateway_has_tried(client):
    """Several candidates failed: `x-should-retry: false`, so one call of the SDK is one request."""
    with pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(model="openai/fail-500", messages=ask(), extra_body={"fallbacks": ["anthropic/fail-500"]})
    response = caught.value.response
    assert response.headers["x-should-retry"] == "false"
    assert response.request.headers["x-stainless-retry-count"] == "0"
    assert len(response.headers["x-heliostat-attempts"].split(", ")) >= 2


def test_the_sdk_retries_a_rate_limit_after_its_wait(client):
    with pytest.raises(openai.RateLimitError) as caught:
        client.with_options(max_retries=1).chat.completions.create(model="openai/fail-429", messages=ask(), extra_body=NO_FALLBACK)
    assert caught.value.response.request.headers["x-stainless-retry-count"] == "1"


def test_a_slow_provider_within_the_time_is_waited_for(client):
    reply = client.chat.completions.create(model="openai/slow-500", messages=ask(), extra_body=NO_FALLBACK)
    assert reply.choices[0].message.content


def test_a_callers_timeout_is_told_before_it_strikes(client):
    began = time.monotonic()
    with pytest.raises((openai.InternalServerError, openai.APITimeoutError)) as caught:
        client.with_options(timeout=2, max_retries=0).chat.completions.create(model="openai/hang", messages=ask(), extra_body=NO_FALLBACK)
    assert isinstance(caught.value, openai.InternalServerError) and caught.value.status_code == 504
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("model", ALL)
def test_a_stream_may_be_left_in_the_middle(client, model):
    stream = client.chat.completions.create(model=model, messages=ask(), stream=True)
    next(iter(stream))
    stream.close()
    assert client.chat.completions.create(model=model, messages=ask()).choices
