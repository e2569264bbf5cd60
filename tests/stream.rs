//! Streams: untouched in the same dialect, chunks in another, and honest about how they end.

use crate::support::native::{
    anthropic_closing, anthropic_error, anthropic_opening, anthropic_stream, anthropic_text, chunk, chunk_text, data_of, gemini_stream,
    gemini_text, is_done, openai_stream, text_of,
};
use crate::support::provider::{Request, Stream as Upstream};
use crate::support::reply::End;
use crate::support::{Config, Gateway, Provider, Value, ask_stream, json, native, reply, with};

const GPT: &str = "openai/gpt-4o";
const CLAUDE: &str = "anthropic/claude-sonnet-4-5";
const FLASH: &str = "gemini/gemini-2.5-flash";

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
    /// All events the client sees when the provider of `model` says `events`.
    async fn tell<T: AsRef<[u8]>>(&self, model: &str, events: impl IntoIterator<Item = T>, end: End) -> Vec<String> {
        self.provider(model).script([reply::ending(events, end)]);
        self.gateway.stream(&ask_stream(model)).await.rest().await
    }

    fn provider(&self, model: &str) -> &Provider {
        match model {
            GPT => &self.openai,
            CLAUDE => &self.anthropic,
            _ => &self.gemini,
        }
    }

    /// A client and an upstream in the middle of a stream, after `events`.
    async fn under_way(&self, model: &str, events: &[String]) -> (crate::support::client::Stream, Upstream) {
        let body = ask_stream(model);
        let client = self.gateway.stream(&body);
        let upstream = async {
            let mut upstream = self.provider(model).next_request().await.stream().await;
            for event in events {
                upstream.event(event).await;
            }
            upstream
        };
        tokio::join!(client, upstream)
    }
}

fn beginning(model: &str) -> Vec<String> {
    match model {
        GPT => vec![chunk(json!({"role": "assistant", "content": ""}), None), chunk_text("one")],
        CLAUDE => [anthropic_opening(), vec![anthropic_text("one")]].concat(),
        _ => vec![gemini_text("one", None)],
    }
}

fn word(model: &str, text: &str) -> String {
    match model {
        GPT => chunk_text(text),
        CLAUDE => anthropic_text(text),
        _ => gemini_text(text, None),
    }
}

fn error_of(events: &[String]) -> Value {
    data_of(events).into_iter().find(|d| d.get("error").is_some()).unwrap_or_else(|| panic!("no error event in {events:?}"))["error"]
        .clone()
}

#[tokio::test]
async fn the_same_dialect_streams_untouched_bytes() {
    let three = three().await;
    let odd = ": hello\r\n\r\nevent: x\r\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}],  \"new\":1e400}\r\n\r\nid: 7\nretry: 10\ndata: \
               {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n: bye\n\ndata: [DONE]\n\n";
    three.openai.script([reply::ending([odd], End::Properly)]);
    let stream = three.gateway.stream(&ask_stream(GPT)).await;
    assert_eq!((stream.status, stream.head.header("content-type")), (200, Some("text/event-stream")));
    assert_eq!(String::from_utf8_lossy(&stream.bytes().await), odd);
}

#[tokio::test]
async fn other_dialects_stream_as_openai_chunks() {
    let three = three().await;
    let words = ["Hello", ", ", "h\u{e9} \u{1f600}", "!"];
    for (model, events) in [(CLAUDE, anthropic_stream(&words)), (FLASH, gemini_stream(&words))] {
        let seen = three.tell(model, events, End::Properly).await;
        assert_eq!(text_of(&seen), words.concat(), "{model}");
        assert!(is_done(&seen), "{model}: {seen:?}");
        let chunks = data_of(&seen);
        assert!(chunks.iter().all(|c| c["object"] == "chat.completion.chunk" && c["id"] == chunks[0]["id"]), "{chunks:?}");
        let reasons: Vec<_> = chunks.iter().filter_map(|c| c["choices"][0]["finish_reason"].as_str()).collect();
        assert_eq!(reasons, ["stop"], "{model}");
        assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant", "{model}");
        assert!(chunks.iter().all(|c| c.get("usage").is_none_or(Value::is_null)), "usage was not asked for: {chunks:?}");
    }
}

#[tokio::test]
async fn usage_comes_last_where_it_was_asked_for() {
    let three = three().await;
    for (model, events) in [(CLAUDE, anthropic_stream(&["x"])), (FLASH, gemini_stream(&["x"]))] {
        three.provider(model).script([reply::events(events)]);
        let body = with(ask_stream(model), json!({"stream_options": {"include_usage": true}}));
        let seen = three.gateway.stream(&body).await.rest().await;
        let last = data_of(&seen).pop().unwrap();
        assert_eq!(
            (&last["choices"], &last["usage"]["prompt_tokens"], &last["usage"]["completion_tokens"]),
            (&json!([]), &json!(3), &json!(2)),
            "{model}"
        );
        assert!(is_done(&seen));
    }
}

#[tokio::test]
async fn every_split_of_the_upstreams_bytes_gives_the_same_text() {
    let three = three().await;
    for (model, events) in [(CLAUDE, anthropic_stream(&["h\u{e9}", "\u{1f600}"])), (FLASH, gemini_stream(&["h\u{e9}", "\u{1f600}"]))] {
        let bytes = events.concat().into_bytes();
        for at in 1..bytes.len() {
            let (left, right) = bytes.split_at(at);
            let seen = three.tell(model, [left, right], End::Properly).await;
            assert_eq!((text_of(&seen).as_str(), is_done(&seen)), ("h\u{e9}\u{1f600}", true), "{model} split at {at}");
        }
        let seen = three.tell(model, bytes.chunks(1), End::Properly).await;
        assert_eq!((text_of(&seen).as_str(), is_done(&seen)), ("h\u{e9}\u{1f600}", true), "{model} byte by byte");
    }
}

#[tokio::test]
async fn tool_calls_stream_as_openais() {
    let three = three().await;
    let mut events = anthropic_opening();
    events.push(native::named(json!({"type": "content_block_stop", "index": 0})));
    events.push(native::named(json!({"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}})));
    for part in ["", "{\"a\":", " 1}"] {
        events.push(native::named(
            json!({"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": part}}),
        ));
    }
    events.push(native::named(json!({"type": "content_block_stop", "index": 1})));
    events.extend(anthropic_closing("tool_use").split_off(1));
    let seen = three.tell(CLAUDE, events, End::Properly).await;
    let chunks = data_of(&seen);
    let calls: Vec<_> = chunks.iter().filter_map(|c| c["choices"][0]["delta"]["tool_calls"].as_array()).flatten().collect();
    assert_eq!((&calls[0]["id"], &calls[0]["index"], &calls[0]["function"]["name"]), (&json!("toolu_1"), &json!(0), &json!("f")));
    let arguments: String = calls.iter().filter_map(|c| c["function"]["arguments"].as_str()).collect();
    assert_eq!(arguments, "{\"a\": 1}");
    assert_eq!(chunks.iter().filter_map(|c| c["choices"][0]["finish_reason"].as_str()).collect::<Vec<_>>(), ["tool_calls"]);
}

#[tokio::test]
async fn nothing_is_buffered_each_event_arrives_before_the_next_is_sent() {
    let three = three().await;
    for model in [GPT, CLAUDE, FLASH] {
        let (mut client, mut upstream) = three.under_way(model, &beginning(model)).await;
        for (now, next) in [("one", "two"), ("two", "three"), ("three", "four")] {
            let mut seen = String::new();
            while seen != now {
                seen += &text_of(&[client.event().await.expect("this word before the next is sent")]);
            }
            upstream.event(&word(model, next)).await;
        }
        client.leave();
        upstream.closed().await;
    }
}

#[tokio::test]
async fn an_error_in_the_middle_is_an_error_event_and_no_done() {
    let three = three().await;
    let trouble = [
        (GPT, "data: {\"error\":{\"message\":\"fake trouble\",\"type\":\"server_error\",\"code\":null,\"param\":null}}\n\n".to_owned()),
        (CLAUDE, anthropic_error("overloaded_error")),
        (FLASH, "data: {\"error\":{\"code\":503,\"message\":\"fake trouble\",\"status\":\"UNAVAILABLE\"}}\r\n\r\n".to_owned()),
    ];
    for (model, error) in trouble {
        let seen = three.tell(model, [beginning(model), vec![error]].concat(), End::Properly).await;
        assert_eq!(text_of(&seen), "one", "{model}");
        assert!(error_of(&seen)["message"].as_str().is_some_and(|m| m.contains("fake trouble")), "{model}: {seen:?}");
        assert!(!is_done(&seen), "{model}: {seen:?}");
    }
}

#[tokio::test]
async fn a_truncated_stream_is_an_error_whatever_way_it_breaks() {
    let three = three().await;
    for model in [GPT, CLAUDE, FLASH] {
        for end in [End::Properly, End::Cut, End::Reset] {
            let (mut client, upstream) = three.under_way(model, &beginning(model)).await;
            let mut seen = Vec::new();
            while text_of(&seen) != "one" {
                seen.push(client.event().await.expect("the text before the break"));
            }
            match end {
                End::Properly => upstream.end().await,
                End::Reset => upstream.reset(),
                _ => upstream.cut(),
            }
            seen.extend(client.rest().await);
            assert!(!is_done(&seen), "{model} {end:?}: {seen:?}");
            assert!(!error_of(&seen)["message"].as_str().unwrap_or_default().is_empty(), "{model} {end:?}");
        }
    }
}

#[tokio::test]
async fn a_stream_without_done_but_with_a_finish_reason_is_complete() {
    let three = three().await;
    let mut events = openai_stream(&["x"]);
    events.pop();
    let seen = three.tell(GPT, events, End::Properly).await;
    assert!(data_of(&seen).iter().all(|d| d.get("error").is_none()), "{seen:?}");
}

#[tokio::test]
async fn a_stall_in_the_middle_is_an_error_event() {
    for model in [GPT, CLAUDE, FLASH] {
        let upstream = Provider::start().await;
        let name = model.split('/').next().unwrap();
        let gateway = Gateway::start(Config::new().provider(name, &upstream).timeouts(name, "stall_ms: 200")).await;
        upstream.script([reply::ending(beginning(model), End::Stall)]);
        let seen = gateway.stream(&ask_stream(model)).await.rest().await;
        assert_eq!((text_of(&seen).as_str(), is_done(&seen)), ("one", false), "{model}");
        assert!(error_of(&seen)["message"].is_string());
    }
}

#[tokio::test]
async fn an_error_as_the_first_event_goes_to_the_next_provider() {
    let three = three().await;
    let first = [
        (
            GPT,
            "data: {\"error\":{\"message\":\"overloaded\",\"type\":\"server_error\",\"code\":null}}\n\n".to_owned(),
            FLASH,
            gemini_stream(&["ok"]),
        ),
        (CLAUDE, anthropic_error("overloaded_error"), GPT, openai_stream(&["ok"])),
        (
            FLASH,
            "data: {\"error\":{\"code\":503,\"message\":\"x\",\"status\":\"UNAVAILABLE\"}}\r\n\r\n".to_owned(),
            CLAUDE,
            anthropic_stream(&["ok"]),
        ),
    ];
    for (model, error, next, good) in first {
        three.provider(model).script([reply::events([error])]);
        three.provider(next).script([reply::events(good)]);
        let mut stream = three.gateway.stream(&with(ask_stream(model), json!({"fallbacks": [next]}))).await;
        assert_eq!((stream.status, stream.attempts().len()), (200, 2), "{model}: {:?}", stream.attempts());
        let seen = stream.rest().await;
        assert_eq!((text_of(&seen).as_str(), is_done(&seen)), ("ok", true), "{model}");
    }
}

#[tokio::test]
async fn an_error_after_the_role_but_before_content_goes_to_the_next_provider() {
    let three = three().await;
    three.anthropic.script([reply::events([anthropic_opening(), vec![anthropic_error("api_error")]].concat())]);
    three.openai.script([reply::events(openai_stream(&["ok"]))]);
    let mut stream = three.gateway.stream(&with(ask_stream(CLAUDE), json!({"fallbacks": [GPT]}))).await;
    let seen = stream.rest().await;
    assert_eq!((text_of(&seen).as_str(), is_done(&seen)), ("ok", true));
}

#[tokio::test]
async fn a_stream_that_ends_before_content_goes_to_the_next_provider() {
    let three = three().await;
    for end in [End::Properly, End::Cut, End::Reset] {
        three.openai.script([reply::ending([chunk(json!({"role": "assistant", "content": ""}), None)], end)]);
        three.gemini.script([reply::events(gemini_stream(&["ok"]))]);
        let seen = three.gateway.stream(&with(ask_stream(GPT), json!({"fallbacks": [FLASH]}))).await.rest().await;
        assert_eq!((text_of(&seen).as_str(), is_done(&seen)), ("ok", true), "{end:?}");
    }
}

#[tokio::test]
async fn a_client_that_leaves_frees_the_upstream_at_once() {
    let three = three().await;
    for model in [GPT, CLAUDE, FLASH] {
        let (mut client, upstream) = three.under_way(model, &beginning(model)).await;
        client.event().await;
        client.leave();
        upstream.closed().await;
    }
}

#[tokio::test]
async fn a_client_that_leaves_before_the_first_content_frees_the_upstream_and_tries_no_other() {
    let three = three().await;
    let body = with(ask_stream(GPT), json!({"fallbacks": [CLAUDE]})).to_string();
    let mut client = crate::support::client::connect(three.gateway.address).await;
    client.write(&crate::support::client::request("POST", "/v1/chat/completions", &[], body.as_bytes())).await.unwrap();
    let request: Request = three.openai.next_request().await;
    drop(client);
    request.closed().await;
    // The fake at Anthropic fails the test if it was asked.
}

#[tokio::test]
async fn a_refusal_before_the_stream_is_a_plain_json_error() {
    let three = three().await;
    three.openai.script([reply::status(400)]);
    let stream = three.gateway.stream(&ask_stream(GPT)).await;
    assert_eq!(stream.status, 400);
    let body: Value = serde_json::from_slice(&stream.bytes().await).unwrap();
    assert_eq!(body["error"]["message"], "fake 400");
}

#[tokio::test]
async fn comments_and_pings_of_the_upstream_disturb_nothing() {
    let three = three().await;
    let mut events = anthropic_stream(&["a", "b"]);
    events.insert(4, ": keep-alive\n\n".into());
    events.insert(4, native::named(json!({"type": "ping"})));
    events.insert(4, native::named(json!({"type": "brand_new_event", "x": 1})));
    let seen = three.tell(CLAUDE, events, End::Properly).await;
    assert_eq!((text_of(&seen).as_str(), is_done(&seen)), ("ab", true));
}

#[tokio::test]
async fn losses_of_a_request_stand_in_the_streams_header() {
    let three = three().await;
    three.anthropic.script([reply::events(anthropic_stream(&["x"]))]);
    let stream = three.gateway.stream(&with(ask_stream(CLAUDE), json!({"logit_bias": {"1": 2}}))).await;
    assert!(stream.head.header("x-heliostat-loss").is_some_and(|l| l.contains("logit_bias")));
    stream.bytes().await;
}

#[tokio::test]
async fn a_stream_of_many_megabytes_passes_whole() {
    let three = three().await;
    let words: Vec<String> = (0..3_000).map(|i| format!("{i:05}{}", "x".repeat(1_000))).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    for (model, events) in [(GPT, openai_stream(&words)), (CLAUDE, anthropic_stream(&words))] {
        let seen = three.tell(model, events, End::Properly).await;
        assert!(text_of(&seen) == words.concat() && is_done(&seen), "{model}");
    }
}
