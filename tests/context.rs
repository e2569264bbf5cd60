//! A conversation that is too long for a model goes to a larger one where the file names it, and back to the client where not.

use crate::support::{Config, Gateway, Provider, ask, json, native, reply, with};

const LARGER: &str = "context_fallbacks: [
  { primary: openai/gpt-4o, fallback: [gemini/gemini-2.5-pro] },
  { primary: anthropic/claude-sonnet-4-5, fallback: [gemini/gemini-2.5-pro] },
  { primary: gemini/gemini-2.5-pro, fallback: [openai/gpt-4o] } ]";

struct World {
    openai: Provider,
    anthropic: Provider,
    gemini: Provider,
    gateway: Gateway,
}

async fn world(top: &str) -> World {
    let (openai, anthropic, gemini) = (Provider::start().await, Provider::start().await, Provider::start().await);
    let gateway = Gateway::start(Config::three(&openai, &anthropic, &gemini).top(top)).await;
    World { openai, anthropic, gemini, gateway }
}

fn openai_too_long() -> reply::Reply {
    let message = "This model's maximum context length is 128000 tokens.";
    let error = json!({"message": message, "type": "invalid_request_error", "param": "messages", "code": "context_length_exceeded"});
    reply::status_json(400, json!({ "error": error }))
}

fn anthropic_too_long() -> reply::Reply {
    let error = json!({"type": "invalid_request_error", "message": "prompt is too long: 250000 tokens > 200000 maximum"});
    reply::status_json(400, json!({"type": "error", "error": error}))
}

fn gemini_too_long() -> reply::Reply {
    let message = "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).";
    reply::status_json(400, json!({"error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}}))
}

#[tokio::test]
async fn it_goes_to_the_larger_model_and_not_to_the_ordinary_fallbacks() {
    let world = world(LARGER).await;
    for model in ["openai/gpt-4o", "anthropic/claude-sonnet-4-5"] {
        world.openai.script(Some(openai_too_long()).filter(|_| model.starts_with("openai")));
        world.anthropic.script(Some(anthropic_too_long()).filter(|_| model.starts_with("anthropic")));
        world.gemini.script([reply::json(native::gemini("there is room"))]);
        let reply = world.gateway.chat(&with(ask(model), json!({"fallbacks": ["openai/gpt-4o-mini"]}))).await;
        assert_eq!(reply.expect(200).content(), "there is room", "{:?}", reply.attempts());
        assert_eq!(reply.attempts().len(), 2);
    }
}

#[tokio::test]
async fn without_a_larger_model_the_client_is_told() {
    let world = world("").await;
    world.openai.script([openai_too_long()]);
    let reply = world.gateway.chat(&with(ask("openai/gpt-4o"), json!({"fallbacks": ["anthropic/claude-sonnet-4-5"]}))).await;
    assert_eq!(reply.expect(400).json()["error"]["code"], "context_length_exceeded");
    assert_eq!(reply.attempts().len(), 1);
}

#[tokio::test]
async fn models_that_name_each_other_are_each_asked_once() {
    let world = world(LARGER).await;
    world.openai.script([openai_too_long()]);
    world.gemini.script([gemini_too_long()]);
    let reply = world.gateway.chat(&ask("openai/gpt-4o")).await;
    assert_eq!(reply.expect(400).attempts().len(), 2, "{:?}", reply.attempts());
}

#[tokio::test]
async fn any_other_wrong_request_stays_with_its_model() {
    let world = world(LARGER).await;
    world.openai.script([reply::status(400)]);
    world.gateway.chat(&ask("openai/gpt-4o")).await.expect(400);
}
