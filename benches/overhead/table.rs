//! The table.

use std::io::Write as _;

use super::Route;
use super::load::Measured;

/// One scenario over one route.
pub struct Row {
    /// The scenario's name.
    pub scenario: &'static str,
    /// The route.
    pub route: Route,
    /// CPU time a request of each round, in order.
    pub rounds_cpu_us: Vec<f64>,
    p50_us: f64,
    p99_us: f64,
    per_second: f64,
    cpu_us: Vec<f64>,
    peak_bytes: u64,
}

impl Row {
    /// Medians over the rounds.
    pub fn new(scenario: &'static str, route: Route, rounds: &[Measured], peak_bytes: u64) -> Self {
        let over = |figure: &dyn Fn(&Measured) -> f64| median(rounds.iter().map(figure).collect());
        let rounds_cpu_us: Vec<f64> = rounds.iter().map(|round| round.cpu_us).collect();
        let mut cpu_us = rounds_cpu_us.clone();
        cpu_us.sort_by(f64::total_cmp);
        Self {
            scenario,
            route,
            rounds_cpu_us,
            p50_us: over(&|round| quantile(&round.single.latencies_us, 0.5)),
            p99_us: over(&|round| quantile(&round.single.latencies_us, 0.99)),
            per_second: over(&|round| round.many.latencies_us.len() as f64 / round.many.took.as_secs_f64()),
            cpu_us,
            peak_bytes,
        }
    }
}

/// Prints the table in Markdown.
pub fn print(rows: &[Row]) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "| scenario | route | p50 µs | p99 µs | requests/s | CPU µs a request (least to most) | CPU, ratio | peak MiB |")?;
    writeln!(out, "|---|---|---|---|---|---|---|---|")?;
    for row in rows {
        let yardstick = rows.iter().find(|other| other.scenario == row.scenario && other.route == Route::PassThrough);
        let ratio = yardstick.map(|yardstick| middle(&row.cpu_us) / middle(&yardstick.cpu_us));
        let (least, most) = (row.cpu_us.first().copied().unwrap_or_default(), row.cpu_us.last().copied().unwrap_or_default());
        writeln!(
            out,
            "| {} | {} | {:.0} | {:.0} | {:.0} | {:.1} ({least:.1} to {most:.1}) | {} | {:.1} |",
            row.scenario,
            row.route.name(),
            row.p50_us,
            row.p99_us,
            row.per_second,
            middle(&row.cpu_us),
            ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default(),
            row.peak_bytes as f64 / f64::from(1 << 20)
        )?;
    }
    Ok(())
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    middle(&figures)
}

/// The middle one of sorted figures.
pub fn middle(sorted: &[f64]) -> f64 {
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = (sorted.len() as f64 * share) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}
