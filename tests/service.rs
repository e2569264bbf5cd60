//! Under a service manager: what it is told and when, and the unit that is shipped.

use std::path::Path;
use std::process::Command;

use crate::support::{Config, Gateway, Manager, Provider, ask, gateway, native, reply};

fn config(openai: &Provider) -> Config {
    Config::new().provider("openai", openai).top("drain: { notice_ms: 100, deadline_ms: 5000 }")
}

#[tokio::test]
async fn the_manager_hears_ready_reloading_and_stopping() {
    for manager in [Manager::new(), Manager::without_a_file()] {
        let openai = Provider::start().await;
        let yaml = config(&openai).yaml();
        let mut gateway = Gateway::launch(&yaml, &[("NOTIFY_SOCKET", manager.name())]);
        assert!(manager.hears("READY=1").await.contains("STATUS=serving"));
        gateway.get("/readyz").await.expect(200);
        gateway.admin_get("/readyz").await.expect(200);
        gateway.rewrite(&yaml);
        let reloading = manager.hears("RELOADING=1").await;
        let stamp = reloading.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC=")).expect("a time stamp");
        assert!(stamp.parse::<u64>().unwrap() > 0);
        assert!(manager.hears("READY=1").await.contains("read again"));
        gateway.rewrite("providers: { openai: { kees: [] } }\n");
        manager.hears("RELOADING=1").await;
        assert!(manager.hears("READY=1").await.contains("refused"));
        gateway.terminate();
        manager.hears("STOPPING=1").await;
        assert!(gateway.ended().await.success());
    }
}

#[tokio::test]
async fn a_watchdog_is_fed() {
    let (manager, openai) = (Manager::new(), Provider::start().await);
    let variables = [("NOTIFY_SOCKET", manager.name()), ("WATCHDOG_USEC", "100000")];
    let _gateway = Gateway::launch(&config(&openai).yaml(), &variables);
    manager.hears("READY=1").await;
    for _ in 0..3 {
        assert_eq!(manager.word().await.trim(), "WATCHDOG=1");
    }
}

#[tokio::test]
async fn a_manager_that_does_not_read_holds_nothing_up() {
    let (manager, openai) = (Manager::deaf(), Provider::start().await);
    let yaml = config(&openai).yaml();
    let mut gateway = Gateway::with_variables(&yaml, &[("NOTIFY_SOCKET", manager.name()), ("WATCHDOG_USEC", "100000")]).await;
    for _ in 0..2 {
        assert!(gateway.reload(&yaml).await.contains("is in force"));
    }
    openai.always(reply::json(native::openai("ok")));
    gateway.chat(&ask("gpt-4o")).await.expect(200);
    let began = std::time::Instant::now();
    gateway.terminate();
    assert!(gateway.ended().await.success());
    assert!(began.elapsed() < std::time::Duration::from_secs(4), "within the drain's deadline: {:?}", began.elapsed());
    assert_eq!(gateway.log().matches("the service manager does not hear").count(), 1, "{}", gateway.log());
}

#[tokio::test]
async fn keys_come_as_credentials_of_the_manager() {
    let openai = Provider::start().await;
    openai.always(reply::json(native::openai("ok")));
    let (folder, _) = gateway::file("openai", "sk-from-a-credential\n");
    let yaml = config(&openai).keys("openai", "[{ value: credential.openai }]").yaml();
    let manager = Manager::new();
    let directory = folder.path().display().to_string();
    let gateway = Gateway::launch(&yaml, &[("CREDENTIALS_DIRECTORY", &directory), ("NOTIFY_SOCKET", manager.name())]);
    manager.hears("READY=1").await;
    let answer = gateway.chat(&ask("gpt-4o")).await;
    assert_eq!(openai.received()[0].head.header("authorization"), Some("Bearer sk-from-a-credential"));
    assert_eq!(answer.expect(200).attempts(), ["openai/gpt-4o#openai;200"]);
}

#[tokio::test]
async fn a_credential_that_is_not_there_is_named() {
    let (_folder, path) = gateway::file("c.yaml", "providers: { openai: { keys: [{ value: credential.openai }] } }\n");
    let check = |more: &'static [&'static str]| {
        let path = path.display().to_string();
        async move { gateway::run(&[&["check", "--config", &path], more].concat()).await }
    };
    let missing = check(&[]).await;
    let said = String::from_utf8_lossy(&missing.stderr).into_owned();
    assert!(!missing.status.success() && said.contains("LoadCredential=openai"), "{said}");
    assert!(check(&["--without-env"]).await.status.success());
}

/// The unit with its paths set to what is on this machine.
fn unit() -> (tempfile::TempDir, String) {
    let shipped = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/heliostat.service")).expect("the unit");
    let (folder, path) = gateway::file("heliostat.service", &shipped.replace("/usr/bin/heliostat", env!("CARGO_BIN_EXE_heliostat")));
    (folder, path.display().to_string())
}

/// Runs `systemd-analyze`; `None`, said aloud, where there is none.
fn analyze(arguments: &[&str]) -> Option<(bool, String)> {
    match Command::new("systemd-analyze").args(arguments).output() {
        Ok(output) => Some((output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())),
        Err(error) => {
            println!("skipped: systemd-analyze: {error}");
            None
        }
    }
}

#[test]
fn the_unit_is_clean() {
    let (_folder, path) = unit();
    let Some((good, said)) = analyze(&["verify", "--man=no", &path]) else { return };
    // Other units of this machine are looked at too.
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("heliostat")).collect();
    assert!(good && ours.is_empty(), "{said}");
}

#[test]
fn the_unit_exposes_no_more_than_it_must() {
    let (_folder, path) = unit();
    let Some((good, said)) = analyze(&["security", "--offline=true", "--no-pager", "--threshold=15", &path]) else { return };
    assert!(good, "{said}");
}

#[test]
fn the_units_clocks_outlast_the_drain() {
    let shipped = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/heliostat.service")).expect("the unit");
    let stop = shipped.lines().find_map(|line| line.strip_prefix("TimeoutStopSec=")).expect("TimeoutStopSec");
    assert!(stop.parse::<u64>().unwrap() > 60, "longer than drain.deadline_ms");
}
