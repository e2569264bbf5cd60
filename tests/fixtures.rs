//! Recorded traffic of real providers, replayed through a running gateway. The recordings are data of their own and stand
//! beside the project; where they are absent the tests say so and pass.

use std::path::PathBuf;

use crate::support::native::{data_of, is_done, text_of};
use crate::support::{Config, Gateway, Provider, Value, ask, ask_stream, json, reply};

/// A recorded exchange.
pub struct Case {
    pub id: String,
    pub request: Value,
    pub status: u16,
    pub media_type: String,
    /// The reply's bytes, as recorded or written from the recorded JSON.
    pub body: String,
    /// Whether the reply is an event stream.
    pub sse: bool,
}

/// Recorded exchanges of an endpoint, or a printed word that there are none here.
pub fn cases(provider: &str, endpoints: &[&str]) -> Vec<Case> {
    let folder = std::env::var_os("HELIOSTAT_FIXTURES")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures"), PathBuf::from);
    let Ok(index) = std::fs::read_to_string(folder.join("dev/index.jsonl")) else {
        println!("skipped: no recordings in {}", folder.display());
        return Vec::new();
    };
    let rows = index.lines().map(|l| serde_json::from_str::<Value>(l).unwrap());
    let rows = rows.filter(|r| r["provider"] == provider && endpoints.iter().any(|e| r["endpoint"] == *e));
    let found: Vec<_> = rows.filter_map(|r| case(&std::fs::read_to_string(folder.join(r["file"].as_str().unwrap())).unwrap())).collect();
    assert!(!found.is_empty(), "the index names exchanges of {provider}");
    println!("{} recordings of {provider}", found.len());
    found
}

fn case(text: &str) -> Option<Case> {
    let row: Value = serde_json::from_str(text).unwrap();
    let sse = row["response_sse"].as_str();
    let body = sse.map_or_else(|| row.get("response_body").map(Value::to_string), |s| Some(s.to_owned()))?;
    // A stream that was asked for as a JSON array: the gateway never asks so.
    if row["response_body"].is_array() {
        return None;
    }
    Some(Case {
        id: row["id"].as_str()?.to_owned(),
        request: row["request_body"].clone(),
        status: u16::try_from(row["status"].as_u64()?).ok()?,
        media_type: row["response_headers"]["content-type"].as_str().unwrap_or("application/json").to_owned(),
        sse: sse.is_some(),
        body,
    })
}

/// What an answer says, whatever its dialect.
#[derive(Debug, PartialEq, Default)]
struct Said {
    text: String,
    /// Tool names with their arguments.
    calls: Vec<(String, Value)>,
}

impl Said {
    fn anthropic_block(&mut self, block: &Value) {
        match block["type"].as_str() {
            Some("text") => self.text += block["text"].as_str().unwrap_or_default(),
            Some("tool_use") => self.calls.push((block["name"].as_str().unwrap_or_default().into(), block["input"].clone())),
            _ => {}
        }
    }

    fn gemini_parts(&mut self, reply: &Value) {
        for part in reply["candidates"][0]["content"]["parts"].as_array().into_iter().flatten() {
            if part["thought"] != true {
                self.text += part["text"].as_str().unwrap_or_default();
            }
            if let Some(call) = part.get("functionCall") {
                let args = call.get("args").cloned().unwrap_or_else(|| json!({}));
                self.calls.push((call["name"].as_str().unwrap_or_default().into(), args));
            }
        }
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

fn anthropic_says(case: &Case) -> Said {
    let mut said = Said::default();
    if !case.sse {
        let reply: Value = serde_json::from_str(&case.body).unwrap();
        reply["content"].as_array().into_iter().flatten().for_each(|b| said.anthropic_block(b));
        return said;
    }
    let mut arguments: Vec<(usize, String)> = Vec::new();
    for event in data_of(std::slice::from_ref(&case.body)) {
        let index = usize::try_from(event["index"].as_u64().unwrap_or_default()).unwrap();
        match (event["type"].as_str(), event["delta"]["type"].as_str()) {
            (Some("content_block_start"), _) if event["content_block"]["type"] == "tool_use" => {
                said.anthropic_block(&event["content_block"]);
                arguments.push((index, String::new()));
            }
            (Some("content_block_start"), _) => said.anthropic_block(&event["content_block"]),
            (_, Some("text_delta")) => said.text += event["delta"]["text"].as_str().unwrap(),
            (_, Some("input_json_delta")) => {
                if let Some((_, text)) = arguments.iter_mut().find(|(i, _)| *i == index) {
                    *text += event["delta"]["partial_json"].as_str().unwrap();
                }
            }
            _ => {}
        }
    }
    for (call, (_, text)) in said.calls.iter_mut().zip(&arguments) {
        if !text.is_empty() {
            call.1 = serde_json::from_str(text).unwrap();
        }
    }
    said
}

fn gemini_says(case: &Case) -> Said {
    let mut said = Said::default();
    if case.sse {
        data_of(std::slice::from_ref(&case.body)).iter().for_each(|r| said.gemini_parts(r));
    } else {
        said.gemini_parts(&serde_json::from_str(&case.body).unwrap());
    }
    said
}

fn openai_reply_says(reply: &Value) -> Said {
    let message = &reply["choices"][0]["message"];
    let calls = message["tool_calls"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|c| called(c["function"]["name"].as_str(), c["function"]["arguments"].as_str()));
    Said { text: message["content"].as_str().unwrap_or_default().to_owned(), calls: calls.collect() }
}

fn openai_stream_says(events: &[String]) -> Said {
    let mut calls: Vec<(String, String)> = Vec::new();
    for chunk in data_of(events) {
        for call in chunk["choices"][0]["delta"]["tool_calls"].as_array().into_iter().flatten() {
            let index = usize::try_from(call["index"].as_u64().expect("an index")).unwrap();
            if index == calls.len() {
                calls.push((String::new(), String::new()));
            }
            calls[index].0 += call["function"]["name"].as_str().unwrap_or_default();
            calls[index].1 += call["function"]["arguments"].as_str().unwrap_or_default();
        }
    }
    Said { text: text_of(events), calls: calls.iter().map(|(n, a)| called(Some(n), Some(a))).collect() }
}

fn called(name: Option<&str>, arguments: Option<&str>) -> (String, Value) {
    let arguments = serde_json::from_str(arguments.unwrap_or_default()).expect("arguments are JSON text");
    (name.unwrap_or_default().to_owned(), arguments)
}

async fn gateway_of(provider: &str) -> (Provider, Gateway) {
    let upstream = Provider::start().await;
    let gateway = Gateway::start(Config::new().provider(provider, &upstream)).await;
    (upstream, gateway)
}

#[tokio::test]
async fn recorded_openai_requests_and_replies_pass_byte_for_byte() {
    for case in cases("openai", &["chat.completions"]) {
        let Some(model) = case.request["model"].as_str().map(str::to_owned) else { continue };
        let (upstream, gateway) = gateway_of("openai").await;
        upstream.script([reply::bytes(case.status, &case.media_type, case.body.clone())]);
        let sent = case.request.to_string();
        let prefixed = sent.replacen(&format!("\"model\":\"{model}\""), &format!("\"model\":\"openai/{model}\""), 1);
        let reply = gateway.chat_bytes(prefixed.as_bytes()).await;
        assert_eq!((reply.status, reply.text()), (case.status, case.body), "{}", case.id);
        assert_eq!(String::from_utf8_lossy(&upstream.received()[0].body), sent, "{}", case.id);
        assert_eq!(reply.header("content-type"), case.media_type, "{}", case.id);
    }
}

/// Plays each recording at `provider` and compares what the client reads with what `says` finds in the recording.
async fn replay(provider: &str, endpoints: &[&str], says: fn(&Case) -> Said) {
    let mut faults = Vec::new();
    for case in cases(provider, endpoints) {
        let (upstream, gateway) = gateway_of(provider).await;
        upstream.always(reply::bytes(case.status, &case.media_type, case.body.clone()));
        let model = format!("{provider}/any-model");
        if case.status != 200 {
            let reply = gateway.chat(&ask(&model)).await;
            assert!(reply.status >= 400 && !reply.error().is_empty(), "{}: {}", case.id, reply.text());
            continue;
        }
        let wanted = says(&case);
        let (seen, whole) = if case.sse {
            let events = gateway.stream(&ask_stream(&model)).await.rest().await;
            (openai_stream_says(&events), is_done(&events))
        } else {
            let reply = gateway.chat(&ask(&model)).await;
            (if reply.status == 200 { openai_reply_says(&reply.json()) } else { Said::default() }, reply.status == 200)
        };
        if seen != wanted || (!wanted.is_empty() && !whole) {
            faults.push(format!("{}: whole {whole}\n  wanted {wanted:?}\n  seen   {seen:?}", case.id));
        }
    }
    assert!(faults.is_empty(), "{} recordings differ:\n{}", faults.len(), faults.join("\n"));
}

#[tokio::test]
async fn recorded_anthropic_answers_say_the_same_in_openais_words() {
    replay("anthropic", &["messages"], anthropic_says).await;
}

#[tokio::test]
async fn recorded_gemini_answers_say_the_same_in_openais_words() {
    replay("gemini", &["generateContent", "streamGenerateContent"], gemini_says).await;
}

#[tokio::test]
async fn recorded_vertex_answers_say_the_same_in_openais_words() {
    replay("vertex", &["generateContent", "streamGenerateContent"], gemini_says).await;
}
