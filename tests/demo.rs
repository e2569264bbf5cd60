//! The demo, as a newcomer tries it: its own printed lines, pasted into a shell.

use std::collections::HashSet;

use sha2::{Digest, Sha256};

use crate::support::native::{is_done, text_of};
use crate::support::sample::{PNG, ask_parts, data_uri, image, text};
use crate::support::{Gateway, ask, ask_stream, json, with, within};

const MODELS: [&str; 3] = ["openai/gpt-4o", "anthropic/claude-sonnet-4-5", "gemini/gemini-2.5-flash"];

/// The `curl` commands the demo printed, each with the variables set above it.
fn commands(output: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = String::new();
    for line in output.lines() {
        let sets = line.split_once('=').is_some_and(|(name, _)| name.trim_end_matches('+').bytes().all(|b| b.is_ascii_uppercase()));
        if open.is_empty() && !sets && !line.starts_with("curl ") {
            continue;
        }
        open.push_str(line);
        open.push('\n');
        if open.contains("curl ") && !line.ends_with('\\') && open.matches('\'').count().is_multiple_of(2) {
            found.push(std::mem::take(&mut open));
        }
    }
    found
}

/// Pastes a command into a shell, and shows the response headers as well.
async fn paste(command: &str) -> String {
    let shown = command.replacen("curl ", "curl -sS --max-time 20 -D - ", 1);
    let mut shell = tokio::process::Command::new("bash");
    let output = within("the pasted command", shell.args(["-c", &shown]).kill_on_drop(true).output()).await.expect("bash and curl");
    assert!(output.status.success(), "{command}\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test]
async fn the_printed_lines_do_what_they_promise() {
    let demo = Gateway::demo().await;
    demo.output_line("fail-529").await;
    let commands = commands(&demo.output());
    assert!(commands.len() >= 2, "{}", demo.output());
    let mut answers = Vec::new();
    for command in &commands {
        answers.push(paste(command).await);
    }
    let all = answers.join("\n");
    let answered = |(command, answer): (&String, &String)| answer.starts_with("HTTP/1.1 200") || !command.contains(" -d '");
    assert!(commands.iter().zip(&answers).all(answered), "{all}");
    let hashes = all.split(|c: char| !c.is_ascii_hexdigit()).filter(|w| w.len() == 64).count();
    assert!(hashes >= 1 && all.contains("image/"), "the simulators tell what image they received: {all}");
    let failed_over = answers.iter().find(|a| a.contains("fail-529")).expect("an answer after a 529");
    assert!(failed_over.contains(";529;") && failed_over.contains(";200;"), "{failed_over}");
}

#[tokio::test]
async fn every_provider_tells_the_same_image() {
    let demo = Gateway::demo().await;
    let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, PNG).unwrap();
    let hash: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
    for model in MODELS {
        let body = ask_parts(model, &[text("what is it?"), image(&data_uri("image/jpeg", PNG))]);
        let said = demo.chat(&body).await.expect(200).content();
        for word in ["image/png", &bytes.len().to_string(), &hash] {
            // OpenAI's simulator sees the declared type, for the request passed as it was.
            assert!(said.contains(word) || (model.starts_with("openai") && word == "image/png"), "{model}: {word} in {said}");
        }
    }
}

#[tokio::test]
async fn every_provider_streams() {
    let demo = Gateway::demo().await;
    for model in MODELS {
        let events = demo.stream(&ask_stream(model)).await.rest().await;
        assert!(!text_of(&events).is_empty() && is_done(&events), "{model}: {events:?}");
    }
}

#[tokio::test]
async fn faults_by_model_name_fail_over_in_every_dialect() {
    for provider in ["openai", "anthropic", "gemini"] {
        let demo = Gateway::demo().await;
        let next = if provider == "openai" { MODELS[1] } else { MODELS[0] };
        // The rate limit comes last, for it makes a key rest.
        for fault in ["fail-529", "fail-500", "reset", "error-200", "fail-429"] {
            let body = with(ask(&format!("{provider}/{fault}")), json!({"fallbacks": [next]}));
            let reply = demo.chat(&body).await;
            let attempts = reply.expect(200).attempts();
            assert!(attempts.len() >= 2 && attempts[0].starts_with(&format!("{provider}/{fault}#")), "{attempts:?}");
        }
    }
}

#[tokio::test]
async fn a_broken_stream_never_looks_complete() {
    let demo = Gateway::demo().await;
    for provider in ["openai", "anthropic", "gemini"] {
        for fault in ["error-first", "truncate", "error-mid", "reset-mid-stream"] {
            let body = with(ask_stream(&format!("{provider}/{fault}")), json!({"fallbacks": []}));
            let events = demo.stream(&body).await.rest().await;
            assert!(!is_done(&events) && events.join("\n").contains("error"), "{provider}/{fault}: {events:?}");
        }
    }
}

#[tokio::test]
async fn ports_of_two_demos_do_not_meet() {
    let (one, two) = (Gateway::demo().await, Gateway::demo().await);
    let ports: HashSet<_> = [one.address, two.address, one.admin, two.admin].into_iter().collect();
    assert_eq!(ports.len(), 4);
    for demo in [&one, &two] {
        demo.chat(&ask(MODELS[0])).await.expect(200);
    }
}
