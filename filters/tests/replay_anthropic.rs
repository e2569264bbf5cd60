//! Recorded traffic of Anthropic, replayed: nothing of a reply or a stream is lost, and requests that one client test made in both
//! formats translate into each other. The recordings are found at `HELIOSTAT_FIXTURES`; without them these tests say so and pass.

#![allow(
    clippy::disallowed_types,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test says what is wrong by failing"
)]

mod table;

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use heliostat_filters::chat::{CHAT, ChatRequest, Reasoning, StreamEvent};
use heliostat_filters::dialect::{self, Dialect, Names, Surface, Target};
use heliostat_filters::image::Fetched;
use heliostat_filters::json::{Document, ScanLimits};
use heliostat_filters::sse::Splitter;
use heliostat_filters::usage::Usage;
use serde_json::{Value, json};

/// What a client can see of a reply, however it came.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    text: String,
    thinking: String,
    signatures: Vec<String>,
    encrypted: Vec<String>,
    /// id, name, arguments
    calls: Vec<(String, String, Value)>,
    prompt: Option<u64>,
    completion: Option<u64>,
    cached: Option<u64>,
    finish: Option<String>,
    failed: bool,
}

#[test]
fn recorded_replies_are_read_whole() {
    let replies = recordings().into_iter().filter(|case| case.body["type"] == "message").collect::<Vec<_>>();
    for case in &replies {
        let body = Bytes::from(case.body.to_string());
        let reply = anthropic().chat_reply(&body, &Names::default()).unwrap_or_else(|fault| panic!("{}: {fault:?}", case.name));
        let choice = reply.choices.first().expect("one choice");
        let mut seen = Seen { finish: choice.finish.map(|reason| reason.as_str().to_owned()), ..Seen::default() };
        seen.text = choice.text.iter().map(|text| text.text().into_owned()).collect();
        for stretch in &choice.reasoning {
            match stretch {
                Reasoning::Text { text, signature } => {
                    seen.thinking += &text.text();
                    seen.signatures.extend(signature.iter().map(|signature| signature.text().into_owned()));
                }
                Reasoning::Encrypted { data } => seen.encrypted.push(data.text().into_owned()),
            }
        }
        for call in &choice.tool_calls {
            let arguments = serde_json::from_str(&call.arguments.text()).expect("arguments are JSON");
            seen.calls.push((call.id.to_string(), call.name.to_string(), arguments));
        }
        count(&mut seen, &reply.usage.unwrap_or_default());
        assert_eq!(seen, expected(&case.body), "{}", case.name);
    }
    println!("{} recorded replies", replies.len());
}

#[test]
fn recorded_streams_are_read_whole_at_every_cut() {
    let streams = streams();
    for (name, stream) in &streams {
        let whole = watch(stream.as_bytes(), stream.len());
        assert_eq!(whole, expected_of_stream(stream), "{name}");
        assert_eq!(watch(stream.as_bytes(), 1), whole, "{name} in single bytes");
    }
    if let Some((name, stream)) = streams.iter().filter(|(_, stream)| stream.contains("tool_use")).min_by_key(|(_, stream)| stream.len()) {
        let whole = watch(stream.as_bytes(), stream.len());
        for at in 0..stream.len() {
            let (before, after) = stream.as_bytes().split_at(at);
            assert_eq!(watch_chunks(&[before, after]), whole, "{name} cut at {at}");
        }
    }
    println!("{} recorded streams", streams.len());
}

#[test]
fn recorded_errors_are_told_apart() {
    for case in recordings().iter().filter(|case| case.status >= 400) {
        let fault = anthropic().fault(case.status, case.body.to_string().as_bytes());
        assert_eq!(fault.status, case.status, "{}", case.name);
        assert_eq!(Some(fault.message.as_str()), case.body["error"]["message"].as_str(), "{}", case.name);
    }
}

#[test]
fn one_test_in_two_formats_is_one_request() {
    let Some(root) = fixtures() else { return };
    let groups: Value = read(&root.join("dev/parity.json"));
    let index = fs::read_to_string(root.join("dev/index.jsonl")).expect("an index");
    let rows: Vec<Value> = index.lines().map(|line| serde_json::from_str(line).expect("a row")).collect();
    let (mut compared, mut failures) = (0, Vec::new());
    for (group, about) in groups.as_object().expect("groups") {
        let members = about["members"].as_array().expect("members");
        let load = |member: &&Value| {
            let row = rows.iter().find(|row| row["id"] == member["id"]).expect("a row");
            read(&root.join("dev").join(row["file"].as_str().expect("a file").trim_start_matches("dev/")))
        };
        let ours = |member: &&Value| member["endpoint"] == "chat.completions";
        let theirs = |member: &&Value| member["provider"] == "anthropic" && member["endpoint"] == "messages";
        let Some(wanted) = members.iter().find(theirs).map(|member| load(&member)) else { continue };
        let surface = surface();
        for asked in members.iter().filter(ours).map(|member| load(&member)) {
            let name = format!("{group}: {}", asked["id"]);
            if let Some(reason) = SKIPPED.iter().find(|(part, _)| name.contains(part)) {
                println!("skipped {name}: {}", reason.1);
                continue;
            }
            let model = wanted["request_body"]["model"].as_str().unwrap_or_default();
            match translate(&asked["request_body"], &Target { model, surface: &surface, fetched: Fetched::NONE }) {
                Ok(body) => {
                    compared += 1;
                    let (got, wanted) = (normal(&body), normal(&wanted["request_body"]));
                    if got != wanted {
                        failures.push(format!("{name}\n got    {}\n wanted {}", short(&got), short(&wanted)));
                    }
                }
                Err(refusal) => failures.push(format!("{name}: refused: {refusal}")),
            }
        }
    }
    println!("{compared} requests compared");
    assert!(failures.is_empty(), "{} of {compared}:\n{}", failures.len(), failures.join("\n\n"));
}

/// Parts of a case's name, and why its two requests are not the same request.
static SKIPPED: &[(&str, &str)] = &[
    ("common/multi_tool#1", "each model said its own words before its calls"),
    ("common/multi_tool_streaming#1", "each model said its own words before its calls"),
    ("common/tool#1", "each model said its own words before its calls"),
    ("common/tool_streaming#1", "each model said its own words before its calls"),
    ("object/complex_object", "one client closed the schema's objects, the other did not"),
    ("handles_anyof_params", "one client wrote `strict` into the schema"),
    ("chat_multimodal_tool_attachments", "one client moved the image out of the result"),
    ("understands_pdfs", "one client left out the file's name"),
    ("mistral-chat-completions-calls-control", "one client named the function, the other asked for any"),
    ("grok-4-1-fast-non-reasoning-can-understand-remote-images", "one client fetched the image, the other sent its URL"),
    ("ollama-granite3-2-vision-can-understand-remote-images", "one client fetched the image, the other sent its URL"),
    ("preserves_thinking_signatures", "each conversation has its own signatures"),
];

struct Recording {
    name: String,
    status: u16,
    body: Value,
    stream: Option<String>,
}

/// Every recorded exchange with Anthropic's endpoint, and every bare reply.
fn recordings() -> Vec<Recording> {
    let Some(root) = fixtures() else { return Vec::new() };
    let mut found = Vec::new();
    for path in files(&root.join("dev")).into_iter().chain(files(&root.join("synthetic"))).filter(|path| is_exchange(path)) {
        let case = read(&path);
        let stream = case["response_sse"].as_str().map(str::to_owned);
        let status = case["status"].as_u64().and_then(|status| u16::try_from(status).ok()).unwrap_or(200);
        found.push(Recording { name: path.display().to_string(), status, body: case["response_body"].clone(), stream });
    }
    for path in files(&root.join("replies/vercel__ai/anthropic")) {
        let name = path.display().to_string();
        if name.ends_with(".chunks.txt") {
            let text = fs::read_to_string(&path).expect("chunks");
            let stream = text.lines().filter(|line| !line.is_empty()).map(|line| format!("data: {line}\n\n")).collect();
            found.push(Recording { name, status: 200, body: Value::Null, stream: Some(stream) });
        } else {
            found.push(Recording { name, status: 200, body: read(&path), stream: None });
        }
    }
    found
}

fn is_exchange(path: &Path) -> bool {
    let path = path.display().to_string();
    path.contains("/anthropic/") || path.contains("synthetic/anthropic")
}

fn streams() -> Vec<(String, String)> {
    recordings()
        .into_iter()
        .filter_map(|case| Some((case.name, case.stream?)))
        .filter(|(_, stream)| stream.contains("message_start"))
        .collect()
}

fn watch(stream: &[u8], size: usize) -> Seen {
    watch_chunks(&stream.chunks(size.max(1)).collect::<Vec<_>>())
}

fn watch_chunks(chunks: &[&[u8]]) -> Seen {
    let mut reader = anthropic().chat_stream(Names::default());
    let mut splitter = Splitter::new(1 << 22);
    let mut seen = Seen::default();
    let mut arguments: Vec<String> = Vec::new();
    let mut watch = |event: StreamEvent<'_>| match event {
        _ if seen.failed => {}
        StreamEvent::Text { text, .. } => seen.text += &text.text(),
        StreamEvent::Reasoning { text, .. } => seen.thinking += &text.text(),
        StreamEvent::ReasoningSignature { signature, .. } => seen.signatures.push(signature.text().into_owned()),
        StreamEvent::ReasoningEncrypted { data, .. } => seen.encrypted.push(data.text().into_owned()),
        StreamEvent::ToolStart { index, id, name, .. } => {
            assert_eq!(index as usize, seen.calls.len(), "calls are numbered in order");
            seen.calls.push((id.into_owned(), name.into_owned(), Value::Null));
            arguments.push(String::new());
        }
        StreamEvent::ToolArguments { index, fragment, .. } => arguments[index as usize] += &fragment.text(),
        StreamEvent::Usage(usage) => count(&mut seen, &usage),
        StreamEvent::Finish { reason, .. } => {
            assert!(seen.finish.is_none(), "one finish");
            seen.finish = Some(reason.as_str().to_owned());
        }
        StreamEvent::Failed(_) => seen.failed = true,
        _ => {}
    };
    for chunk in chunks {
        let chunk = Bytes::copy_from_slice(chunk);
        splitter.push(&chunk, &mut |event| reader.read(event, &mut watch)).expect("short events");
    }
    splitter.end(&mut |event| reader.read(event, &mut watch)).expect("short events");
    assert!(seen.failed || reader.is_complete() == seen.finish.is_some(), "complete is finished");
    for (call, arguments) in seen.calls.iter_mut().zip(arguments) {
        call.2 = serde_json::from_str(&arguments).unwrap_or(Value::Null);
    }
    seen
}

fn count(seen: &mut Seen, usage: &Usage) {
    (seen.prompt, seen.completion, seen.cached) = (usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens);
}

/// What a message says, read in the plainest way.
fn expected(message: &Value) -> Seen {
    let mut seen = Seen::default();
    for block in message["content"].as_array().into_iter().flatten() {
        let word = |key: &str| block[key].as_str().unwrap_or_default().to_owned();
        match block["type"].as_str() {
            Some("text") => seen.text += &word("text"),
            Some("thinking") => {
                seen.thinking += &word("thinking");
                seen.signatures.extend(Some(word("signature")).filter(|signature| !signature.is_empty()));
            }
            Some("redacted_thinking") => seen.encrypted.push(word("data")),
            Some("tool_use") => seen.calls.push((word("id"), word("name"), block["input"].clone())),
            _ => {}
        }
    }
    let usage = &message["usage"];
    let iterations =
        usage["iterations"].as_array().filter(|all| !all.is_empty() && all.iter().all(|one| one["type"] != "fallback_message"));
    let sum = |key: &str| match iterations {
        Some(all) => {
            Some(all.iter().filter(|one| one["type"] == "message" || one["type"] == "compaction").filter_map(|one| one[key].as_u64()).sum())
        }
        None => usage[key].as_u64(),
    };
    let parts = ["input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"].map(sum);
    seen.prompt = parts[0].map(|_| parts.iter().flatten().sum());
    seen.completion = sum("output_tokens");
    seen.cached = parts[2];
    seen.finish = message["stop_reason"].as_str().map(|reason| {
        let word = match reason {
            "tool_use" if !seen.calls.is_empty() => "tool_calls",
            "max_tokens" => "length",
            "refusal" => "content_filter",
            _ => "stop",
        };
        word.to_owned()
    });
    seen
}

/// The message that a stream adds up to.
fn expected_of_stream(stream: &str) -> Seen {
    let events = stream.lines().filter_map(|line| line.strip_prefix("data:")).filter_map(|data| serde_json::from_str::<Value>(data).ok());
    let (mut blocks, mut usage, mut stop) = (Vec::<Value>::new(), json!({}), Value::Null);
    let (mut id, mut failed) = (Value::Null, false);
    for event in events {
        let at = event["index"].as_u64().map_or(0, |index| usize::try_from(index).expect("an index"));
        match event["type"].as_str() {
            Some("message_start") if !id.is_null() && event["message"]["id"] != id => failed = true,
            Some("message_start") => {
                id = event["message"]["id"].clone();
                absorb(&mut usage, &event["message"]["usage"]);
            }
            Some("content_block_stop") => blocks[at]["stopped"] = true.into(),
            Some("content_block_start") => blocks.push(event["content_block"].clone()),
            Some("content_block_delta") => {
                for (from, to) in [("text", "text"), ("thinking", "thinking"), ("signature", "signature"), ("partial_json", "json")] {
                    if let Some(piece) = event["delta"][from].as_str() {
                        let whole = blocks[at][to].as_str().unwrap_or_default().to_owned() + piece;
                        blocks[at][to] = whole.into();
                    }
                }
            }
            Some("message_delta") => {
                absorb(&mut usage, &event["usage"]);
                stop = event["delta"]["stop_reason"].clone();
            }
            Some("error") => failed = true,
            _ => {}
        }
        if failed || event["type"] == "message_stop" {
            break;
        }
    }
    for block in &mut blocks {
        if let Some(whole) = block["json"].as_str().filter(|whole| !whole.is_empty()) {
            block["input"] = serde_json::from_str(whole).unwrap_or(Value::Null);
        } else if block["stopped"] != true && block["input"] == json!({}) {
            block["input"] = Value::Null;
        }
    }
    Seen { failed, ..expected(&json!({ "content": blocks, "usage": usage, "stop_reason": stop })) }
}

fn absorb(usage: &mut Value, later: &Value) {
    for (key, value) in later.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
        usage[key] = value.clone();
    }
}

fn translate(body: &Value, target: &Target<'_>) -> Result<Value, String> {
    let document = Document::scan(Bytes::from(body.to_string()), &CHAT, ScanLimits::default()).map_err(|error| error.to_string())?;
    let request = ChatRequest::read(&document).map_err(|refusal| refusal.to_string())?;
    let translated = anthropic().chat_request(&request, target).map_err(|refusal| refusal.to_string())?;
    Ok(serde_json::from_slice(&translated.body.join()).expect("a body is JSON"))
}

/// What must be the same in both: the conversation, the tools and the choice. (Limits and sampling are each client's own.)
fn normal(body: &Value) -> Value {
    let mut ids = Vec::new();
    let messages: Vec<_> = body["messages"].as_array().into_iter().flatten().collect();
    let turns: Vec<_> =
        messages.iter().map(|turn| json!({ "role": turn["role"], "content": blocks(&turn["content"], &mut ids) })).collect();
    let tools: Vec<_> = body["tools"].as_array().into_iter().flatten().map(tool).collect();
    let choice = &body["tool_choice"]["type"];
    json!({
        "system": blocks(&body["system"], &mut ids),
        "messages": turns,
        "tools": tools,
        "tool_choice": if choice.is_null() { json!("auto") } else { choice.clone() },
        "chosen": body["tool_choice"]["name"],
    })
}

/// The value with long strings cut, to be read.
fn short(value: &Value) -> Value {
    match value {
        Value::String(text) => text.chars().take(120).collect::<String>().into(),
        Value::Array(items) => items.iter().map(short).collect(),
        Value::Object(members) => members.iter().map(|(key, value)| (key.clone(), short(value))).collect(),
        other => other.clone(),
    }
}

fn tool(tool: &Value) -> Value {
    json!({ "name": tool["name"], "description": tool["description"], "schema": tool["input_schema"] })
}

fn blocks(content: &Value, ids: &mut Vec<Value>) -> Vec<Value> {
    if let Some(text) = content.as_str() {
        return vec![json!({ "type": "text", "text": text })];
    }
    let mut number = |id: &Value| {
        let known = ids.iter().position(|seen| seen == id);
        known.unwrap_or_else(|| {
            ids.push(id.clone());
            ids.len() - 1
        })
    };
    let all: Vec<&Value> = content.as_array().into_iter().flatten().collect();
    all.into_iter()
        .map(|block| {
            let mut block = block.clone();
            for key in ["id", "tool_use_id"] {
                if block[key].is_string() {
                    block[key] = number(&block[key]).into();
                } else {
                    block.as_object_mut().expect("a block").remove(key);
                }
            }
            if block["type"] == "tool_result" {
                block["content"] = blocks(&block["content"], &mut Vec::new()).into();
            }
            block.as_object_mut().expect("a block").remove("cache_control");
            block
        })
        .collect()
}

fn anthropic() -> &'static dyn Dialect {
    dialect::by_name("anthropic").expect("a dialect")
}

fn surface() -> Surface {
    let types = ["image/jpeg", "image/png", "image/gif", "image/webp"];
    Surface { image_types: types.map(str::to_owned).to_vec(), ..table::surface() }
}

fn fixtures() -> Option<PathBuf> {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/fixtures");
    let root = std::env::var_os("HELIOSTAT_FIXTURES").map_or_else(default, PathBuf::from);
    if !root.is_dir() {
        println!("skipped: no recordings at {}", root.display());
        return None;
    }
    Some(root)
}

fn files(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root).expect("a folder").filter_map(Result::ok) {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "json" || extension == "txt") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).expect("a file")).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
