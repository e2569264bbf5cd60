//! Google's API as a client's dialect: the same bytes at Google, its own words from any other provider.

use crate::fixtures::cases;
use crate::support::client::{self, Stream};
use crate::support::config::secret_of;
use crate::support::native::{
    anthropic_opening, anthropic_stream, anthropic_text, chunk, chunk_text, data_of, gemini_stream, named, openai_stream,
};
use crate::support::reply::End;
use crate::support::{Config, Gateway, Provider, Reply, Value, json, native, reply, with};

const GPT: &str = "openai/gpt-4o";
const CLAUDE: &str = "anthropic/claude-sonnet-4-5";
const FLASH: &str = "gemini-2.5-flash";
const KEY: (&str, &str) = ("x-goog-api-key", "any");

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
    async fn post(&self, path: &str, body: &Value) -> Reply {
        self.post_with(path, &[KEY], body.to_string().as_bytes()).await
    }

    async fn post_with(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        client::send(self.gateway.address, "POST", path, headers, body).await
    }

    async fn stream(&self, model: &str, query: &str) -> Stream {
        let path = format!("/v1beta/models/{model}:streamGenerateContent{query}");
        client::open(self.gateway.address, &path, &[KEY], hello().to_string().as_bytes()).await
    }

    /// What OpenAI got of a request.
    async fn gpt(&self, body: &Value) -> Value {
        self.openai.script([reply::json(native::openai("ok"))]);
        self.post(&generate(GPT), body).await.expect(200);
        serde_json::from_slice(&self.openai.received().pop().unwrap().body).unwrap()
    }

    /// What Anthropic got of a request.
    async fn claude(&self, body: &Value) -> Value {
        self.anthropic.script([reply::json(native::anthropic("ok"))]);
        self.post(&generate(CLAUDE), body).await.expect(200);
        serde_json::from_slice(&self.anthropic.received().pop().unwrap().body).unwrap()
    }
}

fn generate(model: &str) -> String {
    format!("/v1beta/models/{model}:generateContent")
}

fn hello() -> Value {
    json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]})
}

/// A conversation with all that an agent puts into one, in both of Google's spellings.
fn talk() -> Value {
    json!({
        "system_instruction": {"parts": {"text": "Be brief."}},
        "contents": [
            {"role": "user", "parts": [
                {"text": "Look at both."},
                {"inline_data": {"mime_type": "image/png", "data": "iVBORw0KGgr_-A"}}
            ]},
            {"role": "model", "parts": [
                {"text": "Let me look.", "thought": true},
                {"text": "Looking."},
                {"functionCall": {"name": "read", "args": {"path": "a.png", "n": 1.50}}, "thoughtSignature": "skip_thought_signature_validator"},
                {"functionCall": {"name": "read", "args": {}}}
            ]},
            {"role": "user", "parts": [
                {"functionResponse": {"name": "read", "response": {"output": "here"}, "parts": [{"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}]}},
                {"functionResponse": {"name": "read", "response": {"error": "no such file"}}},
                {"text": "Go on."}
            ]}
        ],
        "tools": [{"function_declarations": [{
            "name": "read", "description": "Reads.",
            "parameters": {"type": "OBJECT", "properties": {"path": {"type": "STRING", "nullable": true}}, "required": ["path"]}
        }]}],
        "tool_config": {"function_calling_config": {"mode": "ANY"}},
        "generationConfig": {"maxOutputTokens": 100, "stopSequences": ["END"], "temperature": 0.5, "topP": 0.9, "candidateCount": 1}
    })
}

#[tokio::test]
async fn google_gets_the_clients_bytes_on_every_path() {
    let three = three().await;
    three.gemini.always(reply::json(native::gemini("ok")));
    let body = "{ \"contents\":[{\"role\":\"user\",\n\"parts\":[{\"text\":\"\\u00e9\", \"x_new\":1e2}]}] }";
    let paths = [
        "/v1beta/models/gemini-2.5-flash:generateContent",
        "/v1/models/gemini%2Fgemini-2.5-flash:generateContent?key=client-secret",
        "/v1alpha/models/gemini/gemini-2.5-flash:generateContent",
        "/genai/v1beta/models/gemini-2.5-flash:generateContent",
        "/v1beta1/projects/p/locations/global/publishers/google/models/gemini-2.5-flash:generateContent",
        "/v1/publishers/gemini/models/gemini-2.5-flash:generateContent",
    ];
    for path in paths {
        let reply = three.post_with(path, &[KEY], body.as_bytes()).await;
        assert_eq!(reply.expect(200).text(), native::gemini("ok").to_string(), "{path}");
        let seen = three.gemini.received().pop().unwrap();
        assert_eq!(seen.line, "POST /v1beta/models/gemini-2.5-flash:generateContent", "{path}");
        assert_eq!(String::from_utf8_lossy(&seen.body), body, "{path}");
        assert_eq!(seen.head.header("x-goog-api-key"), Some(secret_of("GEMINI_API_KEY").as_str()), "{path}");
    }
    let cut = body.replace("{ \"contents\"", "{\"fallbacks\":[],\"contents\"");
    three.post_with(paths[0], &[KEY], cut.as_bytes()).await.expect(200);
    let sent = String::from_utf8(three.gemini.received().pop().unwrap().body).unwrap();
    assert_eq!(sent, body.replace("{ \"contents\"", "{\"contents\""));
}

#[tokio::test]
async fn googles_stream_passes_untouched_and_as_an_array() {
    let three = three().await;
    let events = gemini_stream(&["one ", "two"]);
    three.gemini.always(reply::events(&events));
    assert_eq!(three.stream(FLASH, "?alt=sse").await.bytes().await, events.concat().into_bytes());
    assert_eq!(three.gemini.received().pop().unwrap().line, "POST /v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse");

    let stream = three.stream(FLASH, "").await;
    assert!(stream.head.header("content-type").unwrap().starts_with("application/json"));
    let body = String::from_utf8(stream.bytes().await).unwrap();
    let elements: Vec<String> = events.iter().map(|event| event.trim_start_matches("data: ").trim_end().to_owned()).collect();
    assert_eq!(body, format!("[{}\n]\n", elements.join(",\n")), "the elements are Google's own bytes");
}

#[tokio::test]
async fn a_conversation_is_told_to_openai() {
    let sent = three().await.gpt(&talk()).await;
    let roles: Vec<_> = sent["messages"].as_array().unwrap().iter().map(|message| message["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["system", "user", "assistant", "tool", "tool", "user"]);
    assert_eq!(sent["messages"][0]["content"], "Be brief.");
    let image = &sent["messages"][1]["content"][1]["image_url"]["url"];
    assert_eq!(image, "data:image/png;base64,iVBORw0KGgr/+A==", "base64 for URLs becomes standard");
    let assistant = &sent["messages"][2];
    assert_eq!((&assistant["content"], &assistant["tool_calls"][0]["function"]["name"]), (&json!("Looking."), &json!("read")));
    assert_eq!(assistant["tool_calls"][0]["function"]["arguments"], "{\"n\":1.5,\"path\":\"a.png\"}");
    let ids: Vec<_> = assistant["tool_calls"].as_array().unwrap().iter().map(|call| call["id"].clone()).collect();
    assert_ne!(ids[0], ids[1]);
    assert_eq!((&sent["messages"][3]["tool_call_id"], &sent["messages"][4]["tool_call_id"]), (&ids[0], &ids[1]));
    assert_eq!(sent["messages"][4]["content"], "{\"error\":\"no such file\"}");
    assert_eq!(sent["tools"][0]["function"]["parameters"]["properties"]["path"], json!({"type": ["string", "null"]}));
    assert_eq!((&sent["tool_choice"], &sent["stop"], &sent["temperature"]), (&json!("required"), &json!(["END"]), &json!(0.5)));
    assert!(sent.get("n").is_none() && sent.get("stream").is_none(), "{sent}");
}

#[tokio::test]
async fn a_conversation_is_told_to_anthropic() {
    let sent = three().await.claude(&talk()).await;
    let blocks = |message: usize| -> Vec<String> {
        let content = sent["messages"][message]["content"].as_array().unwrap();
        content.iter().map(|block| block["type"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(blocks(0), ["text", "image"]);
    assert_eq!(blocks(1), ["text", "tool_use", "tool_use"]);
    assert_eq!(blocks(2), ["tool_result", "tool_result", "text"]);
    assert_eq!(sent["messages"][2]["content"][0]["content"][1]["source"]["data"], "iVBORw0KGgo=");
    assert_eq!((&sent["max_tokens"], &sent["tool_choice"]["type"]), (&json!(100), &json!("any")));
}

#[tokio::test]
async fn what_is_lost_stands_in_a_header_and_strict_refuses_it() {
    let three = three().await;
    three.openai.always(reply::json(native::openai("ok")));
    let body = with(hello(), json!({"labels": {"team": "x"}, "tools": [{"googleSearch": {}}], "generationConfig": {"topK": 5}}));
    let reply = three.post(&generate(GPT), &body).await;
    let told = reply.expect(200).header("x-heliostat-loss");
    assert!(["labels", "tools[0].googleSearch", "generationConfig.topK"].iter().all(|path| told.contains(path)), "{told}");
    let strict = three.post_with(&generate(GPT), &[KEY, ("x-heliostat-strict", "true")], body.to_string().as_bytes()).await;
    let error = strict.expect(400).json();
    assert_eq!(error["error"]["status"], "INVALID_ARGUMENT");
    assert!(error["error"]["message"].as_str().unwrap().contains("labels"), "{error}");
}

#[tokio::test]
async fn a_reply_comes_back_in_googles_words() {
    let three = three().await;
    let call = json!({"id": "call_1", "type": "function", "function": {"name": "read", "arguments": "{\"n\": 1.50}"}});
    three.openai.script([reply::json(json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-4o-2024",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "On it.", "reasoning_content": "Hm.", "tool_calls": [call]}, "finish_reason": "tool_calls"}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 7, "total_tokens": 107, "prompt_tokens_details": {"cached_tokens": 60}, "completion_tokens_details": {"reasoning_tokens": 3}}
    }))]);
    let reply = three.post(&generate(GPT), &hello()).await;
    let said = reply.expect(200).json();
    assert_eq!(
        said["candidates"][0]["content"],
        json!({"role": "model", "parts": [
            {"text": "Hm.", "thought": true},
            {"text": "On it."},
            {"functionCall": {"id": "call_1", "name": "read", "args": {"n": 1.5}}, "thoughtSignature": "skip_thought_signature_validator"}
        ]})
    );
    assert!(reply.text().contains("1.50"), "numbers keep their digits");
    assert_eq!((&said["candidates"][0]["finishReason"], &said["modelVersion"]), (&json!("STOP"), &json!("gpt-4o-2024")));
    assert_eq!(
        said["usageMetadata"],
        json!({"promptTokenCount": 100, "candidatesTokenCount": 4, "thoughtsTokenCount": 3, "cachedContentTokenCount": 60, "totalTokenCount": 107})
    );
}

#[tokio::test]
async fn a_stream_comes_in_googles_events_with_calls_whole() {
    let three = three().await;
    let call = |index: u64, id: Option<&str>, arguments: &str| {
        let mut call = json!({"index": index, "function": {"arguments": arguments}});
        if let Some(id) = id {
            (call["id"], call["type"], call["function"]["name"]) = (json!(id), json!("function"), json!("read"));
        }
        chunk(json!({"tool_calls": [call]}), None)
    };
    let usage = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o", "choices": [],
        "usage": {"prompt_tokens": 50, "completion_tokens": 9, "total_tokens": 59}});
    let events = vec![
        chunk(json!({"role": "assistant", "content": ""}), None),
        chunk_text("Grüße 😀 \"q\"\n"),
        call(0, Some("call_1"), "{\"path\":"),
        call(1, Some("call_2"), "{}"),
        call(0, None, "\n \"a}\"}"),
        chunk(json!({}), Some("tool_calls")),
        format!("data: {usage}\n\n"),
        "data: [DONE]\n\n".to_owned(),
    ];
    three.openai.always(reply::events(&events));
    let told = data_of(&three.stream(GPT, "?alt=sse").await.rest().await);
    let parts: Vec<_> =
        told.iter().flat_map(|event| event["candidates"][0]["content"]["parts"].as_array().cloned().unwrap_or_default()).collect();
    assert_eq!(parts[0], json!({"text": "Grüße 😀 \"q\"\n"}));
    let calls: Vec<_> = parts.iter().filter(|part| part.get("functionCall").is_some()).map(|part| part["functionCall"].clone()).collect();
    assert_eq!(
        calls,
        [json!({"id": "call_1", "name": "read", "args": {"path": "a}"}}), json!({"id": "call_2", "name": "read", "args": {}})]
    );
    let last = told.last().unwrap();
    assert_eq!((&last["candidates"][0]["finishReason"], &last["usageMetadata"]["totalTokenCount"]), (&json!("STOP"), &json!(59)));

    let array: Value = serde_json::from_slice(&three.stream(GPT, "").await.bytes().await).unwrap();
    assert_eq!(array.as_array().unwrap().len(), told.len(), "the same as an array: {array}");
}

#[tokio::test]
async fn another_vendors_thoughts_go_on_there_and_never_reach_google() {
    let three = three().await;
    let signed = json!({"type": "thinking", "thinking": "I see.", "signature": "EqQBCkgIARABGAIiQL+/4A=="});
    let mut said = native::anthropic("Yes.");
    said["content"] = json!([signed, {"type": "text", "text": "Yes."}]);
    three.anthropic.script([reply::json(said)]);
    let content = three.post(&generate(CLAUDE), &hello()).await.expect(200).json()["candidates"][0]["content"].clone();
    // A client that reads bytes writes them in the alphabet for URLs.
    let replayed = content.to_string().replace('+', "-").replace('/', "_");
    let next = json!({
        "contents": [hello()["contents"][0], serde_json::from_str::<Value>(&replayed).unwrap(), {"role": "user", "parts": [{"text": "Go on."}]}],
        "generationConfig": {"maxOutputTokens": 4000, "thinkingConfig": {"thinkingBudget": 1024}}
    });
    assert_eq!(three.claude(&next).await["messages"][1]["content"][0], signed);

    three.gemini.script([reply::json(native::gemini("ok"))]);
    three.post(&generate(FLASH), &next).await.expect(200);
    let sent: Value = serde_json::from_slice(&three.gemini.received().pop().unwrap().body).unwrap();
    assert_eq!(sent["contents"][1]["parts"], json!([{"text": "Yes."}]));

    // The same in the pieces of a stream.
    let thinking = |delta: Value| named(json!({"type": "content_block_delta", "index": 0, "delta": delta}));
    let mut events = anthropic_opening();
    events[1] =
        named(json!({"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}}));
    events.extend([
        thinking(json!({"type": "thinking_delta", "thinking": "I "})),
        thinking(json!({"type": "thinking_delta", "thinking": "see."})),
        thinking(json!({"type": "signature_delta", "signature": signed["signature"]})),
    ]);
    events.extend(native::anthropic_closing("end_turn"));
    three.anthropic.script([reply::events(&events)]);
    let told = data_of(&three.stream(CLAUDE, "?alt=sse").await.rest().await);
    let parts: Vec<_> =
        told.iter().flat_map(|event| event["candidates"][0]["content"]["parts"].as_array().cloned().unwrap_or_default()).collect();
    // As one content, or in as many as there were events.
    let pieces: Vec<_> = parts.iter().map(|part| json!({"role": "model", "parts": [part]})).collect();
    for turn in [vec![json!({"role": "model", "parts": parts})], pieces] {
        let contents = [vec![hello()["contents"][0].clone()], turn, vec![json!({"role": "user", "parts": [{"text": "Go on."}]})]].concat();
        let sent = three.claude(&with(next.clone(), json!({"contents": contents}))).await;
        assert_eq!((&sent["messages"][1]["content"][0], sent["messages"].as_array().unwrap().len()), (&signed, 3), "{sent}");
    }
}

#[tokio::test]
async fn errors_are_googles() {
    let three = three().await;
    let told = |reply: &Reply, status: u16| {
        let error = reply.expect(status).json()["error"].clone();
        assert_eq!(error["code"], status);
        (error["status"].as_str().unwrap().to_owned(), error)
    };
    let (status, error) = told(&three.post(&generate(GPT), &json!({"contents": []})).await, 400);
    assert_eq!(status, "INVALID_ARGUMENT");
    assert_eq!(error["details"][1]["fieldViolations"][0]["field"], "contents", "{error}");
    assert_eq!(told(&three.post(&generate("nobody/x"), &hello()).await, 404).0, "NOT_FOUND");

    three.openai.always(reply::status(529));
    assert_eq!(told(&three.post(&generate(GPT), &hello()).await, 503).0, "UNAVAILABLE");
    three.openai.always(reply::status(429).header("retry-after", "7"));
    let limited = three.post(&generate(GPT), &with(hello(), json!({"fallbacks": []}))).await;
    let (status, error) = told(&limited, 429);
    assert_eq!((status.as_str(), limited.header("retry-after")), ("RESOURCE_EXHAUSTED", "7"));
    assert!(error["details"].as_array().unwrap().iter().any(|detail| detail["retryDelay"] == "7s"), "{error}");
}

#[tokio::test]
async fn a_stream_that_breaks_ends_with_an_error_in_googles_words() {
    let three = three().await;
    three.openai.always(reply::ending([chunk_text("one")], End::Cut));
    let told = data_of(&three.stream(GPT, "?alt=sse").await.rest().await);
    assert_eq!(told.last().unwrap()["error"]["status"], "INTERNAL", "{told:?}");

    let array: Value = serde_json::from_slice(&three.stream(GPT, "").await.bytes().await).unwrap();
    assert!(array.as_array().unwrap().last().unwrap()["error"]["code"].is_u64(), "{array}");

    // The same behind Google's own bytes.
    three.gemini.always(reply::ending([native::gemini_text("one", None)], End::Cut));
    let told = data_of(&three.stream(FLASH, "?alt=sse").await.rest().await);
    assert_eq!(told.last().unwrap()["error"]["status"], "INTERNAL", "{told:?}");
}

#[tokio::test]
async fn nothing_but_data_is_written_for_googles_sdk() {
    let three = three().await;
    let mut events = anthropic_stream(&["one"]);
    events.insert(3, "event: ping\ndata: {\"type\": \"ping\"}\n\n".to_owned());
    events.insert(4, anthropic_text(" two"));
    three.anthropic.script([reply::events(&events)]);
    let text = String::from_utf8(three.stream(CLAUDE, "?alt=sse").await.bytes().await).unwrap();
    assert!(text.lines().all(|line| line.is_empty() || line.starts_with("data: {")), "{text}");
}

#[tokio::test]
async fn failover_crosses_dialects() {
    let three = three().await;
    three
        .gemini
        .always(reply::status_json(503, json!({"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}})));
    three.openai.script([reply::json(native::openai("from gpt"))]);
    let reply = three.post(&generate(FLASH), &with(hello(), json!({"fallbacks": [GPT]}))).await;
    assert_eq!(reply.expect(200).json()["candidates"][0]["content"]["parts"][0]["text"], "from gpt");
    assert_eq!(reply.header("x-heliostat-provider"), "openai");

    three.openai.script([reply::events(openai_stream(&["from", " gpt"]))]);
    let body = with(hello(), json!({"fallbacks": [GPT]})).to_string();
    let mut stream =
        client::open(three.gateway.address, "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse", &[KEY], body.as_bytes()).await;
    let told = data_of(&stream.rest().await);
    let text: String = told.iter().filter_map(|event| event["candidates"][0]["content"]["parts"][0]["text"].as_str()).collect();
    assert_eq!(text, "from gpt");
}

#[tokio::test]
async fn keys_come_in_a_header_or_the_url_and_go_no_further() {
    let openai = Provider::start().await;
    openai.always(reply::json(native::openai("ok")));
    let yaml = format!("{}client_keys: [{{name: app, value: secret-key}}]\n", Config::new().provider("openai", &openai).yaml());
    let gateway = Gateway::with(&yaml).await;
    let post = async |query: &str, headers: &[(&str, &str)]| {
        client::send(gateway.address, "POST", &format!("{}{query}", generate(GPT)), headers, hello().to_string().as_bytes()).await
    };
    post("", &[("x-goog-api-key", "secret-key")]).await.expect(200);
    post("", &[("authorization", "Bearer secret-key")]).await.expect(200);
    post("?key=secret%2Dkey&alt=json", &[]).await.expect(200);
    let wrong = post("?key=other", &[]).await;
    assert_eq!(wrong.expect(401).json()["error"]["status"], "UNAUTHENTICATED");
    for seen in openai.received() {
        assert!(!seen.line.contains("key=") && !format!("{:?}", seen.head).contains("secret-key"), "{:?}", seen.head);
    }
    assert!(!gateway.log().contains("secret-key") && !gateway.log().contains("secret%2Dkey"), "{}", gateway.log());
}

#[tokio::test]
async fn models_are_listed_in_googles_shape() {
    let three = three().await;
    let get = async |path: &str, headers: &[(&str, &str)]| client::send(three.gateway.address, "GET", path, headers, b"").await;
    for (path, headers) in [("/v1beta/models?pageSize=50", &[][..]), ("/v1/models", &[KEY][..]), ("/genai/v1beta/models", &[][..])] {
        let list = get(path, headers).await.expect(200).json();
        assert!(list["models"].is_array() && list.get("data").is_none(), "{path}: {list}");
    }
    assert_eq!(get("/v1/models", &[]).await.expect(200).json()["object"], "list");
    let one = get("/v1beta/models/openai/gpt-4o", &[]).await.expect(200).json();
    assert_eq!(one["name"], "models/openai/gpt-4o");
    assert!(one["supportedGenerationMethods"].as_array().unwrap().contains(&json!("generateContent")));
    assert_eq!(get("/v1beta/models/nobody/x", &[]).await.expect(404).json()["error"]["status"], "NOT_FOUND");
}

#[tokio::test]
async fn tokens_are_counted_by_who_can_and_else_estimated() {
    let three = three().await;
    let count = async |model: &str, body: &Value| three.post(&format!("/v1beta/models/{model}:countTokens"), body).await;
    three.gemini.always(reply::json(json!({"totalTokens": 31})));
    assert_eq!(count(FLASH, &hello()).await.expect(200).json(), json!({"totalTokens": 31}));
    assert_eq!(three.gemini.received().pop().unwrap().body, hello().to_string().as_bytes());
    let whole = json!({"generateContentRequest": with(hello(), json!({"model": "models/gemini/gemini-2.5-flash"}))});
    count("gemini/gemini-2.5-flash", &whole).await.expect(200);
    let sent: Value = serde_json::from_slice(&three.gemini.received().pop().unwrap().body).unwrap();
    assert_eq!(sent["generateContentRequest"]["model"], "models/gemini-2.5-flash");

    three.anthropic.script([reply::json(json!({"input_tokens": 12}))]);
    assert_eq!(count(CLAUDE, &whole).await.expect(200).json(), json!({"totalTokens": 12}));
    let estimated = count(GPT, &hello()).await;
    assert!(estimated.expect(200).json()["totalTokens"].as_u64().unwrap() > 0);
    assert!(!estimated.header("x-heliostat-loss").is_empty());
}

#[tokio::test]
async fn vectors_are_asked_of_google_alone() {
    let three = three().await;
    three.gemini.always(reply::json(json!({"embedding": {"values": [0.5]}})));
    let body = json!({"model": "models/gemini-embedding-001", "content": {"parts": [{"text": "a shoe"}]}});
    for path in ["/v1beta/models/gemini-embedding-001:embedContent", "/genai/v1/models/gemini-embedding-001:embedContent?key=any"] {
        assert_eq!(three.post(path, &body).await.expect(200).json()["embedding"]["values"], json!([0.5]), "{path}");
        let seen = three.gemini.received().pop().unwrap();
        assert_eq!(seen.line, "POST /v1beta/models/gemini-embedding-001:embedContent", "{path}");
        assert_eq!(seen.body, body.to_string().into_bytes());
    }
    for (model, status) in [("openai/text-embedding-3-small", "INVALID_ARGUMENT"), ("nobody/x", "NOT_FOUND")] {
        let reply = three.post(&format!("/v1beta/models/{model}:embedContent"), &body).await;
        assert_eq!(reply.json()["error"]["status"], status, "{}", reply.text());
    }
}

#[tokio::test]
async fn an_image_by_url_is_fetched_for_google_and_stands_inline() {
    let files = Provider::start().await;
    let png = b"\x89PNG\r\n\x1a\n rest of it".to_vec();
    files.always(reply::bytes(200, "image/png", png));
    let gemini = Provider::start().await;
    gemini.always(reply::json(native::gemini("ok")));
    let gateway = Gateway::start(Config::new().provider("gemini", &gemini).top("image_fetch: { allow_private: true }")).await;
    let part = json!({"fileData": {"mimeType": "image/png", "fileUri": format!("{}/a.png", files.url())}});
    let body = json!({"contents": [{"parts": [{"text": "What is it?"}, part]}]});
    client::send(gateway.address, "POST", &generate(FLASH), &[KEY], body.to_string().as_bytes()).await.expect(200);
    let sent: Value = serde_json::from_slice(&gemini.received().pop().unwrap().body).unwrap();
    let inline = &sent["contents"][0]["parts"][1]["inlineData"];
    assert_eq!((inline["mimeType"].as_str(), inline["data"].is_string()), (Some("image/png"), true), "{sent}");
}

#[tokio::test]
async fn recorded_traffic_of_google_passes_byte_for_byte() {
    for case in cases("gemini", &["generateContent", "streamGenerateContent"]) {
        let gemini = Provider::start().await;
        let gateway = Gateway::start(Config::new().provider("gemini", &gemini)).await;
        gemini.always(reply::bytes(case.status, &case.media_type, case.body.clone()));
        let method = if case.sse { "streamGenerateContent" } else { "generateContent" };
        let model = case.request["model"].as_str().unwrap_or("models/gemini-any").to_owned();
        let path = |query: &str| format!("/v1beta/{model}:{method}{query}");
        let sent = case.request.to_string();
        let ask = async |path: &str| client::send(gateway.address, "POST", path, &[KEY], sent.as_bytes()).await;
        let reply = ask(&path(if case.sse { "?alt=sse" } else { "" })).await;
        assert_eq!((reply.status, reply.text()), (case.status, case.body.clone()), "{}", case.id);
        assert_eq!(String::from_utf8_lossy(&gemini.received()[0].body), sent, "{}", case.id);
        if case.sse && case.status == 200 {
            let elements = data_of(std::slice::from_ref(&case.body));
            assert_eq!(ask(&path("")).await.json(), Value::Array(elements), "{} as an array", case.id);
        }
    }
}
