//! The command line: `check` says what is wrong and where, `--help` helps, and exit codes can be relied on.

use std::process::Output;

use crate::support::gateway::{command, file, run};
use crate::support::within;

async fn check(text: &str) -> Output {
    let (_folder, path) = file("heliostat.yaml", text);
    run(&["check", "--config", path.to_str().unwrap()]).await
}

/// Everything a command said.
fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

const GOOD: &str = "providers:\n  openai:\n    keys:\n      - value: env.OPENAI_API_KEY\n        weight: 0.7\n";

#[tokio::test]
async fn a_good_file_is_said_to_be_good() {
    let output = check(GOOD).await;
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("heliostat.yaml: good"), "{}", said(&output));
}

#[tokio::test]
async fn an_unknown_key_is_told_with_file_line_and_the_nearest_known_key() {
    let output = check(&GOOD.replace("weight", "wieght")).await;
    let said = said(&output);
    assert!(!output.status.success());
    assert!(said.contains("heliostat.yaml:5"), "{said}");
    assert!(said.contains("wieght") && said.contains("weight"), "{said}");
}

#[tokio::test]
async fn mistakes_are_told_by_name() {
    for (text, words) in [
        ("providers:\n  opnai:\n    keys: [{ value: env.OPENAI_API_KEY }]\n", &["opnai", "openai", ":2"][..]),
        ("providers:\n  openai:\n    keys: [{ value: env.NOT_SET }]\n", &["NOT_SET"]),
        ("providers:\n  openai:\n    keys: [{ value: env.OPENAI_API_KEY, weight: -1 }]\n", &["weight"]),
        ("providers:\n  openai:\n    keys: [{ value: env.OPENAI_API_KEY, weight: .nan }]\n", &["weight"]),
        ("providers:\n  openai:\n    keys: [{ value: env.OPENAI_API_KEY, weight: 0 }]\n", &["weight"]),
        ("providers:\n  openai:\n    base_url: ftp://x\n    keys: [{ value: env.OPENAI_API_KEY }]\n", &["base_url", "https://", ":3"]),
        (
            "providers:\n  mine:\n    base_url: http://127.0.0.1:1\n    dialect: opnai\n    keys: [{ value: env.OPENAI_API_KEY }]\n",
            &["dialect", "openai", ":4"],
        ),
        ("providers:\n  openai:\n    keys: [{ value: env.OPENAI_API_KEY }]\nfallbacks: [antropic/claude]\n", &["antropic"]),
        ("listen: 127.0.0.1\nproviders:\n  openai:\n    keys: [{ value: env.OPENAI_API_KEY }]\n", &["listen"]),
        ("listen: 0.0.0.0:8080\nproviders:\n  openai:\n    keys: [{ value: env.OPENAI_API_KEY }]\n", &["allow_anonymous"]),
        ("providers: [\n", &["heliostat.yaml"]),
    ] {
        let output = check(text).await;
        assert!(!output.status.success(), "{text}");
        for word in words {
            assert!(said(&output).contains(word), "{word} in {}\nfor {text}", said(&output));
        }
    }
}

#[tokio::test]
async fn check_can_leave_the_environment_aside() {
    let (_folder, path) = file("heliostat.yaml", &GOOD.replace("OPENAI_API_KEY", "NOT_SET"));
    let output = run(&["check", "--config", path.to_str().unwrap(), "--without-env"]).await;
    assert!(output.status.success(), "{}", said(&output));
}

#[tokio::test]
async fn sections_without_effect_yet_are_named() {
    let more = "semantic_cache: { enabled: true, similarity_threshold: 0.94, ttl_seconds: 86400 }\n\
                governance: { virtual_keys: [{ id: vk_team, budget_usd_monthly: 800 }] }\n\
                observability: { prometheus_labels: [x-team] }\n";
    let output = check(&format!("{GOOD}{more}")).await;
    assert!(output.status.success(), "{}", said(&output));
    for section in ["semantic_cache", "governance"] {
        assert!(said(&output).contains(section), "{}", said(&output));
    }
}

#[tokio::test]
async fn a_collector_that_nobody_knows_stops_no_check() {
    let more = "observability: { otel_endpoint: 'https://collector.invalid:4317', otel_protocol: grpc, sampling: { ratio: 0.1 } }\n";
    let output = check(&format!("{GOOD}{more}")).await;
    assert!(output.status.success() && said(&output).contains("https://collector.invalid:4317 (grpc), 10 %"), "{}", said(&output));
}

#[tokio::test]
async fn json_is_as_good_as_yaml() {
    let (_folder, path) = file(
        "config.json",
        r#"{"providers": {"openai": {"keys": [{"value": "env.OPENAI_API_KEY", "models": ["gpt-4o-mini"]}], "concurrency_and_buffer_size": {"concurrency": 32}}}}"#,
    );
    let output = run(&["check", "--config", path.to_str().unwrap()]).await;
    assert!(output.status.success(), "{}", said(&output));
}

#[tokio::test]
async fn a_catalogue_name_without_a_dialect_loads_with_a_notice() {
    let output = check(&format!("{GOOD}  stability:\n    keys: [{{ value: env.OTHER_API_KEY }}]\n")).await;
    assert!(output.status.success() && said(&output).contains("stability"), "{}", said(&output));
}

#[tokio::test]
async fn the_configurations_that_users_write_load_as_they_stand() {
    let examples = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/examples");
    let files: Vec<_> = std::fs::read_dir(&examples).expect("conf/examples").map(|f| f.unwrap().path()).collect();
    assert!(files.len() >= 5, "{files:?}");
    for path in files {
        let output = run(&["check", "--config", path.to_str().unwrap(), "--without-env"]).await;
        assert!(output.status.success(), "{}: {}", path.display(), said(&output));
    }
}

#[tokio::test]
async fn a_missing_file_is_named() {
    let output = run(&["check", "--config", "/nowhere/heliostat.yaml"]).await;
    assert!(!output.status.success() && said(&output).contains("/nowhere/heliostat.yaml"), "{}", said(&output));
    let output = run(&["run", "--config", "/nowhere/heliostat.yaml"]).await;
    assert!(!output.status.success() && said(&output).contains("/nowhere/heliostat.yaml"), "{}", said(&output));
}

#[tokio::test]
async fn a_run_with_a_bad_file_ends_and_says_why() {
    let (_folder, path) = file("heliostat.yaml", &GOOD.replace("keys", "kees"));
    let output = run(&["run", "--config", path.to_str().unwrap()]).await;
    assert!(!output.status.success() && said(&output).contains("kees"), "{}", said(&output));
}

#[tokio::test]
async fn a_run_without_configuration_or_keys_says_what_to_do() {
    let mut bare = command();
    bare.env_clear().arg("run").kill_on_drop(true);
    let output = within("the command to end", bare.output()).await.unwrap();
    assert!(!output.status.success());
    for word in ["OPENAI_API_KEY", "--config", "demo"] {
        assert!(said(&output).contains(word), "{word} in {}", said(&output));
    }
}

#[tokio::test]
async fn help_names_every_command() {
    let output = run(&["--help"]).await;
    assert!(output.status.success());
    for word in ["run", "check", "demo"] {
        assert!(said(&output).contains(word), "{}", said(&output));
    }
    for command in ["run", "check", "demo"] {
        let output = run(&[command, "--help"]).await;
        assert!(output.status.success() && said(&output).contains("--"), "{}", said(&output));
    }
    assert!(!run(&["no-such-command"]).await.status.success());
}

#[tokio::test]
async fn check_never_prints_a_secret() {
    let output = check(&GOOD.replace("env.OPENAI_API_KEY", "sk-inline-secret\n        nmae: x")).await;
    assert!(!said(&output).contains("sk-inline-secret"), "{}", said(&output));
}

#[tokio::test]
async fn a_file_that_says_nothing_of_providers_is_no_configuration() {
    // OPENAI_API_KEY is set, and must not stand in for a file that is empty, cut short, or the wrong one.
    for text in ["", "# providers\n", "providers:\n", "listen: 127.0.0.1:8080\n", "{}"] {
        let output = check(text).await;
        assert!(!output.status.success(), "{text:?}: {}", said(&output));
        assert!(said(&output).contains("providers: {openai: {keys:"), "{text:?}: {}", said(&output));
    }
}

#[tokio::test]
async fn what_was_written_is_told_with_the_nearest_that_is_known() {
    let own = |more: &str| format!("providers:\n  mine: {{ {more}, keys: [{{ value: env.OPENAI_API_KEY }}] }}\n");
    for (text, words) in [
        (own("base_url: \"http://127.0.0.1:1\", dialect: antropic"), "\"antropic\"; did you mean \"anthropic\"?"),
        (own("base_url: \"localhost:8000/v1\", dialect: openai"), "\"localhost:8000/v1\" is not a URL; write https://"),
    ] {
        let output = check(&text).await;
        assert!(!output.status.success() && said(&output).contains(words), "{words} in {}", said(&output));
    }
    let output = check(&own("base_url: \"htp://user:hunter2@host\", dialect: openai")).await;
    assert!(!output.status.success() && !said(&output).contains("hunter2"), "{}", said(&output));
}

#[tokio::test]
async fn a_demo_greets_only_where_it_can_listen() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for taken_by in ["--listen", "--admin-listen", "--traces-listen"] {
        let of = |flag: &str| if flag == taken_by { address.as_str() } else { "127.0.0.1:0" };
        let [clients, operators, traces] = ["--listen", "--admin-listen", "--traces-listen"].map(|flag| [flag, of(flag)]);
        let output = run(&[&["demo"][..], &clients, &operators, &traces].concat()).await;
        assert!(!output.status.success());
        assert!(!said(&output).contains("is ready") && said(&output).contains(&address), "{}", said(&output));
    }
}

#[tokio::test]
async fn a_secret_in_a_file_is_read_and_a_missing_file_is_named() {
    let (folder, path) = file("heliostat.yaml", &GOOD.replace("env.OPENAI_API_KEY", "file.openai.key"));
    let check = || async { run(&["check", "--config", path.to_str().unwrap()]).await };
    let output = check().await;
    assert!(!output.status.success() && said(&output).contains("cannot read openai.key"), "{}", said(&output));
    std::fs::write(folder.path().join("openai.key"), "sk-secret-in-a-file\n").unwrap();
    let output = check().await;
    assert!(output.status.success() && !said(&output).contains("sk-secret-in-a-file"), "{}", said(&output));
}
