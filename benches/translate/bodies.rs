//! Requests and replies of each dialect, of several sizes.

use bytes::Bytes;
use serde_json::{Value, json};

/// How large, and of what.
pub struct Size {
    pub name: &'static str,
    turns: usize,
    text_bytes: usize,
    image_bytes: usize,
}

/// The last is nearly all base64.
pub const SIZES: &[Size] = &[
    Size { name: "1KB", turns: 3, text_bytes: 300, image_bytes: 0 },
    Size { name: "100KB", turns: 51, text_bytes: 2_000, image_bytes: 0 },
    Size { name: "image", turns: 1, text_bytes: 300, image_bytes: 1_300_000 },
];

/// A model of the dialect whose row of capabilities is typical.
pub fn model(dialect: &str) -> &'static str {
    match dialect {
        "anthropic" => "claude-sonnet-4-5",
        "gemini" => "gemini-3-pro",
        "mistral" => "mistral-small-latest",
        _ => "gpt-5.2",
    }
}

/// A request of a client.
pub fn request(client: &str, size: &Size) -> Bytes {
    let turns = (0..size.turns).map(|turn| {
        let users = turn % 2 == 0;
        turn_of(client, users, &text(size.text_bytes), (turn == 0 && size.image_bytes > 0).then(|| base64(size.image_bytes)))
    });
    let turns: Vec<Value> = turns.collect();
    let body = match client {
        "anthropic" => json!({"model": "m", "max_tokens": 500, "temperature": 0.5, "system": "Be brief.", "messages": turns}),
        "gemini" => json!({
            "systemInstruction": {"parts": [{"text": "Be brief."}]},
            "contents": turns,
            "generationConfig": {"maxOutputTokens": 500, "temperature": 0.5}
        }),
        "responses" => json!({"model": "m", "max_output_tokens": 500, "temperature": 0.5, "instructions": "Be brief.", "input": turns}),
        _ => {
            let mut messages = vec![json!({"role": "system", "content": "Be brief."})];
            messages.extend(turns);
            json!({"model": "m", "max_completion_tokens": 500, "temperature": 0.5, "messages": messages})
        }
    };
    Bytes::from(body.to_string())
}

fn turn_of(client: &str, users: bool, text: &str, image: Option<String>) -> Value {
    let role = if users { "user" } else { "assistant" };
    match client {
        "anthropic" => {
            let mut content = vec![json!({"type": "text", "text": text})];
            content
                .extend(image.map(|data| json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}})));
            json!({"role": role, "content": content})
        }
        "gemini" => {
            let mut parts = vec![json!({"text": text})];
            parts.extend(image.map(|data| json!({"inlineData": {"mimeType": "image/png", "data": data}})));
            json!({"role": if users { "user" } else { "model" }, "parts": parts})
        }
        "responses" if users => {
            let mut content = vec![json!({"type": "input_text", "text": text})];
            content.extend(image.map(|data| json!({"type": "input_image", "image_url": format!("data:image/png;base64,{data}")})));
            json!({"role": "user", "content": content})
        }
        "responses" => {
            json!({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text, "annotations": []}]})
        }
        _ => match image {
            None => json!({"role": role, "content": text}),
            Some(data) => {
                let url = format!("data:image/png;base64,{data}");
                json!({"role": role, "content": [{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": url}}]})
            }
        },
    }
}

/// A reply of an upstream: text, as long as the request's turns together; an image is described in as much as a turn.
pub fn reply(upstream: &str, size: &Size) -> Bytes {
    let text = text(size.text_bytes * size.turns);
    let body = match upstream {
        "anthropic" => json!({
            "id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "content": [{"type": "text", "text": text}],
            "stop_reason": "end_turn", "stop_sequence": null, "usage": {"input_tokens": 10, "output_tokens": 5}
        }),
        "gemini" => json!({
            "responseId": "r1", "modelVersion": "gemini",
            "candidates": [{"index": 0, "content": {"role": "model", "parts": [{"text": text}]}, "finishReason": "STOP"}],
            "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15}
        }),
        "responses" => json!({
            "id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": "gpt",
            "output": [{"type": "message", "id": "msg_1", "status": "completed", "role": "assistant",
                "content": [{"type": "output_text", "text": text, "annotations": []}]}],
            "usage": {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}
        }),
        _ => json!({
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
        }),
    };
    Bytes::from(body.to_string())
}

/// Prose with an escape in each sentence.
fn text(bytes: usize) -> String {
    const SENTENCE: &str = "The shadow under the shoe is \"plausible\", and its edge is soft.\n";
    SENTENCE.chars().cycle().take(bytes).collect()
}

/// A PNG's signature, and then whatever.
fn base64(bytes: usize) -> String {
    const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let rest = bytes.div_ceil(3) * 4 - 12;
    "iVBORw0KGgoA".chars().chain(LETTERS.chars().cycle().take(rest)).collect()
}
