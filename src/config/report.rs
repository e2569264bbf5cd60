//! What `check` prints when all is well. Never a secret.

use std::fmt::Write;

use super::snapshot::{Candidate, Credential, Endpoint, Provider, Snapshot};
use super::timeouts::Timeouts;
use super::traces::{Protocol, Sampling};

/// Describes a configuration in columns, for people.
#[must_use]
pub fn describe(snapshot: &Snapshot) -> String {
    let sections = [listeners(snapshot), providers(snapshot), order(snapshot), bounds(snapshot), notices(snapshot)];
    sections.into_iter().filter(|section| !section.is_empty()).collect::<Vec<_>>().join("\n")
}

fn listeners(snapshot: &Snapshot) -> String {
    let callers = match snapshot.client_keys.as_slice() {
        [] => "anybody who can connect".to_owned(),
        keys => keys.iter().map(|key| key.name.as_str()).collect::<Vec<_>>().join(", "),
    };
    let listen = snapshot.listen.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    table(
        "",
        &[
            vec!["listen".to_owned(), format!("{listen}, {} threads", snapshot.threads)],
            vec!["admin".to_owned(), snapshot.admin_listen.to_string()],
            vec!["callers".to_owned(), callers],
        ],
    )
}

fn providers(snapshot: &Snapshot) -> String {
    let mut text = String::new();
    for provider in &snapshot.providers {
        let own = provider.credentials.first().map(|key| url(&key.endpoint)).unwrap_or_default();
        let _ = writeln!(text, "provider {} ({} dialect, {own})", provider.name, provider.speech.dialect.name());
        let keys: Vec<_> = provider.credentials.iter().map(|key| credential(key, &own)).collect();
        text.push_str(&table("  ", &keys));
        text.push_str(&table("  ", &[vec!["attempts".to_owned(), attempts(provider)]]));
        if let Some(bound) = provider.concurrency {
            let _ = writeln!(text, "  at most {} requests at once, {} waiting for {} ms", bound.limit, bound.queue, bound.queue_ms);
        }
    }
    text
}

fn credential(key: &Credential, own_url: &str) -> Vec<String> {
    let models = key
        .models
        .as_ref()
        .map_or("all models".to_owned(), |patterns| patterns.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
    let elsewhere = Some(url(&key.endpoint)).filter(|url| url != own_url).map(|url| format!("at {url}")).unwrap_or_default();
    let account =
        key.account.as_ref().map(|account| format!("service account, project {}, location {}", account.project, account.location));
    let cells = ["key".to_owned(), key.name.clone(), format!("weight {}", key.weight), models, account.unwrap_or_default(), elsewhere];
    // An empty cell would widen every row.
    cells.into_iter().filter(|cell| !cell.is_empty()).collect()
}

fn attempts(provider: &Provider) -> String {
    let retries = match provider.retry.max_retries {
        None => "each other key once".to_owned(),
        Some(extra) => format!("{extra} retries, back-off from {} ms", provider.retry.backoff_initial_ms),
    };
    let clocks = provider.timeouts;
    let hedge = clocks.hedge.map(|hedge| format!("; hedged after {} ms, at most {} %", hedge.after_ms, hedge.budget_percent));
    format!(
        "{retries}; connect {} ms, tls {}, header {}, first content {}, stall {}, total {}{}",
        clocks.connect_ms,
        clocks.tls_ms,
        clocks.header_ms.unwrap_or(Timeouts::STREAM_HEADER_MS),
        clocks.first_content_ms,
        clocks.stall_ms,
        clocks.total_ms,
        hedge.unwrap_or_default()
    )
}

fn order(snapshot: &Snapshot) -> String {
    let mut rows = Vec::new();
    for id in snapshot.route_ids() {
        if let Some(route) = snapshot.routes.get(id) {
            let policy = if route.policy.is_any() { format!(" (never leaves {})", route.policy) } else { String::new() };
            rows.push(vec![format!("route {id}"), format!("{} {}{policy}", id_of(&route.primary), arrows(&route.fallbacks))]);
        }
    }
    for (primary, list) in &snapshot.primary_fallbacks {
        rows.push(vec![format!("after {}", id_of(primary)), arrows(list)]);
    }
    if !snapshot.global_fallbacks.is_empty() {
        rows.push(vec!["after any other".to_owned(), arrows(&snapshot.global_fallbacks)]);
    }
    table("", &rows)
}

fn bounds(snapshot: &Snapshot) -> String {
    let limits = snapshot.limits;
    let request = format!("body {}, {} headers in {}", bytes(limits.body_bytes), limits.header_fields, bytes(limits.header_bytes));
    let images = format!("{} images of {}, JSON depth {}", limits.images, bytes(limits.image_bytes), limits.depth);
    table(
        "",
        &[
            vec!["limits".to_owned(), format!("{request}, {images}")],
            vec!["traces".to_owned(), traces(snapshot)],
            vec!["stop".to_owned(), format!("notice {} ms, deadline {} ms", snapshot.drain_notice_ms, snapshot.drain_deadline_ms)],
        ],
    )
}

fn traces(snapshot: &Snapshot) -> String {
    let Some(traces) = &snapshot.observability.traces else { return "nowhere".to_owned() };
    let protocol = if traces.protocol == Protocol::Http { "http/protobuf" } else { "grpc" };
    let Sampling { ratio, keep_errors, keep_failovers, slow_ms, .. } = traces.sampling;
    let also = [(keep_errors, "errors".to_owned()), (keep_failovers, "failovers".to_owned())];
    let slow = slow_ms.map(|ms| (true, format!("what takes {ms} ms")));
    let also: Vec<String> = also.into_iter().chain(slow).filter(|(kept, _)| *kept).map(|(_, what)| what).collect();
    let also = if also.is_empty() { String::new() } else { format!(", and always {}", also.join(", ")) };
    format!("{} ({protocol}), {} %{also}", url(&traces.endpoint), ratio * 100.0)
}

fn notices(snapshot: &Snapshot) -> String {
    snapshot.notices.iter().fold(String::new(), |text, notice| text + notice + "\n")
}

/// Rows with their columns aligned.
fn table(indent: &str, rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        let _ = writeln!(text, "{indent}{}", cells.join("  ").trim_end());
    }
    text
}

fn id_of(candidate: &Candidate) -> String {
    format!("{}/{}", candidate.provider.name, candidate.model)
}

fn arrows(list: &[Candidate]) -> String {
    list.iter().map(|candidate| format!("→ {}", id_of(candidate))).collect::<Vec<_>>().join(" ")
}

fn url(endpoint: &Endpoint) -> String {
    format!("{}://{}{}", if endpoint.tls { "https" } else { "http" }, endpoint.authority, endpoint.path)
}

fn bytes(count: usize) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let fitting = units.iter().find(|(size, _)| count >= *size && count.is_multiple_of(*size));
    fitting.map_or_else(|| format!("{count} bytes"), |(size, unit)| format!("{} {unit}", count / size))
}
