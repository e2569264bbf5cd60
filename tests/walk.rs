//! The walk of a newcomer: a request with two headers of its own meets a failing provider, and its cause is found in the metrics, in the
//! trace and in the log, by one query each. The commands are those of the README.

use std::time::Duration;

use crate::support::gateway::Gateway;
use crate::support::within;

const REQUEST: &str = "job-7";

/// The commands of the README's section, on the addresses of this demo: the request, the metrics, their examples of it, the trace.
fn commands(demo: &Gateway) -> [String; 4] {
    let readme = include_str!("../README.md");
    let section = readme.split("\n## See every hop\n").nth(1).expect("the section").split("\n## ").next().unwrap();
    let block = section.split("```sh\n").nth(1).expect("its commands").split("```").next().unwrap();
    let block = block.replace("127.0.0.1:8080", &demo.address.to_string()).replace("127.0.0.1:8081", &demo.admin.to_string());
    let block = block.replace("127.0.0.1:8082", &demo.traces.to_string());
    let mut commands: Vec<String> = block.split("\ncurl ").map(|command| format!("curl {}", command.trim_start_matches("curl "))).collect();
    assert_eq!(commands.len(), 4, "{commands:?}");
    std::array::from_fn(|_| commands.remove(0))
}

async fn paste(command: &str) -> String {
    let mut shell = tokio::process::Command::new("bash");
    let output = within("a pasted command", shell.args(["-c", command]).kill_on_drop(true).output()).await.expect("bash and curl");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Pastes it until it says this: spans come a moment after the answer.
async fn paste_until(command: &str, says: &str) -> String {
    within(says, async {
        loop {
            let said = paste(command).await;
            if said.contains(says) {
                return said;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
}

/// The lines that hold all of these.
fn lines<'t>(text: &'t str, words: &[&str]) -> Vec<&'t str> {
    text.lines().filter(|line| words.iter().all(|word| line.contains(word))).collect()
}

#[tokio::test]
async fn one_query_each_finds_the_cause() {
    let demo = Gateway::demo().await;
    let [request, metrics, examples, trace] = commands(&demo);
    let answer = paste(&request).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(&format!("x-request-id: {REQUEST}")), "{answer}");

    // Who failed and who served, by the two headers.
    let said = paste(&metrics).await;
    let both = [r#"x_team="shoes""#, r#"x_pipeline_stage="score""#];
    let failed = lines(&said, &[both[0], both[1], r#"provider="openai""#, r#"outcome="overloaded""#]);
    let served = lines(&said, &[both[0], both[1], r#"provider="anthropic""#, r#"outcome="ok""#]);
    assert!(failed.len() == 1 && served.len() == 1 && failed[0].ends_with(" 1") && served[0].ends_with(" 1"), "{said}");

    // The same of the one request, and how long each took at which stage, by its id.
    let said = paste_until(&examples, "heliostat_upstream_stage_seconds").await;
    for (provider, outcome) in [("openai", "overloaded"), ("anthropic", "ok")] {
        let of = [format!("provider=\"{provider}\""), format!("outcome=\"{outcome}\"")];
        assert_eq!(lines(&said, &["heliostat_attempts_total", &of[0], &of[1], "trace_id="]).len(), 1, "{said}");
        assert_eq!(lines(&said, &["heliostat_upstream_stage_seconds_bucket", &of[0], "stage=\"header\""]).len(), 1, "{said}");
    }
    let traced = said.split("trace_id=\"").nth(1).and_then(|rest| rest.get(..32)).expect("a trace").to_owned();

    // And in the trace.
    let said = paste_until(&trace, "chat claude-sonnet-4-5").await;
    assert_eq!(lines(&said, &["chat (", " ms)", ": ok 200"]).len(), 1, "{said}");
    assert_eq!(lines(&said, &["chat fail-529 (", " ms)", ": overloaded 529"]).len(), 1, "{said}");
    assert_eq!(lines(&said, &["chat claude-sonnet-4-5 (", " ms)", ": ok 200"]).len(), 1, "{said}");
    for word in [
        "x-team = shoes",
        "x-pipeline-stage = score",
        "heliostat.provider = openai",
        "heliostat.blame = provider",
        "heliostat.first_content",
    ] {
        assert!(said.contains(word), "{word}: {said}");
    }
    let trace_id = said.lines().next().unwrap().strip_prefix("trace ").unwrap();

    assert_eq!(trace_id, traced);

    // And in the log, which names the trace.
    let line = demo.access(REQUEST).await;
    assert_eq!((&line["trace_id"], &line["provider"], &line["labels"]["x-team"]), (&trace_id.into(), &"anthropic".into(), &"shoes".into()));
    assert_eq!((&line["attempts"][0]["outcome"], &line["attempts"][1]["outcome"]), (&"overloaded".into(), &"ok".into()));
    assert!(line["total_us"].as_u64().unwrap() >= line["attempts"][0]["took_us"].as_u64().unwrap());
    // By the trace as well as by the request.
    assert_eq!(paste(&trace.replace(REQUEST, trace_id)).await, said);
}
