//! Mistral, which answers 422 to what it does not know: held to by a simulator as strict as its own SDK's models.

use std::net::{Ipv4Addr, SocketAddr};

use heliostat::simulator::{Simulator, Wire, start_one};

use crate::support::{Gateway, Value, ask, ask_stream, client, json, messages, with};

const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

async fn started() -> (Simulator, Gateway) {
    let free = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
    let simulator = start_one(Wire::Mistral, free).await.unwrap();
    let yaml =
        format!("providers:\n  mistral:\n    base_url: http://{}/v1\n    keys: [{{ value: env.MISTRAL_API_KEY }}]\n", simulator.addr());
    let gateway = Gateway::with_variables(&yaml, &[("MISTRAL_API_KEY", "sk-demo-mistral")]).await;
    (simulator, gateway)
}

fn look() -> Value {
    json!([{"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {"at": {"type": "string"}}, "required": ["at"]}}}])
}

/// A turn with calls whose ids another provider gave, their results, one of them a picture, and more of the user's.
fn conversation() -> Value {
    let call = |id: &str| json!({"id": id, "type": "function", "function": {"name": "look", "arguments": "{\"at\":\"a\"}"}});
    json!([
        {"role": "user", "content": "look twice"},
        {"role": "assistant", "content": null, "reasoning_content": "I must look.", "tool_calls": [call("call_AbCdEf"), call("toolu_01A09q90qw90lq917835lq9")]},
        {"role": "tool", "tool_call_id": "call_AbCdEf", "content": "a wall"},
        {"role": "tool", "tool_call_id": "toolu_01A09q90qw90lq917835lq9", "content": [{"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{PNG}")}}]},
        {"role": "user", "content": "and now?"}
    ])
}

#[tokio::test]
async fn calls_of_another_provider_go_on_here() {
    let (_simulator, gateway) = started().await;
    let asked = json!({"model": "mistral/mistral-large-latest", "messages": conversation(), "tools": look()});
    let reply = gateway.chat(&asked).await;
    let content = reply.expect(200).content();
    assert!(content.contains("1 image [image/png") && content.contains("you said: \"and now?\""), "{content}");
    assert_eq!(reply.header("x-heliostat-loss"), "messages[4]", "the word between a result and the user's is told");
    // Nothing to bridge, nothing lost.
    let mut messages = conversation();
    messages.as_array_mut().unwrap().pop();
    let reply = gateway.chat(&with(asked, json!({"messages": messages}))).await;
    assert!(reply.expect(200).content().contains("the tool said: a wall | "), "{}", reply.text());
    assert!(reply.head.header("x-heliostat-loss").is_none());
}

#[tokio::test]
async fn its_own_calls_come_back_as_they_were() {
    let (_simulator, gateway) = started().await;
    let asked = json!({"model": "mistral/m", "messages": [{"role": "user", "content": "call the tool"}], "tools": look(), "tool_choice": "required"});
    let message = gateway.chat(&asked).await.expect(200).json()["choices"][0]["message"].clone();
    let id = message["tool_calls"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(id.len(), 9);
    let messages = json!([asked["messages"][0], message, {"role": "tool", "tool_call_id": id, "content": "a wall"}]);
    let reply = gateway.chat(&with(asked, json!({"messages": messages, "tool_choice": "auto"}))).await;
    assert!(reply.expect(200).content().contains("the tool said: a wall"), "{}", reply.text());
}

#[tokio::test]
async fn thoughts_are_parts_there_and_reasoning_here() {
    let (_simulator, gateway) = started().await;
    let asked = json!({"reasoning_effort": "high", "stream_options": {"include_usage": true}});
    let plain = gateway.chat(&with(ask("mistral/mistral-small-latest"), json!({"reasoning_effort": "high"}))).await;
    let message = plain.expect(200).json()["choices"][0]["message"].clone();
    let told = "The request arrived whole; I say what it holds.";
    assert_eq!(message["reasoning_content"], told);
    assert!(message["content"].as_str().unwrap().contains("you said: \"hi\""), "{message}");
    let mut stream = gateway.stream(&with(ask_stream("mistral/mistral-small-latest"), asked)).await;
    let events = stream.rest().await;
    let chunks: Vec<Value> = events.iter().filter_map(|event| serde_json::from_str(event.strip_prefix("data: ")?.trim()).ok()).collect();
    let all = |key: &str| chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"][key].as_str()).collect::<String>();
    assert_eq!(all("reasoning_content"), told);
    assert_eq!(all("content"), message["content"].as_str().unwrap());
    assert!(chunks.iter().any(|chunk| chunk["usage"]["completion_tokens"].is_u64()), "usage comes unasked, and is told as asked");
    assert!(events.iter().any(|event| event.contains("[DONE]")));
}

#[tokio::test]
async fn claude_code_talks_to_it() {
    let (_simulator, gateway) = started().await;
    let asked = json!({"model": "mistral/mistral-small-latest", "max_tokens": 4096, "stream": true, "thinking": {"type": "adaptive"},
        "output_config": {"effort": "high"}, "system": [{"type": "text", "text": "Be brief."}],
        "tools": [{"name": "look", "input_schema": {"type": "object", "properties": {}}}], "messages": [
        {"role": "user", "content": "look"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "a wall"}, {"type": "text", "text": "go on"}]}]});
    let headers = [("anthropic-version", "2023-06-01")];
    let mut stream = client::open(gateway.address, "/v1/messages", &headers, asked.to_string().as_bytes()).await;
    let message = messages::assemble(&stream.rest().await);
    assert_eq!(message["content"][0]["type"], "thinking", "{message}");
    assert!(message["content"][1]["text"].as_str().unwrap().contains("you said: \"go on\""), "{message}");
}

#[tokio::test]
async fn documents_and_sounds_are_addresses() {
    let (_simulator, gateway) = started().await;
    let content = json!([
        {"type": "text", "text": "read"},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0xLjQ="}},
        {"type": "file", "file": {"filename": "b.pdf", "file_data": "https://example.com/b.pdf"}},
        {"type": "document_url", "document_url": "https://example.com/c.pdf"},
        {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}]);
    let reply = gateway.chat(&json!({"model": "mistral/m", "messages": [{"role": "user", "content": content}]})).await;
    let said = reply.expect(200).content();
    for word in [
        "url https://example.com/a.png",
        "application/pdf 8 bytes",
        "url https://example.com/b.pdf",
        "url https://example.com/c.pdf",
        "audio 4 bytes",
    ] {
        assert!(said.contains(word), "{word}: {said}");
    }
}

#[tokio::test]
async fn settings_it_does_not_know_are_told_and_not_sent() {
    let (_simulator, gateway) = started().await;
    let known = json!({"max_completion_tokens": 64, "temperature": 0.5, "seed": 7, "stop": ["a", "b", "c", "d", "e"], "n": 1, "prompt_cache_key": "k", "safe_prompt": true,
        "messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "Hel"}]});
    let reply = gateway.chat_with(&[("x-heliostat-strict", "true")], with(ask("mistral/m"), known).to_string().as_bytes()).await;
    let said = reply.expect(200).content();
    assert!(said.contains("max_tokens 64") && said.contains("random_seed 7") && said.contains("prompt_cache_key \"k\""), "{said}");
    let unknown = json!({"user": "u", "logit_bias": {"1": 1}, "logprobs": true, "service_tier": "flex", "store": true});
    let reply = gateway.chat(&with(ask("mistral/m"), unknown)).await;
    let mut lost: Vec<_> = reply.expect(200).header("x-heliostat-loss").split(", ").collect();
    lost.sort_unstable();
    assert_eq!(lost, ["logit_bias", "logprobs", "service_tier", "store", "user"]);
}

#[tokio::test]
async fn vectors_are_asked_for_in_its_words() {
    let (_simulator, gateway) = started().await;
    let reply = gateway
        .embed(&json!({"model": "mistral/mistral-embed", "input": ["a b", "c"], "dimensions": 8, "encoding_format": "base64"}))
        .await;
    let list = reply.expect(200).json();
    assert_eq!(list["data"][1]["embedding"].as_str().unwrap().len(), 44, "eight floats: {list}");
    assert_eq!(list["usage"]["prompt_tokens"], 3);
}
