//! OpenAI's Responses API, spoken to clients and to providers.

use crate::support::client::{self, Stream};
use crate::support::native::{anthropic_stream, named, openai_stream};
use crate::support::reply::End;
use crate::support::{Config, Gateway, Provider, Reply, Value, json, native, reply, with};

const RESPONSES: &str = "/v1/responses";
const NATIVE: &str = "openai/gpt-4o";
const CLAUDE: &str = "anthropic/claude-sonnet-4-5";
const FLASH: &str = "gemini/gemini-2.5-flash";
/// A model of a provider that speaks chat completions alone.
const MISTRAL: &str = "mistral/mistral-small";

struct Four {
    openai: Provider,
    anthropic: Provider,
    gemini: Provider,
    mistral: Provider,
    gateway: Gateway,
}

async fn four() -> Four {
    let (openai, anthropic, gemini) = (Provider::start().await, Provider::start().await, Provider::start().await);
    let mistral = Provider::start().await;
    let gateway = Gateway::start(Config::three(&openai, &anthropic, &gemini).provider("mistral", &mistral)).await;
    Four { openai, anthropic, gemini, mistral, gateway }
}

impl Four {
    async fn post(&self, body: &Value) -> Reply {
        self.send("POST", RESPONSES, body).await
    }

    async fn send(&self, method: &str, path: &str, body: &Value) -> Reply {
        client::send(self.gateway.address, method, path, &[], body.to_string().as_bytes()).await
    }

    async fn stream(&self, body: &Value) -> Stream {
        client::open(self.gateway.address, RESPONSES, &[], with(body.clone(), json!({"stream": true})).to_string().as_bytes()).await
    }
}

fn ask(model: &str) -> Value {
    json!({"model": model, "input": "hi"})
}

/// A response of a provider's own.
fn response(text: &str) -> Value {
    json!({
        "id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": "gpt-4o-2024-08-06",
        "error": null, "incomplete_details": null,
        "output": [{"id": "msg_1", "type": "message", "status": "completed", "role": "assistant",
            "content": [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}]}],
        "usage": {"input_tokens": 3, "input_tokens_details": {"cached_tokens": 1}, "output_tokens": 2,
            "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 5}
    })
}

/// A whole stream of a provider's own that says `words`, one a delta.
fn events(words: &[&str]) -> Vec<String> {
    let begun = with(response(""), json!({"status": "in_progress", "output": [], "usage": null}));
    let mut events = vec![
        json!({"type": "response.created", "response": begun}),
        json!({"type": "response.in_progress", "response": begun}),
        json!({"type": "response.output_item.added", "output_index": 0,
            "item": {"id": "msg_1", "type": "message", "status": "in_progress", "role": "assistant", "content": []}}),
        json!({"type": "response.content_part.added", "item_id": "msg_1", "output_index": 0, "content_index": 0,
            "part": {"type": "output_text", "text": "", "annotations": [], "logprobs": []}}),
    ];
    events.extend(words.iter().map(
        |word| json!({"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0, "content_index": 0, "delta": word}),
    ));
    events.push(json!({"type": "response.completed", "response": response(&words.concat())}));
    let numbered = events.into_iter().enumerate();
    numbered.map(|(number, event)| named(with(event, json!({"sequence_number": number})))).collect()
}

/// Name and data of each event; comments are passed over.
fn parsed(events: &[String]) -> Vec<(String, Value)> {
    let events = events.iter().filter(|event| !event.starts_with(':'));
    events
        .map(|event| {
            let data = event.lines().find_map(|line| line.strip_prefix("data: ")).expect("data");
            let data: Value = serde_json::from_str(data).expect("JSON");
            let name = event.lines().find_map(|line| line.strip_prefix("event: ")).expect("a name").to_owned();
            assert_eq!(data["type"], name.as_str());
            (name, data)
        })
        .collect()
}

/// Where a client finds the answer.
fn text(response: &Value) -> &str {
    response["output"].as_array().and_then(|items| items.last()).and_then(|item| item["content"][0]["text"].as_str()).unwrap_or_default()
}

#[tokio::test]
async fn a_provider_of_the_same_dialect_gets_the_clients_bytes_and_its_own_come_back() {
    let four = four().await;
    four.openai.script([reply::json(response("hello"))]);
    let body =
        br#"{ "model":"openai/gpt-4o", "fallbacks":[], "input":"hi",  "previous_response_id":"resp_0", "tools":[{"type":"web_search"}] }"#;
    let reply = client::send(four.gateway.address, "POST", "/openai/v1/responses", &[("openai-beta", "x=v1")], body).await;
    assert_eq!(reply.expect(200).json(), response("hello"));
    let seen = four.openai.received().pop().unwrap();
    assert_eq!((seen.line.as_str(), seen.head.header("openai-beta")), ("POST /v1/responses", Some("x=v1")));
    let sent = br#"{ "model":"gpt-4o", "input":"hi",  "previous_response_id":"resp_0", "tools":[{"type":"web_search"}] }"#;
    assert_eq!(String::from_utf8_lossy(&seen.body), String::from_utf8_lossy(sent));

    let sent = events(&["he", "llo"]);
    four.openai.script([reply::events(sent.clone())]);
    assert_eq!(four.stream(&ask(NATIVE)).await.bytes().await, sent.concat().into_bytes());
}

#[tokio::test]
async fn every_other_provider_answers_a_response() {
    let four = four().await;
    for (provider, model, reply) in [
        (&four.anthropic, CLAUDE, native::anthropic("hello")),
        (&four.gemini, FLASH, native::gemini("hello")),
        (&four.mistral, MISTRAL, native::openai("hello")),
    ] {
        provider.script([reply::json(reply)]);
        let answer = four.post(&with(ask(model), json!({"instructions": "Be brief."}))).await;
        let answer = answer.expect(200).json();
        assert_eq!((text(&answer), &answer["status"], &answer["object"]), ("hello", &json!("completed"), &json!("response")), "{model}");
        assert_eq!((&answer["usage"]["total_tokens"], &answer["instructions"]), (&json!(5), &json!("Be brief.")), "{model}");
        assert!(answer["id"].as_str().unwrap().starts_with("resp_"), "{answer}");
    }
}

#[tokio::test]
async fn every_other_provider_streams_the_whole_order_of_events() {
    let four = four().await;
    for (provider, model, stream) in
        [(&four.anthropic, CLAUDE, anthropic_stream(&["he", "llo"])), (&four.mistral, MISTRAL, openai_stream(&["he", "llo"]))]
    {
        provider.script([reply::events(stream)]);
        let events = parsed(&four.stream(&ask(model)).await.rest().await);
        let names: Vec<_> = events.iter().map(|(name, _)| name.strip_prefix("response.").unwrap()).collect();
        let order = [
            "created",
            "in_progress",
            "output_item.added",
            "content_part.added",
            "output_text.delta",
            "output_text.delta",
            "output_text.done",
            "content_part.done",
            "output_item.done",
            "completed",
        ];
        assert_eq!(names, order, "{model}");
        assert!(events.iter().enumerate().all(|(number, (_, event))| event["sequence_number"] == number), "{model}");
        assert_eq!(text(&events.last().unwrap().1["response"]), "hello", "{model}");
    }
}

#[tokio::test]
async fn what_only_a_native_provider_keeps_is_refused_of_others_and_fails_over_to_none() {
    let four = four().await;
    for more in [json!({"previous_response_id": "resp_1"}), json!({"background": true})] {
        let refused = four.post(&with(ask(CLAUDE), more.clone())).await;
        assert_eq!(refused.status, 400, "{more}");
        let key = more.as_object().unwrap().keys().next().unwrap();
        assert!(refused.json()["error"]["message"].as_str().unwrap().contains(key.as_str()), "{}", refused.text());
    }
    assert_eq!(four.anthropic.received().len(), 0);
    // The native one stands in for the one that cannot.
    four.openai.script([reply::json(response("hello"))]);
    let body = with(ask(CLAUDE), json!({"previous_response_id": "resp_1", "fallbacks": [NATIVE]}));
    assert_eq!(four.post(&body).await.expect(200).json(), response("hello"));
}

#[tokio::test]
async fn a_failing_native_provider_gives_way_to_another_dialect() {
    let four = four().await;
    four.openai.script([reply::status(503), reply::status(503)]);
    four.anthropic.script([reply::json(native::anthropic("hello"))]);
    let answer = four.post(&with(ask(NATIVE), json!({"fallbacks": [CLAUDE]}))).await;
    assert_eq!(text(&answer.expect(200).json()), "hello");
    assert_eq!(answer.header("x-heliostat-provider"), "anthropic");
}

#[tokio::test]
async fn errors_and_broken_streams_are_told_in_the_clients_words() {
    let four = four().await;
    let refused = four.post(&json!({"model": CLAUDE, "input": [{"role": "nobody", "content": "x"}]})).await;
    assert_eq!((refused.status, &refused.json()["error"]["param"]), (400, &json!("input[0].role")));
    four.anthropic.script([reply::ending(&anthropic_stream(&["he"])[..4], End::Cut)]);
    let events = parsed(&four.stream(&ask(CLAUDE)).await.rest().await);
    let names: Vec<_> = events.iter().rev().take(2).map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["response.failed", "error"]);
    assert_eq!(events.last().unwrap().1["response"]["status"], "failed");
}

#[tokio::test]
async fn stored_responses_are_the_only_native_providers() {
    let four = four().await;
    four.openai.script([reply::json(response("hello")), reply::json(json!({"id": "resp_1", "deleted": true}))]);
    let got = four.send("GET", "/v1/responses/resp_1?include=x", &Value::Null).await;
    assert_eq!(got.expect(200).json(), response("hello"));
    four.send("DELETE", "/v1/responses/resp_1", &Value::Null).await.expect(200);
    let lines: Vec<_> = four.openai.received().iter().map(|seen| seen.line.clone()).collect();
    assert_eq!(lines, ["GET /v1/responses/resp_1?include=x", "DELETE /v1/responses/resp_1"]);

    let alone = Provider::start().await;
    let gateway = Gateway::start(Config::new().provider("anthropic", &alone)).await;
    assert_eq!(gateway.get("/v1/responses/resp_1").await.status, 404);
    let (first, second) = (Provider::start().await, Provider::start().await);
    let gateway =
        Gateway::start(Config::new().provider("openai", &first).provider("mistral", &second).line("mistral", "also: [responses]")).await;
    let told = gateway.get("/v1/responses/resp_1").await;
    assert!(told.status == 400 && told.text().contains("/mistral/v1/responses/"), "{}", told.text());
}

#[tokio::test]
async fn a_provider_may_be_spoken_to_in_this_dialect_alone() {
    let upstream = Provider::start().await;
    let gateway = Gateway::start(Config::new().provider("openai", &upstream).line("openai", "dialect: responses")).await;
    upstream.script([reply::json(response("hello")), reply::events(events(&["he", "llo"]))]);
    let chat =
        json!({"model": "openai/gpt-5-nano", "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]});
    let reply = gateway.chat(&chat).await;
    assert_eq!(reply.expect(200).content(), "hello");
    assert_eq!(reply.json()["usage"]["prompt_tokens_details"]["cached_tokens"], 1);
    let seen = upstream.received().pop().unwrap();
    assert_eq!(seen.line, "POST /v1/responses");
    let sent: Value = serde_json::from_slice(&seen.body).unwrap();
    assert_eq!(
        sent,
        json!({"model": "gpt-5-nano", "input": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}],
            "include": ["reasoning.encrypted_content"], "store": false})
    );
    let streamed = gateway.stream(&with(chat, json!({"stream": true}))).await.rest().await;
    assert!(streamed.iter().any(|event| event.contains("\"content\":\"llo\"")), "{streamed:?}");
    assert_eq!(streamed.last().map(|event| event.trim()), Some("data: [DONE]"));
}
