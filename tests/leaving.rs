//! A client that leaves takes its request with it, whatever that was waiting for: the provider's connection is closed, nobody else is
//! asked, and it is counted by what it waited for.

use crate::support::http::Connection;
use crate::support::native::{chunk, chunk_text};
use crate::support::sample::{ask_parts, image};
use crate::support::{Config, Gateway, Provider, Value, ask, ask_stream, client, json, reply, with};

const GPT: &str = "openai/gpt-4o";
const CLAUDE: &str = "anthropic/claude-sonnet-4-5";
const ID: &str = "leaver-1";
/// A pause at random of up to most of a day, within a deadline of a day.
const PAUSE: &str = "network: { timeouts: { total_ms: 86400000 }, retry: { max_retries: 3, backoff_initial_ms: 86000000 } }";

/// The fakes fail the test if somebody is asked whom the test does not expect.
async fn two(more: &str) -> (Provider, Provider, Gateway) {
    let (openai, anthropic) = (Provider::start().await, Provider::start().await);
    let mut config = Config::new().provider("openai", &openai).provider("anthropic", &anthropic);
    if !more.is_empty() {
        config = config.line("openai", more);
    }
    let gateway = Gateway::start(config).await;
    (openai, anthropic, gateway)
}

async fn begin(gateway: &Gateway, path: &str, body: &Value) -> Connection {
    let mut client = client::connect(gateway.address).await;
    client.write(&client::request("POST", path, &[("x-request-id", ID)], body.to_string().as_bytes())).await.unwrap();
    client
}

/// A wait of less than a millisecond is none: this one is longer.
async fn noted() {
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
}

fn asked(body: Value) -> Value {
    with(body, json!({"fallbacks": [CLAUDE]}))
}

/// The request is told once, as one whose client left while it waited for this; with the words of its attempts.
async fn counted(gateway: &Gateway, waited_for: &str, attempts: &[&str]) {
    let line = gateway.access(ID).await;
    assert_eq!(line["outcome"], "client_gone", "{line}");
    let outcomes: Vec<_> = line["attempts"].as_array().into_iter().flatten().map(|attempt| attempt["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, attempts, "{line}");
    gateway.until_metrics(&format!("while=\"{waited_for}\"")).await;
    gateway.until_metrics("\nheliostat_requests_in_flight 0\n").await;
}

#[tokio::test]
async fn while_it_waits_for_a_place() {
    let (openai, _anthropic, gateway) = two("concurrency_and_buffer_size: { concurrency: 1, buffer_size: 1 }\n    queue_ms: 9000").await;
    let first = begin(&gateway, "/v1/chat/completions", &ask(GPT)).await;
    let held = openai.next_request().await;
    drop(first);
    held.closed().await;
    // Its place is free again: taken by one who stays, so that the next one waits.
    let stays = ask(GPT);
    let other = gateway.chat(&stays);
    let waits = async {
        let held = openai.next_request().await;
        let mut client = client::connect(gateway.address).await;
        let body = asked(ask(GPT)).to_string();
        client.write(&client::request("POST", "/v1/chat/completions", &[("x-request-id", "leaver-2")], body.as_bytes())).await.unwrap();
        gateway.until_metrics("heliostat_queue_length{provider=\"openai\"} 1").await;
        noted().await;
        drop(client);
        assert_eq!(gateway.access("leaver-2").await["outcome"], "client_gone");
        held.respond_json(200, &crate::support::native::openai("stayed")).await;
    };
    let (stayed, ()) = tokio::join!(other, waits);
    assert_eq!(stayed.expect(200).content(), "stayed");
    gateway.until_metrics(r#"while="queue""#).await;
    gateway.until_metrics(r#"while="header""#).await;
}

#[tokio::test]
async fn while_it_connects() {
    let (deaf, anthropic) = (Provider::deaf().await, Provider::start().await);
    let config = Config::new().provider("openai", &deaf).provider("anthropic", &anthropic).timeouts("openai", "connect_ms: 9000");
    let gateway = Gateway::start(config).await;
    drop(begin(&gateway, "/v1/chat/completions", &asked(ask(GPT))).await);
    counted(&gateway, "connect", &["client_gone"]).await;
}

#[tokio::test]
async fn while_it_waits_for_the_header() {
    for path in ["/v1/chat/completions", "/openai/v1/chat/completions"] {
        let (openai, _anthropic, gateway) = two("").await;
        let client = begin(&gateway, path, &asked(ask(GPT))).await;
        let request = openai.next_request().await;
        drop(client);
        request.closed().await;
        counted(&gateway, "header", &["client_gone"]).await;
    }
}

#[tokio::test]
async fn while_it_waits_for_the_first_content() {
    let (openai, _anthropic, gateway) = two("").await;
    let client = begin(&gateway, "/v1/chat/completions", &asked(ask_stream(GPT))).await;
    let mut answer = openai.next_request().await.stream().await;
    answer.event(&chunk(json!({"role": "assistant", "content": ""}), None)).await;
    drop(client);
    answer.closed().await;
    let line = gateway.access(ID).await;
    assert_eq!(line["attempts"][0]["outcome"], "client_gone", "{line}");
    let header_us = &line["attempts"][0]["header_us"];
    // The head may still have been on its way when the client left.
    gateway.until_metrics(if header_us.is_null() { r#"while="header""# } else { r#"while="first_content""# }).await;
}

#[tokio::test]
async fn while_it_receives_a_stream() {
    let (openai, _anthropic, gateway) = two("").await;
    let mut client = begin(&gateway, "/v1/chat/completions", &asked(ask_stream(GPT))).await;
    let mut answer = openai.next_request().await.stream().await;
    answer.event(&chunk_text("one")).await;
    crate::support::within("the head", client.response_head()).await.expect("an answer");
    drop(client);
    answer.closed().await;
    counted(&gateway, "receiving", &["ok"]).await;
}

#[tokio::test]
async fn in_the_pause_before_a_repeat() {
    let (openai, _anthropic, gateway) = two(PAUSE).await;
    openai.script([reply::status(500)]);
    let client = begin(&gateway, "/v1/chat/completions", &asked(ask(GPT))).await;
    gateway.log_line("with OPENAI_API_KEY: 500").await;
    noted().await;
    drop(client);
    counted(&gateway, "back_off", &["server_error"]).await;
    assert_eq!(openai.received().len(), 1);
}

#[tokio::test]
async fn while_its_images_are_fetched() {
    let (anthropic, openai, host) = (Provider::start().await, Provider::start().await, Provider::start().await);
    let config = Config::new().provider("anthropic", &anthropic).provider("openai", &openai);
    let gateway = Gateway::start(config.top("image_fetch: { allow_private: true, max_parallel: 2 }")).await;
    let images: Vec<_> = ["/silent", "/begun", "/third"].map(|path| image(&format!("{}{path}", host.url()))).into();
    let client = begin(&gateway, "/v1/chat/completions", &with(ask_parts(CLAUDE, &images), json!({"fallbacks": [GPT]}))).await;
    // One has not answered, one has begun to, and the third waits for its turn.
    let [first, second] = [host.next_request().await, host.next_request().await];
    let mut begun = first.stream_with(200, &[("content-type", "image/png")]).await;
    begun.chunk(b"\x89PNG\r\n\x1a\n").await;
    noted().await;
    drop(client);
    begun.closed().await;
    second.closed().await;
    counted(&gateway, "image_fetch", &[]).await;
    assert_eq!(host.connections(), 2, "the third was never asked for");
}

#[tokio::test]
async fn while_images_are_fetched_for_the_next_candidate() {
    let (anthropic, openai, host) = (Provider::start().await, Provider::start().await, Provider::start().await);
    let config = Config::new().provider("anthropic", &anthropic).provider("openai", &openai);
    let gateway = Gateway::start(config.top("image_fetch: { allow_private: true }")).await;
    openai.script([reply::status(500)]);
    let body = ask_parts(GPT, &[image(&format!("{}/a.png", host.url()))]);
    let client = begin(&gateway, "/v1/chat/completions", &with(body, json!({"fallbacks": [CLAUDE]}))).await;
    let request = host.next_request().await;
    noted().await;
    drop(client);
    request.closed().await;
    counted(&gateway, "image_fetch", &["server_error"]).await;
}

#[tokio::test]
async fn while_the_only_key_rests() {
    let (openai, _anthropic, gateway) = two("").await;
    openai.script([reply::status(429).header("retry-after", "50")]);
    gateway.chat(&ask(GPT)).await.expect(429);
    let client = begin(&gateway, "/v1/chat/completions", &ask(GPT)).await;
    noted().await;
    gateway.until_metrics("\nheliostat_requests_in_flight 1\n").await;
    noted().await;
    drop(client);
    counted(&gateway, "cool_down", &[]).await;
    assert_eq!(openai.received().len(), 1);
}

#[tokio::test]
async fn while_an_access_token_is_fetched() {
    let (tokens, vertex) = (Provider::start().await, Provider::start().await);
    let document = include_str!("vertex/service-account.json").replace("https://oauth2.googleapis.com", &tokens.url());
    let (_folder, account) = crate::support::gateway::file("account.json", &document);
    let keys = format!("[{{ value: file.{}, name: robot }}]", account.display());
    let url = vertex.url();
    let yaml = format!("providers:\n  google_vertex:\n    location: us-east5\n    base_url: {url}\n    keys: {keys}\n");
    let gateway = Gateway::with(&yaml).await;
    let client = begin(&gateway, "/v1/chat/completions", &ask("vertex/gemini-2.5-flash")).await;
    let request = tokens.next_request().await;
    noted().await;
    drop(client);
    counted(&gateway, "token", &[]).await;
    // Others may wait for the same token: its own clock ends that request.
    request.respond_json(200, &json!({"access_token": "t", "expires_in": 3599, "token_type": "Bearer"})).await;
}
