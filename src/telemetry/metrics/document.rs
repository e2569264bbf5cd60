//! `src/telemetry/METRICS.md`, written from the code, and a test that it is not stale.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::aliases::{ALIASES, LABELS, Taken};
use super::*;
use crate::config::{MetricAliases, OWN_LABELS};
use crate::telemetry::access_log;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/telemetry/METRICS.md");
const HEAD: &str = "\
# Metrics and log lines

Written from the code by a test; after a change: `HELIOSTAT_WRITE_METRICS=1 cargo test --lib document`.

Metrics are at `/metrics` of the admin listener, in Prometheus' text format.
`+` stands for the labels that `observability.prometheus_labels` names: of `x-team` it is `x_team`, empty where it was not sent.

What others choose is bounded. A model has a label once it is named in the configuration or has answered (200 of a provider), a header's
value while it is among the first 100, a combination of them while it is among the first 1,000; the rest is `other`. `client` is the
name of the client's key, `credential` that of ours, `endpoint` a name and never a path.

| metric | type | labels | meaning |
|---|---|---|---|
";

const LINES: &str = "
## Lines of the access log

One JSON object a line and request, on every path. What is not known is left out; times ending in `_us` are microseconds since the
request's head had been read, or durations where it says so.

| field | meaning |
|---|---|
";

fn written() -> String {
    let metrics = Metrics::new(Arc::default(), Vec::new()).unwrap();
    let mut text = HEAD.to_owned();
    for definition in &metrics.builder.definitions {
        let mut labels: Vec<String> = definition.labels.iter().map(|label| format!("`{label}`")).collect();
        labels.extend(definition.labelled.then(|| "+".to_owned()));
        let _ = writeln!(text, "| `{}` | {} | {} | {} |", definition.name, definition.kind, labels.join(" "), definition.help);
    }
    for (set, whose) in [(MetricAliases::LiteLlm, "LiteLLM's"), (MetricAliases::Bifrost, "Bifrost's")] {
        let key = whose.trim_end_matches("'s").to_lowercase();
        let _ = write!(text, "\n## {whose} names\n\nWith `observability.metric_aliases: [{key}]`; their words for our labels: ");
        let labels = LABELS.iter().filter(|(of, ..)| *of == set).map(|(_, ours, theirs)| format!("`{ours}` is `{theirs}`"));
        let _ = writeln!(text, "{}.\n\n| alias | of |\n|---|---|", labels.collect::<Vec<_>>().join(", "));
        for alias in ALIASES.iter().filter(|alias| alias.set == set) {
            let taken = match alias.taken {
                Taken::All => String::new(),
                Taken::Where(label, values) => format!(" where `{label}` is {}", values.join(" or ")),
                Taken::Unless(label, value) => format!(" where `{label}` is not {value}"),
            };
            let _ = writeln!(text, "| `{}` | `{}`{taken} |", alias.name, alias.of);
        }
    }
    text.push_str(LINES);
    for (field, meaning) in access_log::FIELDS {
        let _ = writeln!(text, "| `{field}` | {meaning} |");
    }
    text
}

#[test]
fn the_file_is_what_the_code_says() {
    let written = written();
    if std::env::var_os("HELIOSTAT_WRITE_METRICS").is_some() {
        std::fs::write(FILE, &written).unwrap();
    }
    assert_eq!(std::fs::read_to_string(FILE).unwrap(), written, "stale: see the file's head for how to write it anew");
}

#[test]
fn no_header_can_take_the_name_of_a_label() {
    let metrics = Metrics::new(Arc::default(), Vec::new()).unwrap();
    let own = metrics.builder.definitions.iter().flat_map(|definition| definition.labels.iter().copied());
    let theirs = LABELS.iter().map(|(_, _, theirs)| *theirs);
    let missing: BTreeSet<&str> = own.chain(theirs).filter(|label| !OWN_LABELS.contains(label)).collect();
    assert!(missing.is_empty(), "config::OWN_LABELS lacks {missing:?}");
}

#[test]
fn an_alias_is_of_a_metric_that_there_is() {
    let metrics = Metrics::new(Arc::default(), Vec::new()).unwrap();
    for alias in ALIASES {
        let definition = metrics.builder.definitions.iter().find(|definition| definition.name == alias.of);
        let labels = definition.unwrap_or_else(|| panic!("{}", alias.of)).labels;
        if let Taken::Where(label, _) | Taken::Unless(label, _) = alias.taken {
            assert!(labels.contains(&label), "{} has no {label}", alias.of);
        }
    }
}
