//! SIGHUP: a good file serves new requests, a bad one is refused, and nobody in flight notices. SIGTERM: those in flight finish.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::native::{chunk, chunk_text, is_done, text_of};
use crate::support::{Config, Gateway, Provider, ask, ask_stream, client, config::secret_of, json, native, reply};

fn config(upstream: &Provider) -> Config {
    Config::new().provider("openai", upstream)
}

#[tokio::test]
async fn a_good_file_takes_effect_for_new_requests() {
    let (old, new) = (Provider::start().await, Provider::start().await);
    old.always(reply::json(native::openai("old")));
    new.always(reply::json(native::openai("new")));
    let gateway = Gateway::start(config(&old)).await;
    assert_eq!(gateway.chat(&ask("gpt-4o")).await.expect(200).content(), "old");
    gateway.reload(&config(&new).yaml()).await;
    assert_eq!(gateway.chat(&ask("gpt-4o")).await.expect(200).content(), "new");
}

#[tokio::test]
async fn a_bad_file_is_refused_with_its_reason_and_the_old_one_stays() {
    let openai = Provider::start().await;
    openai.always(reply::json(native::openai("old")));
    let gateway = Gateway::start(config(&openai)).await;
    gateway.reload("providers:\n  openai:\n    kees: []\n").await;
    let word = gateway.log_line("kees").await;
    assert!(word.contains("keys"), "the nearest key is named: {word}");
    assert_eq!(gateway.chat(&ask("gpt-4o")).await.expect(200).content(), "old");
    gateway.rewrite("this: [is not yaml");
    gateway.rewrite(&config(&openai).keys("openai", "[{ value: env.NOT_THERE }]").yaml());
    gateway.log_line("NOT_THERE").await;
    assert_eq!(gateway.chat(&ask("gpt-4o")).await.expect(200).content(), "old");
}

#[tokio::test]
async fn a_stream_in_flight_finishes_on_the_old_configuration() {
    let (old, new) = (Provider::start().await, Provider::start().await);
    new.always(reply::json(native::openai("new")));
    let gateway = Gateway::start(config(&old)).await;
    let body = ask_stream("gpt-4o");
    let upstream = async {
        let mut stream = old.next_request().await.stream().await;
        stream.event(&chunk_text("before")).await;
        stream
    };
    let (mut client, mut upstream) = tokio::join!(gateway.stream(&body), upstream);
    let mut seen = vec![client.event().await.unwrap()];
    gateway.reload(&config(&new).yaml()).await;
    assert_eq!(gateway.chat(&ask("gpt-4o")).await.expect(200).content(), "new");
    upstream.event(&chunk_text(" and after")).await.event(&chunk(json!({}), Some("stop"))).await.event("data: [DONE]\n\n").await;
    upstream.end().await;
    seen.extend(client.rest().await);
    assert_eq!((text_of(&seen).as_str(), is_done(&seen)), ("before and after", true));
}

#[tokio::test]
async fn no_request_is_lost_while_files_change_under_load() {
    let openai = Provider::start().await;
    openai.always(reply::json(native::openai("ok")));
    let gateway = Gateway::start(config(&openai)).await;
    let answered = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..4).map(|_| tokio::spawn(ask_until(gateway.address, Arc::clone(&answered), 200))).collect();
    let mut reloads = 0;
    while answered.load(Ordering::Relaxed) < 200 {
        if reloads % 2 == 0 {
            gateway.reload("providers: { openai: { kees: [] } }\n").await;
        } else {
            gateway.reload(&config(&openai).keys("openai", "[{ value: env.KEY_A }, { value: env.KEY_B }]").yaml()).await;
        }
        reloads += 1;
    }
    for client in clients {
        client.await.unwrap();
    }
    assert!(reloads >= 4, "files changed while requests came: {reloads}");
}

/// Asks until `wanted` answers came in all, half over one connection and half over new ones; every answer must be a 200.
async fn ask_until(address: std::net::SocketAddr, answered: Arc<AtomicUsize>, wanted: usize) {
    let body = ask("gpt-4o").to_string();
    let mut kept = client::connect(address).await;
    while answered.load(Ordering::Relaxed) < wanted {
        client::exchange(&mut kept, "POST", "/v1/chat/completions", &[], body.as_bytes()).await.expect(200);
        client::send(address, "POST", "/v1/chat/completions", &[], body.as_bytes()).await.expect(200);
        answered.fetch_add(2, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn a_key_that_was_off_is_tried_again_after_a_reload() {
    let openai = Provider::start().await;
    openai.script([reply::status(401), reply::json(native::openai("ok"))]);
    let gateway = Gateway::start(config(&openai)).await;
    gateway.chat(&ask("gpt-4o")).await.expect(401);
    gateway.reload(&config(&openai).yaml()).await;
    gateway.chat(&ask("gpt-4o")).await.expect(200);
}

#[tokio::test]
async fn keys_of_an_env_file_rotate_by_sighup() {
    let openai = Provider::start().await;
    openai.always(reply::json(native::openai("ok")));
    let (folder, path) = crate::support::gateway::file("keys.env", "ROTATING_KEY=sk-one\n");
    let yaml = config(&openai).keys("openai", "[{ value: env.ROTATING_KEY }]").top(&format!("env_file: {}", path.display())).yaml();
    let gateway = Gateway::with(&yaml).await;
    gateway.chat(&ask("gpt-4o")).await.expect(200);
    std::fs::write(&path, "# rotated\nROTATING_KEY=\"sk-two\"\n").unwrap();
    gateway.reload(&yaml).await;
    gateway.chat(&ask("gpt-4o")).await.expect(200);
    let used: Vec<_> = openai.received().iter().map(|s| s.head.header("authorization").unwrap().to_owned()).collect();
    assert_eq!(used, ["Bearer sk-one", "Bearer sk-two"]);
    drop(folder);
}

#[tokio::test]
async fn what_needs_a_restart_is_named_and_the_rest_applies() {
    let (old, new) = (Provider::start().await, Provider::start().await);
    new.always(reply::json(native::openai("new")));
    let gateway = Gateway::start(config(&old)).await;
    gateway.reload(&config(&new).top("threads: 3").yaml()).await;
    gateway.log_line("threads").await;
    assert_eq!(gateway.chat(&ask("gpt-4o")).await.expect(200).content(), "new");
}

#[tokio::test]
async fn labels_are_those_of_the_configuration_in_force() {
    let openai = Provider::start().await;
    openai.always(reply::json(native::openai("ok")));
    let labelled = |names: &str| config(&openai).top(&format!("observability: {{ prometheus_labels: [{names}] }}"));
    let gateway = Gateway::start(labelled("x-team")).await;
    let body = ask("gpt-4o").to_string();
    let ask = || gateway.chat_with(&[("x-team", "vision"), ("x-stage", "score")], body.as_bytes());
    ask().await.expect(200);
    gateway.reload(&labelled("x-team, x-stage").yaml()).await;
    ask().await.expect(200);
    // A request is counted when it is over, which its client may know a little sooner.
    gateway.until_metrics("\nheliostat_own_time_microseconds_count").await;
    let text = gateway.admin_get("/metrics").await.expect(200).text();
    let counted: Vec<&str> = text.lines().filter(|line| line.starts_with("heliostat_own_time_microseconds_count")).collect();
    assert_eq!(counted, [r#"heliostat_own_time_microseconds_count{endpoint="chat",x_stage="score",x_team="vision"} 1"#]);
}

#[tokio::test]
async fn a_stop_lets_the_stream_in_flight_finish() {
    let openai = Provider::start().await;
    let mut gateway = Gateway::start(config(&openai).top("drain: { notice_ms: 100, deadline_ms: 8000 }")).await;
    let body = ask_stream("gpt-4o");
    let upstream = async {
        let mut stream = openai.next_request().await.stream().await;
        stream.event(&chunk_text("before")).await;
        stream
    };
    let (mut client, mut upstream) = tokio::join!(gateway.stream(&body), upstream);
    let mut seen = vec![client.event().await.unwrap()];
    gateway.terminate();
    upstream.event(&chunk_text(" and after")).await.event(&chunk(json!({}), Some("stop"))).await.event("data: [DONE]\n\n").await;
    upstream.end().await;
    seen.extend(client.rest().await);
    assert_eq!((text_of(&seen).as_str(), is_done(&seen)), ("before and after", true));
    assert!(gateway.ended().await.success());
}

#[tokio::test]
async fn a_stop_says_so_on_readyz_before_it_closes() {
    let openai = Provider::start().await;
    let mut gateway = Gateway::start(config(&openai).top("drain: { notice_ms: 1500, deadline_ms: 3000 }")).await;
    gateway.terminate();
    let turned = async {
        while gateway.get("/readyz").await.status != 503 {
            tokio::task::yield_now().await;
        }
    };
    crate::support::within("readyz to say 503", turned).await;
    gateway.get("/healthz").await.expect(200);
    assert!(gateway.ended().await.success());
}

#[tokio::test]
async fn a_reload_never_prints_a_secret() {
    let openai = Provider::start().await;
    let gateway = Gateway::start(config(&openai)).await;
    gateway.reload(&config(&openai).keys("openai", "[{ value: env.KEY_A }]").yaml()).await;
    gateway.reload("providers: { openai: { keys: [{ value: sk-inline-secret, wieght: 1 }] } }\n").await;
    assert!(!gateway.log().contains(&secret_of("KEY_A")) && !gateway.log().contains("sk-inline-secret"), "{}", gateway.log());
}

#[tokio::test]
async fn a_file_that_became_empty_is_refused() {
    let openai = Provider::start().await;
    openai.always(reply::json(native::openai("old")));
    let gateway = Gateway::start(config(&openai)).await;
    // OPENAI_API_KEY is set all the while, and is no configuration.
    assert!(gateway.reload("").await.contains("was refused"));
    assert!(gateway.reload("limits: { images: 3 }\n").await.contains("was refused"));
    assert_eq!(gateway.chat(&ask("gpt-4o")).await.expect(200).content(), "old");
}

#[tokio::test]
async fn a_stated_rest_survives_a_reload() {
    let openai = Provider::start().await;
    openai.script([reply::status(429).header("retry-after", "600")]);
    let gateway = Gateway::start(config(&openai)).await;
    gateway.chat(&ask("gpt-4o")).await.expect(429);
    gateway.reload(&config(&openai).yaml()).await;
    // The fake fails the test if it is asked once more.
    let reply = gateway.chat_with(&[("x-heliostat-timeout-ms", "2000")], ask("gpt-4o").to_string().as_bytes()).await;
    let seconds: u64 = reply.expect(429).header("retry-after").parse().unwrap();
    assert!((590..=600).contains(&seconds), "{seconds}");
}
