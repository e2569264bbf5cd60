//! A second attempt beside one that is silent: the quicker one is delivered, the other is given up, and nothing is delivered twice.

use crate::support::collector::{Collector, Otlp, text};
use crate::support::native::{self, chunk_text, openai_stream};
use crate::support::provider::Request;
use crate::support::sample::{ask_parts, big_png, data_uri, image};
use crate::support::stage::{Stage, Step, Version};
use crate::support::{Config, Gateway, Provider, Value, ask, ask_stream, client, json, reply, with};

const GPT: &str = "openai/gpt-4o";
const CLAUDE: &str = "anthropic/claude-sonnet-4-5";
const FLASH: &str = "gemini/gemini-2.5-flash";
const TWO_KEYS: &str = "[{ value: env.KEY_A }, { value: env.KEY_B }]";
const SOON: &str = "network: { hedge: { after_ms: 50 } }";
/// Whoever is silent is left after a while, so that a test can wait for what did not happen.
const SOON_AND_OVER: &str = "network: { hedge: { after_ms: 50 }, timeouts: { header_ms: 600 } }";

struct Three {
    openai: Provider,
    anthropic: Provider,
    gemini: Provider,
    gateway: Gateway,
}

impl Three {
    /// OpenAI is hedged as `hedge` says, and has these keys.
    async fn start(keys: &str, hedge: &str) -> Self {
        Self::with(keys, hedge, |config| config).await
    }

    async fn with(keys: &str, hedge: &str, more: impl Fn(Config) -> Config) -> Self {
        let (openai, anthropic, gemini) = (Provider::start().await, Provider::start().await, Provider::start().await);
        let config = Config::three(&openai, &anthropic, &gemini).keys("openai", keys);
        let config = if hedge.is_empty() { config } else { config.line("openai", hedge) };
        let gateway = Gateway::start(more(config)).await;
        Self { openai, anthropic, gemini, gateway }
    }

    /// Two requests, of which neither has been answered.
    async fn pair(&self) -> (Request, Request) {
        (self.openai.next_request().await, self.openai.next_request().await)
    }
}

fn one_key() -> &'static str {
    "[{ value: env.KEY_A }]"
}

fn then(body: Value, fallbacks: &[&str]) -> Value {
    with(body, json!({"fallbacks": fallbacks}))
}

fn ok(text: &str) -> Value {
    native::openai(text)
}

#[tokio::test]
async fn a_second_key_is_asked_beside_a_silent_first_and_wins() {
    let three = Three::start(TWO_KEYS, SOON).await;
    let picture = ask_parts(GPT, &[image(&data_uri("image/png", &big_png(1_300_000, 7)))]);
    for (body, stream) in
        [(ask(GPT), false), (picture.clone(), false), (ask_stream(GPT), true), (with(picture, json!({"stream": true})), true)]
    {
        let gateway = Gateway::start(Config::new().provider("openai", &three.openai).keys("openai", TWO_KEYS).line("openai", SOON)).await;
        let serve = async {
            let (first, second) = three.pair().await;
            assert_ne!(first.header("authorization"), second.header("authorization"), "another key");
            assert!(first.body == second.body, "the same bytes");
            if stream {
                let mut events = second.stream().await;
                for event in openai_stream(&["second"]) {
                    events.event(&event).await;
                }
                events.end().await;
            } else {
                second.respond_json(200, &ok("second")).await;
            }
            first.closed().await;
        };
        let ask = async {
            if !stream {
                let answer = gateway.chat(&body).await;
                return (answer.expect(200).content(), answer.attempts());
            }
            let mut answer = gateway.stream(&body).await;
            let attempts = answer.attempts();
            (native::text_of(&answer.rest().await), attempts)
        };
        let ((said, attempts), ()) = tokio::join!(ask, serve);
        assert_eq!(said, "second");
        assert_eq!(attempts, ["openai/gpt-4o#KEY_A;hedged", "openai/gpt-4o#KEY_B;200"]);
    }
}

#[tokio::test]
async fn without_another_key_the_next_candidate_is_asked_in_its_own_words() {
    let three = Three::start(one_key(), SOON).await;
    three.anthropic.always(reply::json(native::anthropic("from claude")));
    let body = then(ask(GPT), &[CLAUDE]);
    let serve = async { three.openai.next_request().await.closed().await };
    let (answer, ()) = tokio::join!(three.gateway.chat(&body), serve);
    assert_eq!(answer.expect(200).content(), "from claude");
    assert_eq!(answer.header("x-heliostat-provider"), "anthropic");
    assert_eq!(answer.attempts(), ["openai/gpt-4o#KEY_A;hedged", "anthropic/claude-sonnet-4-5#ANTHROPIC_API_KEY;200"]);
    three.gateway.until_metrics(r#"heliostat_fallbacks_total{from_model="other",from_provider="openai""#).await;
}

#[tokio::test]
async fn the_first_wins_if_it_is_quicker_after_all_and_the_second_is_left() {
    let three = Three::start(TWO_KEYS, SOON).await;
    let body = ask(GPT);
    let serve = async {
        let (first, second) = three.pair().await;
        first.respond_json(200, &ok("first")).await;
        second.closed().await;
    };
    let (answer, ()) = tokio::join!(three.gateway.chat(&body), serve);
    assert_eq!(answer.expect(200).content(), "first");
    assert_eq!(answer.attempts(), ["openai/gpt-4o#KEY_B;hedged", "openai/gpt-4o#KEY_A;200"]);
    let metrics = three.gateway.admin_get("/metrics").await.text();
    assert!(!metrics.contains("heliostat_retries_total{") && !metrics.contains("heliostat_fallbacks_total{"), "{metrics}");
}

#[tokio::test]
async fn over_either_version_of_http_the_loser_is_left() {
    let good = openai_stream(&["good"]).concat().into_bytes();
    let events = || Step::Answer(200, vec![("content-type", "text/event-stream".into())]);
    let opening = native::chunk(json!({"role": "assistant", "content": ""}), None).into_bytes();
    for version in [Version::One, Version::Two] {
        // The head of an answer, and what is no content, are silence too.
        let silent = Stage::start(version, vec![Step::Head, Step::Body, events(), Step::Data(opening.clone()), Step::Silence]).await;
        let next = Stage::start(version, vec![Step::Head, Step::Body, events(), Step::Data(good.clone()), Step::End]).await;
        let config = |name: &str, stage: &Stage| {
            let http2 = version == Version::Two;
            format!(
                "  {name}: {{ base_url: \"http://{}/v1\", dialect: openai, http2: {http2}, keys: [{{ value: env.KEY_A }}] }}\n",
                stage.address
            )
        };
        let top = "network: { hedge: { after_ms: 50 } }\n";
        let gateway = Gateway::with(&format!("{top}providers:\n{}{}", config("silent", &silent), config("next", &next))).await;
        let mut stream = gateway.stream(&then(ask_stream("silent/m"), &["next/m"])).await;
        assert_eq!(stream.attempts(), ["silent/m#KEY_A;hedged", "next/m#KEY_A;200"]);
        assert_eq!(native::text_of(&stream.rest().await), "good");
        silent.quiet().await;
    }
}

#[tokio::test]
async fn if_one_fails_the_other_goes_on() {
    for first_fails in [true, false] {
        let three = Three::start(TWO_KEYS, SOON).await;
        let body = ask(GPT);
        let serve = async {
            let (first, second) = three.pair().await;
            let (fails, answers) = if first_fails { (first, second) } else { (second, first) };
            fails.respond_json(429, &json!({"error": {"message": "slow down", "type": "rate_limit"}})).await;
            // Its failure is known while the other one is under way.
            three.gateway.until_metrics(r#"outcome="rate_limited""#).await;
            answers.respond_json(200, &ok("in the end")).await;
        };
        let (answer, ()) = tokio::join!(three.gateway.chat(&body), serve);
        assert_eq!(answer.expect(200).content(), "in the end");
        let (failed, served) = if first_fails { ("A", "B") } else { ("B", "A") };
        assert_eq!(answer.attempts(), [format!("openai/gpt-4o#KEY_{failed};429"), format!("openai/gpt-4o#KEY_{served};200")]);
        three.gateway.until_metrics("heliostat_cooldowns_total{").await;
        let metrics = three.gateway.admin_get("/metrics").await.text();
        assert!(!metrics.contains("heliostat_retries_total{"), "nobody was asked again: {metrics}");
    }
}

#[tokio::test]
async fn if_both_fail_the_loop_goes_on_and_asks_nobody_twice() {
    let three = Three::start(TWO_KEYS, SOON).await;
    three.anthropic.always(reply::json(native::anthropic("from claude")));
    let body = then(ask(GPT), &[CLAUDE]);
    let serve = async {
        let (first, second) = three.pair().await;
        first.respond_json(500, &json!({"error": {"message": "down"}})).await;
        second.respond_json(500, &json!({"error": {"message": "down"}})).await;
    };
    let (answer, ()) = tokio::join!(three.gateway.chat(&body), serve);
    assert_eq!(answer.expect(200).content(), "from claude");
    let mut attempts = answer.attempts();
    assert_eq!(attempts.pop().unwrap(), "anthropic/claude-sonnet-4-5#ANTHROPIC_API_KEY;200");
    attempts.sort();
    assert_eq!(attempts, ["openai/gpt-4o#KEY_A;500", "openai/gpt-4o#KEY_B;500"]);
}

#[tokio::test]
async fn with_nobody_left_the_error_is_the_providers_own() {
    let three = Three::start(TWO_KEYS, SOON).await;
    let body = then(ask(GPT), &[]);
    let serve = async {
        let (first, second) = three.pair().await;
        second.respond_json(503, &json!({"error": {"message": "down"}})).await;
        three.gateway.until_metrics(r#"outcome="failed""#).await;
        first.respond_json(500, &json!({"error": {"message": "down"}})).await;
    };
    let (answer, ()) = tokio::join!(three.gateway.chat(&body), serve);
    assert!(answer.status >= 500, "{}", answer.text());
    assert_eq!(answer.attempts(), ["openai/gpt-4o#KEY_B;503", "openai/gpt-4o#KEY_A;500"]);
}

#[tokio::test]
async fn a_candidate_that_failed_as_a_hedge_is_gone_on_with_in_its_turn() {
    let three = Three::with(one_key(), SOON, |config| config.keys("anthropic", TWO_KEYS)).await;
    let body = then(ask(GPT), &[CLAUDE, FLASH]);
    let serve = async {
        let first = three.openai.next_request().await;
        let error = json!({"type": "error", "error": {"type": "authentication_error", "message": "no"}});
        three.anthropic.next_request().await.respond_json(401, &error).await;
        three.gateway.until_metrics(r#"outcome="authentication""#).await;
        first.respond_json(500, &json!({"error": {"message": "down"}})).await;
        three.anthropic.next_request().await.respond_json(200, &native::anthropic("with its other key")).await;
    };
    let (answer, ()) = tokio::join!(three.gateway.chat(&body), serve);
    assert_eq!(answer.expect(200).content(), "with its other key");
    let wanted = ["anthropic/claude-sonnet-4-5#KEY_A;401", "openai/gpt-4o#KEY_A;500", "anthropic/claude-sonnet-4-5#KEY_B;200"];
    assert_eq!(answer.attempts(), wanted);
    // What its failure says leads on from there, as ever: past it.
    let body = then(ask(GPT), &[CLAUDE, FLASH]);
    three.gemini.always(reply::json(native::gemini("from gemini")));
    let serve = async {
        let first = three.openai.next_request().await;
        let error = json!({"type": "error", "error": {"type": "not_found_error", "message": "no such model"}});
        three.anthropic.next_request().await.respond_json(404, &error).await;
        three.gateway.until_metrics(r#"outcome="not_found""#).await;
        first.respond_json(500, &json!({"error": {"message": "down"}})).await;
    };
    let (answer, ()) = tokio::join!(three.gateway.chat(&body), serve);
    assert_eq!(answer.expect(200).content(), "from gemini");
}

#[tokio::test]
async fn one_that_fails_before_the_delay_is_not_hedged() {
    let three = Three::start(one_key(), "network: { hedge: { after_ms: 60000 } }").await;
    three.openai.always(reply::status(500));
    three.anthropic.always(reply::json(native::anthropic("from claude")));
    let answer = three.gateway.chat(&then(ask(GPT), &[CLAUDE])).await;
    let attempts = answer.expect(200).attempts();
    assert_eq!(attempts, ["openai/gpt-4o#KEY_A;500", "anthropic/claude-sonnet-4-5#ANTHROPIC_API_KEY;200"]);
    let metrics = three.gateway.admin_get("/metrics").await.text();
    assert!(!metrics.contains("heliostat_hedges_total{"), "{metrics}");
}

#[tokio::test]
async fn nobody_is_hedged_who_does_not_ask_for_it() {
    for hedge in ["", "hedge: { after_ms: 1, enabled: false }, "] {
        let three = Three::start(one_key(), &format!("network: {{ {hedge}timeouts: {{ header_ms: 300 }} }}")).await;
        three.anthropic.always(reply::events(native::anthropic_stream(&["from claude"])));
        let answer = alone(&three, "/v1/chat/completions", &then(ask_stream(GPT), &[CLAUDE])).await;
        assert_eq!(answer.expect(200).attempts().len(), 2);
    }
}

#[tokio::test]
async fn beyond_the_budget_there_is_none_and_it_says_so() {
    let three = Three::start(TWO_KEYS, "network: { hedge: { after_ms: 50, budget_percent: 1 } }").await;
    let body = ask(GPT);
    for _ in 0..3 {
        let serve = async {
            let (first, second) = three.pair().await;
            second.respond_json(200, &ok("hedged")).await;
            first.closed().await;
        };
        let (answer, ()) = tokio::join!(three.gateway.chat(&body), serve);
        answer.expect(200);
    }
    let serve = async {
        let first = three.openai.next_request().await;
        three.gateway.until_metrics(r#"outcome="skipped_hedge_budget""#).await;
        assert_eq!(three.openai.queued().await, 0);
        first.respond_json(200, &ok("late")).await;
    };
    let (answer, ()) = tokio::join!(three.gateway.chat(&body), serve);
    assert_eq!(answer.expect(200).content(), "late");
    let attempts = answer.attempts();
    assert!(attempts.len() == 2 && attempts[0] == "openai/gpt-4o;skipped hedge_budget", "{attempts:?}");
}

#[tokio::test]
async fn a_client_that_leaves_takes_both_with_it() {
    let three = Three::start(TWO_KEYS, SOON).await;
    let mut client = client::connect(three.gateway.address).await;
    let body = ask(GPT).to_string();
    client.write(&client::request("POST", "/v1/chat/completions", &[("x-request-id", "leaver")], body.as_bytes())).await.unwrap();
    let (first, second) = three.pair().await;
    drop(client);
    tokio::join!(first.closed(), second.closed());
    let line = three.gateway.access("leaver").await;
    let outcomes: Vec<_> = line["attempts"].as_array().unwrap().iter().map(|attempt| attempt["outcome"].as_str().unwrap()).collect();
    assert_eq!((outcomes, &line["outcome"]), (vec!["client_gone", "client_gone"], &json!("client_gone")));
    three.gateway.until_metrics(r#"heliostat_attempts_in_flight{credential="KEY_A",provider="openai"} 0"#).await;
    three.gateway.until_metrics("\nheliostat_requests_in_flight 0\n").await;
}

#[tokio::test]
async fn one_who_leaves_before_there_are_two_or_when_one_is_left_takes_that_with_it() {
    for (hedge, first_fails) in [("network: { hedge: { after_ms: 60000 } }", false), (SOON, true)] {
        let three = Three::start(TWO_KEYS, hedge).await;
        let mut client = client::connect(three.gateway.address).await;
        let body = ask(GPT).to_string();
        client.write(&client::request("POST", "/v1/chat/completions", &[("x-request-id", "leaver")], body.as_bytes())).await.unwrap();
        let mut left = three.openai.next_request().await;
        if first_fails {
            let second = three.openai.next_request().await;
            std::mem::replace(&mut left, second).respond_json(500, &json!({"error": {"message": "down"}})).await;
            three.gateway.until_metrics(r#"outcome="server_error""#).await;
        }
        drop(client);
        left.closed().await;
        let line = three.gateway.access("leaver").await;
        let outcomes: Vec<_> = line["attempts"].as_array().unwrap().iter().map(|attempt| attempt["outcome"].as_str().unwrap()).collect();
        let wanted: &[&str] = if first_fails { &["server_error", "client_gone"] } else { &["client_gone"] };
        assert_eq!((&*outcomes, &line["outcome"]), (wanted, &json!("client_gone")));
    }
}

#[tokio::test]
async fn a_drill_of_silence_is_hedged_and_a_drilled_key_is_no_hedge() {
    let three = Three::start(TWO_KEYS, SOON_AND_OVER).await;
    let drill = async |target: &str| {
        let body = json!({"target": target, "fault": "timeout", "seconds": 60}).to_string();
        let headers = [("x-heliostat-admin", "1"), ("host", "localhost")];
        client::send(three.gateway.admin, "POST", "/drill", &headers, body.as_bytes()).await.expect(200);
    };
    drill("openai/KEY_A").await;
    three.openai.always(reply::json(ok("with the other key")));
    let answer = three.gateway.chat(&ask(GPT)).await;
    assert_eq!(answer.expect(200).attempts(), ["openai/gpt-4o#KEY_A;drill hedged", "openai/gpt-4o#KEY_B;200"]);
    drill("openai/KEY_B").await;
    let answer = three.gateway.chat(&ask_stream(GPT)).await;
    assert!(answer.attempts().iter().all(|attempt| attempt.ends_with(";drill timeout_header")), "{:?}", answer.attempts());
}

/// Nobody is asked beside OpenAI, which is left in the end for whoever comes next.
async fn alone(three: &Three, path: &str, body: &Value) -> client::Reply {
    let sent = body.to_string();
    let silent = async {
        loop {
            three.openai.next_request().await.closed().await;
        }
    };
    let answer = tokio::select! {
        answer = client::send(three.gateway.address, "POST", path, &[], sent.as_bytes()) => answer,
        () = silent => panic!("it waits for ever"),
    };
    assert!(answer.attempts()[0].contains("timeout"), "{:?}", answer.attempts());
    let metrics = three.gateway.admin_get("/metrics").await.text();
    assert!(metrics.contains("timeout_header") && !metrics.contains("heliostat_hedges_total{"), "{metrics}");
    answer
}

#[tokio::test]
async fn a_hedge_never_leaves_what_the_policy_keeps_a_request_in() {
    let route = "mcp: [{ id: kept, primary: openai/gpt-4o, policy: { providers: [openai] }, hedge: { after_ms: 20 } }]";
    let three = Three::with(one_key(), SOON_AND_OVER, |config| config.top(route)).await;
    let answer = alone(&three, "/v1/chat/completions", &then(ask_stream("kept"), &[CLAUDE])).await;
    assert!(answer.attempts().iter().any(|attempt| attempt.contains("policy_provider")), "{:?}", answer.attempts());
    assert_eq!(three.anthropic.received().len(), 0);
}

#[tokio::test]
async fn a_route_has_a_hedge_of_its_own_also_for_the_fallbacks_of_a_body() {
    let route = "mcp: [{ id: quick, primary: openai/gpt-4o, hedge: { after_ms: 20 } }]";
    let three = Three::with(one_key(), "", |config| config.top(route)).await;
    three.openai.always(reply::status(500));
    three.gemini.always(reply::json(native::gemini("from gemini")));
    let body = then(ask("quick"), &[CLAUDE, FLASH]);
    let serve = async { three.anthropic.next_request().await.closed().await };
    let (answer, ()) = tokio::join!(three.gateway.chat(&body), serve);
    assert_eq!(answer.expect(200).content(), "from gemini");
    assert!(answer.attempts()[1].ends_with(";hedged"), "{:?}", answer.attempts());
}

#[tokio::test]
async fn what_is_stored_is_never_hedged() {
    let three = Three::start(TWO_KEYS, SOON_AND_OVER).await;
    three.openai.stepwise();
    let stored = with(then(ask_stream(GPT), &[]), json!({"store": true}));
    alone(&three, "/v1/chat/completions", &stored).await;
    for more in [
        json!({}),
        json!({"store": true}),
        json!({"store": false, "previous_response_id": "resp_1"}),
        json!({"store": false, "background": true}),
    ] {
        // Each time-out opens a breaker.
        let (responses, anthropic) = (Provider::start().await, Provider::start().await);
        let config = Config::new()
            .at("mine", &responses.url())
            .line("mine", "dialect: responses")
            .keys("mine", TWO_KEYS)
            .line("mine", SOON_AND_OVER);
        let gateway = Gateway::start(config).await;
        let three = Three { openai: responses, anthropic, gemini: Provider::start().await, gateway };
        alone(&three, "/v1/responses", &with(json!({"model": "mine/m", "input": "hi", "stream": true}), more)).await;
    }
}

#[tokio::test]
async fn what_a_responses_client_does_not_want_stored_may_be() {
    let responses = Provider::start().await;
    let config = Config::new().at("mine", &responses.url()).line("mine", "dialect: responses").keys("mine", TWO_KEYS).line("mine", SOON);
    let gateway = Gateway::start(config).await;
    let body = json!({"model": "mine/m", "input": "hi", "store": false}).to_string();
    let serve = async {
        let (first, second) = (responses.next_request().await, responses.next_request().await);
        let item =
            json!({"type": "message", "role": "assistant", "status": "completed", "content": [{"type": "output_text", "text": "ok"}]});
        second
            .respond_json(200, &json!({"id": "resp_1", "object": "response", "status": "completed", "model": "m", "output": [item]}))
            .await;
        first.closed().await;
    };
    let (answer, ()) = tokio::join!(client::send(gateway.address, "POST", "/v1/responses", &[], body.as_bytes()), serve);
    assert!(answer.expect(200).attempts()[0].ends_with(";hedged"), "{:?}", answer.attempts());
}

#[tokio::test]
async fn vectors_are_hedged_by_the_same_model_alone() {
    let vectors = json!({"object": "list", "model": "m", "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}], "usage": {"prompt_tokens": 1, "total_tokens": 1}});
    let (one, other) = (Provider::start().await, Provider::start().await);
    other.always(reply::json(vectors));
    let config =
        Config::new().at("one", &one.url()).line("one", "dialect: openai").at("other", &other.url()).line("other", "dialect: openai");
    let config = config.keys("one", one_key()).keys("other", one_key()).line("one", SOON).top("fallbacks: [other/another, other/same]");
    let gateway = Gateway::start(config).await;
    let serve = async { one.next_request().await.closed().await };
    let body = json!({"model": "one/same", "input": "hi"});
    let (answer, ()) = tokio::join!(gateway.embed(&body), serve);
    assert_eq!(answer.expect(200).attempts(), ["one/same#KEY_A;hedged", "other/same#KEY_A;200"]);
}

#[tokio::test]
async fn nobody_waits_for_a_place_to_hedge() {
    let bound = "concurrency_and_buffer_size: { concurrency: 1, buffer_size: 4 }\n    network: { hedge: { after_ms: 50 }, timeouts: { header_ms: 600 } }";
    let three = Three::start(TWO_KEYS, bound).await;
    alone(&three, "/v1/chat/completions", &then(ask_stream(GPT), &[])).await;
}

#[tokio::test]
async fn the_loser_gives_back_its_place_while_the_answer_still_streams() {
    let bound = "concurrency_and_buffer_size: { concurrency: 2, buffer_size: 4 }";
    let three = Three::start(TWO_KEYS, &format!("{bound}\n    {SOON}")).await;
    let body = ask_stream(GPT);
    let serve = async {
        let (first, second) = three.pair().await;
        let mut stream = second.stream().await;
        stream.event(&chunk_text("second")).await;
        first.closed().await;
        stream
    };
    let (mut answer, stream) = tokio::join!(three.gateway.stream(&body), serve);
    answer.event().await;
    three.gateway.until_metrics("heliostat_queue_places_taken{provider=\"openai\"} 1").await;
    for (key, under_way) in [("KEY_A", 0), ("KEY_B", 1)] {
        three.gateway.until_metrics(&format!("heliostat_attempts_in_flight{{credential=\"{key}\",provider=\"openai\"}} {under_way}")).await;
    }
    answer.leave();
    stream.closed().await;
    three.gateway.until_metrics("heliostat_queue_places_taken{provider=\"openai\"} 0").await;
}

#[tokio::test]
async fn an_answer_that_says_nothing_wins_no_race() {
    let three = Three::start(one_key(), SOON).await;
    let body = then(ask(GPT), &[CLAUDE]);
    let serve = async {
        let first = three.openai.next_request().await;
        let mut nothing = native::anthropic("");
        nothing["content"] = json!([]);
        three.anthropic.next_request().await.respond_json(200, &nothing).await;
        three.gateway.until_metrics(r#"outcome="empty""#).await;
        first.respond_json(200, &ok("something")).await;
    };
    let (answer, ()) = tokio::join!(three.gateway.chat(&body), serve);
    assert_eq!(answer.expect(200).content(), "something");
}

#[tokio::test]
async fn the_key_that_lost_is_as_good_as_before() {
    let three = Three::start(TWO_KEYS, SOON).await;
    let body = ask(GPT);
    let serve = async {
        let (first, second) = three.pair().await;
        second.respond_json(200, &ok("second")).await;
        first.closed().await;
    };
    let (answer, ()) = tokio::join!(three.gateway.chat(&body), serve);
    answer.expect(200);
    let upstreams = three.gateway.admin_get("/upstreams").await.json();
    let key = &upstreams["keys"][0];
    assert_eq!((&key["key"], &key["standing"], &key["error_rate"]), (&json!("KEY_A"), &json!("healthy"), &Value::Null), "{upstreams}");
    assert!(key["first_content_ms"].as_f64().is_some_and(|ms| ms >= 50.0), "it is known to have been slow: {key}");
}

#[tokio::test]
async fn the_metrics_the_line_and_the_trace_tell_of_it() {
    let collector = Collector::start(Otlp::Http).await;
    let observability = format!("observability: {{ {}, prometheus_labels: [x-team] }}", collector.yaml());
    let three = Three::with(TWO_KEYS, SOON, |config| config.top(&observability)).await;
    let body = ask(GPT).to_string();
    let serve = async {
        let (first, second) = three.pair().await;
        second.respond_json(200, &ok("second")).await;
        first.closed().await;
    };
    let headers = [("x-request-id", "hedged-1"), ("x-team", "vision")];
    let (answer, ()) = tokio::join!(three.gateway.chat_with(&headers, body.as_bytes()), serve);
    answer.expect(200);
    let counted = r#"heliostat_hedges_total{model="gpt-4o",outcome="won",provider="openai",x_team="vision"} 1"#;
    three.gateway.until_metrics(counted).await;
    let line = three.gateway.access("hedged-1").await;
    let [lost, won] = &line["attempts"].as_array().unwrap()[..] else { panic!("{line}") };
    assert_eq!((&lost["outcome"], &lost["hedge"], &lost["fault"]), (&json!("hedged"), &Value::Null, &Value::Null), "{line}");
    assert_eq!((&won["outcome"], &won["hedge"], &line["credential"]), (&json!("ok"), &json!(true), &json!("KEY_B")), "{line}");
    let trace = collector.trace("hedged-1").await;
    let [lost, won] = trace.attempts()[..] else { panic!("{trace:#?}") };
    assert!(won.start_time_unix_nano < lost.end_time_unix_nano, "side by side");
    assert_eq!((text(lost, "heliostat.verdict"), text(won, "heliostat.verdict")), (Some("hedged"), Some("ok")));
    let is_hedge = |span: &opentelemetry_proto::tonic::trace::v1::Span| span.attributes.iter().any(|pair| pair.key == "heliostat.hedge");
    assert_eq!((is_hedge(lost), is_hedge(won)), (false, true));
    assert!(lost.status.is_none() && won.status.is_none(), "no error");
}

#[tokio::test]
async fn an_explanation_says_when_and_whom() {
    let three = Three::start(one_key(), SOON).await;
    let explain = async |body: &Value| {
        let headers = [("x-heliostat-admin", "1"), ("host", "localhost")];
        let sent = body.to_string();
        let told = client::send(three.gateway.admin, "POST", "/explain", &headers, sent.as_bytes()).await;
        told.expect(200).json()["candidates"][0]["hedge"].clone()
    };
    let hedge = explain(&then(ask(GPT), &[CLAUDE])).await;
    assert_eq!((&hedge["after_ms"], &hedge["asks"]), (&json!(50), &json!(CLAUDE)), "{hedge}");
    assert!(explain(&then(ask(GPT), &[])).await["why_not"].as_str().is_some_and(|why| why.contains("nobody else")));
    let stored = with(then(ask(GPT), &[CLAUDE]), json!({"store": true}));
    assert!(explain(&stored).await["why_not"].as_str().is_some_and(|why| why.contains("stored")));
    assert_eq!(explain(&then(ask(CLAUDE), &[GPT])).await, Value::Null);
}
