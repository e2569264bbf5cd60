//! A whole answer that says nothing is left while somebody else can be asked, and is the answer where nobody can. What was cut short by
//! a limit, held back by a filter, or is a call alone is no such answer; and what is no answer at all is a failure in any case.

use crate::http2::join_all;
use crate::support::native::{self, anthropic_closing, anthropic_opening, chunk, named};
use crate::support::{Config, Gateway, Provider, Value, ask_stream, client, json, reply, with};

/// What becomes of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// The next candidate answers; alone, it is the answer.
    Empty,
    /// It is the answer.
    Passes,
    /// No answer at all: the next candidate answers; alone, the client gets an error. Its words, plain and streamed.
    Fails(&'static str, &'static str),
}

use Fate::{Empty, Fails, Passes};

struct Row {
    name: &'static str,
    fate: Fate,
    plain: Value,
    stream: Vec<String>,
}

fn row(name: &'static str, fate: Fate, plain: Value, stream: Vec<String>) -> Row {
    Row { name, fate, plain, stream }
}

fn openai() -> Vec<Row> {
    let said = |name, fate, said: Value, finish: &'static str| {
        let mut whole = native::openai("");
        whole["choices"][0] = json!({"index": 0, "finish_reason": finish, "message": with(json!({"role": "assistant"}), said.clone())});
        let role = chunk(json!({"role": "assistant", "content": ""}), None);
        let usage = json!({"id": "c", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 9, "total_tokens": 12}});
        let stream = vec![role, chunk(said, None), chunk(json!({}), Some(finish)), format!("data: {usage}\n\n"), "data: [DONE]\n\n".into()];
        row(name, fate, whole, stream)
    };
    let call = json!([{"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]);
    vec![
        said("an empty text", Empty, json!({"content": ""}), "stop"),
        said("no text", Empty, json!({"content": null, "refusal": null, "tool_calls": []}), "stop"),
        said("a limit met while thinking", Passes, json!({"content": ""}), "length"),
        said("a filter", Passes, json!({"content": null}), "content_filter"),
        said("a call alone", Passes, json!({"content": null, "tool_calls": call}), "tool_calls"),
        said("a call alone that stopped", Passes, json!({"content": null, "tool_calls": call}), "stop"),
        said("a refusal", Passes, json!({"content": null, "refusal": "no"}), "stop"),
        said("thoughts alone", Passes, json!({"content": "", "reasoning_content": "hm"}), "stop"),
        row(
            "no choices",
            Fails("malformed", "truncated"),
            json!({"id": "c", "model": "m", "choices": []}),
            vec!["data: [DONE]\n\n".into()],
        ),
        row("nothing at all", Fails("malformed", "truncated"), json!({}), vec![]),
        row("null", Fails("malformed", "truncated"), json!(null), vec![": nothing\n\n".into()]),
    ]
}

fn response(status: &str, output: Value, more: Value) -> Value {
    let usage = json!({"input_tokens": 3, "output_tokens": 2, "total_tokens": 5});
    let response =
        json!({"id": "resp_1", "object": "response", "created_at": 1, "model": "m", "status": status, "output": output, "usage": usage});
    with(response, more)
}

fn responses() -> Vec<Row> {
    let ended = |name, fate, status: &'static str, output: Value, more: Value| {
        let whole = response(status, output, more);
        let created = json!({"type": "response.created", "response": response("in_progress", json!([]), json!({}))});
        let last = json!({"type": format!("response.{status}"), "response": whole});
        row(name, fate, whole, vec![named(created), named(last)])
    };
    let message =
        |content: Value| json!([{"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": content}]);
    let cut = |why: &str| json!({"incomplete_details": {"reason": why}});
    vec![
        ended("no output", Empty, "completed", json!([]), json!({})),
        ended("an empty text", Empty, "completed", message(json!([{"type": "output_text", "text": "", "annotations": []}])), json!({})),
        ended("a limit met while thinking", Passes, "incomplete", json!([]), cut("max_output_tokens")),
        ended("a filter", Passes, "incomplete", json!([]), cut("content_filter")),
        ended(
            "a call alone",
            Passes,
            "completed",
            json!([{"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}"}]),
            json!({}),
        ),
        ended("a refusal", Passes, "completed", message(json!([{"type": "refusal", "refusal": "no"}])), json!({})),
        row("nothing at all", Fails("malformed", "truncated"), json!({}), vec!["data: [DONE]\n\n".into()]),
    ]
}

fn anthropic() -> Vec<Row> {
    let said = |name, fate, content: Value, reason: &str| {
        let whole = with(native::anthropic(""), json!({"content": content, "stop_reason": reason}));
        let mut stream = vec![anthropic_opening().remove(0)];
        for (index, block) in content.as_array().into_iter().flatten().enumerate() {
            stream.push(named(json!({"type": "content_block_start", "index": index, "content_block": block})));
            stream.push(named(json!({"type": "content_block_stop", "index": index})));
        }
        stream.extend(anthropic_closing(reason).split_off(1));
        row(name, fate, whole, stream)
    };
    vec![
        said("no content", Empty, json!([]), "end_turn"),
        said("an empty text", Empty, json!([{"type": "text", "text": ""}]), "end_turn"),
        said("a limit met at once", Passes, json!([]), "max_tokens"),
        said("a limit met while thinking", Passes, json!([{"type": "thinking", "thinking": "hm", "signature": "s"}]), "max_tokens"),
        said("a refusal", Passes, json!([]), "refusal"),
        said("a call alone", Passes, json!([{"type": "tool_use", "id": "t", "name": "f", "input": {}}]), "tool_use"),
        row("nothing at all", Fails("malformed", "truncated"), json!({}), vec![]),
        row(
            "no content member",
            Fails("malformed", "truncated"),
            json!({"type": "message", "id": "m"}),
            vec![named(json!({"type": "ping"}))],
        ),
    ]
}

fn gemini() -> Vec<Row> {
    let said = |name, fate, body: Value| {
        let body = with(json!({"modelVersion": "m", "usageMetadata": {"promptTokenCount": 3, "totalTokenCount": 3}}), body);
        let stream = vec![format!("data: {body}\r\n\r\n")];
        row(name, fate, body, stream)
    };
    let ended = |reason: &str, parts: Value| json!({"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": reason, "index": 0}]});
    vec![
        said("no parts", Empty, ended("STOP", json!([]))),
        said("an empty text", Empty, ended("STOP", json!([{"text": ""}]))),
        said("no content", Empty, json!({"candidates": [{"finishReason": "STOP", "index": 0}]})),
        said("a limit met while thinking", Passes, ended("MAX_TOKENS", json!([]))),
        said("held back for safety", Passes, ended("SAFETY", json!([]))),
        said("a prompt that was blocked", Passes, json!({"promptFeedback": {"blockReason": "SAFETY"}})),
        said("a call alone", Passes, ended("STOP", json!([{"functionCall": {"name": "f", "args": {}}}]))),
        said("no candidates", Fails("malformed", "truncated"), json!({"candidates": []})),
        said("counts alone", Fails("malformed", "truncated"), json!({})),
    ]
}

/// A dialect, the path of a client of its own where there is one, and its rows.
type Speech = (&'static str, Option<&'static str>, fn() -> Vec<Row>);

static SPEECHES: &[Speech] = &[
    ("openai", None, openai),
    ("mistral", None, openai),
    ("responses", Some("/v1/responses"), responses),
    ("anthropic", Some("/v1/messages"), anthropic),
    ("gemini", Some("/v1beta/models/MODEL:"), gemini),
];

struct Case {
    number: usize,
    told: String,
    path: &'static str,
    stream: bool,
    alone: bool,
    fate: Fate,
    provider: Provider,
}

impl Case {
    async fn run(&self, gateway: &Gateway) -> Result<(), String> {
        let model = format!("p{}/m", self.number);
        let next = if self.alone { json!([]) } else { json!(["next/m"]) };
        let google = self.path.contains("MODEL");
        let asked = json!({"fallbacks": next});
        let asked = if google { asked } else { with(asked, json!({"model": model, "stream": self.stream})) };
        let tools = json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]);
        let more = match self.path {
            _ if google => json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}),
            "/v1/responses" => json!({"input": "hi"}),
            "/v1/messages" => json!({"max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}),
            _ => json!({"max_tokens": 9, "messages": [{"role": "user", "content": "hi"}], "tools": tools}),
        };
        let method = if self.stream { "streamGenerateContent?alt=sse" } else { "generateContent" };
        let path = if google { self.path.replace("MODEL", &model) + method } else { self.path.to_owned() };
        let reply = client::send(gateway.address, "POST", &path, &[], with(asked, more).to_string().as_bytes()).await;
        let words: Vec<_> = reply.attempts().iter().map(|attempt| attempt.rsplit(';').next().unwrap_or_default().to_owned()).collect();
        let (status, mut wanted) = match self.fate {
            Empty if !self.alone => (200, vec!["empty"]),
            Empty | Passes => (200, vec!["200"]),
            Fails(plain, stream) => (502, vec![if self.stream { stream } else { plain }]),
        };
        let moves_on = wanted[0] != "200" && !self.alone;
        if moves_on {
            wanted.push("200");
        }
        let status = if moves_on { 200 } else { status };
        let right = reply.status == status && words == wanted && reply.text().contains("from the next") == moves_on;
        let asked = self.provider.received().len();
        if right && asked == 1 { Ok(()) } else { Err(format!("{self}: asked {asked}, {} {words:?} {}", reply.status, reply.text())) }
    }
}

impl std::fmt::Display for Case {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (mode, then) = (if self.stream { "streamed" } else { "plain" }, if self.alone { "alone" } else { "with another" });
        write!(formatter, "{}, {mode}, to {}, {then}, {:?}", self.told, self.path, self.fate)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_says_nothing_is_left_where_another_may_say_more() {
    let mut cases = Vec::new();
    for (dialect, own, rows) in SPEECHES {
        for Row { name, fate, plain, stream } in rows() {
            for (streamed, alone) in [(false, false), (false, true), (true, false), (true, true)] {
                for path in [Some("/v1/chat/completions"), *own].into_iter().flatten() {
                    let provider = Provider::start().await;
                    provider.always(if streamed { reply::events(&stream) } else { reply::json(plain.clone()) });
                    let told = format!("{dialect}: {name}");
                    cases.push((*dialect, Case { number: cases.len(), told, path, stream: streamed, alone, fate, provider }));
                }
            }
        }
    }
    let [plain, streamed] = [Provider::start().await, Provider::start().await];
    plain.always(reply::json(native::openai("from the next")));
    streamed.always(reply::events(native::openai_stream(&["from the next"])));
    let row = |name: &str, provider: &Provider, dialect: &str| {
        format!("  {name}: {{ base_url: \"{}/v1\", dialect: {dialect}, keys: [{{ value: env.KEY_A }}] }}\n", provider.url())
    };
    let mut wrong = Vec::new();
    for (streamed, next) in [(false, &plain), (true, &streamed)] {
        let some: Vec<_> = cases.iter().filter(|(_, case)| case.stream == streamed).collect();
        let rows: String = some.iter().map(|(dialect, case)| row(&format!("p{}", case.number), &case.provider, dialect)).collect();
        let gateway = Gateway::with(&format!("providers:\n{rows}{}", row("next", next, "openai"))).await;
        for some in some.chunks(16) {
            wrong.extend(join_all(some.iter().map(|(_, case)| case.run(&gateway))).await.into_iter().filter_map(Result::err));
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[tokio::test]
async fn a_stream_that_says_its_end_and_nothing_else_is_left_though_it_stays_open() {
    for (events, word) in [(vec!["data: [DONE]\n\n".to_owned()], "truncated"), (native::openai_stream(&[]), "empty")] {
        let (openai, anthropic) = (Provider::start().await, Provider::start().await);
        openai.always(reply::ending(events, reply::End::Stall));
        anthropic.always(reply::events(native::anthropic_stream(&["from claude"])));
        let gateway = Gateway::start(Config::new().provider("openai", &openai).provider("anthropic", &anthropic)).await;
        let body = with(ask_stream("openai/gpt-4o"), json!({"fallbacks": ["anthropic/claude-sonnet-4-5"]}));
        let mut stream = gateway.stream(&body).await;
        assert!(stream.attempts()[0].ends_with(word), "{:?}", stream.attempts());
        assert_eq!(native::text_of(&stream.rest().await), "from claude");
    }
}
