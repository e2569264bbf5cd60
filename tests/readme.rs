//! The README cannot drift: every YAML block in it loads.

use crate::support::gateway::{file, run};

/// The contents of fenced blocks of a language.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let opening = format!("```{language}\n");
    text.split(opening.as_str()).skip(1).map(|rest| rest.split("```").next().unwrap_or_default()).collect()
}

#[tokio::test]
async fn every_yaml_block_of_the_readme_loads() {
    let blocks = blocks(include_str!("../README.md"), "yaml");
    assert!(blocks.len() >= 2, "the README shows configuration");
    for yaml in blocks {
        let (_folder, path) = file("heliostat.yaml", yaml);
        let output = run(&["check", "--config", path.to_str().unwrap(), "--without-env"]).await;
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{said}\nfor\n{yaml}");
    }
}

#[test]
fn the_readme_tells_how_to_run_and_to_test() {
    let commands = blocks(include_str!("../README.md"), "sh").join("\n");
    for wanted in ["cargo run --release -- demo", "cargo test --workspace", "heliostat check --config"] {
        assert!(commands.contains(wanted), "{wanted}");
    }
}
