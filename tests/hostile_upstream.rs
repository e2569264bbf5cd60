//! Upstreams that misbehave in ways no documentation promises: the client gets a sane answer, operators get sane lines, and no secret gets out.

use std::time::Duration;

use crate::support::config::secret_of;
use crate::support::native::{
    anthropic_closing, anthropic_opening, anthropic_text, chunk, chunk_text, data_of, is_done, openai_stream, text_of,
};
use crate::support::reply::{End, Reply};
use crate::support::{Config, Gateway, Provider, ask, ask_stream, client, json, native, reply, with};

const GPT: &str = "openai/gpt-4o";
const CLAUDE: &str = "anthropic/claude-sonnet-4-5";

async fn two_with(more: impl FnOnce(Config) -> Config) -> (Provider, Provider, Gateway) {
    let (openai, anthropic) = (Provider::start().await, Provider::start().await);
    let gateway = Gateway::start(more(Config::new().provider("openai", &openai).provider("anthropic", &anthropic))).await;
    (openai, anthropic, gateway)
}

async fn two() -> (Provider, Provider, Gateway) {
    two_with(|config| config).await
}

/// The next request is answered with these bytes and nothing else.
async fn answer_raw(provider: &Provider, bytes: &[u8]) {
    let mut connection = provider.next_request().await.into_connection();
    let _ = connection.write(bytes).await;
}

#[tokio::test]
async fn answers_that_are_none_are_502_in_openais_shape() {
    let (openai, _anthropic, gateway) = two().await;
    for raw in [
        "HTTP/1.1 302 Found\r\nlocation: http://elsewhere.test/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nconnection: close\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n",
        "HTTP/1.1 099 Odd\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 999 Odd\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}",
        "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 15\r\nconnection: close\r\n\r\n<html>hi</html>",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}",
        "\0\x01garbage\r\n\r\n",
    ] {
        let body = ask(GPT);
        let (reply, ()) = tokio::join!(gateway.chat(&body), answer_raw(&openai, raw.as_bytes()));
        assert!(!reply.expect(502).error().is_empty(), "{raw}");
        assert!(reply.head.header("server").is_none() && reply.head.header("location").is_none(), "{raw}: {:?}", reply.head);
    }
}

#[tokio::test]
async fn interim_answers_are_passed_over() {
    let (openai, _anthropic, gateway) = two().await;
    let body = native::openai("after all").to_string();
    let length = body.len();
    let raw = format!(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    let asked = ask(GPT);
    let (reply, ()) = tokio::join!(gateway.chat(&asked), answer_raw(&openai, raw.as_bytes()));
    assert_eq!(reply.expect(200).content(), "after all");
}

#[tokio::test]
async fn a_stale_connection_does_not_count_as_an_attempt() {
    let (openai, _anthropic, gateway) = two().await;
    let body = ask(GPT);
    let (first, ()) =
        tokio::join!(gateway.chat(&body), async { openai.next_request().await.respond_json(200, &native::openai("one")).await });
    first.expect(200);
    let second = async {
        openai.next_request().await.cut();
        openai.next_request().await.respond(429, &[("retry-after", "7")], "{\"error\":{\"message\":\"as it is\"}}").await;
    };
    let (reply, ()) = tokio::join!(gateway.chat(&body), second);
    assert_eq!((reply.expect(429).header("retry-after"), reply.text().as_str()), ("7", "{\"error\":{\"message\":\"as it is\"}}"));
    assert_eq!(reply.attempts(), ["openai/gpt-4o#OPENAI_API_KEY;stale_connection", "openai/gpt-4o#OPENAI_API_KEY;429"]);
}

/// An error that repeats our key, tries to write log lines of its own, and quotes the prompt.
fn leak(provider: &str, status: u16) -> Reply {
    let key = secret_of(provider);
    let message = format!("bad \u{1b}[31m\n[2026-01-01 ERROR] forged {key} {}", "x".repeat(9_000));
    reply::status_json(status, json!({"error": {"message": message, "type": "invalid_request_error", "code": key, "param": key}}))
}

#[tokio::test]
async fn no_error_tells_a_key_or_forges_a_line_or_grows_without_bound() {
    for status in [400, 401, 429, 500] {
        let (openai, anthropic, gateway) = two().await;
        openai.always(leak("OPENAI_API_KEY", status));
        anthropic.always(leak("ANTHROPIC_API_KEY", status));
        for (model, fallbacks) in [(GPT, json!([])), (CLAUDE, json!([])), (GPT, json!([CLAUDE]))] {
            let body = with(ask(model), json!({"fallbacks": fallbacks})).to_string();
            let reply = gateway.chat_with(&[("x-request-id", "leak-1")], body.as_bytes()).await;
            gateway.access("leak-1").await;
            assert!(reply.status >= 400);
            assert!(!reply.text().contains("sk-secret") && !format!("{:?}", reply.head).contains("sk-secret"), "{status} {}", reply.text());
            let same_dialect = reply.text().contains("invalid_request_error") && reply.text().contains("\\u001b");
            assert!(same_dialect || reply.body.len() < 4_000, "{status} {model}: {} bytes", reply.body.len());
        }
        let log = gateway.log();
        assert!(!log.contains("sk-secret"), "{log}");
        assert!(!log.contains('\u{1b}') && !log.lines().any(|line| line.trim_start().starts_with("[2026-01-01")), "{log}");
        assert!(log.lines().all(|line| line.len() < 2_000), "{log}");
    }
}

#[tokio::test]
async fn what_a_provider_says_of_a_wrong_request_is_not_logged() {
    let (openai, anthropic, gateway) = two().await;
    let message = "messages[0]: \"very private prompt\" is too long";
    let quote = |kind: &str| json!({"type": "error", "error": {"message": message, "type": kind, "code": kind, "param": null}});
    openai.always(reply::status_json(400, quote("string_too_long")));
    anthropic.always(reply::status_json(400, quote("invalid_request_error")));
    for (id, model) in [("quote-1", GPT), ("quote-2", CLAUDE)] {
        let reply = gateway.chat_with(&[("x-request-id", id)], ask(model).to_string().as_bytes()).await;
        assert!(reply.expect(400).error().contains("very private prompt"), "the client may read its own words");
        gateway.access(id).await;
        gateway.log_line(&format!("{id} ended with 400")).await;
    }
    assert!(!gateway.log().contains("private"), "{}", gateway.log());
}

#[tokio::test]
async fn an_error_in_a_translated_stream_tells_no_key() {
    let (_openai, anthropic, gateway) = two().await;
    let error = json!({"type": "error", "error": {"type": "api_error", "message": format!("key {}", secret_of("ANTHROPIC_API_KEY"))}});
    for events in [vec![native::named(error.clone())], [anthropic_opening(), vec![anthropic_text("x"), native::named(error)]].concat()] {
        anthropic.script([reply::events(events)]);
        let body = ask_stream(CLAUDE);
        let bytes = gateway.stream_with(&[("x-request-id", "stream-leak")], &body).await.bytes().await;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        assert!(text.contains("[redacted]") && !text.contains("sk-secret"), "{text}");
        gateway.access("stream-leak").await;
        assert!(!gateway.log().contains("sk-secret"), "{}", gateway.log());
    }
}

#[tokio::test]
async fn comments_and_empty_deltas_do_not_keep_a_stalled_stream_alive() {
    let empty = chunk(json!({"content": ""}), None);
    let ping = native::named(json!({"type": "ping"}));
    for (model, opening, noise) in [
        (GPT, vec![chunk_text("one")], ": keep-alive\n\n".to_owned()),
        (GPT, vec![chunk_text("one")], empty),
        (CLAUDE, [anthropic_opening(), vec![anthropic_text("one")]].concat(), ping),
        (CLAUDE, [anthropic_opening(), vec![anthropic_text("one")]].concat(), anthropic_text("")),
    ] {
        let (openai, anthropic, gateway) = two_with(|config| config.top("network: { timeouts: { stall_ms: 400 } }")).await;
        let provider = if model == GPT { &openai } else { &anthropic };
        let body = ask_stream(model);
        let client = async { gateway.stream(&body).await.rest().await };
        let upstream = async {
            let mut stream = provider.next_request().await.stream().await;
            for event in &opening {
                stream.event(event).await;
            }
            let mut beat = tokio::time::interval(Duration::from_millis(50));
            let noise = async {
                loop {
                    beat.tick().await;
                    stream.event(&noise).await;
                }
            };
            // The fake talks on: the gateway alone may end this.
            tokio::select! { () = noise => {}, () = tokio::time::sleep(Duration::from_secs(3)) => {} }
            stream.closed().await;
        };
        let (seen, ()) = tokio::join!(client, upstream);
        assert_eq!((text_of(&seen).as_str(), is_done(&seen)), ("one", false), "{noise}");
        assert!(data_of(&seen).iter().any(|data| data["error"]["code"] == "stream_stalled"), "{noise}: {seen:?}");
    }
}

#[tokio::test]
async fn content_now_and_then_keeps_a_stream_alive_however_short_the_clock() {
    for model in [GPT, CLAUDE] {
        let (openai, anthropic, gateway) = two_with(|config| config.top("network: { timeouts: { stall_ms: 400 } }")).await;
        let (provider, opening, word, closing) = match model {
            GPT => (&openai, Vec::new(), chunk_text("x"), openai_stream(&[]).split_off(1)),
            _ => (&anthropic, anthropic_opening(), anthropic_text("x"), anthropic_closing("end_turn")),
        };
        let body = ask_stream(model);
        let client = async { gateway.stream(&body).await.rest().await };
        let upstream = async {
            let mut stream = provider.next_request().await.stream().await;
            for event in &opening {
                stream.event(event).await;
            }
            // Longer than the clock as a whole, never for one pause.
            for _ in 0..16 {
                stream.event(&word).await;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            for event in &closing {
                stream.event(event).await;
            }
            stream.end().await;
        };
        let (seen, ()) = tokio::join!(client, upstream);
        assert_eq!((text_of(&seen), is_done(&seen)), ("x".repeat(16), true), "{model}: {seen:?}");
    }
}

#[tokio::test]
async fn an_account_that_is_not_paid_rests_over_a_reload() {
    let (openai, anthropic, _) = (Provider::start().await, Provider::start().await, ());
    let config = Config::new().provider("openai", &openai).provider("anthropic", &anthropic);
    let gateway = Gateway::start(config.clone()).await;
    openai.script([reply::status(402)]);
    anthropic.always(reply::json(native::anthropic("from claude")));
    let body = with(ask(GPT), json!({"fallbacks": [CLAUDE]}));
    let reply = gateway.chat(&body).await;
    assert_eq!(reply.expect(200).attempts(), ["openai/gpt-4o#OPENAI_API_KEY;402", "anthropic/claude-sonnet-4-5#ANTHROPIC_API_KEY;200"]);
    for _ in 0..2 {
        // The fake at OpenAI fails the test if it is asked again: ten minutes are not over.
        assert_eq!(gateway.chat(&body).await.expect(200).content(), "from claude");
        gateway.reload(&config.yaml()).await;
    }
    assert_eq!(openai.received().len(), 1);
    // Nobody else is left: it is said so, and not tried.
    gateway.chat(&with(ask(GPT), json!({"fallbacks": []}))).await.expect(502).error();
}

#[tokio::test]
async fn the_callers_own_limit_for_the_first_content_moves_on() {
    let (openai, anthropic, gateway) = two().await;
    anthropic.always(reply::events(native::anthropic_stream(&["ok"])));
    let body = with(ask_stream(GPT), json!({"fallbacks": [CLAUDE]}));
    for silent in [Reply::Hang, reply::ending([chunk(json!({"role": "assistant"}), None)], End::Stall)] {
        openai.script([silent]);
        let mut stream = gateway.stream_with(&[("x-heliostat-first-content-ms", "250")], &body).await;
        assert_eq!((stream.status, stream.attempts().len()), (200, 2));
        assert_eq!(text_of(&stream.rest().await), "ok");
    }
    for odd in ["0", "-1", "soon", "99999999999"] {
        let reply = gateway.chat_with(&[("x-heliostat-first-content-ms", odd)], body.to_string().as_bytes()).await;
        assert!(reply.expect(400).error().contains("x-heliostat-first-content-ms"), "{odd}");
    }
}

#[tokio::test]
async fn losses_of_a_streamed_reply_are_a_comment_before_the_end_and_stand_in_the_log() {
    let (_openai, anthropic, gateway) = two().await;
    let citation = native::named(
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "citations_delta", "citation": {"cited_text": "x"}}}),
    );
    let events = [anthropic_opening(), vec![anthropic_text("x"), citation.clone(), citation], anthropic_closing("end_turn")].concat();
    anthropic.script([reply::events(events)]);
    let body = with(ask_stream(CLAUDE), json!({"logit_bias": {"1": 1}}));
    let mut stream = gateway.stream_with(&[("x-request-id", "loss-1")], &body).await;
    assert_eq!(stream.head.header("x-heliostat-loss"), Some("logit_bias"), "the request's alone");
    let seen = stream.rest().await;
    let comment = seen.iter().position(|event| event == ": heliostat-loss [\"content[0].citations\"]");
    assert!(comment.is_some_and(|at| at + 2 >= seen.len()) && is_done(&seen), "{seen:?}");
    let line = gateway.access("loss-1").await;
    assert_eq!(line["losses"], json!(["dropped logit_bias", "dropped content[0].citations"]), "{line}");
}

#[tokio::test]
async fn losses_of_a_candidate_that_did_not_serve_are_not_told() {
    let (openai, anthropic, gateway) = two().await;
    anthropic.always(reply::status(529));
    openai.script([reply::json(native::openai("ok"))]);
    let lossy = with(ask(CLAUDE), json!({"logit_bias": {"1": 1}, "fallbacks": [GPT]}));
    let reply = gateway.chat_with(&[("x-request-id", "unlost-1")], lossy.to_string().as_bytes()).await;
    assert_eq!((reply.expect(200).content().as_str(), reply.head.header("x-heliostat-loss")), ("ok", None));
    assert!(gateway.access("unlost-1").await.get("losses").is_none());
    let alone = with(lossy, json!({"fallbacks": []}));
    let reply = gateway.chat(&alone).await;
    assert!(reply.status >= 500 && reply.head.header("x-heliostat-loss").is_none(), "{:?}", reply.head);
}

#[tokio::test]
async fn a_client_that_leaves_before_a_plain_answer_frees_the_upstream_at_once() {
    let (openai, anthropic, gateway) = two().await;
    for (model, provider) in [(GPT, &openai), (CLAUDE, &anthropic)] {
        let body = with(ask(model), json!({"fallbacks": [GPT, CLAUDE]})).to_string();
        let mut client = client::connect(gateway.address).await;
        let headers = [("x-request-id", "gone-1")];
        client.write(&client::request("POST", "/v1/chat/completions", &headers, body.as_bytes())).await.unwrap();
        let request = provider.next_request().await;
        drop(client);
        request.closed().await;
        let line = gateway.access("gone-1").await;
        assert_eq!((&line["status"], &line["outcome"]), (&json!(499), &json!("client_gone")), "{line}");
    }
    // The fakes fail the test if anybody else was asked.
}

#[tokio::test]
async fn a_client_that_leaves_within_a_plain_answer_frees_the_upstream_too() {
    let (openai, _anthropic, gateway) = two().await;
    let body = ask(GPT).to_string();
    let mut client = client::connect(gateway.address).await;
    client.write(&client::request("POST", "/v1/chat/completions", &[], body.as_bytes())).await.unwrap();
    let mut answer = openai.next_request().await.stream_with(200, &[("content-type", "application/json")]).await;
    answer.chunk(b"{\"choices\":").await;
    drop(client);
    answer.closed().await;
}

#[tokio::test]
async fn an_odd_head_disturbs_nobody() {
    let (openai, _anthropic, gateway) = two().await;
    let body = native::openai("ok");
    openai.script([
        reply::json(body.clone())
            .header("content-type", "text/plain")
            .header("x-request-id", &"a".repeat(5_000))
            .header("retry-after", "0"),
        reply::json(body.clone()).header("set-cookie", "a=b").header("x-ratelimit-remaining-requests", "1\u{e9}"),
        reply::json(body),
    ]);
    for _ in 0..3 {
        let reply = gateway.chat(&ask(GPT)).await;
        assert_eq!(reply.expect(200).content(), "ok");
        assert!(reply.head.headers.iter().all(|(name, value)| name != "set-cookie" && value.len() < 1_100), "{:?}", reply.head);
    }
}

#[tokio::test]
async fn a_long_plain_answer_passes_whole_and_a_broken_one_never_looks_whole() {
    let (openai, _anthropic, gateway) = two().await;
    let long = native::openai(&"x".repeat(3 << 20)).to_string();
    let body = ask(GPT);
    let (reply, ()) = tokio::join!(gateway.chat(&body), async { openai.next_request().await.respond(200, &[], &long).await });
    assert!(reply.expect(200).text() == long);
    let upstream = async {
        let mut answer = openai.next_request().await.stream_with(200, &[("content-type", "application/json")]).await;
        answer.chunk(&long.as_bytes()[..2 << 20]).await;
        answer.cut();
    };
    let client = async { gateway.stream(&body).await.try_event().await };
    let (seen, ()) = tokio::join!(client, upstream);
    assert!(seen.is_err(), "the end of what came looks like the end of the answer");
}
