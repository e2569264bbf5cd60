//! `src/telemetry/METRICS.md`, written from the code, and a test that it is not stale.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::aliases::{ALIASES, LABELS, Taken};
use super::counted::Definition;
use super::*;
use crate::config::{MetricAliases, OWN_LABELS};
use crate::telemetry::access_log;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/telemetry/METRICS.md");
const HEAD: &str = "\
# Metrics and log lines

Written from the code by a test; after a change: `HELIOSTAT_WRITE_METRICS=1 cargo test --lib document`.

Metrics are at `/metrics` of the admin listener, in Prometheus' text format; for one who accepts `application/openmetrics-text`, in that
format and with examples: each series, and each bucket of a histogram, names the last request that it counted, by `request_id` (unless
that is longer than 118 characters) and by `trace_id` (where its spans are kept and there is room). They follow within 20 ms of the
request's end; of more than 5,000 plain successes a second only so many are noted. The first 1,000 series of a metric have examples.
Prometheus stores them with `--enable-feature=exemplar-storage`.

`+` stands for the labels that `observability.prometheus_labels` names: of `x-team` it is `x_team`, empty where it was not sent.

What others choose is bounded. A model has a label once it is named in the configuration or has answered (200 of a provider), a header's
value while it is among the first 100, a combination of them while it is among the first 1,000; the rest is `other`. `client` is the
name of the client's key, `credential` that of ours, `endpoint` a name and never a path.

| metric | type | labels | meaning |
|---|---|---|---|
";

/// Questions that were asked of a gateway, and how Prometheus answers them; `.ci/prometheus.py` asks each of a real one.
const QUERIES: &[(&str, &str)] = &[
    ("Who fails, and how?", r#"sum by (provider, outcome) (rate(heliostat_attempts_total{outcome!="ok"}[5m]))"#),
    ("Whose fault is what clients see?", "sum by (fault, reason) (rate(heliostat_errors_total[5m]))"),
    ("Who served instead?", "sum by (from_provider, to_provider, to_model) (rate(heliostat_fallbacks_total[5m]))"),
    ("Which team's requests?", "sum by (x_team, outcome) (rate(heliostat_requests_total[5m]))"),
    (
        "How slow is the provider, 95 of 100?",
        "histogram_quantile(0.95, sum by (le, gen_ai_provider_name) (rate(gen_ai_server_request_duration_bucket[5m])))",
    ),
    (
        "And until the first token?",
        "histogram_quantile(0.95, sum by (le, gen_ai_provider_name) (rate(gen_ai_server_time_to_first_token_bucket[5m])))",
    ),
    (
        "At which stage of the call?",
        "histogram_quantile(0.95, sum by (le, provider, stage) (rate(heliostat_upstream_stage_seconds_bucket[5m])))",
    ),
    (
        "What does the gateway itself take, 99 of 100, in µs?",
        "histogram_quantile(0.99, sum by (le, endpoint) (rate(heliostat_own_time_microseconds_bucket[5m])))",
    ),
    ("Tokens a second?", "sum by (provider, model, kind) (rate(heliostat_tokens_total[5m]))"),
    ("Which keys rest?", "heliostat_credential_state"),
    ("Is anything lost on the way to the log or the collector?", "heliostat_telemetry_dropped_total"),
];
/// The same of single requests; `.ci/prometheus.py` asks `/api/v1/query_exemplars` for each.
const EXAMPLES: &[(&str, &str)] = &[
    ("Which request failed, at whom and how?", r#"heliostat_attempts_total{outcome!="ok"}"#),
    ("Whose was the fault of what its client saw?", "heliostat_errors_total"),
    ("Which was slow?", "gen_ai_server_request_duration_bucket"),
    ("At which stage?", "heliostat_upstream_stage_seconds_bucket"),
    ("Which waited long for its first token?", "gen_ai_server_time_to_first_token_bucket"),
    ("Which cost the gateway itself most?", "heliostat_own_time_microseconds_bucket"),
];
const LINES: &str = "
## Lines of the access log

One JSON object a line and request, on every path. What is not known is left out; times ending in `_us` are microseconds since the
request's head had been read, or durations where it says so.

| field | meaning |
|---|---|
";

/// Every metric, and whether requests tell it.
fn definitions() -> Vec<(Definition, bool)> {
    let metrics = Metrics::new(Arc::default(), Vec::new(), redact::InForce::default()).unwrap();
    let requests = metrics.requests.load();
    let told = requests.counted.definitions.iter().map(|definition| (definition.clone(), true));
    told.chain(metrics.counted.definitions.iter().map(|definition| (definition.clone(), false))).collect()
}

fn written() -> String {
    let mut text = HEAD.to_owned();
    for (definition, of_requests) in definitions() {
        let mut labels: Vec<String> = definition.labels.iter().map(|label| format!("`{label}`")).collect();
        labels.extend(of_requests.then(|| "+".to_owned()));
        let _ = writeln!(text, "| `{}` | {} | {} | {} |", definition.name, definition.kind, labels.join(" "), definition.help);
    }
    text.push_str("\n## Questions\n\n| question | query |\n|---|---|\n");
    for (question, query) in QUERIES {
        let _ = writeln!(text, "| {question} | `{query}` |");
    }
    text.push_str("\n## Examples\n\nBy `/api/v1/query_exemplars?query=…&start=…&end=…`:\n\n| question | query |\n|---|---|\n");
    for (question, query) in EXAMPLES {
        let _ = writeln!(text, "| {question} | `{query}` |");
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
    let own = definitions().into_iter().flat_map(|(definition, _)| definition.labels.iter().copied());
    let theirs = LABELS.iter().map(|(_, _, theirs)| *theirs);
    let missing: BTreeSet<&str> = own.chain(theirs).filter(|label| !OWN_LABELS.contains(label)).collect();
    assert!(missing.is_empty(), "config::OWN_LABELS lacks {missing:?}");
}

#[test]
fn an_alias_is_of_a_metric_that_there_is() {
    let definitions = definitions();
    for alias in ALIASES {
        let definition = definitions.iter().find(|(definition, _)| definition.name == alias.of);
        let labels = definition.unwrap_or_else(|| panic!("{}", alias.of)).0.labels;
        if let Taken::Where(label, _) | Taken::Unless(label, _) = alias.taken {
            assert!(labels.contains(&label), "{} has no {label}", alias.of);
        }
    }
}
