//! The same conversation, recorded once in OpenAI's form and once in Google's: the first, translated, must say what the second says.
//!
//! What clients choose for themselves is normalised away: signatures and ids of calls, the wrapping of results, how a schema is
//! written, whether an empty setting is written at all.

#![allow(clippy::disallowed_types, reason = "a test may look at what it compares")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what a test helper does not expect fails the test"
)]

mod table;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use heliostat_filters::chat::{CHAT, ChatRequest};
use heliostat_filters::dialect::{self, Surface, Target};
use heliostat_filters::image::Fetched;
use heliostat_filters::json::{Document, ScanLimits};
use serde_json::{Map, Value, json};

#[test]
fn translated_requests_say_what_recorded_ones_say() {
    let Some(root) = fixtures() else { return };
    let cases = index(&root);
    let groups: Map<String, Value> = serde_json::from_str(&fs::read_to_string(root.join("dev/parity.json")).unwrap()).unwrap();
    let mut failures = Vec::new();
    let mut compared = 0;
    for (name, group) in &groups {
        let members = group["members"].as_array().unwrap();
        let of =
            |endpoints: &'static [&str]| members.iter().filter(move |member| endpoints.contains(&member["endpoint"].as_str().unwrap()));
        for google in of(&["generateContent", "streamGenerateContent"]) {
            let theirs = &cases[google["id"].as_str().unwrap()]["request_body"];
            for openai in of(&["chat.completions"]) {
                let ours = &cases[openai["id"].as_str().unwrap()]["request_body"];
                if let Some(reason) = not_comparable(name, ours) {
                    println!("skipped {name} {}: {reason}", openai["id"].as_str().unwrap());
                    continue;
                }
                compared += 1;
                let translated = translated(ours, google);
                let (mut got, mut want) = (normalised(&translated), normalised(theirs));
                // What only one of the two clients wrote down says nothing about the translation.
                for key in ["maxOutputTokens", "temperature", "thinking", "mode", "allowed"] {
                    if got[key].is_null() || want[key].is_null() {
                        got[key] = Value::Null;
                        want[key] = Value::Null;
                    }
                }
                if got != want {
                    failures.push(format!("{name}\n {}\n {}\n  got {got}\n want {want}", openai["id"], google["id"]));
                }
            }
        }
    }
    println!("{compared} pairs compared");
    assert!(compared >= 80, "only {compared} pairs found");
    assert!(failures.is_empty(), "{} of {compared}:\n{}", failures.len(), failures.join("\n\n"));
}

/// Groups whose members say different things, and why.
const DIFFERENT: &[(&str, &str)] = &[
    ("fantasy/common/tool#1", "the two models wrote the city differently"),
    ("fantasy/common/tool_streaming#1", "the two models wrote the city differently"),
    ("ruby_llm/chat_multimodal_tool_attachments#1", "this client moved the tool's picture into a user message with a line of its own"),
    (
        "ruby_llm/chat_with_extended_thinking/preserves_thinking_signatures_between_turns_when_provided#1",
        "the two models thought different things",
    ),
];

/// Why a pair cannot be compared.
fn not_comparable(group: &str, body: &Value) -> Option<&'static str> {
    let written = body.to_string();
    if written.contains(r#""url":"http"#) || written.contains(r#""image_url":"http"#) {
        return Some("this client sent a URL where the other sent the image");
    }
    DIFFERENT.iter().find(|(name, _)| *name == group).map(|(_, reason)| *reason)
}

fn translated(body: &Value, google: &Value) -> Value {
    let document = Document::scan(Bytes::from(body.to_string()), &CHAT, ScanLimits::default()).unwrap();
    let request = ChatRequest::read(&document).unwrap_or_else(|refusal| panic!("{}: {refusal}", google["id"]));
    let image_types = ["image/png", "image/jpeg", "image/webp", "image/heic", "image/heif"].map(str::to_owned).to_vec();
    let surface = Surface { image_types, image_urls: false, tool_ids: google["provider"] == "gemini", ..table::surface() };
    let target = Target { model: google["model"].as_str().unwrap(), surface: &surface, fetched: Fetched::NONE };
    let translated = dialect::by_name("gemini").unwrap().chat_request(&request, &target);
    let translated = translated.unwrap_or_else(|refusal| panic!("{}: {refusal}", google["id"]));
    serde_json::from_slice(&translated.body.join()).unwrap()
}

fn normalised(body: &Value) -> Value {
    let config = either(body, "generationConfig", "generation_config");
    let calling = &body["toolConfig"]["functionCallingConfig"];
    let mut turns: Vec<(String, Vec<Value>)> = Vec::new();
    for content in body["contents"].as_array().unwrap() {
        let role = content["role"].as_str().unwrap_or("user").to_owned();
        let parts = content["parts"].as_array().unwrap().iter().filter_map(part);
        match turns.last_mut() {
            Some((last, before)) if *last == role => before.extend(parts),
            _ => turns.push((role, parts.collect())),
        }
    }
    let tools = body["tools"].as_array().into_iter().flatten().flat_map(|tool| tool["functionDeclarations"].as_array().unwrap());
    let tools: Vec<Value> = tools
        .map(|tool| {
            let parameters = tool.get("parametersJsonSchema").or(tool.get("parameters")).map(schema).unwrap_or(json!({"type": "object"}));
            json!({"name": tool["name"], "description": tool["description"], "parameters": parameters})
        })
        .collect();
    json!({
        "system": body["systemInstruction"]["parts"].as_array().map(|parts| parts.iter().map(|part| part["text"].clone()).collect::<Vec<_>>()),
        "turns": turns,
        "tools": tools,
        "mode": calling["mode"].as_str().map(str::to_uppercase),
        "allowed": calling["allowedFunctionNames"],
        "maxOutputTokens": config["maxOutputTokens"],
        "temperature": config["temperature"],
        "json": config["responseMimeType"],
        "schema": config.get("responseJsonSchema").map(schema),
        "thinking": config["thinkingConfig"]["includeThoughts"],
    })
}

/// A part without what clients choose for themselves; none for a blank text.
fn part(part: &Value) -> Option<Value> {
    let blob = either(part, "inlineData", "inline_data");
    if let Some(data) = blob["data"].as_str() {
        return Some(json!({"media": either(blob, "mimeType", "mime_type"), "data": data}));
    }
    if let Some(call) = part.get("functionCall") {
        return Some(json!({"call": call["name"], "args": call["args"]}));
    }
    if let Some(result) = part.get("functionResponse") {
        let mut texts = Vec::new();
        leaves(&result["response"], &mut texts);
        texts.retain(|text| Some(text.as_str()) != result["name"].as_str());
        let media: Vec<_> = result["parts"].as_array().into_iter().flatten().filter_map(self::part).collect();
        return Some(json!({"result": result["name"], "texts": texts, "media": media}));
    }
    let text = part["text"].as_str()?;
    (!text.trim().is_empty()).then(|| json!({"text": text, "thought": part["thought"] == true}))
}

fn leaves(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) => texts.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| leaves(item, texts)),
        Value::Object(members) => members.values().for_each(|item| leaves(item, texts)),
        other => texts.push(other.to_string()),
    }
}

/// A schema in one spelling: kinds in lower case, no closed-world marks, `anyOf` with null as nullable, no empty lists.
fn schema(schema: &Value) -> Value {
    let Value::Object(members) = schema else { return schema.clone() };
    let mut out = Map::new();
    for (key, value) in members {
        match (key.as_str(), value) {
            ("additionalProperties" | "strict" | "$schema", _) => {}
            ("required", Value::Array(names)) if names.is_empty() => {}
            ("properties", Value::Object(properties)) if properties.is_empty() => {}
            ("type", Value::String(kind)) => drop(out.insert(key.clone(), json!(kind.to_lowercase()))),
            ("properties", Value::Object(properties)) => {
                let properties: Map<String, Value> = properties.iter().map(|(name, value)| (name.clone(), self::schema(value))).collect();
                out.insert(key.clone(), Value::Object(properties));
            }
            ("items", value) => drop(out.insert(key.clone(), self::schema(value))),
            ("anyOf", Value::Array(options)) if options.len() == 2 && options[1]["type"] == "null" => {
                let Value::Object(inner) = self::schema(&options[0]) else { panic!("a schema") };
                out.extend(inner);
                out.insert("nullable".to_owned(), json!(true));
            }
            _ => drop(out.insert(key.clone(), value.clone())),
        }
    }
    Value::Object(out)
}

fn either<'v>(value: &'v Value, camel: &str, snake: &str) -> &'v Value {
    value.get(camel).or(value.get(snake)).unwrap_or(&Value::Null)
}

fn index(root: &Path) -> HashMap<String, Value> {
    let index = fs::read_to_string(root.join("dev/index.jsonl")).unwrap();
    let rows = index.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    rows.map(|row| {
        let file = row["file"].as_str().unwrap();
        let text = fs::read_to_string(root.join("dev").join(file.strip_prefix("dev/").unwrap_or(file))).unwrap();
        (row["id"].as_str().unwrap().to_owned(), serde_json::from_str(&text).unwrap())
    })
    .collect()
}

fn fixtures() -> Option<PathBuf> {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/fixtures");
    let root = std::env::var_os("HELIOSTAT_FIXTURES").map_or_else(default, PathBuf::from);
    if !root.join("dev/index.jsonl").exists() {
        println!("skipped: no recordings at {}", root.display());
        return None;
    }
    Some(root)
}
