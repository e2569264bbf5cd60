//! Upstreams that play tricks with the wire itself: odd line ends, floods, answers nobody asked for, the end of a connection at the worst
//! moment. Whatever they do, the failover fires, and no client gets an answer twice, or another's.

use std::time::{Duration, Instant};

use crate::support::h2::H2Provider;
use crate::support::http::{self, Connection};
use crate::support::native::{anthropic_error, anthropic_stream, data_of, is_done, openai_stream, text_of};
use crate::support::stage::{Stage, Step, Version};
use crate::support::{Config, Gateway, Provider, Value, ask, ask_stream, json, native, reply, with};

const GPT: &str = "openai/gpt-4o";
const CLAUDE: &str = "anthropic/claude-sonnet-4-5";

/// OpenAI and Claude, who both fall back to `next`.
struct World {
    openai: Provider,
    anthropic: Provider,
    next: Provider,
    gateway: Gateway,
}

async fn world() -> World {
    let [openai, anthropic, next] = [Provider::start().await, Provider::start().await, Provider::start().await];
    let config = Config::new().provider("openai", &openai).provider("anthropic", &anthropic);
    let config = config.provider("other", &next).line("other", "dialect: openai");
    World { openai, anthropic, next, gateway: Gateway::start(config).await }
}

impl World {
    fn of(&self, model: &str) -> &Provider {
        if model == GPT { &self.openai } else { &self.anthropic }
    }
}

fn or_next(body: Value) -> Value {
    with(body, json!({"fallbacks": ["other/m"]}))
}

/// The same stream with other line ends.
fn with_ends(events: &[String], end: &str, mark: &str) -> Vec<u8> {
    let text = events.concat().replace("\r\n", "\n");
    format!("{mark}{}", text.replace('\n', end)).into_bytes()
}

#[tokio::test]
async fn any_line_end_and_a_byte_order_mark_are_read() {
    let error = format!("data: {}\n\n", json!({"error": {"message": "overloaded", "type": "server_error", "code": null}}));
    for end in ["\n", "\r\n", "\r"] {
        for mark in ["", "\u{feff}"] {
            let world = world().await;
            world.next.always(reply::events(openai_stream(&["from the next"])));
            for (model, good, bad) in
                [(GPT, openai_stream(&["good"]), error.clone()), (CLAUDE, anthropic_stream(&["good"]), anthropic_error("overloaded_error"))]
            {
                // Byte by byte, so that each line end is met in the middle.
                let good: Vec<_> = with_ends(&good, end, mark).chunks(1).map(<[u8]>::to_vec).collect();
                world.of(model).script([reply::events(good), reply::events([with_ends(&[bad], end, mark)])]);
                let body = or_next(ask_stream(model));
                let text = String::from_utf8(world.gateway.stream(&body).await.bytes().await).unwrap();
                assert!(text.contains("good") && text.contains("[DONE]"), "{model} {end:?} {mark:?}: {text}");
                let mut left = world.gateway.stream(&body).await;
                assert_eq!(text_of(&left.rest().await), "from the next", "{model} {end:?} {mark:?}: {:?}", left.attempts());
            }
        }
    }
}

#[tokio::test]
async fn an_error_in_place_of_a_stream_is_one_whatever_its_type_says() {
    let errors = [
        (GPT, json!({"error": {"message": "down", "type": "server_error", "code": 503}})),
        (CLAUDE, json!({"type": "error", "error": {"type": "api_error", "message": "down"}})),
    ];
    for media_type in ["application/json", "application/json; charset=utf-8", "text/event-stream", "text/html", "text/plain"] {
        for (model, error) in &errors {
            let world = world().await;
            world.of(model).script([reply::bytes(200, media_type, error.to_string())]);
            world.next.always(reply::events(openai_stream(&["from the next"])));
            let mut stream = world.gateway.stream(&or_next(ask_stream(model))).await;
            assert_eq!(text_of(&stream.rest().await), "from the next", "{model} {media_type}: {:?}", stream.attempts());
        }
    }
}

#[tokio::test]
async fn an_error_status_counts_though_its_body_cannot_be_read() {
    for coding in ["zstd", "gzip", "br, gzip"] {
        let world = world().await;
        world
            .openai
            .script([reply::bytes(429, "application/json", "\u{1}\u{2}").header("content-encoding", coding).header("retry-after", "40")]);
        world.next.always(reply::json(native::openai("from the next")));
        let body = or_next(ask(GPT));
        assert_eq!(world.gateway.chat(&body).await.expect(200).attempts()[0], "openai/gpt-4o#OPENAI_API_KEY;429", "{coding}");
        assert_eq!(world.gateway.chat(&body).await.attempts(), ["other/m#OTHER_API_KEY;200"], "{coding}: the key rests");
    }
}

#[tokio::test]
async fn a_trailer_ends_an_answer_and_its_connection_serves_the_next() {
    let (openai, gateway) = alone().await;
    for round in 0..3 {
        let events = openai_stream(&["good"]).concat();
        let chunk = String::from_utf8(http::chunk(events.as_bytes())).unwrap();
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\ntrailer: x-checksum\r\n\r\n";
        let raw = format!("{head}{chunk}0\r\nx-checksum: 1\r\nset-cookie: a=b\r\n\r\n");
        let body = ask_stream(GPT);
        let (mut stream, connection) = tokio::join!(gateway.stream(&body), answer(&openai, &raw));
        assert!(is_done(&stream.rest().await), "{round}");
        openai.carry_on(connection);
    }
    assert_eq!(openai.connections(), 1);
}

async fn alone() -> (Provider, Gateway) {
    let openai = Provider::start().await;
    let gateway = Gateway::start(Config::new().provider("openai", &openai)).await;
    (openai, gateway)
}

/// Answers the next request with these bytes, and keeps the connection.
async fn answer(provider: &Provider, raw: &str) -> Connection {
    let mut connection = provider.next_request().await.into_connection();
    connection.write(raw.as_bytes()).await.unwrap();
    connection
}

#[tokio::test]
async fn an_answer_nobody_asked_for_reaches_nobody() {
    let whole = |text: &str| {
        let body = native::openai(text).to_string();
        format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    };
    let idle = "HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_owned();
    for (extra, later) in [(whole("stolen"), false), (whole("stolen"), true), (idle, true), ("x".to_owned(), true)] {
        let (openai, gateway) = alone().await;
        let body = ask(GPT);
        let first = if later { whole("mine") } else { whole("mine") + &extra };
        let (reply, mut connection) = tokio::join!(gateway.chat(&body), answer(&openai, &first));
        assert_eq!(reply.expect(200).content(), "mine");
        if later {
            let _ = connection.write(extra.as_bytes()).await;
        }
        openai.script([reply::json(native::openai("mine too"))]);
        let second = gateway.chat(&body).await;
        assert_eq!(second.expect(200).content(), "mine too", "later: {later}, {extra} {:?}", second.attempts());
        assert_eq!((second.attempts().len(), openai.connections()), (1, 2), "on a connection of its own");
        drop(connection);
    }
}

/// Again and again, as fast as the gateway reads.
async fn flood(first: Vec<Step>, bytes: &str) -> Stage {
    let steps = [first, vec![Step::Repeat(bytes.repeat(64 * 1024 / bytes.len()).into(), Duration::ZERO)]].concat();
    Stage::start(Version::One, steps).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_stops_no_clock() {
    let head = || vec![Step::Head, Step::Body];
    let stream = || [head(), vec![Step::Answer(200, vec![("content-type", "text/event-stream".into())])]].concat();
    let plain = || [head(), vec![Step::Answer(200, vec![("content-type", "application/json".into())])]].concat();
    let ping = native::named(json!({"type": "ping"}));
    let cases = [
        ("interim answers", "openai", ask(GPT), head(), "HTTP/1.1 100 Continue\r\n\r\n"),
        ("comments to be translated", "anthropic", ask_stream(CLAUDE), stream(), ": hello\n\n"),
        ("pings", "anthropic", ask_stream(CLAUDE), stream(), &ping),
        ("a line without an end", "anthropic", ask_stream(CLAUDE), stream(), "data: x"),
        ("blanks", "openai", ask(GPT), plain(), "\n"),
        ("blanks to be translated", "anthropic", ask(CLAUDE), plain(), "\n"),
    ];
    for (name, provider, body, first, bytes) in cases {
        let stage = flood(first, bytes).await;
        let next = Provider::start().await;
        let streams = body["stream"] == true;
        next.always(if streams { reply::events(openai_stream(&["from the next"])) } else { reply::json(native::openai("from the next")) });
        let config = Config::new().at(provider, &format!("http://{}", stage.address)).provider("other", &next);
        let config = config.line("other", "dialect: openai").timeouts(provider, "header_ms: 700, first_content_ms: 700, stall_ms: 700");
        let gateway = Gateway::start(config).await;
        let began = Instant::now();
        let headers = [("x-heliostat-timeout-ms", "3000")];
        let reply = tokio::time::timeout(Duration::from_secs(8), gateway.chat_with(&headers, or_next(body).to_string().as_bytes())).await;
        let reply = reply.unwrap_or_else(|_| panic!("{name}: it goes on for ever"));
        assert!(reply.expect(200).text().contains("from the next"), "{name}: {:?}", reply.attempts());
        assert!(began.elapsed() < Duration::from_secs(4), "{name}: {:?} {:?}", began.elapsed(), reply.attempts());
        assert!(gateway.resident_bytes() < 400 << 20, "{name}: {} bytes", gateway.resident_bytes());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_after_content_ends_as_a_stall() {
    for (provider, model, opening) in [("openai", GPT, native::chunk_text("one")), ("anthropic", CLAUDE, anthropic_begun())] {
        let answer = Step::Answer(200, vec![("content-type", "text/event-stream".into())]);
        let stage = flood(vec![Step::Head, Step::Body, answer, Step::Data(opening.into())], ": hello\n\n").await;
        let config = Config::new().at(provider, &format!("http://{}", stage.address)).timeouts(provider, "stall_ms: 700");
        let gateway = Gateway::start(config).await;
        let body = ask_stream(model);
        let told = async { gateway.stream(&body).await.bytes().await };
        let told = tokio::time::timeout(Duration::from_secs(8), told).await.unwrap_or_else(|_| panic!("{model}: it goes on for ever"));
        assert!(String::from_utf8_lossy(&told).contains("stream_stalled"), "{model}");
    }
}

fn anthropic_begun() -> String {
    native::anthropic_opening().concat() + &native::anthropic_text("one")
}

#[tokio::test]
async fn a_stream_refused_after_it_began_is_not_sent_again() {
    let upstream = H2Provider::start(100).await;
    let config = Config::new().at("openai", &upstream.url()).line("openai", "http2: true");
    let gateway = Gateway::start(config).await;
    let body = ask_stream(GPT);
    let provider = async {
        let mut events = upstream.next().await.events();
        events.event(&native::chunk_text("one"));
        events
    };
    let (mut stream, events) = tokio::join!(gateway.stream(&body), provider);
    assert_eq!(text_of(&[stream.event().await.unwrap()]), "one");
    events.refuse();
    let rest = stream.rest().await;
    assert!(data_of(&rest).iter().any(|data| data["error"]["code"] == "stream_truncated") && !is_done(&rest), "{rest:?}");
    upstream.nobody().await;
}

#[tokio::test]
async fn waits_that_make_no_sense_neither_hammer_nor_lock_out() {
    // What is no wait is guessed, and with nobody else left tried once more by one request; what is too long is cut.
    for (wait, second) in
        [("0", 200), ("-5", 200), ("Thu, 01 Jan 1970 00:00:00 GMT", 200), ("soon", 200), ("1000000000000", 429), ("1e300", 429)]
    {
        let (openai, gateway) = alone().await;
        openai.script([reply::status(429).header("retry-after", wait)]);
        gateway.chat(&ask(GPT)).await.expect(429);
        openai.always(reply::json(native::openai("well")));
        let reply = gateway.chat_with(&[("x-heliostat-timeout-ms", "4000")], ask(GPT).to_string().as_bytes()).await;
        assert_eq!(reply.status, second, "{wait}: {}", reply.text());
        if second == 429 {
            let told: u64 = reply.header("retry-after").parse().unwrap();
            assert!((3_500..=3_600).contains(&told), "{wait}: {told}");
        }
    }
}

#[tokio::test]
async fn a_key_removed_by_a_reload_finishes_what_it_began_and_gets_nothing_more() {
    let (a, b) = (Provider::start().await, Provider::start().await);
    let key = |name: &str, provider: &Provider, weight: &str| {
        format!("{{ value: env.{name}, base_url: \"{}\", weight: {weight} }}", provider.url())
    };
    let (first, second) = (key("KEY_A", &a, "1.0"), key("KEY_B", &b, "0.000001"));
    let config = Config::new().provider("openai", &a);
    let both = config.clone().keys("openai", &format!("[{first}, {second}]"));
    let without = config.keys("openai", &format!("[{}]", key("KEY_B", &b, "1.0")));
    for (status, wanted) in [(200, "from a"), (429, "from b"), (500, "from b")] {
        let gateway = Gateway::start(both.clone()).await;
        a.stepwise();
        b.always(reply::json(native::openai("from b")));
        let body = ask(GPT);
        let upstream = async {
            let request = a.next_request().await;
            gateway.reload(&without.yaml()).await;
            request.respond_json(status, &if status == 200 { native::openai("from a") } else { json!({"error": {"message": "no"}}) }).await;
        };
        let (reply, ()) = tokio::join!(gateway.chat(&body), upstream);
        assert_eq!(reply.expect(200).content(), wanted, "{:?}", reply.attempts());
        assert_eq!(gateway.chat(&body).await.expect(200).attempts(), ["openai/gpt-4o#KEY_B;200"]);
    }
}
