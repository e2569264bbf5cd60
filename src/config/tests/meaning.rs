//! What files mean, users' own among them.

use super::*;

fn example(name: &str) -> Snapshot {
    load(&read(&format!("conf/examples/{name}")), name, &world()).unwrap_or_else(|problems| panic!("{}", lines(&problems)))
}

#[test]
fn weighted_keys_retries_and_a_route() {
    let snapshot = example("weighted-keys.yaml");
    let openai = provider(&snapshot, "openai");
    let keys: Vec<_> = openai.credentials.iter().map(|key| (key.name.as_str(), key.weight, key.secret.expose())).collect();
    let expected =
        [("OPENAI_KEY_PRIMARY", 0.7, "secret-of-OPENAI_KEY_PRIMARY"), ("OPENAI_KEY_SECONDARY", 0.3, "secret-of-OPENAI_KEY_SECONDARY")];
    assert_eq!(keys, expected);
    assert_eq!(openai.retry, Retry { max_retries: Some(2), backoff_initial_ms: 100 });
    assert_eq!(provider(&snapshot, "anthropic").retry, Retry::default());
    assert_eq!(openai.timeouts, Timeouts::default());
    let route = &snapshot.routes["prompt-rewrite"];
    assert_eq!(ids(std::slice::from_ref(&route.primary)), ["openai/gpt-4o-mini"]);
    assert_eq!(ids(&route.fallbacks), ["anthropic/claude-haiku-4-5"]);
    assert!(snapshot.provider("stability").is_none());
    assert!(
        snapshot.notices.iter().any(|notice| notice.contains("stability") && notice.contains("not yet active")),
        "{:?}",
        snapshot.notices
    );
}

#[test]
fn json_with_a_bound_and_observability() {
    let snapshot = example("observability.json");
    let openai = provider(&snapshot, "openai");
    assert_eq!(openai.concurrency, Some(Concurrency { limit: 32, queue: 320, queue_ms: 1_000 }));
    assert_eq!(openai.credentials[0].models, Some(vec![ModelPattern::Exact("gpt-4o-mini".to_owned())]));
    let observability = &snapshot.observability;
    assert_eq!(observability.prometheus_labels.iter().map(|name| &**name).collect::<Vec<_>>(), ["x-team", "x-pipeline-stage"]);
    let traces = observability.traces.as_ref().unwrap();
    assert_eq!((traces.endpoint.authority.as_str(), traces.endpoint.path.as_str()), ("otel-collector:4318", "/v1/traces"));
    assert_eq!((traces.protocol, traces.sampling), (Protocol::Http, Sampling::default()));
    assert_eq!(traces.resource, [("service.name".to_owned(), "heliostat".to_owned())]);
    assert!(snapshot.notices.is_empty(), "{:?}", snapshot.notices);
}

#[test]
fn a_fallback_for_one_model_and_inactive_sections() {
    let snapshot = example("semantic-cache.yaml");
    let Resolution::Candidate(asked) = snapshot.resolve("anthropic/claude-3-5-sonnet") else { panic!() };
    assert_eq!(ids(&snapshot.fallbacks_for(&asked)), ["vertex/gemini-1.5-pro"]);
    let Resolution::Candidate(other) = snapshot.resolve("anthropic/claude-haiku-4-5") else { panic!() };
    assert!(snapshot.fallbacks_for(&other).is_empty());
    let cache = snapshot.semantic_cache.as_ref().unwrap();
    assert_eq!((cache.enabled, cache.similarity_threshold, cache.ttl_seconds), (true, Some(0.94), 86_400));
    let budgets: Vec<_> =
        snapshot.governance.as_ref().unwrap().virtual_keys.iter().map(|key| (key.id.as_str(), key.budget_usd_monthly)).collect();
    assert_eq!(budgets, [("vk_caption_team", Some(800.0)), ("vk_rewrite_team", Some(400.0))]);
    assert_eq!(snapshot.notices.len(), 2);
}

#[test]
fn a_global_list_with_providers_from_the_environment() {
    let snapshot = example("fallbacks.yaml");
    let names: Vec<_> = snapshot.providers.iter().map(|provider| provider.name.as_str()).collect();
    assert_eq!(names, ["openai", "anthropic", "vertex"]);
    let Resolution::Candidate(asked) = snapshot.resolve("anthropic/claude-sonnet-4-6") else { panic!() };
    assert_eq!(ids(&snapshot.fallbacks_for(&asked)), ["openai/gpt-4o", "vertex/gemini-2.5-pro"]);

    let only_openai = MapEnvironment::from([("OPENAI_API_KEY", "k")]);
    let snapshot = load(&read("conf/examples/fallbacks.yaml"), "f", &only_openai).unwrap();
    assert_eq!(ids(&snapshot.global_fallbacks), ["openai/gpt-4o"]);
    assert!(snapshot.notices.iter().any(|notice| notice.contains("VERTEX_API_KEY")), "{:?}", snapshot.notices);
}

#[test]
fn no_file_means_the_usual_variables() {
    let snapshot =
        from_environment(&MapEnvironment::from([("GOOGLE_API_KEY", "k"), ("OPENAI_API_KEY", " "), ("AWS_BEARER_TOKEN_BEDROCK", "b")]))
            .unwrap();
    let gemini = provider(&snapshot, "google");
    assert_eq!(
        (snapshot.providers.len(), gemini.auth, gemini.credentials[0].name.as_str()),
        (1, Auth::Header("x-goog-api-key"), "GOOGLE_API_KEY")
    );
    assert_eq!(snapshot.listen[0].to_string(), "127.0.0.1:8080");
    assert_eq!(snapshot.admin_listen.to_string(), "127.0.0.1:8081");
    let none = from_environment(&MapEnvironment::default()).unwrap_err();
    assert!(lines(&none).contains("OPENAI_API_KEY"), "{}", lines(&none));
}

#[test]
fn env_file_stands_before_the_environment_and_files_hold_secrets() {
    let mut world = world();
    world.files.insert("keys.env".to_owned(), "# keys\nexport OPENAI_KEY=\"rotated\"\n\nOTHER='x=y'\n".to_owned());
    world.files.insert("/run/secrets/b".to_owned(), "from-file\n".to_owned());
    let text = "env_file: keys.env\nproviders: {openai: {keys: [{value: env.OPENAI_KEY}, {value: env.OTHER}, {value: file./run/secrets/b}, {value: plain}]}}";
    let snapshot = load(text, "f", &world).unwrap();
    let keys: Vec<_> = provider(&snapshot, "openai").credentials.iter().map(|key| (key.name.as_str(), key.secret.expose())).collect();
    assert_eq!(keys, [("OPENAI_KEY", "rotated"), ("OTHER", "x=y"), ("openai-3", "from-file"), ("openai-4", "plain")]);
}

#[test]
fn base_urls_are_completed() {
    let rows = [
        ("openai", "http://127.0.0.1:9000", "127.0.0.1:9000 /v1"),
        ("openai", "http://127.0.0.1:9000/", "127.0.0.1:9000 /v1"),
        ("openai", "https://h.example/a/b/", "h.example /a/b"),
        ("openai", "https://h.example:443/v1", "h.example /v1"),
        ("openai", "http://h.example:443", "h.example:443 /v1"),
        ("openai", "http://[::1]:9000", "[::1]:9000 /v1"),
        ("groq", "https://h.example", "h.example /openai/v1"),
        ("deepseek", "https://h.example", "h.example "),
        ("anthropic", "https://h.example", "h.example /v1"),
        ("anthropic", "https://h.example/v1", "h.example /v1"),
        ("anthropic", "https://h.example/anthropic", "h.example /anthropic/v1"),
        ("anthropic", "https://h.example/anthropic/v1/", "h.example /anthropic/v1"),
        ("gemini", "http://h.example", "h.example /v1beta"),
        ("vertex", "http://h.example", "h.example /v1/publishers/google"),
        ("azure", "https://r.openai.azure.com/", "r.openai.azure.com /openai/v1"),
        ("azure-classic", "https://r.openai.azure.com", "r.openai.azure.com /openai"),
        ("cloudflare", "https://h.example", "h.example "),
    ];
    for (name, url, expected) in rows {
        let snapshot = loaded(&format!("providers: {{{name}: {{base_url: '{url}', keys: [{{value: k}}]}}}}"));
        let endpoint = &snapshot.providers[0].credentials[0].endpoint;
        assert_eq!(format!("{} {}", endpoint.authority, endpoint.path), expected, "{name} {url}");
    }
    let v6 = loaded("providers: {openai: {base_url: 'http://[::1]:9000', keys: [{value: k}]}}");
    let endpoint = &v6.providers[0].credentials[0].endpoint;
    assert_eq!((endpoint.host.as_str(), endpoint.port, endpoint.tls), ("::1", 9000, false));
}

#[test]
fn auth_headers_and_surface_follow_the_catalogue_and_the_dialect() {
    let text = "providers:\n  anthropic: {keys: [{value: k}, {value: l, base_url: 'http://127.0.0.1:1'}]}\n  vertex: {keys: [{value: k}]}\n  ollama:\n  \
                mine: {base_url: 'http://h', dialect: anthropic, keys: [{value: k}]}\n  open: {base_url: 'http://h', dialect: openai}\n  \
                azure: {base_url: 'https://r.example', keys: [{value: k}]}";
    let snapshot = loaded(text);
    let auths: Vec<_> = snapshot.providers.iter().map(|provider| (provider.name.as_str(), provider.auth, provider.headers.len())).collect();
    let expected = [
        ("anthropic", Auth::Header("x-api-key"), 1),
        ("vertex", Auth::Header("x-goog-api-key"), 0),
        ("ollama", Auth::None, 0),
        ("mine", Auth::Header("x-api-key"), 1),
        ("open", Auth::None, 0),
        ("azure", Auth::Header("api-key"), 0),
    ];
    assert_eq!(auths, expected);
    assert!(snapshot.providers.iter().enumerate().all(|(index, provider)| provider.index == index));
    assert_eq!(snapshot.providers[0].credentials[1].endpoint.authority, "127.0.0.1:1");
    assert_eq!(snapshot.providers[0].credentials[0].endpoint.host, "api.anthropic.com");
    let vertex = &snapshot.providers[1].speech.surface;
    assert!(vertex.image_urls && !vertex.tool_ids && vertex.image_types.contains(&"image/heic".to_owned()));
    assert!(!snapshot.providers[0].speech.surface.image_types.contains(&"image/heic".to_owned()));
}

#[test]
fn images_may_be_as_large_fetched_as_sent_unless_said_otherwise() {
    let of = |text: &str| loaded(&format!("{text}\nproviders: {{openai: {{keys: [{{value: k}}]}}}}")).image_fetch;
    assert_eq!(of(""), ImageFetch::default());
    assert_eq!(of("limits: {image_bytes: 7}").max_bytes, 7);
    let written = of("limits: {image_bytes: 7}\nimage_fetch: {mode: always, max_bytes: 9, allow_private: true, max_parallel: 2}");
    let expected = ImageFetch { mode: ImageFetchMode::Always, max_bytes: 9, allow_private: true, max_parallel: 2, ..ImageFetch::default() };
    assert_eq!(written, expected);
}

#[test]
fn a_provider_may_be_said_not_to_fetch_urls() {
    let snapshot = loaded("providers:\n  openai: {keys: [{value: k}]}\n  mine: {base_url: 'http://h', dialect: openai, image_urls: false}");
    assert_eq!(snapshot.providers.iter().map(|provider| provider.speech.surface.image_urls).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn a_hedge_is_asked_for_at_the_top_of_a_provider_or_of_a_route() {
    let of = |network: &str, provider_s: &str, route: &str| {
        let text = format!(
            "network: {{{network}}}\nproviders:\n  openai: {{keys: [{{value: k}}], network: {{{provider_s}}}}}\nmcp: [{{id: r, primary: openai/m{route}}}]"
        );
        loaded(&text).routes.get("r").unwrap().primary.timeouts.hedge
    };
    let hedge = |after_ms, budget_percent| Some(Hedge { after_ms, budget_percent });
    assert_eq!(of("", "", ""), None);
    assert_eq!(of("hedge: {}", "", ""), hedge(5_000, 5));
    assert_eq!(of("hedge: {after_ms: 900}", "hedge: {budget_percent: 10}", ""), hedge(900, 10));
    assert_eq!(of("", "hedge: {after_ms: 900}", ", hedge: {after_ms: 300}"), hedge(300, 5));
    assert_eq!(of("hedge: {after_ms: 900}", "hedge: {enabled: false}", ""), None);
    assert_eq!(of("hedge: {after_ms: 900}", "", ", hedge: {enabled: false}"), None);
    assert!(
        describe(&loaded("network: {hedge: {}}\nproviders: {openai: {keys: [{value: k}]}}")).contains("hedged after 5000 ms, at most 5 %")
    );
}

#[test]
fn clocks_of_a_provider_stand_over_the_top_level() {
    let text = "network: {timeouts: {header_ms: 5000, stall_ms: 6000}, retry: {max_retries: 0}}\nproviders:\n  openai: {keys: [{value: k}], network: \
                {timeouts: {header_ms: 7000}}}\n  anthropic: {keys: [{value: k}]}";
    let snapshot = loaded(text);
    let [openai, anthropic] = [provider(&snapshot, "openai"), provider(&snapshot, "anthropic")];
    assert_eq!((openai.timeouts.header_ms, openai.timeouts.stall_ms, openai.timeouts.connect_ms), (Some(7_000), 6_000, 1_500));
    assert_eq!((anthropic.timeouts.header_ms, anthropic.retry.max_retries), (Some(5_000), Some(0)));
}
