//! The cache: the very same request is answered again from memory, byte for byte, and nothing else ever is.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::process::Command;

use crate::support::client::{self, Stream};
use crate::support::collector::{Collector, Otlp, integer, text};
use crate::support::native::{
    self, anthropic_opening, anthropic_stream, anthropic_text, chunk, chunk_text, gemini_stream, gemini_text, openai_stream,
};
use crate::support::reply::{End, Reply as Answer};
use crate::support::sample::{ask_parts, data_uri, image};
use crate::support::{Config, Gateway, Provider, Reply, Value, ask, ask_stream, json, reply, with, within};

const ON: &str = "semantic_cache: { ttl_seconds: 600 }";
const CHANGE: &[(&str, &str)] = &[("x-heliostat-admin", "1"), ("host", "localhost")];
const CHAT: &str = "/v1/chat/completions";
const MESSAGES: &str = "/v1/messages";
const GPT: &str = "openai/gpt-4o";
const CLAUDE: &str = "anthropic/claude-sonnet-4-5";
const FLASH: &str = "gemini/gemini-2.5-flash";

struct Three {
    openai: Provider,
    anthropic: Provider,
    gemini: Provider,
    gateway: Gateway,
}

async fn three(more: &str) -> Three {
    let (openai, anthropic, gemini) = (Provider::start().await, Provider::start().await, Provider::start().await);
    let gateway = Gateway::start(Config::three(&openai, &anthropic, &gemini).top(ON).top(more)).await;
    Three { openai, anthropic, gemini, gateway }
}

impl Three {
    /// Has the provider of a model give this answer to the next request, and to no other.
    fn once(&self, model: &str, words: &str, stream: bool) {
        let (provider, answer) = match (model.split('/').next(), stream) {
            (Some("openai"), false) => (&self.openai, reply::json(native::openai(words))),
            (Some("openai"), true) => (&self.openai, reply::events(openai_stream(&[words, "!"]))),
            (Some("anthropic"), false) => (&self.anthropic, reply::json(native::anthropic(words))),
            (Some("anthropic"), true) => (&self.anthropic, reply::events(anthropic_stream(&[words, "!"]))),
            (_, false) => (&self.gemini, reply::json(native::gemini(words))),
            (_, true) => (&self.gemini, reply::events(gemini_stream(&[words, "!"]))),
        };
        provider.script([answer]);
    }
}

/// The calls of each client's dialect, for a model: path and body.
fn calls(model: &str, stream: bool) -> Vec<(String, Value)> {
    let talk = |members: Value| {
        with(with(json!({"model": model, "messages": [{"role": "user", "content": "hi"}]}), members), json!({"stream": stream}))
    };
    let google = json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]});
    let mut calls = vec![(CHAT.to_owned(), talk(json!({}))), (MESSAGES.to_owned(), talk(json!({"max_tokens": 9})))];
    // OpenAI itself would be asked in the same dialect, by other events than those of a chat.
    if !model.starts_with("openai") {
        calls.push(("/v1/responses".to_owned(), json!({"model": model, "input": "hi", "stream": stream})));
    }
    let verbs: &[&str] = if stream { &["streamGenerateContent?alt=sse", "streamGenerateContent"] } else { &["generateContent"] };
    calls.extend(verbs.iter().map(|verb| (format!("/v1beta/models/{model}:{verb}"), google.clone())));
    calls
}

/// Sends a request and waits until it is over: a client has its answer a little before that, and before it is kept.
async fn post(gateway: &Gateway, path: &str, headers: &[(&str, &str)], body: &Value) -> Reply {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let id = format!("call-{}.", NEXT.fetch_add(1, Ordering::Relaxed));
    let own = headers.iter().find(|(name, _)| *name == "x-request-id").map(|(_, id)| *id);
    let headers: Vec<_> = headers.iter().copied().chain(own.is_none().then_some(("x-request-id", id.as_str()))).collect();
    let reply = client::send(gateway.address, "POST", path, &headers, body.to_string().as_bytes()).await;
    gateway.access(own.unwrap_or(&id)).await;
    reply
}

async fn chat(gateway: &Gateway, body: &Value) -> Reply {
    post(gateway, CHAT, &[], body).await
}

async fn said(gateway: &Gateway, headers: &[(&str, &str)], body: &Value) -> String {
    post(gateway, CHAT, headers, body).await.expect(200).header("x-cache").to_owned()
}

fn is_hit(reply: &Reply) -> bool {
    reply.head.header("x-cache").is_some_and(|said| said.starts_with("hit-exact; age="))
}

/// How many answers there are.
async fn entries(gateway: &Gateway) -> u64 {
    let text = gateway.admin_get("/metrics").await.expect(200).text();
    let line = text.lines().find_map(|line| line.strip_prefix("heliostat_cache_entries ")).expect("the gauge");
    line.parse().expect("a number")
}

/// A client learns of the end of an answer a little before it is kept.
async fn until_entries(gateway: &Gateway, wanted: u64) {
    within("answers to be kept", async { while entries(gateway).await != wanted {} }).await;
}

#[tokio::test]
async fn the_very_same_request_is_answered_again_in_every_dialect() {
    let three = three("").await;
    let mut kept = 0;
    for stream in [false, true] {
        for model in [GPT, CLAUDE, FLASH] {
            for (path, body) in calls(model, stream) {
                let case = format!("{path} {body}");
                three.once(model, &format!("it is {kept}"), stream);
                let first = post(&three.gateway, &path, &[("x-request-id", &format!("first-{kept}."))], &body).await;
                assert_eq!(first.expect(200).header("x-cache"), "miss", "{case}");
                kept += 1;
                assert_eq!(entries(&three.gateway).await, kept, "{case}");
                let again = format!("again-{kept}.");
                // Nobody is there to be asked a second time: the fakes would tell.
                let (id, again) = (&again, post(&three.gateway, &path, &[("x-request-id", &again)], &body).await);
                assert!(is_hit(again.expect(200)), "{case}: {:?}", again.head);
                assert_eq!(String::from_utf8_lossy(&again.body), String::from_utf8_lossy(&first.body), "{case}");
                assert!(again.text().contains(&format!("it is {}", kept - 1)), "{case}");
                for name in ["content-type", "x-heliostat-provider", "x-heliostat-model", "x-heliostat-loss"] {
                    assert_eq!(again.head.header(name), first.head.header(name), "{case}: {name}");
                }
                assert_eq!((again.header("x-request-id"), again.head.header("x-heliostat-attempts")), (id.as_str(), None), "{case}");
            }
        }
    }
    assert_eq!(kept, 25);
}

#[tokio::test]
async fn embeddings_are_answered_again_with_what_they_lost() {
    let three = three("").await;
    let list = json!({"object": "list", "model": "e", "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}],
        "usage": {"prompt_tokens": 1, "total_tokens": 1}});
    three.openai.script([reply::json(list)]);
    let vectors = json!({"embeddings": [{"values": [0.5, 0.25]}]});
    three.gemini.script([reply::json(vectors)]);
    for (model, lost) in [("openai/text-embedding-3-small", None), ("gemini/gemini-embedding-001", Some("user, usage"))] {
        let body = json!({"model": model, "input": "hi", "user": "u"});
        let first = post(&three.gateway, "/v1/embeddings", &[], &body).await;
        assert_eq!((first.expect(200).header("x-cache"), first.head.header("x-heliostat-loss")), ("miss", lost));
        let again = post(&three.gateway, "/v1/embeddings", &[], &body).await;
        assert!(is_hit(&again) && again.body == first.body && again.head.header("x-heliostat-loss") == lost, "{:?}", again.head);
    }
}

#[tokio::test]
async fn a_list_of_embeddings_that_lacks_one_is_not_kept() {
    let three = three("").await;
    let list = json!({"object": "list", "model": "e", "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}]});
    three.openai.script([reply::json(with(list.clone(), json!({"data": []}))), reply::json(list)]);
    for inputs in [json!("hi"), json!(["hi", "ho"])] {
        let body = json!({"model": "openai/text-embedding-3-small", "input": inputs});
        assert_eq!(post(&three.gateway, "/v1/embeddings", &[], &body).await.expect(200).header("x-cache"), "miss");
    }
    assert_eq!(entries(&three.gateway).await, 0);
}

#[tokio::test]
async fn clients_over_http2_get_the_same_bytes() {
    let three = three("").await;
    let config = Config::three(&three.openai, &three.anthropic, &three.gemini).top(ON);
    let gateway = Gateway::start(config.top("listen: { address: ADDRESS, h2c: true }")).await;
    for stream in [false, true] {
        three.once(CLAUDE, "over two", stream);
        let body = with(ask(CLAUDE), json!({"stream": stream})).to_string();
        let url = format!("http://{}{CHAT}", gateway.address);
        let ask =
            || Command::new("curl").args(["-sS", "-i", "--max-time", "10", "--http2-prior-knowledge", "--json", &body, &url]).output();
        let mut answers = Vec::new();
        for wanted in ["x-cache: miss", "x-cache: hit-exact; age="] {
            let answer = String::from_utf8(ask().await.expect("curl").stdout).unwrap();
            let (head, text) = answer.split_once("\r\n\r\n").expect("a head");
            assert!(head.starts_with("HTTP/2 200") && head.contains(wanted), "{answer}");
            answers.push(text.to_owned());
            until_entries(&gateway, 1 + u64::from(stream)).await;
        }
        assert!(answers[0] == answers[1] && answers[0].contains("over two"), "{answers:?}");
    }
}

#[tokio::test]
async fn without_the_section_nothing_is_kept_and_nothing_is_said() {
    let openai = Provider::start().await;
    openai.always(reply::json(native::openai("anew")));
    for off in ["", "semantic_cache: { enabled: false }"] {
        let gateway = Gateway::start(Config::new().provider("openai", &openai).top(off)).await;
        for _ in 0..2 {
            let reply = chat(&gateway, &ask(GPT)).await;
            assert_eq!((reply.expect(200).head.header("x-cache"), reply.attempts().len()), (None, 1));
        }
        assert_eq!(entries(&gateway).await, 0);
        let purge = client::send(gateway.admin, "POST", "/cache/purge", CHANGE, b"").await;
        assert!(purge.expect(404).text().contains("semantic_cache.enabled"));
    }
}

#[tokio::test]
async fn whatever_differs_is_another_request() {
    let three = three("").await;
    three.openai.always(reply::json(native::openai("anew")));
    three.anthropic.always(reply::json(native::anthropic("anew")));
    let picture = |base64: &str| ask_parts(GPT, &[image(&data_uri("image/png", base64))]);
    let claude = with(ask(CLAUDE), json!({"max_tokens": 9}));
    let spaced = client::request("POST", CHAT, &[], format!(" {}", ask(GPT)).as_bytes());
    let requests = [
        (CHAT, vec![], ask(GPT)),
        (CHAT, vec![], with(ask(GPT), json!({"messages": [{"role": "user", "content": "Hi"}]}))),
        (CHAT, vec![], with(ask(GPT), json!({"temperature": 0}))),
        (CHAT, vec![], with(ask(GPT), json!({"temperature": 0.0}))),
        (CHAT, vec![], with(ask(GPT), json!({"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]}))),
        (CHAT, vec![], with(ask(GPT), json!({"fallbacks": [CLAUDE]}))),
        (CHAT, vec![], ask("openai/gpt-4o-mini")),
        (CHAT, vec![("x-heliostat-strict", "true")], ask(GPT)),
        (CHAT, vec![("openai-organization", "org-1")], ask(GPT)),
        (CHAT, vec![("openai-organization", "org-2")], ask(GPT)),
        (CHAT, vec![("openai-project", "org-1")], ask(GPT)),
        // Photos that look alike to whoever does not look at all of them.
        (CHAT, vec![], picture("iVBORw0KGgo=")),
        (CHAT, vec![], picture("iVBORw0KGgp=")),
        (CHAT, vec![], ask(CLAUDE)),
        (MESSAGES, vec![], claude.clone()),
        (MESSAGES, vec![("anthropic-version", "2023-01-01")], claude.clone()),
        (MESSAGES, vec![("anthropic-beta", "a")], claude.clone()),
        (MESSAGES, vec![("anthropic-beta", "a"), ("anthropic-beta", "b")], claude.clone()),
    ];
    for (path, headers, body) in &requests {
        assert_eq!(post(&three.gateway, path, headers, body).await.expect(200).header("x-cache"), "miss", "{path} {headers:?} {body}");
    }
    let mut connection = client::connect(three.gateway.address).await;
    connection.write(&spaced).await.unwrap();
    assert_eq!(client::answer(&mut connection).await.expect(200).header("x-cache"), "miss", "a space");
    until_entries(&three.gateway, requests.len() as u64 + 1).await;
    // Each is there, and what tells one call from another only for a log, or for a retry, does not matter.
    let marks = [
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ("idempotency-key", "i-1"),
        ("x-heliostat-timeout-ms", "9000"),
    ];
    for (path, headers, body) in &requests {
        let headers: Vec<_> = headers.iter().chain(&marks).copied().collect();
        assert!(is_hit(&post(&three.gateway, path, &headers, body).await), "{path} {headers:?} {body}");
    }
}

#[tokio::test]
async fn a_stream_and_a_whole_answer_are_two_requests() {
    let three = three("").await;
    let google = json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]});
    for (count, (verb, stream)) in
        [("generateContent", false), ("streamGenerateContent?alt=sse", true), ("streamGenerateContent", true)].iter().enumerate()
    {
        three.once(FLASH, "hi", *stream);
        let path = format!("/v1beta/models/gemini-2.5-flash:{verb}");
        assert_eq!(post(&three.gateway, &path, &[], &google).await.expect(200).header("x-cache"), "miss", "{verb}");
        until_entries(&three.gateway, count as u64 + 1).await;
    }
}

#[tokio::test]
async fn no_client_gets_what_another_was_answered() {
    let keys = "client_keys: [{ name: studio, value: env.KEY_A }, { name: shop, value: env.KEY_B }]";
    let three = three(keys).await;
    let secrets = ["KEY_A", "KEY_B"].map(|name| format!("Bearer {}", crate::support::config::secret_of(name)));
    for secret in &secrets {
        three.once(GPT, secret, false);
        let headers = [("authorization", secret.as_str())];
        assert_eq!(said(&three.gateway, &headers, &ask(GPT)).await, "miss");
        let again = post(&three.gateway, CHAT, &headers, &ask(GPT)).await;
        assert!(is_hit(&again) && again.content() == *secret, "{}", again.text());
    }
    post(&three.gateway, CHAT, &[], &ask(GPT)).await.expect(401);
    post(&three.gateway, CHAT, &[("authorization", "Bearer guessed")], &ask(GPT)).await.expect(401);
}

#[tokio::test]
async fn bounds_are_checked_before_the_cache_is_asked() {
    let three = three("").await;
    three.once(GPT, "hi", false);
    let body = ask_parts(GPT, &[image(&data_uri("image/png", &"A".repeat(400)))]);
    assert_eq!(said(&three.gateway, &[], &body).await, "miss");
    let config = Config::three(&three.openai, &three.anthropic, &three.gemini).top(ON).top("limits: { image_bytes: 100 }");
    three.gateway.reload(&config.yaml()).await;
    let refused = chat(&three.gateway, &body).await;
    assert_eq!((refused.expect(400).head.header("x-cache"), entries(&three.gateway).await), (None, 1));
}

/// Whose answer, what is wrong with it, and the answer.
type Unworthy = (&'static str, &'static str, Answer);

fn unworthy_replies() -> Vec<Unworthy> {
    let choice = |members: Value| {
        let mut whole = native::openai("half an ans");
        whole["choices"][0] = with(whole["choices"][0].clone(), members);
        whole
    };
    let mut two = native::openai("one");
    let second = with(two["choices"][0].clone(), json!({"index": 1, "finish_reason": "length"}));
    two["choices"].as_array_mut().unwrap().push(second);
    let refused = json!({"message": {"role": "assistant", "content": null, "refusal": "I will not."}});
    let claude = |reason: &str| with(native::anthropic("half"), json!({"stop_reason": reason}));
    let gemini = |reason: &str| {
        let mut whole = native::gemini("half");
        whole["candidates"][0]["finishReason"] = json!(reason);
        whole
    };
    vec![
        (GPT, "too long", reply::json(choice(json!({"finish_reason": "length"})))),
        (GPT, "filtered", reply::json(choice(json!({"finish_reason": "content_filter"})))),
        (GPT, "an end of no name", reply::json(choice(json!({"finish_reason": "odd"})))),
        (GPT, "not ended", reply::json(choice(json!({"finish_reason": null})))),
        (GPT, "refused", reply::json(choice(refused))),
        (GPT, "empty", reply::json(native::openai(""))),
        (GPT, "one of two too long", reply::json(two)),
        (GPT, "an error inside a 200", reply::json(json!({"error": {"message": "overloaded", "code": 529}}))),
        (GPT, "500", reply::status(500)),
        (GPT, "429", reply::status(429)),
        (GPT, "400", reply::status(400)),
        (CLAUDE, "too long", reply::json(claude("max_tokens"))),
        (CLAUDE, "refused", reply::json(claude("refusal"))),
        (CLAUDE, "would go on", reply::json(claude("pause_turn"))),
        (FLASH, "filtered", reply::json(gemini("SAFETY"))),
        (FLASH, "too long", reply::json(gemini("MAX_TOKENS"))),
    ]
}

fn unworthy_streams() -> Vec<Unworthy> {
    let with_end = |reason: &str| vec![chunk_text("half"), chunk(json!({}), Some(reason)), "data: [DONE]\n\n".to_owned()];
    let two_streams = |finish: &str| {
        let other = finish.replace("\"index\":0", "\"index\":1");
        vec![
            chunk_text("one"),
            chunk_text("two").replace("\"index\":0", "\"index\":1"),
            chunk(json!({}), Some("stop")),
            other,
            "data: [DONE]\n\n".to_owned(),
        ]
    };
    let refusal = vec![chunk(json!({"refusal": "I will not."}), None), chunk(json!({}), Some("stop")), "data: [DONE]\n\n".to_owned()];
    let failing = vec![chunk_text("half"), "data: {\"error\":{\"message\":\"overloaded\",\"code\":529}}\n\n".to_owned()];
    let closing = |reason: &str| anthropic_opening().into_iter().chain([anthropic_text("half")]).chain(native::anthropic_closing(reason));
    vec![
        (GPT, "too long", reply::events(with_end("length"))),
        (GPT, "filtered", reply::events(with_end("content_filter"))),
        (GPT, "an end of no name", reply::events(with_end("odd"))),
        (GPT, "one of two too long", reply::events(two_streams(&chunk(json!({}), Some("length"))))),
        (GPT, "one of two not ended", reply::events(two_streams(": ping\n\n"))),
        (GPT, "refused", reply::events(refusal)),
        (GPT, "an error inside a stream", reply::events(failing)),
        (GPT, "without [DONE]", reply::events([chunk_text("half"), chunk(json!({}), Some("stop"))])),
        (GPT, "cut", reply::ending([chunk_text("half")], End::Cut)),
        (GPT, "cut after its finish reason", reply::ending([chunk_text("half"), chunk(json!({}), Some("stop"))], End::Reset)),
        (CLAUDE, "cut", reply::ending(anthropic_opening().into_iter().chain([anthropic_text("half")]), End::Cut)),
        (CLAUDE, "too long", reply::events(closing("max_tokens"))),
        (CLAUDE, "refused", reply::events(closing("refusal"))),
        (FLASH, "filtered", reply::events([gemini_text("half", Some("SAFETY"))])),
        (FLASH, "cut", reply::ending([gemini_text("half", None)], End::Cut)),
        (FLASH, "cut after its finish reason", reply::ending([gemini_text("half", Some("STOP"))], End::Cut)),
        (GPT, "an end in error", reply::events(with_end("error"))),
    ]
}

#[tokio::test]
async fn only_what_is_whole_and_ended_by_itself_is_kept() {
    let three = three("network: { retry: { max_retries: 0 }, breaker: { enabled: false } }").await;
    let (replies, streams) = (unworthy_replies().into_iter(), unworthy_streams().into_iter());
    let all = replies.map(|unworthy| (false, unworthy)).chain(streams.map(|unworthy| (true, unworthy)));
    for (number, (stream, (model, what, bad))) in all.enumerate() {
        // In the provider's own dialect, and translated.
        let calls = calls(model, stream).into_iter().enumerate();
        // To clients of other dialects these are whole: they have one choice, and an end mark that is written for them.
        let of_chat = what.starts_with("one of two") || what == "without [DONE]";
        for (way, (path, body)) in calls.filter(|(_, (path, _))| path == CHAT || !of_chat) {
            let id = format!("{number}.{way}.");
            let body = match body.get("contents") {
                Some(_) => json!({"contents": [{"role": "user", "parts": [{"text": id}]}]}),
                None if path == "/v1/responses" => with(body, json!({"input": id})),
                None => with(body, json!({"messages": [{"role": "user", "content": id}]})),
            };
            let provider = match model {
                GPT => &three.openai,
                CLAUDE => &three.anthropic,
                _ => &three.gemini,
            };
            provider.script([bad.clone()]);
            let mut answer = client::open(three.gateway.address, &path, &[("x-request-id", &id)], body.to_string().as_bytes()).await;
            assert_eq!(answer.head.header("x-cache"), Some("miss"), "{what}: {path}");
            answer.rest().await;
            three.gateway.access(&id).await;
            assert_eq!(entries(&three.gateway).await, 0, "{what}, stream {stream}: {path}");
            // A key that was refused rests: another configuration of the same has no memory of it.
            if what == "429" {
                let config = Config::three(&three.openai, &three.anthropic, &three.gemini).keys("openai", "[{ value: env.KEY_A }]");
                three.gateway.reload(&config.top(ON).yaml()).await;
                let config = Config::three(&three.openai, &three.anthropic, &three.gemini).top(ON);
                three.gateway.reload(&config.top("network: { retry: { max_retries: 0 }, breaker: { enabled: false } }").yaml()).await;
            }
        }
    }
}

#[tokio::test]
async fn what_a_client_did_not_wait_for_is_not_kept() {
    let three = three("").await;
    let asked = async {
        let mut stream = three.gateway.stream_with(&[("x-request-id", "left")], &ask_stream(GPT)).await;
        stream.event().await;
        stream.leave();
    };
    let answered = async {
        let mut stream = three.openai.next_request().await.stream().await;
        stream.event(&chunk_text("half")).await;
        stream.closed().await;
    };
    tokio::join!(asked, answered);
    assert_eq!(three.gateway.access("left").await["outcome"], "client_gone");
    assert_eq!(entries(&three.gateway).await, 0);
}

#[tokio::test]
async fn two_at_the_same_time_are_both_asked_and_each_gets_its_own() {
    let three = three("").await;
    let body = ask(GPT);
    let serve = async {
        let (first, second) = (three.openai.next_request().await, three.openai.next_request().await);
        second.respond_json(200, &native::openai("second")).await;
        first.respond_json(200, &native::openai("first")).await;
    };
    let (one, other, ()) = tokio::join!(three.gateway.chat(&body), three.gateway.chat(&body), serve);
    let mut contents = [one.expect(200).content(), other.expect(200).content()];
    contents.sort();
    assert_eq!((contents, one.header("x-cache"), other.header("x-cache")), (["first".into(), "second".into()], "miss", "miss"));
    until_entries(&three.gateway, 1).await;
    assert!(is_hit(&chat(&three.gateway, &body).await));
}

#[tokio::test]
async fn what_leaves_a_state_behind_is_none_of_the_caches_business() {
    let three = three("").await;
    three.openai.always(reply::json(native::openai("anew")));
    let response = json!({"id": "resp_1", "object": "response", "status": "completed", "model": "gpt-4o", "output": [{"type": "message",
        "id": "m", "status": "completed", "role": "assistant", "content": [{"type": "output_text", "text": "hi", "annotations": []}]}]});
    let kept = |value: Value| with(ask(GPT), json!({"store": value}));
    assert_eq!(said(&three.gateway, &[], &kept(json!(true))).await, "bypass; reason=store");
    assert_eq!(said(&three.gateway, &[], &kept(json!(true))).await, "bypass; reason=store");
    assert_eq!(said(&three.gateway, &[], &kept(json!(false))).await, "miss");
    assert!(said(&three.gateway, &[], &kept(json!(false))).await.starts_with("hit-exact"));
    three.openai.always(reply::json(response));
    for (member, value, why) in [
        ("background", json!(true), "background"),
        ("previous_response_id", json!("resp_0"), "previous-response-id"),
        ("conversation", json!({"id": "conv_0"}), "conversation"),
        ("store", json!(true), "store"),
    ] {
        let body = with(json!({"model": GPT, "input": "hi"}), json!({member: value}));
        let reply = post(&three.gateway, "/v1/responses", &[], &body).await;
        assert_eq!(reply.expect(200).header("x-cache"), format!("bypass; reason={why}"));
    }
    three.anthropic.always(reply::json(json!({"input_tokens": 3})));
    let count = post(&three.gateway, "/v1/messages/count_tokens", &[], &ask(CLAUDE)).await;
    assert_eq!(count.expect(200).header("x-cache"), "bypass; reason=endpoint");
    let raw = client::send(three.gateway.address, "GET", "/openai/files", &[], b"").await;
    assert_eq!((raw.expect(200).head.header("x-cache"), entries(&three.gateway).await), (None, 1));
}

#[tokio::test]
async fn a_client_says_what_it_takes() {
    let three = three("").await;
    let control = |directives: &'static str| [("cache-control", directives)];
    let next = |words: &str| three.once(GPT, words, false);
    next("never kept");
    assert_eq!(said(&three.gateway, &control("no-store"), &ask(GPT)).await, "bypass; reason=no-store");
    next("first");
    assert_eq!(said(&three.gateway, &control("max-age=60"), &ask(GPT)).await, "miss");
    assert!(said(&three.gateway, &control("max-age=60"), &ask(GPT)).await.starts_with("hit-exact"));
    next("not kept either");
    assert_eq!(said(&three.gateway, &control("no-store"), &ask(GPT)).await, "bypass; reason=no-store");
    assert_eq!(chat(&three.gateway, &ask(GPT)).await.content(), "first");
    // Not read, but kept in place of the other.
    next("second");
    assert_eq!(said(&three.gateway, &control("no-cache"), &ask(GPT)).await, "bypass; reason=no-cache");
    assert_eq!(chat(&three.gateway, &ask(GPT)).await.content(), "second");
    next("third");
    assert_eq!(said(&three.gateway, &control("max-age=0"), &ask(GPT)).await, "miss");
    let again = chat(&three.gateway, &ask(GPT)).await;
    assert!(is_hit(&again) && again.content() == "third");
}

#[tokio::test]
async fn an_answer_is_given_for_as_long_as_it_is_young() {
    let openai = Provider::start().await;
    openai.always(reply::json(native::openai("anew")));
    let gateway = Gateway::start(Config::new().provider("openai", &openai).top("semantic_cache: { ttl_seconds: 1 }")).await;
    assert_eq!(said(&gateway, &[], &ask(GPT)).await, "miss");
    assert_eq!(said(&gateway, &[], &ask(GPT)).await, "hit-exact; age=0");
    within("its time to be over", async { while said(&gateway, &[], &ask(GPT)).await != "miss" {} }).await;
    assert!(gateway.admin_get("/metrics").await.text().contains("heliostat_cache_evictions_total{reason=\"expired\"} 1"));
}

#[tokio::test]
async fn what_is_kept_is_bounded() {
    let openai = Provider::start().await;
    let bounds = "semantic_cache: { max_bytes: 65536, max_entry_bytes: 8192 }";
    let gateway = Gateway::start(Config::new().provider("openai", &openai).top(bounds)).await;
    for stream in [false, true] {
        let long = "x".repeat(9_000);
        openai.script([if stream { reply::events(openai_stream(&[&long])) } else { reply::json(native::openai(&long)) }]);
        let reply = gateway
            .chat_with(
                &[("x-request-id", if stream { "s" } else { "w" })],
                with(ask(GPT), json!({"stream": stream})).to_string().as_bytes(),
            )
            .await;
        assert!(reply.expect(200).text().contains(&long), "an answer that is too long to be kept is an answer all the same");
        gateway.access(if stream { "s" } else { "w" }).await;
    }
    assert_eq!(entries(&gateway).await, 0);
    openai.always(reply::json(native::openai(&"x".repeat(4_000))));
    for number in 0..40 {
        assert_eq!(said(&gateway, &[], &with(ask(GPT), json!({"seed": number}))).await, "miss");
    }
    let text = gateway.admin_get("/metrics").await.text();
    let value =
        |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).and_then(|value| value.trim().parse::<u64>().ok()).unwrap();
    assert!((4_000..=49_152).contains(&value("heliostat_cache_bytes ")), "{text}");
    assert_eq!(value("heliostat_cache_entries ") + value("heliostat_cache_evictions_total{reason=\"space\"}"), 40, "{text}");
}

#[tokio::test]
async fn a_hit_needs_no_provider() {
    let three = three("").await;
    three.once(CLAUDE, "from claude", true);
    let body = with(ask_stream(GPT), json!({"fallbacks": [CLAUDE]}));
    three.openai.always(reply::status(529));
    let first = three.gateway.stream(&body).await;
    assert_eq!((first.head.header("x-cache"), first.head.header("x-heliostat-provider")), (Some("miss"), Some("anthropic")));
    let first = first.bytes().await;
    until_entries(&three.gateway, 1).await;
    three.openai.always(Answer::Reset);
    three.anthropic.always(Answer::Reset);
    // Another request finds nobody.
    chat(&three.gateway, &with(ask(GPT), json!({"fallbacks": [CLAUDE]}))).await.expect(502);
    let again: Stream = three.gateway.stream(&body).await;
    assert_eq!((again.status, again.head.header("x-heliostat-provider"), again.attempts().len()), (200, Some("anthropic"), 0));
    assert_eq!(String::from_utf8(again.bytes().await).unwrap(), String::from_utf8(first).unwrap());
}

#[tokio::test]
async fn a_reload_keeps_what_still_holds() {
    let (old, new) = (Provider::start().await, Provider::start().await);
    old.always(reply::json(native::openai("old")));
    new.always(reply::json(native::openai("new")));
    let config = |upstream: &Provider, cache: &str| Config::new().provider("openai", upstream).top(cache).yaml();
    let gateway = Gateway::with(&config(&old, ON)).await;
    assert_eq!(said(&gateway, &[], &ask(GPT)).await, "miss");
    // Another time to live, and something of no concern.
    gateway.reload(&config(&old, "semantic_cache: { ttl_seconds: 900 }\nlimits: { images: 7 }")).await;
    assert!(said(&gateway, &[], &ask(GPT)).await.starts_with("hit-exact"));
    // The same name leads to another host.
    gateway.reload(&config(&new, ON)).await;
    assert_eq!(chat(&gateway, &ask(GPT)).await.content(), "new");
    gateway.reload(&config(&old, ON)).await;
    assert_eq!(chat(&gateway, &ask(GPT)).await.content(), "old");
    assert!(said(&gateway, &[], &ask(GPT)).await.starts_with("hit-exact"));
    // Switched off, and on again: it is empty.
    gateway.reload(&config(&old, "semantic_cache: { enabled: false }")).await;
    assert_eq!((chat(&gateway, &ask(GPT)).await.head.header("x-cache"), entries(&gateway).await), (None, 0));
    gateway.reload(&config(&old, ON)).await;
    assert_eq!(said(&gateway, &[], &ask(GPT)).await, "miss");
}

#[tokio::test]
async fn an_operator_empties_it() {
    let three = three("").await;
    three.openai.always(reply::json(native::openai("anew")));
    assert_eq!(said(&three.gateway, &[], &ask(GPT)).await, "miss");
    client::send(three.gateway.admin, "POST", "/cache/purge", &[], b"").await.expect(403);
    client::send(three.gateway.admin, "GET", "/cache/purge", CHANGE, b"").await.expect(405);
    assert!(said(&three.gateway, &[], &ask(GPT)).await.starts_with("hit-exact"));
    let purged = client::send(three.gateway.admin, "POST", "/cache/purge", CHANGE, b"").await;
    assert_eq!(purged.expect(200).json(), json!({"purged": 1}));
    assert_eq!(said(&three.gateway, &[], &ask(GPT)).await, "miss");
}

#[tokio::test]
async fn it_is_told_what_the_cache_would_say_and_nothing_counts() {
    let keys = "client_keys: [{ name: studio, value: env.KEY_A }]";
    let three = three(keys).await;
    let bearer = format!("Bearer {}", crate::support::config::secret_of("KEY_A"));
    let key = ("authorization", bearer.as_str());
    let explained = |headers: Vec<(&'static str, String)>, body: Value| {
        let gateway = &three.gateway;
        async move {
            let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).chain(CHANGE.iter().copied()).collect();
            let told = client::send(gateway.admin, "POST", "/explain", &headers, body.to_string().as_bytes()).await;
            told.expect(200).json()["cache"].as_str().unwrap_or_default().to_owned()
        }
    };
    let own = vec![("authorization", bearer.clone())];
    assert_eq!(explained(own.clone(), ask(GPT)).await, "miss");
    assert!(explained(vec![], ask(GPT)).await.contains("send its key too"));
    three.once(GPT, "hi", false);
    assert_eq!(said(&three.gateway, &[key], &ask(GPT)).await, "miss");
    assert!(explained(own.clone(), ask(GPT)).await.starts_with("hit-exact; age="));
    assert_eq!(explained(own.clone(), with(ask(GPT), json!({"store": true}))).await, "bypass; reason=store");
    assert_eq!(explained([own, vec![("cache-control", "no-cache".to_owned())]].concat(), ask(GPT)).await, "bypass; reason=no-cache");
    three.gateway.until_metrics("heliostat_cache_requests_total{endpoint=\"chat\",result=\"miss\"} 1").await;
    let text = three.gateway.admin_get("/metrics").await.text();
    assert_eq!(text.lines().filter(|line| line.starts_with("heliostat_cache_requests_total{")).count(), 1, "{text}");
}

#[tokio::test]
async fn a_hit_is_told_in_metrics_trace_and_log_and_its_tokens_are_not_counted_again() {
    let (openai, collector) = (Provider::start().await, Collector::start(Otlp::Http).await);
    let observability = format!("observability: {{ {}, prometheus_labels: [x-team] }}", collector.yaml());
    let gateway = Gateway::start(Config::new().provider("openai", &openai).top(ON).top(&observability)).await;
    openai.script([reply::json(native::openai("hi"))]);
    let team = ("x-team", "vision");
    post(&gateway, CHAT, &[("x-request-id", "walk-1"), team], &ask(GPT)).await.expect(200);
    post(&gateway, CHAT, &[("x-request-id", "walk-2"), team], &ask(GPT)).await.expect(200);
    openai.script([reply::json(native::openai("hi"))]);
    post(&gateway, CHAT, &[("x-request-id", "walk-3"), ("cache-control", "no-store"), team], &ask(GPT)).await.expect(200);

    let line = gateway.access("walk-2").await;
    assert!(line["cache"].as_str().unwrap().starts_with("hit-exact; age="), "{line}");
    assert_eq!((&line["provider"], &line["model"], &line["outcome"]), (&json!("openai"), &json!("gpt-4o"), &json!("ok")), "{line}");
    assert!(line.get("attempts").is_none() && line.get("usage").is_none() && line["own_us"].is_u64(), "{line}");
    assert_eq!(gateway.access("walk-1").await["cache"], "miss");
    assert_eq!(gateway.access("walk-3").await["cache"], "bypass; reason=no-store");

    let of = |id: &'static str| collector.trace(id);
    let (miss, hit, bypass) = (of("walk-1").await, of("walk-2").await, of("walk-3").await);
    for (trace, result, attempts) in [(&miss, "miss", 1), (&hit, "hit-exact", 0), (&bypass, "bypass", 1)] {
        assert_eq!((trace.stages(), trace.attempts().len()), (vec!["cache"], attempts), "{trace:#?}");
        let look = trace.spans.iter().find(|span| span.name == "cache").unwrap();
        assert_eq!((text(look, "heliostat.cache.result"), text(look, "x-team")), (Some(result), Some("vision")));
        assert_eq!(look.parent_span_id, trace.request().span_id);
        assert!(
            look.start_time_unix_nano >= trace.request().start_time_unix_nano
                && look.end_time_unix_nano <= trace.request().end_time_unix_nano
        );
        assert_eq!(integer(look, "heliostat.cache.age_s"), (result == "hit-exact").then_some(0));
        assert_eq!(text(look, "heliostat.cache.reason"), (result == "bypass").then_some("no-store"));
    }
    assert_eq!((text(hit.request(), "heliostat.provider"), integer(hit.request(), "gen_ai.usage.input_tokens")), (Some("openai"), None));

    let told = gateway.admin_get("/metrics").await.text();
    for line in [
        "heliostat_cache_requests_total{endpoint=\"chat\",result=\"bypass\",x_team=\"vision\"} 1",
        "heliostat_cache_requests_total{endpoint=\"chat\",result=\"hit-exact\",x_team=\"vision\"} 1",
        "heliostat_cache_requests_total{endpoint=\"chat\",result=\"miss\",x_team=\"vision\"} 1",
        "heliostat_cache_entries 1",
        "heliostat_tokens_total{client=\"\",kind=\"prompt\",model=\"gpt-4o\",provider=\"openai\",x_team=\"vision\"} 6",
        "heliostat_own_time_microseconds_count{endpoint=\"chat\",x_team=\"vision\"} 3",
    ] {
        assert!(told.contains(line), "{line} in\n{told}");
    }
    let counted = told.lines().filter(|line| line.starts_with("gen_ai_client_token_usage_count")).map(|line| line.rsplit(' ').next());
    assert!(counted.clone().count() == 2 && counted.flatten().all(|count| count == "2"), "{told}");
}
