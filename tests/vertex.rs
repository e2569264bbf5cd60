//! Vertex with a service account: tokens are asked for once, renewed when refused, kept across reloads; Gemini and Claude beside each
//! other. The key is a throwaway one; the token endpoint and Vertex are fakes.

use std::path::PathBuf;

use tempfile::TempDir;

use crate::support::gateway::{file, run};
use crate::support::native::{anthropic_stream, gemini_stream, is_done, text_of};
use crate::support::reply::Reply;
use crate::support::sample::{PNG, ask_parts, data_uri, image};
use crate::support::{Gateway, Provider, Value, ask, ask_stream, client, json, native, reply, with};

const DOCUMENT: &str = include_str!("vertex/service-account.json");
const CHAT: &str = "/v1/chat/completions";
const FLASH: &str = "vertex/gemini-2.5-flash";
const CLAUDE: &str = "vertex/claude-sonnet-4-5@20250929";
const PLACE: &str = "projects/own-project/locations/us-east5/publishers";

/// Vertex, who gives out its tokens, and the gateway's configuration.
struct Vertex {
    tokens: Provider,
    upstream: Provider,
    account: (TempDir, PathBuf),
}

impl Vertex {
    async fn new() -> Self {
        let (tokens, upstream) = (Provider::start().await, Provider::start().await);
        let account = file("account.json", &document(&tokens));
        Self { tokens, upstream, account }
    }

    fn yaml(&self) -> String {
        self.yaml_with("")
    }

    fn yaml_with(&self, more_keys: &str) -> String {
        let (path, url) = (self.account.1.display(), self.upstream.url());
        let keys = format!("[{{ value: file.{path}, name: robot }}{more_keys}]");
        format!("providers:\n  google_vertex:\n    location: us-east5\n    base_url: {url}\n    keys: {keys}\n")
    }

    async fn gateway(&self) -> Gateway {
        Gateway::with(&self.yaml()).await
    }
}

fn document(tokens: &Provider) -> String {
    DOCUMENT.replace("https://oauth2.googleapis.com", &tokens.url())
}

fn token(value: &str) -> Reply {
    reply::json(json!({"access_token": value, "expires_in": 3599, "token_type": "Bearer"}))
}

fn refused() -> Reply {
    reply::status_json(401, json!({"error": {"code": 401, "message": "Request had invalid credentials.", "status": "UNAUTHENTICATED"}}))
}

fn gemini_ok() -> Reply {
    reply::json(native::gemini("from vertex"))
}

/// The bearers the provider saw.
fn bearers(provider: &Provider) -> Vec<String> {
    provider.received().iter().map(|seen| seen.head.header("authorization").unwrap_or_default().to_owned()).collect()
}

fn body(provider: &Provider) -> Value {
    serde_json::from_slice(&provider.received()[0].body).expect("JSON")
}

#[tokio::test]
async fn one_token_serves_twenty_requests_at_once() {
    let vertex = Vertex::new().await;
    vertex.tokens.script([token("ya29.one")]);
    vertex.upstream.always(gemini_ok());
    let gateway = vertex.gateway().await;
    let (address, body) = (gateway.address, ask(FLASH).to_string());
    let asked = (0..20).map(|_| body.clone());
    let asked = asked.map(|body| tokio::spawn(async move { client::send(address, "POST", CHAT, &[], body.as_bytes()).await }));
    for reply in asked.collect::<Vec<_>>() {
        assert_eq!(reply.await.unwrap().expect(200).content(), "from vertex");
    }
    assert_eq!(bearers(&vertex.upstream), vec!["Bearer ya29.one"; 20]);

    let asked = &vertex.tokens.received()[0];
    let form = String::from_utf8_lossy(&asked.body).into_owned();
    assert_eq!((asked.line.as_str(), asked.head.header("content-type")), ("POST /token", Some("application/x-www-form-urlencoded")));
    assert!(form.starts_with("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=ey"), "{form}");
    let seen = &vertex.upstream.received()[0];
    assert_eq!(seen.line, format!("POST /v1beta1/{PLACE}/google/models/gemini-2.5-flash:generateContent"));
    assert!(seen.head.header("x-goog-api-key").is_none());
}

#[tokio::test]
async fn a_lifetime_may_be_written_as_text_or_with_a_fraction() {
    for lifetime in [json!("3599"), json!(3599.0)] {
        let vertex = Vertex::new().await;
        vertex.tokens.script([reply::json(json!({"access_token": "ya29.one", "expires_in": lifetime}))]);
        vertex.upstream.always(gemini_ok());
        let gateway = vertex.gateway().await;
        for _ in 0..2 {
            gateway.chat(&ask(FLASH)).await.expect(200);
        }
        assert_eq!((bearers(&vertex.upstream), vertex.tokens.received().len()), (vec!["Bearer ya29.one".to_owned(); 2], 1), "{lifetime}");
    }
}

#[tokio::test]
async fn a_refused_token_is_renewed_once_and_the_same_key_asked_again() {
    let vertex = Vertex::new().await;
    vertex.tokens.script([token("ya29.old"), token("ya29.new")]);
    vertex.upstream.script([gemini_ok(), refused(), gemini_ok()]);
    let gateway = vertex.gateway().await;
    gateway.chat(&ask(FLASH)).await.expect(200);
    let reply = gateway.chat(&ask(FLASH)).await;
    assert_eq!(reply.expect(200).attempts(), ["vertex/gemini-2.5-flash#robot;401", "vertex/gemini-2.5-flash#robot;200"]);
    assert_eq!(bearers(&vertex.upstream), ["Bearer ya29.old", "Bearer ya29.old", "Bearer ya29.new"]);
}

#[tokio::test]
async fn a_key_whose_new_token_is_refused_too_is_off() {
    let vertex = Vertex::new().await;
    vertex.tokens.script([token("ya29.a"), token("ya29.b")]);
    vertex.upstream.script([refused(), refused()]);
    let gateway = vertex.gateway().await;
    gateway.chat(&ask(FLASH)).await.expect(502);
    let reply = gateway.chat(&ask(FLASH)).await;
    assert!(reply.expect(502).error().contains("no_credential"), "{}", reply.text());
    assert_eq!(bearers(&vertex.upstream), ["Bearer ya29.a", "Bearer ya29.b"]);
    assert!(!gateway.log().contains("ya29") && !gateway.log().contains("PRIVATE KEY"), "{}", gateway.log());
}

#[tokio::test]
async fn a_token_that_a_provider_repeats_goes_no_further() {
    let vertex = Vertex::new().await;
    vertex.tokens.script([token("ya29.repeated")]);
    vertex.upstream.script([reply::status_json(500, json!({"error": {"code": 500, "message": "no ya29.repeated here"}}))]);
    let gateway = vertex.gateway().await;
    let reply = gateway.chat(&ask(FLASH)).await;
    assert!(reply.expect(502).error().contains("no [redacted] here"), "{}", reply.text());
    assert!(!gateway.log().contains("ya29"), "{}", gateway.log());
}

#[tokio::test]
async fn without_a_token_the_next_key_serves_and_the_log_says_why() {
    let vertex = Vertex::new().await;
    vertex.tokens.script([reply::status_json(400, json!({"error": "invalid_grant", "error_description": "Invalid JWT Signature."}))]);
    vertex.upstream.always(gemini_ok());
    let gateway = Gateway::with(&vertex.yaml_with(", { value: env.VERTEX_API_KEY, weight: 0.000001 }")).await;
    let reply = gateway.chat(&ask(FLASH)).await;
    assert_eq!(reply.expect(200).attempts(), ["vertex/gemini-2.5-flash#robot;token", "vertex/gemini-2.5-flash#VERTEX_API_KEY;200"]);
    let word = gateway.log_line("no access token").await;
    assert!(word.contains("vertex/robot") && word.contains("400: invalid_grant: Invalid JWT Signature."), "{word}");
    let seen = &vertex.upstream.received()[0];
    assert_eq!(seen.line, "POST /v1/publishers/google/models/gemini-2.5-flash:generateContent");
    assert!(seen.head.header("x-goog-api-key").is_some() && seen.head.header("authorization").is_none());
}

#[tokio::test]
async fn without_a_token_the_next_candidate_serves() {
    let (vertex, openai) = (Vertex::new().await, Provider::start().await);
    vertex.tokens.script([Reply::Reset]);
    openai.script([reply::json(native::openai("from openai"))]);
    let more = format!("  openai:\n    base_url: {}\n    keys: [{{ value: env.OPENAI_API_KEY }}]\n", openai.url());
    let gateway = Gateway::with(&(vertex.yaml() + &more)).await;
    let reply = gateway.chat(&with(ask(CLAUDE), json!({"fallbacks": ["openai/gpt-4o"]}))).await;
    assert_eq!(reply.expect(200).content(), "from openai");
}

#[tokio::test]
async fn a_reload_keeps_the_token_and_another_account_gets_another() {
    let vertex = Vertex::new().await;
    vertex.tokens.script([token("ya29.first"), token("ya29.second")]);
    vertex.upstream.always(gemini_ok());
    let gateway = vertex.gateway().await;
    gateway.chat(&ask(FLASH)).await.expect(200);
    gateway.reload(&vertex.yaml()).await;
    gateway.chat(&ask(FLASH)).await.expect(200);
    std::fs::write(&vertex.account.1, document(&vertex.tokens).replace("robot@", "other@")).unwrap();
    gateway.reload(&vertex.yaml()).await;
    gateway.chat(&ask(FLASH)).await.expect(200);
    assert_eq!(bearers(&vertex.upstream), ["Bearer ya29.first", "Bearer ya29.first", "Bearer ya29.second"]);
}

#[tokio::test]
async fn gemini_streams_with_a_token() {
    let vertex = Vertex::new().await;
    vertex.tokens.script([token("ya29.one")]);
    vertex.upstream.script([reply::events(gemini_stream(&["Hel", "lo"]))]);
    let events = vertex.gateway().await.stream(&ask_stream(FLASH)).await.rest().await;
    assert_eq!((text_of(&events).as_str(), is_done(&events)), ("Hello", true));
    let line = &vertex.upstream.received()[0].line;
    assert_eq!(*line, format!("POST /v1beta1/{PLACE}/google/models/gemini-2.5-flash:streamGenerateContent?alt=sse"));
}

#[tokio::test]
async fn claude_answers_whole() {
    let vertex = Vertex::new().await;
    vertex.tokens.script([token("ya29.one")]);
    vertex.upstream.script([reply::json(native::anthropic("from claude"))]);
    let gateway = vertex.gateway().await;
    let reply = gateway.chat(&ask_parts(CLAUDE, &[image(&data_uri("image/png", PNG))])).await;
    assert_eq!(reply.expect(200).content(), "from claude");
    let seen = &vertex.upstream.received()[0];
    assert_eq!(seen.line, format!("POST /v1/{PLACE}/anthropic/models/claude-sonnet-4-5@20250929:rawPredict"));
    assert_eq!((seen.head.header("authorization"), seen.head.header("anthropic-version")), (Some("Bearer ya29.one"), None));
    let body = body(&vertex.upstream);
    assert_eq!((&body["anthropic_version"], &body["model"]), (&json!("vertex-2023-10-16"), &Value::Null));
    assert_eq!(body["messages"][0]["content"][0]["source"]["data"], PNG);
}

#[tokio::test]
async fn claude_streams() {
    let vertex = Vertex::new().await;
    vertex.tokens.script([token("ya29.one")]);
    vertex.upstream.script([reply::events(anthropic_stream(&["Hel", "lo"]))]);
    let events = vertex.gateway().await.stream(&ask_stream(CLAUDE)).await.rest().await;
    assert_eq!((text_of(&events).as_str(), is_done(&events)), ("Hello", true));
    let line = &vertex.upstream.received()[0].line;
    assert_eq!(*line, format!("POST /v1/{PLACE}/anthropic/models/claude-sonnet-4-5@20250929:streamRawPredict"));
    assert_eq!(body(&vertex.upstream)["stream"], true);
}

#[tokio::test]
async fn claude_on_vertex_answers_schemas_by_a_tool() {
    let vertex = Vertex::new().await;
    vertex.tokens.script([token("ya29.one")]);
    let schema = json!({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": false});
    let format = json!({"type": "json_schema", "json_schema": {"name": "answer", "strict": true, "schema": schema}});
    let mut answer = native::anthropic("");
    answer["content"] = json!([{"type": "tool_use", "id": "toolu_vrtx_1", "name": "answer", "input": {"n": 7}}]);
    answer["stop_reason"] = json!("tool_use");
    vertex.upstream.script([reply::json(answer)]);
    let reply = vertex.gateway().await.chat(&with(ask(CLAUDE), json!({"response_format": format}))).await;
    assert_eq!(serde_json::from_str::<Value>(&reply.expect(200).content()).unwrap(), json!({"n": 7}));
    let body = body(&vertex.upstream);
    assert_eq!((&body["output_config"], &body["tool_choice"]["name"]), (&Value::Null, &json!("answer")));
}

#[tokio::test]
async fn googles_own_errors_before_claude_count_as_what_they_are() {
    let (vertex, openai) = (Vertex::new().await, Provider::start().await);
    vertex.tokens.script([token("ya29.one")]);
    let exhausted = json!([{"error": {"code": 429, "message": "Quota exceeded.", "status": "RESOURCE_EXHAUSTED"}}]);
    vertex.upstream.script([reply::status_json(429, exhausted)]);
    openai.script([reply::json(native::openai("from openai"))]);
    let more = format!("  openai:\n    base_url: {}\n    keys: [{{ value: env.OPENAI_API_KEY }}]\n", openai.url());
    let gateway = Gateway::with(&(vertex.yaml() + &more)).await;
    let reply = gateway.chat(&with(ask(CLAUDE), json!({"fallbacks": ["openai/gpt-4o"]}))).await;
    assert_eq!(reply.expect(200).attempts()[0], "vertex/claude-sonnet-4-5@20250929#robot;429");
}

#[tokio::test]
async fn check_shows_project_and_location_and_no_secret() {
    let vertex = Vertex::new().await;
    let (_folder, path) = file("heliostat.yaml", &vertex.yaml());
    let output = run(&["check", "--config", path.to_str().unwrap()]).await;
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("project own-project, location us-east5"), "{said}");
    assert!(!said.contains("PRIVATE KEY") && !said.contains("MII"), "{said}");
}

#[tokio::test]
async fn claude_takes_anthropics_own_body_and_counts_it() {
    let vertex = Vertex::new().await;
    vertex.tokens.script([token("ya29.one")]);
    vertex.upstream.script([reply::json(native::anthropic("from claude")), reply::json(json!({"input_tokens": 9}))]);
    let gateway = vertex.gateway().await;
    let written = |head: &str| format!("{{{head}\"max_tokens\": 9, \"x\":1e2, \"messages\":[{{\"role\":\"user\",\"content\":\"hi\"}}]}}");
    let asked = written(&format!("\"model\":\"{CLAUDE}\", "));
    let post = async |path: &str| client::send(gateway.address, "POST", path, &[("anthropic-beta", "b-1")], asked.as_bytes()).await;
    assert_eq!(post("/v1/messages").await.expect(200).json()["content"][0]["text"], "from claude");
    assert_eq!(post("/v1/messages/count_tokens").await.expect(200).json(), json!({"input_tokens": 9}));
    let seen = vertex.upstream.received();
    let (chat, count) = (&seen[0], &seen[1]);
    assert_eq!(String::from_utf8_lossy(&chat.body), written("\"anthropic_version\":\"vertex-2023-10-16\","));
    assert_eq!(chat.head.header("anthropic-beta"), Some("b-1"));
    assert_eq!(count.line, format!("POST /v1/{PLACE}/anthropic/models/count-tokens:rawPredict"));
    assert_eq!(String::from_utf8_lossy(&count.body), written("\"model\":\"claude-sonnet-4-5@20250929\", "));
}

/// Its own paths, its own bytes, its own stream; the client's project is not ours, and ids of calls that Vertex refuses are left out.
#[tokio::test]
async fn a_client_of_vertexs_own_api_gets_its_own_bytes() {
    let vertex = Vertex::new().await;
    vertex.tokens.script([token("ya29.one")]);
    let gateway = vertex.gateway().await;
    let path = "/v1beta1/projects/theirs/locations/global/publishers/google/models/gemini-2.5-flash";
    let headers = [("authorization", "Bearer ya29.theirs")];
    let turns = |id: &str| {
        format!(
            "{{\"contents\":[{{\"parts\":[{{\"text\":\"\\u00e9\"}}]}}, {{\"role\":\"model\",\"parts\":[{{\"functionCall\":{{{id}\"name\":\"f\",\"args\":{{}}}}}}]}},\
             {{\"parts\":[{{\"functionResponse\":{{{id}\"name\":\"f\",\"response\":{{}}}}}}]}}],\"x_new\":1e2}}"
        )
    };
    vertex.upstream.script([gemini_ok()]);
    let sent = turns("\"id\":\"call_1\",");
    let reply = client::send(gateway.address, "POST", &format!("{path}:generateContent"), &headers, sent.as_bytes()).await;
    assert_eq!(reply.expect(200).text(), native::gemini("from vertex").to_string());
    let seen = vertex.upstream.received().pop().unwrap();
    assert_eq!(seen.line, format!("POST /v1beta1/{PLACE}/google/models/gemini-2.5-flash:generateContent"));
    assert_eq!((String::from_utf8_lossy(&seen.body).into_owned(), seen.head.header("authorization")), (turns(""), Some("Bearer ya29.one")));

    let events = gemini_stream(&["one ", "two"]);
    vertex.upstream.script([reply::events(&events)]);
    let stream = client::open(gateway.address, &format!("{path}:streamGenerateContent?alt=sse"), &headers, turns("").as_bytes()).await;
    assert_eq!(stream.bytes().await, events.concat().into_bytes());
}
