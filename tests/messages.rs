//! Anthropic's Messages API as a client's dialect: the same bytes at Anthropic, its own words from any other provider.

use crate::support::client::{self, Stream};
use crate::support::messages::{assemble, parse};
use crate::support::native::{anthropic_closing, anthropic_opening, anthropic_stream, anthropic_text, chunk, chunk_text, gemini_text};
use crate::support::reply::End;
use crate::support::{Config, Gateway, Provider, Reply, Value, http, json, native, reply, with, within};

const GPT: &str = "openai/gpt-4o";
const CLAUDE: &str = "anthropic/claude-sonnet-4-5";
const FLASH: &str = "gemini/gemini-2.5-flash";
const MESSAGES: &str = "/v1/messages";
const VERSION: (&str, &str) = ("anthropic-version", "2023-06-01");

struct Three {
    openai: Provider,
    anthropic: Provider,
    gemini: Provider,
    gateway: Gateway,
}

async fn three() -> Three {
    let (openai, anthropic, gemini) = (Provider::start().await, Provider::start().await, Provider::start().await);
    let gateway = Gateway::start(Config::three(&openai, &anthropic, &gemini)).await;
    Three { openai, anthropic, gemini, gateway }
}

impl Three {
    async fn post(&self, body: &Value) -> Reply {
        self.post_with(MESSAGES, &[VERSION], body.to_string().as_bytes()).await
    }

    async fn post_with(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        client::send(self.gateway.address, "POST", path, headers, body).await
    }

    async fn stream(&self, body: &Value) -> Stream {
        client::open(self.gateway.address, MESSAGES, &[VERSION], with(body.clone(), json!({"stream": true})).to_string().as_bytes()).await
    }

    /// What OpenAI got of a request.
    async fn gpt(&self, more: Value) -> Value {
        self.openai.script([reply::json(native::openai("ok"))]);
        self.post(&with(ask(GPT), more)).await.expect(200);
        serde_json::from_slice(&self.openai.received().pop().unwrap().body).unwrap()
    }

    /// What Gemini got of a request.
    async fn flash(&self, more: Value) -> Value {
        self.gemini.script([reply::json(native::gemini("ok"))]);
        self.post(&with(ask(FLASH), more)).await.expect(200);
        serde_json::from_slice(&self.gemini.received().pop().unwrap().body).unwrap()
    }

    /// The message that the client puts together of OpenAI's chunks.
    async fn told(&self, chunks: Vec<String>) -> Value {
        self.openai.script([reply::events([chunks, vec!["data: [DONE]\n\n".to_owned()]].concat())]);
        assemble(&self.stream(&ask(GPT)).await.rest().await)
    }
}

fn ask(model: &str) -> Value {
    json!({"model": model, "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]})
}

fn call_chunk(index: u64, id: Option<&str>, name: Option<&str>, arguments: &str) -> String {
    let mut call = json!({"index": index, "function": {"arguments": arguments}});
    if let Some(id) = id {
        call["id"] = json!(id);
        call["type"] = json!("function");
    }
    if let Some(name) = name {
        call["function"]["name"] = json!(name);
    }
    chunk(json!({"tool_calls": [call]}), None)
}

fn usage_chunk(usage: Value) -> String {
    format!(
        "data: {}\n\n",
        json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o", "choices": [], "usage": usage})
    )
}

/// A conversation with all that Claude Code puts into one.
fn talk() -> Value {
    json!({
        "system": [
            {"type": "text", "text": "x-anthropic-billing-header: cc_version=2; cch=0a1b2;"},
            {"type": "text", "text": "You are a coder.", "cache_control": {"type": "ephemeral"}},
            {"type": "text", "text": "Be brief."}
        ],
        "messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "Look at both."},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
            ]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "Let me look.", "signature": "EqQBCkgIARABGAIiQL"},
                {"type": "text", "text": "Looking."},
                {"type": "tool_use", "id": "toolu_1", "name": "Read", "input": {"path": "a.png", "n": 1.50}},
                {"type": "tool_use", "id": "toolu_2", "name": "Bash", "input": {}}
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": [
                    {"type": "text", "text": "Here it is."},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
                ]},
                {"type": "tool_result", "tool_use_id": "toolu_2", "is_error": true, "content": "no such command"},
                {"type": "text", "text": "<system-reminder>Go on.</system-reminder>", "cache_control": {"type": "ephemeral"}}
            ]}
        ],
        "tools": [
            {"name": "Read", "description": "Reads.", "input_schema": {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}},
            {"name": "Bash", "input_schema": {"type": "object", "properties": {}}}
        ],
        "tool_choice": {"type": "any", "disable_parallel_tool_use": true},
        "metadata": {"user_id": "user_1"},
        "stop_sequences": ["END"],
        "temperature": 0.5
    })
}

#[tokio::test]
async fn anthropic_gets_the_clients_bytes_but_for_the_model() {
    let three = three().await;
    three.anthropic.always(reply::json(native::anthropic("ok")));
    let written = |model: &str| {
        format!("{{ \"model\":\"{model}\",\n\"max_tokens\":9, \"x_new\":1e2,\"messages\":[{{\"role\":\"user\",\"content\":\"\\u00e9\"}}]}}")
    };
    for path in ["/v1/messages", "/v1/messages?beta=true", "/anthropic/v1/messages"] {
        three.post_with(path, &[VERSION], written(CLAUDE).as_bytes()).await.expect(200);
        let seen = three.anthropic.received().pop().unwrap();
        assert_eq!((seen.line.as_str(), String::from_utf8_lossy(&seen.body)), ("POST /v1/messages", written("claude-sonnet-4-5").into()));
    }
    let body = written(CLAUDE).replace("\"x_new\":1e2", "\"fallbacks\":[]");
    three.post_with(MESSAGES, &[], body.as_bytes()).await.expect(200);
    assert!(!String::from_utf8_lossy(&three.anthropic.received().pop().unwrap().body).contains("fallbacks"));
}

#[tokio::test]
async fn below_its_name_anthropic_is_asked_for_models_that_nobody_knows() {
    let three = three().await;
    three.anthropic.always(reply::json(native::anthropic("ok")));
    let body = with(ask(CLAUDE), json!({"model": "our-own"})).to_string();
    three.post_with("/v1/messages", &[VERSION], body.as_bytes()).await.expect(404);
    let reply = three.post_with("/anthropic/v1/messages", &[VERSION], body.as_bytes()).await;
    assert_eq!(reply.expect(200).attempts(), ["anthropic/our-own#ANTHROPIC_API_KEY;200"]);
    let elsewhere = with(ask(CLAUDE), json!({"model": "openai/"})).to_string();
    three.post_with("/anthropic/v1/messages", &[VERSION], elsewhere.as_bytes()).await.expect(404);
}

#[tokio::test]
async fn the_clients_version_and_betas_reach_anthropic_alone() {
    let three = three().await;
    let headers = [("anthropic-version", "2024-01-01"), ("anthropic-beta", "a-1,b-2"), ("x-api-key", "client")];
    three.anthropic.script([reply::json(native::anthropic("ok")), reply::json(native::anthropic("ok"))]);
    three.post_with(MESSAGES, &headers, ask(CLAUDE).to_string().as_bytes()).await.expect(200);
    let seen = three.anthropic.received().pop().unwrap();
    assert_eq!((seen.head.header("anthropic-version"), seen.head.header("anthropic-beta")), (Some("2024-01-01"), Some("a-1,b-2")));
    assert_ne!(seen.head.header("x-api-key"), Some("client"));
    three.post_with(MESSAGES, &[], ask(CLAUDE).to_string().as_bytes()).await.expect(200);
    assert_eq!(three.anthropic.received().pop().unwrap().head.header("anthropic-version"), Some("2023-06-01"));
    three.openai.script([reply::json(native::openai("ok"))]);
    three.post_with(MESSAGES, &headers, ask(GPT).to_string().as_bytes()).await.expect(200);
    assert_eq!(three.openai.received().pop().unwrap().head.header("anthropic-beta"), None);
}

#[tokio::test]
async fn anthropics_stream_passes_untouched() {
    let three = three().await;
    let events = anthropic_stream(&["one", "two"]);
    three.anthropic.script([reply::events(&events)]);
    assert_eq!(three.stream(&ask(CLAUDE)).await.bytes().await, events.concat().into_bytes());
}

#[tokio::test]
async fn a_conversation_is_told_to_openai() {
    let sent = three().await.gpt(talk()).await;
    let roles: Vec<_> = sent["messages"].as_array().unwrap().iter().map(|message| message["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["system", "user", "assistant", "tool", "tool", "user"]);
    assert_eq!(
        sent["messages"][0]["content"],
        json!([{"type": "text", "text": "You are a coder."}, {"type": "text", "text": "Be brief."}])
    );
    assert_eq!(sent["messages"][1]["content"][1], json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}));
    let assistant = &sent["messages"][2];
    assert_eq!(assistant["content"], "Looking.");
    assert_eq!(assistant["tool_calls"][0]["function"], json!({"name": "Read", "arguments": "{\"n\":1.5,\"path\":\"a.png\"}"}));
    assert_eq!(assistant["tool_calls"][1]["function"]["arguments"], "{}");
    assert_eq!(sent["messages"][3]["tool_call_id"], "toolu_1");
    assert_eq!(sent["messages"][4]["content"], "Error: no such command");
    assert_eq!(sent["messages"][5]["content"][0]["type"], "image_url", "what a result shows follows behind all results");
    assert_eq!(sent["messages"][5]["content"][1]["text"], "<system-reminder>Go on.</system-reminder>");
    assert_eq!((&sent["tool_choice"], &sent["parallel_tool_calls"]), (&json!("required"), &json!(false)));
    assert_eq!(sent["tools"][0]["function"]["parameters"]["required"], json!(["path"]));
    assert_eq!((&sent["max_completion_tokens"], &sent["stop"], &sent["user"]), (&json!(100), &json!(["END"]), &json!("user_1")));
}

#[tokio::test]
async fn a_conversation_is_told_to_gemini() {
    let sent = three().await.flash(talk()).await;
    assert_eq!(sent["systemInstruction"]["parts"], json!([{"text": "You are a coder."}, {"text": "Be brief."}]));
    let text = sent["contents"].to_string();
    for said in ["Look at both.", "\"inlineData\"", "\"functionCall\"", "\"functionResponse\"", "no such command", "Go on."] {
        assert!(text.contains(said), "{said} in {text}");
    }
    assert_eq!(sent["toolConfig"]["functionCallingConfig"]["mode"], "ANY");
    assert_eq!(sent["generationConfig"]["maxOutputTokens"], 100);
}

#[tokio::test]
async fn what_is_lost_stands_in_a_header_and_strict_refuses_it() {
    let three = three().await;
    three.openai.always(reply::json(native::openai("ok")));
    let body = with(ask(GPT), json!({"top_k": 5, "context_management": {"edits": [1]}}));
    assert_eq!(three.post(&body).await.expect(200).header("x-heliostat-loss"), "top_k, context_management");
    let strict = three.post_with(MESSAGES, &[VERSION, ("x-heliostat-strict", "true")], body.to_string().as_bytes()).await;
    assert_eq!(strict.expect(400).json()["error"]["type"], "invalid_request_error");
    assert!(strict.anthropic_error().contains("top_k"), "{}", strict.text());
}

#[tokio::test]
async fn a_reply_comes_back_in_anthropics_words() {
    let three = three().await;
    let call = json!({"id": "call_1", "type": "function", "function": {"name": "Read", "arguments": "{\"n\": 1.50}"}});
    three.openai.script([reply::json(json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-4o-2024",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "On it.", "reasoning_content": "Hm.", "tool_calls": [call]}, "finish_reason": "tool_calls"}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 7, "total_tokens": 107, "prompt_tokens_details": {"cached_tokens": 60}, "completion_tokens_details": {"reasoning_tokens": 3}}
    }))]);
    let reply = three.post(&ask(GPT)).await;
    let message = reply.expect(200).json();
    assert!(message["id"].as_str().unwrap().starts_with("msg_"), "{message}");
    assert_eq!(
        (&message["type"], &message["role"], &message["model"], &message["stop_sequence"]),
        (&json!("message"), &json!("assistant"), &json!("gpt-4o-2024"), &Value::Null)
    );
    assert_eq!(
        message["content"],
        json!([
            {"type": "thinking", "thinking": "Hm.", "signature": "heliostat:none"},
            {"type": "text", "text": "On it."},
            {"type": "tool_use", "id": "call_1", "name": "Read", "input": {"n": 1.5}}
        ])
    );
    assert!(reply.text().contains("1.50"), "numbers keep their digits");
    assert_eq!(message["stop_reason"], "tool_use");
    assert_eq!(
        message["usage"],
        json!({"input_tokens": 40, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 60, "output_tokens": 7, "output_tokens_details": {"thinking_tokens": 3}})
    );
}

#[tokio::test]
async fn stop_reasons_are_anthropics() {
    let three = three().await;
    for (finish, reason) in [("stop", "end_turn"), ("length", "max_tokens"), ("content_filter", "refusal")] {
        let mut said = native::openai("ok");
        said["choices"][0]["finish_reason"] = json!(finish);
        three.openai.script([reply::json(said)]);
        assert_eq!(three.post(&ask(GPT)).await.expect(200).json()["stop_reason"], reason, "{finish}");
    }
}

#[tokio::test]
async fn arguments_that_are_no_object_are_not_lost() {
    let three = three().await;
    for (arguments, input) in
        [("", json!({})), ("null", json!({})), ("{\"a\":", json!({"INVALID_JSON": "{\"a\":"})), ("[1]", json!({"INVALID_JSON": "[1]"}))]
    {
        let call = json!({"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}});
        let mut said = native::openai("ok");
        said["choices"][0]["message"]["tool_calls"] = json!([call]);
        three.openai.script([reply::json(said)]);
        assert_eq!(three.post(&ask(GPT)).await.expect(200).json()["content"][1]["input"], input, "{arguments}");
    }
}

#[tokio::test]
async fn a_stream_comes_in_anthropics_events() {
    let three = three().await;
    let message = three
        .told(vec![
            chunk(json!({"role": "assistant", "content": ""}), None),
            chunk(json!({"reasoning_content": "Hm "}), None),
            chunk(json!({"reasoning_content": "so."}), None),
            chunk_text("Grüße 😀 \"q\"\n"),
            chunk_text("end"),
            call_chunk(0, Some("call_1"), Some("Read"), ""),
            call_chunk(0, None, None, "{\"path\":"),
            call_chunk(0, None, None, "\"a}\"}"),
            call_chunk(1, Some("call_2"), Some("Bash"), "{}"),
            chunk(json!({}), Some("tool_calls")),
            usage_chunk(
                json!({"prompt_tokens": 50, "completion_tokens": 9, "total_tokens": 59, "prompt_tokens_details": {"cached_tokens": 20}}),
            ),
        ])
        .await;
    assert_eq!(
        message["content"],
        json!([
            {"type": "thinking", "thinking": "Hm so.", "signature": "heliostat:none"},
            {"type": "text", "text": "Grüße 😀 \"q\"\nend"},
            {"type": "tool_use", "id": "call_1", "name": "Read", "input": {"path": "a}"}},
            {"type": "tool_use", "id": "call_2", "name": "Bash", "input": {}}
        ])
    );
    assert_eq!(message["stop_reason"], "tool_use");
    assert_eq!(
        message["usage"],
        json!({"input_tokens": 30, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 20, "output_tokens": 9})
    );
}

#[tokio::test]
async fn calls_that_come_in_turns_are_told_one_after_another() {
    let message = three()
        .await
        .told(vec![
            call_chunk(0, Some("a"), Some("one"), ""),
            call_chunk(1, Some("b"), Some("two"), ""),
            call_chunk(2, Some("c"), Some("none"), ""),
            call_chunk(1, None, None, "{\"y\":"),
            call_chunk(0, None, None, "{\"x\":"),
            call_chunk(0, None, None, "1}"),
            call_chunk(1, None, None, "2}"),
            chunk(json!({}), Some("tool_calls")),
        ])
        .await;
    assert_eq!(
        message["content"],
        json!([
            {"type": "tool_use", "id": "a", "name": "one", "input": {"x": 1}},
            {"type": "tool_use", "id": "b", "name": "two", "input": {"y": 2}},
            {"type": "tool_use", "id": "c", "name": "none", "input": {}}
        ])
    );
}

#[tokio::test]
async fn a_call_reaches_the_client_before_the_next_one_ends() {
    let three = three().await;
    let body = ask(GPT);
    let client = three.stream(&body);
    let upstream = async {
        let mut upstream = three.openai.next_request().await.stream().await;
        for event in [call_chunk(0, Some("a"), Some("f"), "{\"x\":1}"), call_chunk(1, Some("b"), Some("g"), "{\"y")] {
            upstream.event(&event).await;
        }
        upstream
    };
    let (mut client, mut upstream) = tokio::join!(client, upstream);
    loop {
        let event = client.event().await.expect("the second call's start");
        if event.contains("content_block_start") && event.contains("\"g\"") {
            break;
        }
    }
    for event in [call_chunk(1, None, None, "\":2}"), chunk(json!({}), Some("tool_calls")), "data: [DONE]\n\n".to_owned()] {
        upstream.event(&event).await;
    }
    upstream.end().await;
    assert!(client.rest().await.last().unwrap().contains("message_stop"));
}

#[tokio::test]
async fn gemini_thinks_signs_and_calls_across_turns() {
    let three = three().await;
    let parts = json!([
        {"text": "I should look.", "thought": true},
        {"functionCall": {"name": "Read", "args": {"path": "a"}}, "thoughtSignature": "c2ln"}
    ]);
    let said = json!({"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 2, "thoughtsTokenCount": 3, "totalTokenCount": 14}, "modelVersion": "gemini-2.5-flash"});
    for streamed in [false, true] {
        let message = if streamed {
            three.gemini.script([reply::events([format!("data: {said}\n\n")])]);
            assemble(&three.stream(&ask(FLASH)).await.rest().await)
        } else {
            three.gemini.script([reply::json(said.clone())]);
            three.post(&ask(FLASH)).await.expect(200).json()
        };
        assert_eq!(message["content"][0]["thinking"], "I should look.");
        assert_eq!(message["stop_reason"], "tool_use");
        let call = message["content"].as_array().unwrap().last().unwrap();
        assert_eq!((&call["name"], &call["input"]), (&json!("Read"), &json!({"path": "a"})));
        assert_eq!(message["usage"]["output_tokens"], 5);

        let next = json!({"messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": message["content"]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call["id"], "content": "text"}]}
        ], "tools": [{"name": "Read", "input_schema": {"type": "object"}}]});
        let sent = three.flash(next.clone()).await;
        let replayed = sent["contents"][1]["parts"].as_array().unwrap().last().unwrap();
        assert_eq!((&replayed["functionCall"]["name"], &replayed["thoughtSignature"]), (&json!("Read"), &json!("c2ln")), "{sent}");

        // Anthropic never gets what it did not sign.
        three.anthropic.script([reply::json(native::anthropic("ok"))]);
        three.post(&with(with(ask(CLAUDE), next), json!({"thinking": {"type": "enabled", "budget_tokens": 1024}}))).await.expect(200);
        let sent: Value = serde_json::from_slice(&three.anthropic.received().pop().unwrap().body).unwrap();
        let kinds: Vec<_> =
            sent["messages"][1]["content"].as_array().unwrap().iter().map(|block| block["type"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["tool_use"]);
    }
}

#[tokio::test]
async fn gemini_streams_in_anthropics_events() {
    let three = three().await;
    three.gemini.script([reply::events([gemini_text("one ", None), gemini_text("two", Some("STOP"))])]);
    let message = assemble(&three.stream(&ask(FLASH)).await.rest().await);
    assert_eq!((&message["content"], &message["stop_reason"]), (&json!([{"type": "text", "text": "one two"}]), &json!("end_turn")));
}

#[tokio::test]
async fn errors_are_anthropics() {
    let three = three().await;
    let bad = three.post(&json!({"model": GPT, "max_tokens": 1, "messages": []})).await;
    let said = bad.expect(400).json();
    assert_eq!(
        (&said["type"], &said["error"]["type"], &said["request_id"]),
        (&json!("error"), &json!("invalid_request_error"), &json!(bad.header("request-id")))
    );
    assert_eq!(three.post(&ask("nobody/nothing")).await.expect(404).json()["error"]["type"], "not_found_error");
    let wrong = client::send(three.gateway.address, "GET", MESSAGES, &[], b"").await;
    assert_eq!(wrong.expect(405).json()["type"], "error");

    three.openai.always(reply::status(503));
    three.gemini.always(reply::status_json(529, json!({"error": {"code": 529, "message": "busy"}})));
    three
        .anthropic
        .always(reply::status_json(529, json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})));
    let overloaded = three.post(&with(ask(CLAUDE), json!({"fallbacks": [FLASH]}))).await;
    assert_eq!(overloaded.expect(529).json()["error"]["type"], "overloaded_error");
    assert_eq!(three.post(&ask(GPT)).await.expect(502).json()["error"]["type"], "api_error");
}

#[tokio::test]
async fn a_prompt_that_is_too_long_is_told_so_that_clients_shorten_it() {
    let three = three().await;
    let error = json!({"error": {"message": "This model's maximum context length is 128000 tokens.", "type": "invalid_request_error", "code": "context_length_exceeded"}});
    three.openai.script([reply::status_json(400, error)]);
    let reply = three.post(&ask(GPT)).await;
    assert_eq!(reply.expect(400).json()["error"]["type"], "invalid_request_error");
    assert!(reply.anthropic_error().starts_with("prompt is too long: "), "{}", reply.text());
}

#[tokio::test]
async fn a_stream_that_breaks_ends_with_an_error_event() {
    let three = three().await;
    three.openai.script([reply::ending([chunk_text("one")], End::Cut)]);
    let events = three.stream(&ask(GPT)).await.rest().await;
    let (name, data) = parse(events.last().unwrap());
    assert_eq!((name.as_str(), &data["type"], &data["error"]["type"]), ("error", &json!("error"), &json!("api_error")));
    assert!(!events.iter().any(|event| event.contains("message_stop")));

    // The same behind Anthropic's own bytes.
    three.anthropic.script([reply::ending([anthropic_opening(), vec![anthropic_text("one")]].concat(), End::Cut)]);
    let events = three.stream(&ask(CLAUDE)).await.rest().await;
    assert_eq!(parse(events.last().unwrap()).0, "error");
}

#[tokio::test]
async fn failover_crosses_dialects() {
    let three = three().await;
    three
        .anthropic
        .always(reply::status_json(529, json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})));
    three.openai.script([reply::json(native::openai("from gpt"))]);
    let reply = three.post(&with(ask(CLAUDE), json!({"fallbacks": [GPT]}))).await;
    assert_eq!(reply.expect(200).json()["content"], json!([{"type": "text", "text": "from gpt"}]));
    assert_eq!(reply.header("x-heliostat-provider"), "openai");

    three.openai.script([reply::status(500), reply::status(500)]);
    three
        .anthropic
        .always(reply::events([anthropic_opening(), vec![anthropic_text("from claude")], anthropic_closing("end_turn")].concat()));
    let events = three.stream(&with(ask(GPT), json!({"fallbacks": [CLAUDE]}))).await.rest().await;
    assert_eq!(assemble(&events)["content"][0]["text"], "from claude");
}

#[tokio::test]
async fn tools_that_anthropic_runs_itself_are_left_out_elsewhere_and_named() {
    let three = three().await;
    let sent = with(ask(GPT), json!({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}));
    three.openai.script([reply::json(native::openai("ok"))]);
    assert_eq!(three.post(&sent).await.expect(200).header("x-heliostat-loss"), "tools[0]");
    let strict = three.post_with(MESSAGES, &[VERSION, ("x-heliostat-strict", "true")], sent.to_string().as_bytes()).await;
    assert!(strict.expect(400).anthropic_error().contains("tools[0]"), "{}", strict.text());
}

#[tokio::test]
async fn keys_come_in_either_header_and_a_wrong_one_is_told_in_anthropics_words() {
    let openai = Provider::start().await;
    openai.always(reply::json(native::openai("ok")));
    let yaml = format!("{}client_keys: [{{name: app, value: secret-key}}]\n", Config::new().provider("openai", &openai).yaml());
    let gateway = Gateway::with(&yaml).await;
    let post =
        async |headers: &[(&str, &str)]| client::send(gateway.address, "POST", MESSAGES, headers, ask(GPT).to_string().as_bytes()).await;
    post(&[("x-api-key", "secret-key")]).await.expect(200);
    post(&[("authorization", "Bearer secret-key")]).await.expect(200);
    let wrong = post(&[("x-api-key", "other")]).await;
    assert_eq!((&wrong.expect(401).json()["type"], &wrong.json()["error"]["type"]), (&json!("error"), &json!("authentication_error")));
}

#[tokio::test]
async fn models_are_listed_in_the_askers_shape() {
    let three = three().await;
    let yaml_models = three.gateway.get("/v1/models").await.expect(200).json();
    assert_eq!(yaml_models["object"], "list");
    let get = async |path: &str, headers: &[(&str, &str)]| client::send(three.gateway.address, "GET", path, headers, b"").await;
    let list = get("/v1/models?limit=1000", &[VERSION]).await.expect(200).json();
    assert_eq!(list["has_more"], false);
    assert!(list["data"].is_array() && list.get("first_id").is_some() && list.get("last_id").is_some(), "{list}");
    let one = get("/v1/models/anthropic%2Fclaude-sonnet-4-5", &[VERSION]).await.expect(200).json();
    assert_eq!((&one["type"], &one["id"]), (&json!("model"), &json!(CLAUDE)));
    assert_eq!(get("/v1/models/openai/gpt-4o", &[]).await.expect(200).json()["object"], "model");
    assert_eq!(get("/v1/models/nobody/x", &[VERSION]).await.expect(404).json()["error"]["type"], "not_found_error");
}

#[tokio::test]
async fn clients_that_look_whether_anybody_is_there_are_told_so() {
    let three = three().await;
    let mut client = client::connect(three.gateway.address).await;
    client.write(&http::head("HEAD / HTTP/1.1", &[("host", "h")])).await.unwrap();
    assert_eq!(within("an answer", client.response_head()).await.expect("a head").line, "200");
}

#[tokio::test]
async fn tokens_are_counted_by_who_can_and_else_estimated() {
    let three = three().await;
    let count = async |model: &str, more: Value| {
        let body = with(json!({"model": model, "messages": [{"role": "user", "content": "hi there, how many?"}]}), more);
        three.post_with("/v1/messages/count_tokens?beta=true", &[VERSION], body.to_string().as_bytes()).await
    };
    three.anthropic.script([reply::json(json!({"input_tokens": 12}))]);
    assert_eq!(count(CLAUDE, json!({})).await.expect(200).text(), "{\"input_tokens\":12}");
    assert_eq!(three.anthropic.received()[0].line, "POST /v1/messages/count_tokens");

    three.gemini.script([reply::json(json!({"totalTokens": 31, "promptTokensDetails": []}))]);
    assert_eq!(count(FLASH, json!({"system": "Be brief."})).await.expect(200).json(), json!({"input_tokens": 31}));
    let seen = three.gemini.received().pop().unwrap();
    let sent: Value = serde_json::from_slice(&seen.body).unwrap();
    assert_eq!(seen.line, "POST /v1beta/models/gemini-2.5-flash:countTokens");
    assert_eq!(sent["generateContentRequest"]["model"], "models/gemini-2.5-flash");
    assert_eq!(sent["generateContentRequest"]["systemInstruction"]["parts"][0]["text"], "Be brief.");

    let estimated = count(GPT, json!({})).await;
    assert_eq!(estimated.expect(200).header("x-heliostat-loss"), "input_tokens");
    assert!((5..100).contains(&estimated.json()["input_tokens"].as_u64().unwrap()), "{}", estimated.text());
    let image = json!({"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": format!("iVBORw0KGgo{}=", "A".repeat(400_000))}}]}]});
    assert!(count(GPT, image).await.expect(200).json()["input_tokens"].as_u64().unwrap() < 3_000, "an image is not text");
    assert!(three.openai.received().is_empty(), "nothing was asked of a provider that does not count");

    // A server that speaks the dialect, but has no such call.
    three.anthropic.always(reply::status(404));
    assert_eq!(count(CLAUDE, json!({})).await.expect(200).header("x-heliostat-loss"), "input_tokens");
    three.anthropic.always(reply::status(400));
    count(CLAUDE, json!({})).await.expect(400);
    assert_eq!(count("nobody/x", json!({})).await.expect(404).json()["error"]["type"], "not_found_error");
}

#[tokio::test]
async fn the_usage_of_a_message_too_long_to_hold_is_counted() {
    let claude = Provider::start().await;
    let mut message = native::anthropic(&"word ".repeat(300_000));
    message["usage"] = json!({"input_tokens": 4, "cache_read_input_tokens": 3, "output_tokens": 2});
    let body = message.to_string();
    assert!(body.len() > 1 << 20);
    claude.always(reply::bytes(200, "application/json", body.clone()));
    let gateway = Gateway::start(Config::new().provider("anthropic", &claude)).await;
    let asked = json!({"model": "anthropic/claude-sonnet-4-5", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
    let headers = [("anthropic-version", "2023-06-01"), ("x-request-id", "long")];
    let answer = client::send(gateway.address, "POST", "/v1/messages", &headers, asked.to_string().as_bytes()).await;
    assert!(answer.expect(200).text() == body, "byte for byte");
    let usage = gateway.access("long").await["usage"].clone();
    assert_eq!((&usage["prompt_tokens"], &usage["completion_tokens"]), (&json!(7), &json!(2)), "{usage}");
}
