//! The access log where an operator wants it, and nothing in it, or in an error, that is a secret.

use crate::support::{Config, Gateway, Provider, ask, client, config::secret_of, json, native, reply, with, within};

async fn ask_as(gateway: &Gateway, id: &str, model: &str) -> crate::support::Reply {
    gateway.chat_with(&[("x-request-id", id)], ask(model).to_string().as_bytes()).await
}

/// Waits for a line with this id in a file.
async fn line_in(path: &std::path::Path, id: &str) -> String {
    within(id, async {
        loop {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            if let Some(line) = text.lines().find(|line| line.contains(id)) {
                return line.to_owned();
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

#[tokio::test]
async fn lines_go_to_a_file_that_can_be_moved_away() {
    let openai = Provider::start().await;
    openai.always(reply::json(native::openai("ok")));
    let folder = tempfile::tempdir().unwrap();
    let (path, moved) = (folder.path().join("access.log"), folder.path().join("access.log.1"));
    let log = format!("observability: {{ access_log: {{ output: {} }} }}", path.display());
    let gateway = Gateway::start(Config::new().provider("openai", &openai).top(&log)).await;
    ask_as(&gateway, "file-1", "openai/gpt-4o").await.expect(200);
    let line: crate::support::Value = serde_json::from_str(&line_in(&path, "file-1").await).unwrap();
    assert_eq!((&line["level"], &line["status"]), (&json!("info"), &json!(200)));
    std::fs::rename(&path, &moved).unwrap();
    gateway.reopen();
    // The signal is on its way: lines end up in the new file sooner or later, and none is lost.
    within("the new file", async {
        let mut count = 2;
        while !path.exists() {
            ask_as(&gateway, &format!("file-{count}-"), "openai/gpt-4o").await.expect(200);
            count += 1;
        }
    })
    .await;
    ask_as(&gateway, "file-last", "openai/gpt-4o").await.expect(200);
    line_in(&path, "file-last").await;
    assert!(!gateway.output().contains("file-"), "{}", gateway.output());
}

#[tokio::test]
async fn a_level_and_a_share_leave_lines_out_and_a_reload_changes_them() {
    let openai = Provider::start().await;
    let config = |log: &str| Config::new().provider("openai", &openai).top(&format!("observability: {{ access_log: {{ {log} }} }}"));
    let gateway = Gateway::start(config("sample: 0")).await;
    openai.script([reply::json(native::openai("ok")), reply::status(500)]);
    ask_as(&gateway, "sampled-away", "openai/gpt-4o").await.expect(200);
    ask_as(&gateway, "a-failure", "openai/gpt-4o").await.expect(500);
    let line = gateway.access("a-failure").await;
    assert_eq!((&line["level"], &line["fault"]), (&json!("error"), &json!("provider")), "{line}");
    gateway.reload(&config("level: info").yaml()).await;
    openai.script([reply::json(native::openai("ok"))]);
    ask_as(&gateway, "a-success", "openai/gpt-4o").await.expect(200);
    gateway.access("a-success").await;
    assert!(!gateway.output().contains("sampled-away"), "{}", gateway.output());
}

#[tokio::test]
async fn planted_secrets_are_in_no_line_and_no_error() {
    let (openai, anthropic) = (Provider::start().await, Provider::start().await);
    let keys = "client_keys: [{ name: team, value: env.CLIENT_KEY }]\nobservability: { prometheus_labels: [x-team] }";
    let config = Config::new().provider("openai", &openai).provider("anthropic", &anthropic).top(keys);
    let gateway = Gateway::with_variables(&config.yaml(), &[("CLIENT_KEY", "planted-client-key")]).await;
    let (ours, claudes, theirs) = (secret_of("OPENAI_API_KEY"), secret_of("ANTHROPIC_API_KEY"), "planted-client-key");
    let bearer = format!("Bearer {theirs}");
    let echo = |key: &str| json!({"error": {"message": format!("bad key {key}"), "type": "x", "param": format!("p {key}"), "code": format!("c-{key}")}});
    openai.always(reply::status_json(400, echo(&ours)));
    anthropic.always(reply::status_json(500, echo(&claudes)));
    let mut seen = String::new();
    for (id, model, team) in [
        ("planted-1", "openai/gpt-4o", theirs),
        ("planted-2", "anthropic/claude-sonnet-4-5", "sk-ant-0123456789abcdef"),
        // A key where a model should be.
        ("planted-3", theirs, "AIzaSy0123456789abcdef"),
    ] {
        let headers = [("x-request-id", id), ("authorization", &bearer), ("x-team", team)];
        let body = with(ask(model), json!({"user": "planted-in-the-body"}));
        let reply = gateway.chat_with(&headers, body.to_string().as_bytes()).await;
        // What the client itself wrote may come back to it, and to nobody else.
        seen += &reply.text().replace(theirs, "");
        gateway.access(id).await;
    }
    client::send(gateway.address, "GET", &format!("/v1/models?key={theirs}"), &[("x-request-id", "planted-4")], b"").await;
    gateway.access("planted-4").await;
    seen += &gateway.log();
    for secret in [&*ours, &*claudes, theirs, "sk-ant-0123456789abcdef", "AIzaSy0123456789abcdef", "planted-in-the-body"] {
        assert!(!seen.contains(secret), "{secret} in {seen}");
    }
}
