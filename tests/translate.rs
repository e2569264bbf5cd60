//! Requests and replies across dialects: what OpenAI's words become at Anthropic and Gemini, and back.

use crate::support::{Config, Gateway, Provider, Reply, Value, ask, json, native, reply, with};

const CLAUDE: &str = "anthropic/claude-sonnet-4-5";
const FLASH: &str = "gemini/gemini-2.5-flash";

struct Two {
    anthropic: Provider,
    gemini: Provider,
    gateway: Gateway,
}

async fn two() -> Two {
    let (anthropic, gemini) = (Provider::start().await, Provider::start().await);
    anthropic.always(reply::json(native::anthropic("ok")));
    gemini.always(reply::json(native::gemini("ok")));
    let gateway = Gateway::start(Config::new().provider("anthropic", &anthropic).provider("gemini", &gemini)).await;
    Two { anthropic, gemini, gateway }
}

impl Two {
    async fn claude(&self, more: Value) -> Value {
        self.gateway.chat(&with(ask(CLAUDE), more)).await.expect(200);
        serde_json::from_slice(&self.anthropic.received().pop().unwrap().body).unwrap()
    }

    async fn flash(&self, more: Value) -> Value {
        self.gateway.chat(&with(ask(FLASH), more)).await.expect(200);
        serde_json::from_slice(&self.gemini.received().pop().unwrap().body).unwrap()
    }

    async fn claude_says(&self, body: Value) -> Reply {
        self.anthropic.always(reply::json(body));
        self.gateway.chat(&ask(CLAUDE)).await
    }

    async fn flash_says(&self, body: Value) -> Reply {
        self.gemini.always(reply::json(body));
        self.gateway.chat(&ask(FLASH)).await
    }
}

fn conversation() -> Value {
    json!({"messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": "Speak French."},
        {"role": "user", "content": "Paris?"},
        {"role": "assistant", "content": "Oui."},
        {"role": "user", "content": [{"type": "text", "text": "Lyon?"}]}
    ]})
}

fn tool_talk() -> Value {
    let call = |id: &str, city: &str| json!({"id": id, "type": "function", "function": {"name": "weather", "arguments": json!({"city": city}).to_string()}});
    json!({
        "messages": [
            {"role": "user", "content": "Weather?"},
            {"role": "assistant", "content": null, "tool_calls": [call("call_1", "Paris"), call("call_2", "Lyon")]},
            {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
            {"role": "tool", "tool_call_id": "call_2", "content": "sun"}
        ],
        "tools": [{"type": "function", "function": {"name": "weather", "description": "Tells it.",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}],
        "tool_choice": "required"
    })
}

/// The text of a `system` that is a string or blocks.
fn said(system: &Value) -> String {
    match system {
        Value::String(text) => text.clone(),
        blocks => blocks.as_array().into_iter().flatten().filter_map(|b| b["text"].as_str()).collect::<Vec<_>>().join("\n"),
    }
}

#[tokio::test]
async fn a_conversation_is_told_to_anthropic() {
    let sent = two().await.claude(conversation()).await;
    assert_eq!(said(&sent["system"]), "Be brief.\nSpeak French.");
    let roles: Vec<_> = sent["messages"].as_array().unwrap().iter().map(|m| m["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["user", "assistant", "user"]);
    assert_eq!((&sent["model"], sent["max_tokens"].is_u64()), (&json!("claude-sonnet-4-5"), true));
}

#[tokio::test]
async fn a_conversation_is_told_to_gemini() {
    let sent = two().await.flash(conversation()).await;
    assert_eq!(said(&sent["systemInstruction"]["parts"]), "Be brief.\nSpeak French.");
    let turns: Vec<_> = sent["contents"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| (c["role"].as_str().unwrap(), c["parts"][0]["text"].as_str().unwrap()))
        .collect();
    assert_eq!(turns, [("user", "Paris?"), ("model", "Oui."), ("user", "Lyon?")]);
    assert!(sent.get("model").is_none(), "the model stands in the path");
}

#[tokio::test]
async fn settings_are_mapped_and_numbers_keep_their_digits() {
    let two = two().await;
    let settings = json!({"max_completion_tokens": 77, "temperature": 0.30, "stop": ["END", "STOP"]});
    let claude = two.claude(settings.clone()).await;
    assert_eq!(
        (&claude["max_tokens"], &claude["temperature"], &claude["stop_sequences"]),
        (&json!(77), &json!(0.3), &json!(["END", "STOP"]))
    );
    let flash = two.flash(settings).await["generationConfig"].clone();
    assert_eq!(
        (&flash["maxOutputTokens"], &flash["temperature"], &flash["stopSequences"]),
        (&json!(77), &json!(0.3), &json!(["END", "STOP"]))
    );
    let single = two.claude(json!({"stop": "END", "max_tokens": 5})).await;
    assert_eq!((&single["stop_sequences"], &single["max_tokens"]), (&json!(["END"]), &json!(5)));
}

#[tokio::test]
async fn tools_and_their_results_are_told_to_anthropic() {
    let sent = two().await.claude(tool_talk()).await;
    assert_eq!(sent["tools"][0]["name"], "weather");
    assert_eq!(sent["tools"][0]["input_schema"]["required"], json!(["city"]));
    assert_eq!(sent["tool_choice"]["type"], "any");
    let uses = &sent["messages"][1]["content"];
    assert_eq!(uses[0], json!({"type": "tool_use", "id": "call_1", "name": "weather", "input": {"city": "Paris"}}));
    let results = sent["messages"][2]["content"].as_array().unwrap();
    let ids: Vec<_> = results.iter().map(|r| (r["type"].as_str().unwrap(), r["tool_use_id"].as_str().unwrap())).collect();
    assert_eq!(ids, [("tool_result", "call_1"), ("tool_result", "call_2")], "all results stand in one turn");
}

#[tokio::test]
async fn tools_and_their_results_are_told_to_gemini() {
    let sent = two().await.flash(tool_talk()).await;
    assert_eq!(sent["tools"][0]["functionDeclarations"][0]["name"], "weather");
    assert_eq!(sent["toolConfig"]["functionCallingConfig"]["mode"], "ANY");
    assert_eq!(sent["contents"][1]["parts"][0]["functionCall"]["args"], json!({"city": "Paris"}));
    let results = sent["contents"][2]["parts"].as_array().unwrap();
    assert_eq!(results.len(), 2, "one response for each call");
    assert!(results.iter().all(|r| r["functionResponse"]["name"] == "weather" && r["functionResponse"]["response"].is_object()));
}

#[tokio::test]
async fn a_schema_for_the_answer_is_told_to_both() {
    let two = two().await;
    let schema =
        json!({"type": "object", "properties": {"score": {"type": "integer"}}, "required": ["score"], "additionalProperties": false});
    let format = json!({"response_format": {"type": "json_schema", "json_schema": {"name": "verdict", "strict": true, "schema": schema}}});
    let claude = two.claude(format.clone()).await;
    assert!(claude.to_string().contains("\"score\""), "{claude}");
    let flash = two.flash(format).await["generationConfig"].clone();
    assert_eq!(flash["responseMimeType"], "application/json");
    assert!(flash.to_string().contains("\"score\""), "{flash}");
}

#[tokio::test]
async fn finish_reasons_come_back_in_openais_words() {
    let two = two().await;
    for (theirs, ours) in
        [("end_turn", "stop"), ("stop_sequence", "stop"), ("max_tokens", "length"), ("refusal", "content_filter"), ("pause_turn", "stop")]
    {
        let reply = two.claude_says(with(native::anthropic("x"), json!({"stop_reason": theirs}))).await;
        assert_eq!(reply.expect(200).json()["choices"][0]["finish_reason"], ours, "{theirs}");
    }
    for (theirs, ours) in [("STOP", "stop"), ("MAX_TOKENS", "length"), ("SAFETY", "content_filter"), ("RECITATION", "content_filter")] {
        let mut body = native::gemini("x");
        body["candidates"][0]["finishReason"] = json!(theirs);
        assert_eq!(two.flash_says(body).await.expect(200).json()["choices"][0]["finish_reason"], ours, "{theirs}");
    }
}

#[tokio::test]
async fn tool_calls_come_back_as_openais() {
    let two = two().await;
    let claude = two
        .claude_says(with(
            native::anthropic(""),
            json!({"stop_reason": "tool_use", "content": [
            {"type": "text", "text": "Looking."}, {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Paris"}}]}),
        ))
        .await
        .json();
    let mut body = native::gemini("");
    body["candidates"][0]["content"]["parts"] = json!([{"functionCall": {"name": "weather", "args": {"city": "Paris"}}}]);
    let flash = two.flash_says(body).await.json();
    for reply in [&claude, &flash] {
        let choice = &reply["choices"][0];
        let call = &choice["message"]["tool_calls"][0];
        assert_eq!(
            (&choice["finish_reason"], &call["type"], &call["function"]["name"]),
            (&json!("tool_calls"), &json!("function"), &json!("weather"))
        );
        let arguments: Value = serde_json::from_str(call["function"]["arguments"].as_str().unwrap()).unwrap();
        assert_eq!(arguments, json!({"city": "Paris"}));
        assert!(call["id"].as_str().is_some_and(|id| !id.is_empty()));
    }
    assert_eq!(
        (&claude["choices"][0]["message"]["content"], &claude["choices"][0]["message"]["tool_calls"][0]["id"]),
        (&json!("Looking."), &json!("toolu_1"))
    );
}

#[tokio::test]
async fn usage_comes_back_whole() {
    let two = two().await;
    let usage = json!({"input_tokens": 10, "cache_creation_input_tokens": 20, "cache_read_input_tokens": 30, "output_tokens": 5});
    let claude = two.claude_says(with(native::anthropic("x"), json!({"usage": usage}))).await.json()["usage"].clone();
    assert_eq!((&claude["prompt_tokens"], &claude["completion_tokens"], &claude["total_tokens"]), (&json!(60), &json!(5), &json!(65)));
    assert_eq!(claude["prompt_tokens_details"]["cached_tokens"], 30);
    let usage = json!({"promptTokenCount": 10, "cachedContentTokenCount": 4, "candidatesTokenCount": 5, "thoughtsTokenCount": 7, "totalTokenCount": 22});
    let flash = two.flash_says(with(native::gemini("x"), json!({"usageMetadata": usage}))).await.json()["usage"].clone();
    assert_eq!((&flash["prompt_tokens"], &flash["completion_tokens"], &flash["total_tokens"]), (&json!(10), &json!(12), &json!(22)));
    assert_eq!(
        (&flash["prompt_tokens_details"]["cached_tokens"], &flash["completion_tokens_details"]["reasoning_tokens"]),
        (&json!(4), &json!(7))
    );
}

#[tokio::test]
async fn a_translated_reply_has_openais_shape() {
    let two = two().await;
    for reply in [
        two.claude_says(native::anthropic("h\u{e9}\n\"x\" \u{1f600}")).await,
        two.flash_says(native::gemini("h\u{e9}\n\"x\" \u{1f600}")).await,
    ] {
        let json = reply.expect(200).json();
        assert_eq!(json["object"], "chat.completion");
        assert!(json["id"].is_string() && json["created"].is_u64() && json["model"].is_string(), "{json}");
        let choice = &json["choices"][0];
        assert_eq!((&choice["index"], &choice["message"]["role"]), (&json!(0), &json!("assistant")));
        assert_eq!(reply.content(), "h\u{e9}\n\"x\" \u{1f600}");
        assert!(reply.header("content-type").starts_with("application/json"));
    }
}

#[tokio::test]
async fn what_is_lost_stands_in_a_header() {
    let two = two().await;
    let lossy = with(ask(CLAUDE), json!({"logit_bias": {"50256": -100}, "temperature": 1.7}));
    let reply = two.gateway.chat(&lossy).await;
    let losses = reply.expect(200).header("x-heliostat-loss");
    assert!(losses.contains("logit_bias") && losses.contains("temperature"), "{losses}");
    assert_eq!(two.gateway.chat(&ask(CLAUDE)).await.head.header("x-heliostat-loss"), None);
}

#[tokio::test]
async fn an_unknown_field_is_a_loss_across_dialects() {
    let two = two().await;
    for model in [CLAUDE, FLASH] {
        let reply = two.gateway.chat(&with(ask(model), json!({"brand_new_field": {"a": 1}}))).await;
        assert!(reply.expect(200).header("x-heliostat-loss").contains("brand_new_field"), "{model}");
    }
}

#[tokio::test]
async fn strict_makes_a_loss_a_400_that_names_it() {
    let two = two().await;
    let lossy = with(ask(CLAUDE), json!({"logit_bias": {"50256": -100}}));
    let reply = two.gateway.chat_with(&[("x-heliostat-strict", "true")], lossy.to_string().as_bytes()).await;
    assert!(reply.expect(400).error().contains("logit_bias"), "{}", reply.text());
    assert!(two.anthropic.received().is_empty(), "nothing was sent");
    two.gateway.chat_with(&[("x-heliostat-strict", "true")], ask(CLAUDE).to_string().as_bytes()).await.expect(200);
}

#[tokio::test]
async fn a_providers_400_comes_back_in_openais_shape() {
    let two = two().await;
    let theirs = json!({"type": "error", "error": {"type": "invalid_request_error", "message": "messages: too odd"}});
    two.anthropic.always(reply::status_json(400, theirs));
    let reply = two.gateway.chat(&ask(CLAUDE)).await;
    assert!(reply.expect(400).error().contains("too odd"));
    assert_eq!(reply.json()["error"]["type"], "invalid_request_error");
    let theirs = json!({"error": {"code": 400, "message": "Request contains an invalid argument.", "status": "INVALID_ARGUMENT"}});
    two.gemini.always(reply::status_json(400, theirs));
    assert!(two.gateway.chat(&ask(FLASH)).await.expect(400).error().contains("invalid argument"));
}

#[tokio::test]
async fn a_prompt_that_gemini_blocks_is_content_filter_not_an_error() {
    let two = two().await;
    let blocked = json!({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 3, "totalTokenCount": 3}});
    let reply = two.flash_says(blocked).await;
    assert_eq!(reply.expect(200).json()["choices"][0]["finish_reason"], "content_filter");
}
