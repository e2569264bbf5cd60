//! What is no content stops no clock, in any dialect: an upstream that shows signs of life without saying anything is left for the next
//! candidate before its first content, and its stream is ended after it.
//!
//! One row per sign of life; each is played for ever before the first content, and after it, to a client of OpenAI's dialect and to one
//! of the provider's own, whose bytes pass untouched.

use std::time::Duration;

use crate::http2::join_all;
use crate::support::client::{self, Stream};
use crate::support::native::{self, anthropic_opening, anthropic_text, chunk, chunk_text, gemini_text, named};
use crate::support::stage::{Stage, Step, Version};
use crate::support::{Gateway, Value, json};

const CLOCK_MS: u64 = 500;
const BEAT: Duration = Duration::from_millis(40);
/// Cases at a time: the clocks are short, and the machine may be small.
const AT_ONCE: usize = 24;

/// An upstream's dialect, with what its streams say.
struct Speech {
    dialect: &'static str,
    /// The path of clients that speak it, with `MODEL` where it names the model.
    client: Option<&'static str>,
    opening: fn() -> String,
    text: fn() -> String,
    signs: fn() -> Vec<String>,
    /// Content that is no text.
    others: fn() -> Vec<String>,
}

static SPEECHES: &[Speech] = &[
    Speech { dialect: "openai", client: None, opening: role, text: || chunk_text("one"), signs: openai, others: openai_others },
    Speech { dialect: "mistral", client: None, opening: role, text: || chunk_text("one"), signs: openai, others: openai_others },
    Speech {
        dialect: "responses",
        client: Some("/v1/responses"),
        opening: responses_opening,
        text: || response_event("response.output_text.delta", json!({"output_index": 0, "content_index": 0, "delta": "one"})),
        signs: responses,
        others: responses_others,
    },
    Speech {
        dialect: "anthropic",
        client: Some("/v1/messages"),
        opening: || anthropic_opening().concat(),
        text: || anthropic_text("one"),
        signs: anthropic,
        others: anthropic_others,
    },
    Speech {
        dialect: "gemini",
        client: Some("/v1beta/models/MODEL:streamGenerateContent?alt=sse"),
        opening: || gemini(json!([])),
        text: || gemini_text("one", None),
        signs: gemini_signs,
        others: gemini_others,
    },
];

fn role() -> String {
    chunk(json!({"role": "assistant", "content": ""}), None)
}

/// In every dialect.
fn comments() -> Vec<String> {
    [": keep-alive\n\n", ":\n\n", "\n\n", "retry: 3000\n\n", "id: 7\n\n", "event: ping\n\n", "data:\n\n"].map(str::to_owned).into()
}

fn openai() -> Vec<String> {
    let deltas = [
        json!({}),
        json!({"role": "assistant"}),
        json!({"content": null}),
        json!({"content": "", "refusal": null, "reasoning_content": ""}),
        json!({"reasoning": "", "reasoning_details": []}),
        json!({"reasoning_details": [{"type": "reasoning.encrypted", "data": ""}]}),
        json!({"tool_calls": []}),
        json!({"tool_calls": [{"index": 0, "function": {"arguments": ""}}]}),
        json!({"function_call": null, "audio": null, "images": []}),
        json!({"annotations": []}),
        // Mistral's parts.
        json!({"content": []}),
        json!({"content": [{"type": "text", "text": ""}]}),
        json!({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": ""}]}]}),
    ];
    let mut signs: Vec<_> = deltas.map(|delta| chunk(delta, None)).into();
    let usage = json!({"prompt_tokens": 3, "completion_tokens": 0, "total_tokens": 3});
    signs.push(format!("data: {}\n\n", json!({"id": "c", "model": "m", "choices": [], "usage": usage})));
    signs.push(format!("data: {}\n\n", json!({"id": "c", "model": "m", "choices": null})));
    signs.push(format!("data: {}\n\n", json!({"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": ""}]})));
    signs.push(format!("data: {}\n\n", json!({"choices": [{"index": 0, "delta": {"content": ""}, "logprobs": {"content": []}}]})));
    // Azure's first.
    signs.push(format!("data: {}\n\n", json!({"choices": [], "prompt_filter_results": [{"prompt_index": 0}]})));
    signs
}

fn openai_others() -> Vec<String> {
    [
        json!({"reasoning_content": "hm"}),
        json!({"refusal": "no"}),
        json!({"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": ""}}]}),
        json!({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]}),
    ]
    .map(|delta| chunk(delta, None))
    .into()
}

fn response_event(kind: &str, more: Value) -> String {
    named(crate::support::with(json!({"type": kind, "sequence_number": 1}), more))
}

fn responses_opening() -> String {
    let item = json!({"id": "msg_1", "type": "message", "status": "in_progress", "role": "assistant", "content": []});
    let created =
        response_event("response.created", json!({"response": {"id": "resp_1", "model": "m", "status": "in_progress", "output": []}}));
    created + &response_event("response.output_item.added", json!({"output_index": 0, "item": item}))
}

fn responses() -> Vec<String> {
    let response = json!({"response": {"id": "resp_1", "model": "m", "status": "in_progress", "output": []}});
    let place = json!({"output_index": 0, "content_index": 0, "summary_index": 0, "item_id": "msg_1"});
    let with = |more: Value| crate::support::with(place.clone(), more);
    [
        ("response.created", response.clone()),
        ("response.queued", response.clone()),
        ("response.in_progress", response),
        ("keepalive", json!({})),
        ("response.output_item.added", with(json!({"item": {"id": "msg_1", "type": "message", "content": []}}))),
        ("response.output_item.added", json!({"output_index": 0, "item": {"id": "rs_1", "type": "reasoning", "summary": []}})),
        ("response.content_part.added", with(json!({"part": {"type": "output_text", "text": "", "annotations": []}}))),
        ("response.reasoning_summary_part.added", with(json!({"part": {"type": "summary_text", "text": ""}}))),
        ("response.output_text.delta", with(json!({"delta": "", "logprobs": []}))),
        ("response.reasoning_summary_text.delta", with(json!({"delta": ""}))),
        ("response.refusal.delta", with(json!({"delta": ""}))),
        ("response.of_tomorrow", with(json!({"delta": "x"}))),
    ]
    .map(|(kind, more)| response_event(kind, more))
    .into()
}

/// Calls of the provider's own tools among them.
fn responses_others() -> Vec<String> {
    let call = json!({"id": "fc_1", "type": "function_call", "call_id": "c", "name": "f", "arguments": ""});
    [
        ("response.output_item.added", json!({"output_index": 1, "item": call})),
        ("response.reasoning_summary_text.delta", json!({"output_index": 1, "summary_index": 0, "delta": "hm"})),
        ("response.web_search_call.searching", json!({"output_index": 1, "item_id": "ws_1"})),
        ("response.code_interpreter_call_code.delta", json!({"output_index": 1, "item_id": "ci_1", "delta": "1+1"})),
        ("response.image_generation_call.partial_image", json!({"output_index": 1, "partial_image_b64": "iVBO"})),
    ]
    .map(|(kind, more)| response_event(kind, more))
    .into()
}

fn anthropic() -> Vec<String> {
    let delta = |delta: Value| json!({"type": "content_block_delta", "index": 0, "delta": delta});
    [
        json!({"type": "ping"}),
        json!({"type": "message_start", "message": {"id": "msg_1", "model": "claude", "content": [], "usage": {"input_tokens": 3}}}),
        delta(json!({"type": "text_delta", "text": ""})),
        delta(json!({"type": "thinking_delta", "thinking": ""})),
        delta(json!({"type": "signature_delta", "signature": "abc"})),
        delta(json!({"type": "input_json_delta", "partial_json": ""})),
        delta(json!({"type": "delta_of_tomorrow", "x": "y"})),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "redacted_thinking", "data": ""}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": null}, "usage": {"output_tokens": 0}}),
        json!({"type": "event_of_tomorrow"}),
    ]
    .map(named)
    .into()
}

fn anthropic_others() -> Vec<String> {
    let block = |block: Value| named(json!({"type": "content_block_start", "index": 1, "content_block": block}));
    vec![
        block(json!({"type": "tool_use", "id": "t", "name": "f", "input": {}})),
        block(json!({"type": "redacted_thinking", "data": "abc"})),
        block(json!({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}})),
        block(json!({"type": "web_search_tool_result", "tool_use_id": "s", "content": []})),
    ]
}

fn gemini_others() -> Vec<String> {
    let part = |part: Value| gemini(json!([{"content": {"role": "model", "parts": [part]}, "index": 0}]));
    vec![part(json!({"text": "hm", "thought": true})), part(json!({"functionCall": {"name": "f", "args": {}}}))]
}

fn gemini(candidates: Value) -> String {
    format!("data: {}\r\n\r\n", json!({"candidates": candidates, "modelVersion": "m", "responseId": "r"}))
}

fn gemini_signs() -> Vec<String> {
    let parts = |parts: Value| gemini(json!([{"content": {"role": "model", "parts": parts}, "index": 0}]));
    let other = |more: Value| format!("data: {more}\r\n\r\n");
    vec![
        gemini(json!([])),
        gemini(json!(null)),
        gemini(json!([{"index": 0}])),
        gemini(json!([{"content": {"role": "model"}, "index": 0, "finishReason": null}])),
        gemini(json!([{"content": {}, "index": 0, "safetyRatings": []}])),
        parts(json!([])),
        parts(json!([{"text": ""}])),
        parts(json!([{"text": "", "thought": true}])),
        parts(json!([{"text": "", "thoughtSignature": "abc"}])),
        parts(json!([{}])),
        other(json!({"usageMetadata": {"promptTokenCount": 3, "totalTokenCount": 3}})),
        other(json!({"promptFeedback": {"safetyRatings": []}})),
        other(json!({})),
    ]
}

/// A case: who says what before and then for ever, and to whom.
struct Case {
    number: usize,
    speech: &'static Speech,
    /// Content was there.
    begun: bool,
    told: String,
    path: &'static str,
    stage: Stage,
}

impl Case {
    /// `content` comes after the opening, if there is any, and then the sign of life.
    async fn start(number: usize, speech: &'static Speech, content: &str, sign: &str, path: &'static str) -> Self {
        let (begun, opening) = (!content.is_empty(), (speech.opening)() + content);
        let steps = vec![
            Step::Head,
            Step::Body,
            Step::Answer(200, vec![("content-type", "text/event-stream".into())]),
            Step::Data(opening.into_bytes()),
            if sign.is_empty() { Step::Silence } else { Step::Repeat(sign.as_bytes().to_vec(), BEAT) },
        ];
        Self { number, speech, begun, told: format!("{content:?}, then {sign:?}"), path, stage: Stage::start(Version::One, steps).await }
    }

    fn yaml(&self) -> String {
        let clock = if self.begun { "stall_ms" } else { "first_content_ms" };
        format!(
            "  p{}: {{ base_url: \"http://{}/v1\", dialect: {}, keys: [{{ value: env.KEY_A }}], network: {{ timeouts: {{ {clock}: {CLOCK_MS} }} }} }}\n",
            self.number, self.stage.address, self.speech.dialect
        )
    }

    async fn run(&self, gateway: &Gateway) -> Result<(), String> {
        let (model, next) = (format!("p{}/m", self.number), json!(["next/m"]));
        let body = match self.path {
            path if path.contains("MODEL") => json!({"fallbacks": next, "contents": [{"role": "user", "parts": [{"text": "hi"}]}]}),
            "/v1/responses" => json!({"model": model, "input": "hi", "stream": true, "fallbacks": next}),
            _ => {
                json!({"model": model, "max_tokens": 9, "stream": true, "fallbacks": next, "messages": [{"role": "user", "content": "hi"}]})
            }
        };
        let ended = tokio::time::timeout(Duration::from_secs(6), self.ask(gateway, &body)).await;
        let Ok((stream, text)) = ended else { return Err(format!("{self}: it goes on for ever")) };
        let attempts: Vec<_> = stream.attempts().iter().map(|attempt| attempt.rsplit(';').next().unwrap_or_default().to_owned()).collect();
        let wanted: &[&str] = if self.begun { &["200"] } else { &["timeout_first_content", "200"] };
        let said = if self.begun { "stopped for too long" } else { "from the next" };
        self.stage.quiet().await;
        let right = stream.status == 200 && attempts == wanted && text.contains(said) && self.stage.asked().len() == 1;
        if right { Ok(()) } else { Err(format!("{self}: {} {attempts:?} {text}", stream.status)) }
    }

    async fn ask(&self, gateway: &Gateway, body: &Value) -> (Stream, String) {
        let path = self.path.replace("MODEL", &format!("p{}/m", self.number));
        let mut stream = client::open(gateway.address, &path, &[], body.to_string().as_bytes()).await;
        let mut text = String::new();
        while let Ok(Some(piece)) = stream.piece().await {
            text += &String::from_utf8_lossy(&piece);
        }
        (stream, text)
    }
}

impl std::fmt::Display for Case {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} to {}: {}", self.speech.dialect, self.path, self.told)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signs_of_life_without_content_stop_no_clock() {
    let mut cases = Vec::new();
    for speech in SPEECHES {
        let signs = [vec![String::new()], comments(), (speech.signs)()].concat();
        let (text, others, none) = ((speech.text)(), (speech.others)(), String::new());
        let before = signs.iter().map(|sign| (&none, sign));
        let after = signs.iter().map(|sign| (&text, sign)).chain(others.iter().map(|other| (other, &none)));
        for (content, sign) in before.chain(after) {
            for path in [Some("/v1/chat/completions"), speech.client].into_iter().flatten() {
                cases.push(Case::start(cases.len(), speech, content, sign, path).await);
            }
        }
    }
    let good = native::openai_stream(&["from the next"]).concat().into_bytes();
    let answer = Step::Answer(200, vec![("content-type", "text/event-stream".into())]);
    let next = Stage::start(Version::One, vec![Step::Head, Step::Body, answer, Step::Data(good), Step::End]).await;
    let yaml: String = cases.iter().map(Case::yaml).collect();
    let last = format!("  next: {{ base_url: \"http://{}/v1\", dialect: openai, keys: [{{ value: env.KEY_A }}] }}\n", next.address);
    let gateway = Gateway::with(&format!("providers:\n{yaml}{last}")).await;
    let mut wrong = Vec::new();
    for some in cases.chunks(AT_ONCE) {
        wrong.extend(join_all(some.iter().map(|case| case.run(&gateway))).await.into_iter().filter_map(Result::err));
    }
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}
