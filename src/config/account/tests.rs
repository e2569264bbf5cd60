//! Service accounts in a configuration: what they mean, what is refused, and what is printed.

use crate::config::{Credential, MapEnvironment, Resolution, Secret, ServiceAccount, Snapshot, WithoutEnvironment, describe, load};

const DOCUMENT: &str = include_str!("../../../tests/vertex/service-account.json");

fn world() -> MapEnvironment {
    let mut world = MapEnvironment::from([("ACCOUNT", DOCUMENT), ("OTHER", DOCUMENT), ("EXPRESS", "AIza-express-key")]);
    world.files.insert("account.json".to_owned(), DOCUMENT.to_owned());
    world
}

fn vertex(yaml: &str) -> Snapshot {
    let loaded = load(&format!("providers: {{google_vertex: {{{yaml}}}}}"), "f", &world());
    loaded.unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn refused(yaml: &str) -> String {
    let problems = load(&format!("providers: {{{yaml}}}"), "f", &world()).unwrap_err();
    problems.iter().map(ToString::to_string).collect()
}

fn url(credential: &Credential, model: &str) -> String {
    format!("{}{}", credential.endpoint.authority, credential.base_path(model))
}

#[test]
fn hosts_and_paths_follow_location_project_and_base_url() {
    const GOOGLE: &str = "publishers/google";
    let key = "keys: [{value: env.ACCOUNT}]";
    let rows = [
        (key.to_owned(), format!("aiplatform.googleapis.com/v1beta1/projects/own-project/locations/global/{GOOGLE}")),
        (format!("{key}, location: us"), format!("aiplatform.us.rep.googleapis.com/v1beta1/projects/own-project/locations/us/{GOOGLE}")),
        (format!("{key}, location: eu"), format!("aiplatform.eu.rep.googleapis.com/v1beta1/projects/own-project/locations/eu/{GOOGLE}")),
        (
            format!("{key}, location: europe-west4, project: p"),
            format!("europe-west4-aiplatform.googleapis.com/v1beta1/projects/p/locations/europe-west4/{GOOGLE}"),
        ),
        (
            "project: p, keys: [{value: file.account.json, project: 'example.com:q'}]".to_owned(),
            format!("aiplatform.googleapis.com/v1beta1/projects/example.com:q/locations/global/{GOOGLE}"),
        ),
        (
            format!("{key}, location: us-east5, base_url: 'http://127.0.0.1:9'"),
            format!("127.0.0.1:9/v1beta1/projects/own-project/locations/us-east5/{GOOGLE}"),
        ),
        (format!("{key}, base_url: 'https://h.example/x/v1'"), format!("h.example/x/v1/projects/own-project/locations/global/{GOOGLE}")),
        (
            "keys: [{value: env.ACCOUNT, base_url: 'http://127.0.0.1:9'}]".to_owned(),
            format!("127.0.0.1:9/v1beta1/projects/own-project/locations/global/{GOOGLE}"),
        ),
    ];
    for (yaml, expected) in rows {
        assert_eq!(url(&vertex(&yaml).providers[0].credentials[0], "gemini-2.5-flash"), expected, "{yaml}");
    }
}

#[test]
fn claude_is_called_below_another_publisher_with_another_dialect() {
    let snapshot = vertex("location: us-east5, keys: [{value: env.ACCOUNT}]");
    let provider = &snapshot.providers[0];
    let (claude, gemini) = ("claude-sonnet-4-5@20250929", "gemini-2.5-flash");
    assert_eq!(
        url(&provider.credentials[0], claude),
        "us-east5-aiplatform.googleapis.com/v1/projects/own-project/locations/us-east5/publishers/anthropic"
    );
    let speech = provider.speaks(claude);
    assert_eq!((speech.dialect.name(), provider.speaks(gemini).dialect.name()), ("anthropic", "gemini"));
    assert_eq!(speech.chat_path(claude, false), "/models/claude-sonnet-4-5@20250929:rawPredict");
    assert_eq!(speech.chat_path("claude-x/../y", true), "/models/claude-x%2F..%2Fy:streamRawPredict");
    assert_eq!(provider.speaks(gemini).chat_path(gemini, true), "/models/gemini-2.5-flash:streamGenerateContent?alt=sse");
    let surface = &speech.surface;
    assert!(!surface.image_urls && !surface.native_schema && surface.body_version.as_deref() == Some("vertex-2023-10-16"));
    assert!(provider.speech.surface.image_urls && !provider.speech.surface.tool_ids);
}

#[test]
fn an_api_key_takes_the_express_path_beside_an_account_and_does_not_reach_claude() {
    let snapshot = vertex("location: eu, keys: [{value: env.EXPRESS}, {value: env.ACCOUNT}]");
    let provider = &snapshot.providers[0];
    assert_eq!(url(&provider.credentials[0], "gemini-2.5-flash"), "aiplatform.googleapis.com/v1/publishers/google");
    let eligible = |model: &str| provider.eligible(model).map(|key| key.name.as_str()).collect::<Vec<_>>();
    assert_eq!(eligible("gemini-2.5-flash"), ["EXPRESS", "ACCOUNT"]);
    assert_eq!(eligible("claude-sonnet-4-5"), ["ACCOUNT"]);
    let express = vertex("keys: [{value: env.EXPRESS}]");
    assert!(matches!(express.resolve("vertex/claude-sonnet-4-5"), Resolution::Unknown { .. }));
    assert!(matches!(snapshot.resolve("vertex/claude-sonnet-4-5"), Resolution::Candidate(_)));
}

#[test]
fn the_private_key_is_no_secret_that_is_sent_and_nothing_prints_it() {
    let snapshot = vertex("keys: [{value: env.ACCOUNT}]");
    let credential = &snapshot.providers[0].credentials[0];
    assert_eq!((credential.secret.expose(), credential.written().expose()), ("", DOCUMENT.trim()));
    let printed = format!("{}{snapshot:?}", describe(&snapshot));
    assert!(printed.contains("service account, project own-project, location global"), "{printed}");
    let line_of_key = DOCUMENT.split("\\n").nth(2).unwrap();
    assert!(!printed.contains("PRIVATE KEY") && !printed.contains(line_of_key), "{printed}");
}

#[test]
fn what_does_not_fit_is_told_without_its_content() {
    let document = |from: &str, to: &str| ServiceAccount::read(&Secret::new(DOCUMENT.replace(from, to))).unwrap_err();
    assert!(ServiceAccount::read(&Secret::new(DOCUMENT)).is_ok());
    assert_eq!(document("service_account\"", "authorized_user\""), "is JSON, but not of the type service_account");
    assert_eq!(document("\"client_email\"", "\"email\""), "holds no client_email");
    assert_eq!(document("BEGIN PRIVATE", "BEGIN A PRIVATE"), "holds a private_key that is no PKCS#8 PEM");
    assert_eq!(document("https://oauth2", "http://oauth2"), "holds a token_uri that is not https");
    assert_eq!(document("\"project_id\": \"own-project\"", "\"project_id\": 7"), "is no service account's JSON (line 3 of it)");
    assert!(ServiceAccount::read(&Secret::new(DOCUMENT.replace("https://oauth2.googleapis.com", "http://127.0.0.1:9"))).is_ok());

    let openai = refused("openai: {keys: [{value: env.ACCOUNT}]}");
    assert!(openai.contains("is a JSON document, and this provider takes a key") && !openai.contains("PRIVATE"), "{openai}");
    let place = refused("vertex: {location: 'eu.evil/', keys: [{value: env.ACCOUNT}]}");
    assert!(place.contains("providers.vertex.location"), "{place}");
    let notices = vertex("project: p, keys: [{value: env.EXPRESS}]").notices;
    assert!(notices.iter().any(|notice| notice.contains("project") && notice.contains("no effect")), "{notices:?}");
}

#[test]
fn it_can_be_checked_without_its_file() {
    let text = "providers: {vertex: {project: p, location: eu, keys: [{value: file.account.json}]}}";
    let snapshot = load(text, "f", &WithoutEnvironment).unwrap_or_else(|problems| panic!("{problems:?}"));
    assert_eq!(snapshot.notices, Vec::<String>::new());
}
