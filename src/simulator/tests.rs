//! Each wire format over a real socket: what is answered, what is refused, what goes wrong when asked to.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::image::sha256;
use super::{Simulators, start};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n and some more";
const OPENAI: &str = "/v1/chat/completions";
const ANTHROPIC: &str = "/v1/messages";

/// What came back until the connection closed, broke, or was silent for a while.
struct Answer {
    status: u16,
    head: String,
    body: String,
    end: End,
}

#[derive(Debug, PartialEq, Eq)]
enum End {
    Closed,
    Reset,
    Silent,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// What `data:` lines hold, JSON only.
    fn events(&self) -> Vec<Value> {
        self.body.lines().filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok()).collect()
    }

    /// All strings at a pointer of the events, joined.
    fn joined(&self, pointer: &str) -> String {
        self.events().iter().filter_map(|event| Some(event.pointer(pointer)?.as_str()?.to_owned())).collect()
    }

    fn message(&self) -> String {
        self.json().pointer("/error/message").unwrap().as_str().unwrap().to_owned()
    }
}

async fn simulators() -> Simulators {
    start(IpAddr::V4(Ipv4Addr::LOCALHOST)).await.unwrap()
}

async fn send(addr: SocketAddr, path: &str, body: &Value) -> Answer {
    let keys = "authorization: Bearer sk-demo\r\nx-goog-api-key: demo\r\nanthropic-version: 2023-06-01\r\n";
    exchange(addr, "POST", path, keys, &body.to_string()).await
}

async fn exchange(addr: SocketAddr, method: &str, path: &str, headers: &str, body: &str) -> Answer {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let request =
        format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    let end = loop {
        let mut buffer = [0; 4096];
        match timeout(Duration::from_millis(600), stream.read(&mut buffer)).await {
            Ok(Ok(0)) => break End::Closed,
            Ok(Ok(length)) => bytes.extend_from_slice(&buffer[..length]),
            Ok(Err(_)) => break End::Reset,
            Err(_) => break End::Silent,
        }
    };
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0);
    Answer { status, head: head.to_owned(), body: body.to_owned(), end }
}

fn openai(model: &str, stream: bool) -> Value {
    json!({"model": model, "stream": stream, "messages": [{"role": "user", "content": "hello there"}]})
}

fn anthropic(model: &str, stream: bool) -> Value {
    json!({"model": model, "stream": stream, "max_tokens": 100, "messages": [{"role": "user", "content": "hello there"}]})
}

fn with(mut body: Value, name: &str, value: Value) -> Value {
    body[name] = value;
    body
}

fn weather_tool() -> Value {
    json!({"type": "object", "properties": {"city": {"type": "string"}, "unit": {"enum": ["C", "F"]}}, "required": ["city", "unit"]})
}

#[tokio::test]
async fn each_format_says_what_image_it_received() {
    let at = simulators().await;
    let data = STANDARD.encode(PNG);
    let expected = format!("1 image [image/png {} bytes sha256:{}]", PNG.len(), sha256(PNG));

    let url = json!({"url": format!("data:image/png;base64,{data}")});
    let content = json!([{"type": "text", "text": "see"}, {"type": "image_url", "image_url": url}]);
    let answer = send(at.openai, OPENAI, &json!({"model": "gpt-4o", "messages": [{"role": "user", "content": content}]})).await;
    let text = answer.json()["choices"][0]["message"]["content"].to_string();
    assert!(text.contains(&expected) && text.contains("openai simulator, model gpt-4o: 1 turn"), "{text}");
    assert!(answer.head.contains("x-simulator-received: {"));

    let source = json!({"type": "base64", "media_type": "image/png", "data": data});
    let content = json!([{"type": "image", "source": source}, {"type": "text", "text": "see"}]);
    let body = json!({"model": "c", "max_tokens": 99, "system": "be brief", "messages": [{"role": "user", "content": content}]});
    let text = send(at.anthropic, ANTHROPIC, &body).await.json()["content"][0]["text"].to_string();
    assert!(text.contains(&expected) && text.contains("1 system, 1 turn") && text.contains("max_tokens 99"), "{text}");

    for (outer, inner) in [("inlineData", "mimeType"), ("inline_data", "mime_type")] {
        let body = json!({"contents": [{"role": "user", "parts": [{"text": "see"}, {outer: {inner: "image/png", "data": data}}]}]});
        let text =
            send(at.gemini, "/v1beta/models/g:generateContent", &body).await.json()["candidates"][0]["content"]["parts"][0].to_string();
        assert!(text.contains(&expected), "{text}");
    }
}

#[tokio::test]
async fn streams_say_the_same_as_plain_replies() {
    let at = simulators().await;
    let plain = send(at.openai, OPENAI, &openai("m", false)).await.json()["choices"][0]["message"]["content"].clone();
    let streamed = send(at.openai, OPENAI, &with(openai("m", true), "stream_options", json!({"include_usage": true}))).await;
    assert_eq!(streamed.joined("/choices/0/delta/content"), plain.as_str().unwrap());
    assert!(streamed.events().last().unwrap()["usage"]["total_tokens"].as_u64().unwrap() > 2);
    assert!(streamed.body.contains("data: [DONE]\n\n"));

    let plain = send(at.anthropic, ANTHROPIC, &anthropic("m", false)).await.json()["content"][0]["text"].clone();
    let streamed = send(at.anthropic, ANTHROPIC, &anthropic("m", true)).await;
    assert_eq!(streamed.joined("/delta/text"), plain.as_str().unwrap());
    let kinds: Vec<String> = streamed.events().iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect();
    assert_eq!(kinds[..4], ["message_start", "ping", "content_block_start", "content_block_delta"]);
    assert_eq!(kinds[kinds.len() - 3..], ["content_block_stop", "message_delta", "message_stop"]);

    let body = json!({"contents": [{"parts": [{"text": "hello"}]}], "generationConfig": {"thinkingConfig": {"includeThoughts": true}}});
    let path = "/v1/publishers/google/models/m:streamGenerateContent?alt=sse&key=demo";
    let streamed = send(at.gemini, path, &body).await;
    assert!(streamed.joined("/candidates/0/content/parts/0/text").contains("gemini simulator, model m"));
    let last = streamed.events().pop().unwrap();
    assert_eq!(last["candidates"][0]["finishReason"], "STOP");
    assert!(last["candidates"][0]["content"]["parts"][0]["thoughtSignature"].is_string());
}

#[tokio::test]
async fn tools_are_called_and_their_results_repeated() {
    let at = simulators().await;
    let tools = json!([{"type": "function", "function": {"name": "get_weather", "parameters": weather_tool()}}]);
    let body = with(with(openai("m", false), "tools", tools), "tool_choice", json!("required"));
    let message = send(at.openai, OPENAI, &body).await.json()["choices"][0]["message"].clone();
    assert_eq!(message["tool_calls"][0]["function"]["arguments"], r#"{"city":"example","unit":"C"}"#);
    let call_id = &message["tool_calls"][0]["id"];
    let history = json!([{"role": "user", "content": "?"}, message, {"role": "tool", "tool_call_id": call_id, "content": "12 degrees"}]);
    let text = send(at.openai, OPENAI, &with(body.clone(), "messages", history)).await.body;
    assert!(text.contains("the tool said: 12 degrees"), "{text}");
    let streamed = send(at.openai, OPENAI, &with(body, "stream", json!(true))).await;
    assert_eq!(streamed.joined("/choices/0/delta/tool_calls/0/function/arguments"), r#"{"city":"example","unit":"C"}"#);

    let tools = json!([{"name": "get_weather", "input_schema": weather_tool()}]);
    let body = with(with(anthropic("m", true), "tools", tools), "tool_choice", json!({"type": "tool", "name": "get_weather"}));
    let streamed = send(at.anthropic, ANTHROPIC, &body).await;
    assert_eq!(streamed.joined("/delta/partial_json"), r#"{"city":"example","unit":"C"}"#);
    assert_eq!(streamed.joined("/delta/stop_reason"), "tool_use");

    let tools = json!([{"functionDeclarations": [{"name": "get_weather", "parametersJsonSchema": weather_tool()}]}]);
    let body = json!({"contents": [{"parts": [{"text": "the weather?"}]}], "tools": tools});
    let reply = send(at.gemini, "/v1/models/m:generateContent", &body).await.json();
    assert_eq!(reply["candidates"][0]["content"]["parts"][0]["functionCall"]["args"]["unit"], "C");
}

#[tokio::test]
async fn json_fits_the_schema() {
    let at = simulators().await;
    let format = json!({"type": "json_schema", "json_schema": {"name": "w", "schema": weather_tool()}});
    let reply = send(at.openai, OPENAI, &with(openai("m", false), "response_format", format)).await.json();
    assert_eq!(reply["choices"][0]["message"]["content"], r#"{"city":"example","unit":"C"}"#);
}

#[tokio::test]
async fn credentials_are_asked_for_in_each_shape() {
    let at = simulators().await;
    let answer = exchange(at.openai, "GET", "/v1/models", "", "").await;
    assert_eq!((answer.status, answer.json()["error"]["type"].as_str()), (401, Some("invalid_request_error")));
    let answer = exchange(at.openai, "GET", "/v1/models", "authorization: Bearer other\r\n", "").await;
    assert_eq!((answer.status, answer.json()["error"]["code"].as_str()), (401, Some("invalid_api_key")));
    let answer = exchange(at.anthropic, "GET", "/v1/models", "anthropic-version: 2023-06-01\r\n", "").await;
    assert_eq!((answer.status, answer.json()["error"]["type"].as_str()), (401, Some("authentication_error")));
    let answer = exchange(at.anthropic, "GET", "/v1/models", "x-api-key: demo\r\n", "").await;
    assert_eq!((answer.status, answer.message().as_str()), (400, "anthropic-version: header is required"));
    let answer = exchange(at.gemini, "GET", "/v1beta/models", "", "").await;
    assert_eq!((answer.status, answer.json()["error"]["status"].as_str()), (403, Some("PERMISSION_DENIED")));
    assert_eq!(exchange(at.gemini, "GET", "/v1beta/models?key=demo", "", "").await.status, 200);
}

#[tokio::test]
async fn invalid_requests_are_refused_with_their_path() {
    let at = simulators().await;
    let jpeg = STANDARD.encode(b"\xff\xd8\xff\xe0 not a png");
    let image = json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": jpeg}});
    let turn = |content: Value| json!([{"role": "user", "content": content}]);
    let uses = json!([{"role": "user", "content": "x"}, {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "t", "input": {}}]}]);
    let calls =
        json!([{"role": "assistant", "tool_calls": [{"id": "a", "type": "function", "function": {"name": "t", "arguments": "{}"}}]}]);
    let gif = json!([{"parts": [{"inlineData": {"mimeType": "image/gif", "data": STANDARD.encode(b"GIF89a")}}]}]);
    let response = json!([{"parts": [{"functionResponse": {"name": "t", "response": {}}}]}]);
    let cases = [
        (at.openai, OPENAI, with(openai("m", false), "fallbacks", json!([])), "Unrecognized request argument supplied: fallbacks"),
        (at.openai, OPENAI, with(openai("m", false), "temperature", json!(3)), "above maximum value"),
        (at.openai, OPENAI, with(openai("m", false), "messages", turn(json!(7))), "'messages[0].content'"),
        (at.openai, OPENAI, with(openai("m", false), "messages", calls), "did not have response messages: a"),
        (at.anthropic, ANTHROPIC, with(anthropic("m", false), "n", json!(1)), "n: Extra inputs are not permitted"),
        (at.anthropic, ANTHROPIC, with(anthropic("m", false), "messages", turn(json!([{"type": "text", "text": " "}]))), "non-whitespace"),
        (at.anthropic, ANTHROPIC, with(anthropic("m", false), "messages", turn(json!([image]))), "appears to be a image/jpeg image"),
        (at.anthropic, ANTHROPIC, with(anthropic("m", false), "messages", uses), "`tool_use` ids were found without `tool_result`"),
        (at.gemini, "/v1/models/m:generateContent", json!({"contents": []}), "contents is not specified"),
        (at.gemini, "/v1/models/m:generateContent", json!({"contents": gif}), "Unsupported MIME type: image/gif"),
        (at.gemini, "/v1/models/m:generateContent", json!({"contents": response}), "immediately after a function call turn"),
        (
            at.gemini,
            "/v1/models/m:generateContent",
            json!({"contents": [], "generationConfig": {"x": 1}}),
            "Unknown name \"x\" at 'generation_config'",
        ),
    ];
    for (addr, path, body, expected) in cases {
        let answer = send(addr, path, &body).await;
        assert_eq!(answer.status, 400, "{body}");
        assert!(answer.message().contains(expected), "{} lacks {expected}", answer.message());
    }
}

fn response(more: &Value) -> Value {
    let mut body = json!({"model": "gpt-5", "input": "hello there"});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

#[tokio::test]
async fn responses_are_judged_as_strictly_as_chats() {
    let at = simulators().await;
    let call = json!({"type": "function_call", "call_id": "a", "name": "t", "arguments": "{}"});
    let output = json!({"type": "function_call_output", "call_id": "a", "output": "12"});
    let thought = json!({"type": "reasoning", "summary": [], "encrypted_content": "gAAAAAsim"});
    let user = json!({"role": "user", "content": "x"});
    let tool = json!({"type": "function", "name": "t", "parameters": {"type": "object", "properties": {}}});
    let cases = [
        (json!({"fallbacks": []}), "Unknown parameter: 'fallbacks'"),
        (json!({"messages": []}), "Unknown parameter: 'messages'"),
        (json!({"max_output_tokens": 5}), "below minimum value"),
        (json!({"previous_response_id": "resp_1"}), "Previous response with id 'resp_1' not found"),
        (json!({"model": "gpt-4o", "include": ["reasoning.encrypted_content"]}), "not supported with this model"),
        (json!({"input": [call]}), "No tool output found for function call a"),
        (json!({"input": [user, output]}), "No tool call found for function call output with call_id a"),
        (json!({"input": [user, thought]}), "without its required following item"),
        (json!({"input": [thought, user]}), "without its required following item"),
        (json!({"input": [{"type": "reasoning", "summary": [], "encrypted_content": "other"}, call, output]}), "could not be verified"),
        (json!({"input": [{"role": "user", "content": "x", "cache_control": {}}]}), "Unknown parameter: 'input[0].cache_control'"),
        (json!({"input": [{"role": "user", "content": [{"type": "output_text", "text": "x"}]}]}), "Invalid value: 'output_text'"),
        (json!({"input": [{"role": "assistant", "content": [{"type": "input_text", "text": "x"}]}]}), "Invalid value: 'input_text'"),
        (json!({"tools": [tool]}), "'additionalProperties' is required"),
        (json!({"tools": [{"type": "function", "function": {"name": "t"}}]}), "Unknown parameter: 'tools[0].function'"),
        (json!({"text": {"format": {"type": "json_schema", "json_schema": {}}}}), "Unknown parameter: 'text.format.json_schema'"),
        (json!({"reasoning": {"effort": "much"}}), "Invalid value: 'much'"),
    ];
    for (more, expected) in cases {
        let answer = send(at.openai, "/v1/responses", &response(&more)).await;
        assert_eq!(answer.status, 400, "{more}");
        assert!(answer.message().contains(expected), "{} lacks {expected}", answer.message());
    }
    let items = json!([user, thought, call, output]);
    let plain = send(at.openai, "/v1/responses", &response(&json!({"input": items, "tools": [with(tool, "strict", json!(false))]}))).await;
    assert!(plain.json()["output"][0]["content"][0]["text"].as_str().unwrap().contains("the tool said: 12"), "{}", plain.body);
    let streamed = send(at.openai, "/v1/responses", &response(&json!({"stream": true, "reasoning": {"effort": "low"}}))).await;
    let plain = send(at.openai, "/v1/responses", &response(&json!({"reasoning": {"effort": "low"}}))).await;
    let events = streamed.events();
    assert_eq!(events.last().unwrap()["response"], plain.json());
    assert!(events.iter().enumerate().all(|(number, event)| event["sequence_number"] == number));
}

#[tokio::test]
async fn faults_are_chosen_by_model_name() {
    let at = simulators().await;
    let answer = send(at.openai, OPENAI, &openai("fail-529", false)).await;
    assert!(answer.status == 529 && answer.head.contains("retry-after: 1"));
    let answer = send(at.anthropic, ANTHROPIC, &anthropic("fail-429-bare", false)).await;
    assert!(answer.status == 429 && !answer.head.contains("retry-after"));
    assert_eq!(answer.json()["error"]["type"], "rate_limit_error");
    assert_eq!(send(at.openai, OPENAI, &openai("fail-html-502", false)).await.status, 502);
    assert_eq!(send(at.openai, OPENAI, &openai("hang", false)).await.head, "");

    let reset = send(at.gemini, "/v1/models/reset:generateContent", &json!({"contents": [{"parts": [{"text": "x"}]}]})).await;
    assert_eq!((reset.status, reset.end), (0, End::Reset));
    let reset = send(at.openai, OPENAI, &openai("reset-mid-stream", true)).await;
    assert_eq!((reset.events().len(), reset.end), (4, End::Reset), "a role and three contents");
    let stalled = send(at.anthropic, ANTHROPIC, &anthropic("stall-after-2", true)).await;
    assert_eq!((stalled.body.matches("text_delta").count(), stalled.end), (2, End::Silent));
    let truncated = send(at.openai, OPENAI, &openai("truncate", true)).await;
    assert_eq!((truncated.events().len(), truncated.end), (4, End::Closed));
    let first = send(at.anthropic, ANTHROPIC, &anthropic("error-first", true)).await;
    assert!(first.status == 200 && first.body.contains("overloaded_error") && !first.body.contains("message_start"));
    let middle = send(at.openai, OPENAI, &openai("error-mid", true)).await;
    assert!(middle.events()[4].get("error").is_some() && !middle.body.contains("[DONE]"));
    let finished = send(at.openai, OPENAI, &openai("no-done", true)).await;
    assert!(finished.body.contains("\"stop\"") && !finished.body.contains("[DONE]"));
}

#[tokio::test]
async fn the_ledger_tells_what_arrived_without_secrets() {
    let at = simulators().await;
    send(at.openai, OPENAI, &openai("m", false)).await;
    send(at.openai, OPENAI, &openai("stall-after-1", true)).await;
    let ledger = exchange(at.openai, "GET", "/__received", "", "").await.json();
    let requests = ledger["requests"].as_array().unwrap();
    assert_eq!((ledger["connections"].as_u64(), requests.len()), (Some(3), 2));
    assert_eq!((requests[0]["model"].as_str(), requests[0]["outcome"].as_str()), (Some("m"), Some("done")));
    assert_eq!(requests[1]["outcome"], "cancelled", "its client left");
    assert_eq!(requests[0]["body_sha256"], sha256(openai("m", false).to_string().as_bytes()));
    assert!(!ledger.to_string().contains("sk-demo"));
}
