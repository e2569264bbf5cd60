//! What operators see: health, metrics, one line a request; and what nobody sees: secrets.

use crate::support::{Config, Gateway, Provider, ask, ask_stream, client, config::secret_of, json, native, reply, with};

const CLAUDE: &str = "anthropic/claude-sonnet-4-5";

async fn two() -> (Provider, Provider, Gateway) {
    let (openai, anthropic) = (Provider::start().await, Provider::start().await);
    let gateway = Gateway::start(Config::new().provider("openai", &openai).provider("anthropic", &anthropic)).await;
    (openai, anthropic, gateway)
}

async fn ask_as(gateway: &Gateway, id: &str, body: &crate::support::Value) -> crate::support::Reply {
    gateway.chat_with(&[("x-request-id", id)], body.to_string().as_bytes()).await
}

#[tokio::test]
async fn health_is_told_on_both_listeners() {
    let (_openai, _anthropic, gateway) = two().await;
    for path in ["/healthz", "/readyz"] {
        gateway.get(path).await.expect(200);
        gateway.admin_get(path).await.expect(200);
    }
}

#[tokio::test]
async fn metrics_count_requests_and_stand_on_the_admin_listener_alone() {
    let (openai, anthropic, gateway) = two().await;
    openai.always(reply::status(529));
    anthropic.always(reply::json(native::anthropic("ok")));
    ask_as(&gateway, "metric-1", &with(ask("openai/gpt-4o"), json!({"fallbacks": [CLAUDE]}))).await.expect(200);
    gateway.access("metric-1").await;
    let text = gateway.admin_get("/metrics").await.expect(200).text();
    for word in ["# TYPE heliostat_", "provider=\"openai\"", "provider=\"anthropic\"", "heliostat_attempts_total", "overloaded"] {
        assert!(text.contains(word), "{word} in {text}");
    }
    gateway.get("/metrics").await.expect(404);
}

#[tokio::test]
async fn each_request_leaves_one_json_line() {
    let (openai, anthropic, gateway) = two().await;
    openai.script([reply::status(529)]);
    anthropic.script([reply::json(native::anthropic("ok"))]);
    ask_as(&gateway, "line-1", &with(ask("openai/gpt-4o"), json!({"fallbacks": [CLAUDE], "logit_bias": {"1": 1}}))).await.expect(200);
    let line = gateway.access("line-1").await;
    let text = line.to_string();
    assert_eq!(line["status"], 200, "{text}");
    for word in ["claude-sonnet-4-5", "anthropic", "529", "ANTHROPIC_API_KEY", "logit_bias"] {
        assert!(text.contains(word), "{word} in {text}");
    }
    assert_eq!(gateway.access_count("line-1").await, 1);
}

#[tokio::test]
async fn refusals_failures_and_lost_clients_leave_a_line_too() {
    let (openai, _anthropic, gateway) = two().await;
    ask_as(&gateway, "line-404", &ask("nothing/here")).await;
    assert_eq!(gateway.access("line-404").await["status"], 404);
    openai.script([reply::Reply::Reset]);
    ask_as(&gateway, "line-502", &ask("openai/gpt-4o")).await.expect(502);
    assert_eq!(gateway.access("line-502").await["status"], 502);
    openai.script([reply::ending([native::chunk_text("x")], reply::End::Stall)]);
    let mut stream = gateway.stream_with(&[("x-request-id", "line-left")], &ask_stream("openai/gpt-4o-mini")).await;
    stream.event().await;
    stream.leave();
    gateway.access("line-left").await;
}

#[tokio::test]
async fn usage_of_a_stream_stands_in_its_line() {
    let (_openai, anthropic, gateway) = two().await;
    anthropic.script([reply::events(native::anthropic_stream(&["ok"]))]);
    gateway.stream_with(&[("x-request-id", "line-usage")], &ask_stream(CLAUDE)).await.rest().await;
    let line = gateway.access("line-usage").await.to_string();
    assert!(line.contains("\"status\":200") && line.contains('3') && line.contains("tokens"), "{line}");
}

#[tokio::test]
async fn secrets_and_prompts_are_nowhere_in_what_it_prints() {
    let (openai, anthropic, gateway) = two().await;
    let leak = format!("Incorrect API key provided: {}", secret_of("OPENAI_API_KEY"));
    openai.script([reply::status_json(
        401,
        json!({"error": {"message": leak, "type": "invalid_request_error", "param": null, "code": "invalid_api_key"}}),
    )]);
    anthropic.script([reply::Reply::Reset]);
    let body = with(ask("openai/gpt-4o"), json!({"fallbacks": [CLAUDE], "messages": [{"role": "user", "content": "very private prompt"}]}));
    let reply =
        gateway.chat_with(&[("x-request-id", "secret-1"), ("authorization", "Bearer sk-of-the-client")], body.to_string().as_bytes()).await;
    gateway.access("secret-1").await;
    let metrics = gateway.admin_get("/metrics").await.text();
    for text in [gateway.log(), metrics, reply.text(), format!("{:?}", reply.head)] {
        for secret in ["sk-secret", "sk-of-the-client", "very private prompt"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}

#[tokio::test]
async fn a_key_in_the_query_is_not_logged() {
    let (_openai, _anthropic, gateway) = two().await;
    client::send(gateway.address, "GET", "/v1/models?key=sk-in-the-query", &[("x-request-id", "query-1")], b"").await;
    gateway.access("query-1").await;
    assert!(!gateway.log().contains("sk-in-the-query"));
}

#[tokio::test]
async fn a_request_under_way_is_counted_until_it_has_ended() {
    let (openai, _anthropic, gateway) = two().await;
    let body = ask("openai/gpt-4o");
    let upstream = async {
        let request = openai.next_request().await;
        let metrics = gateway.admin_get("/metrics").await.text();
        assert!(metrics.contains("\nheliostat_requests_in_flight 1\n"), "{metrics}");
        request.respond_json(200, &native::openai("ok")).await;
    };
    tokio::join!(gateway.chat(&body), upstream).0.expect(200);
}
