//! What the gateway may cost, as ratios of CPU time within one run.

use std::io::Write as _;

use super::Route;
use super::table::{Row, middle};

/// What one open stream may take of the gateway's memory.
pub const STREAM_BYTES: u64 = 60_000;

/// The aims: scenario, route, what it is compared with, at most so many times its CPU time.
const AIMS: &[(&str, Route, Route, f64)] = &[
    ("1 KB", Route::SameDialect, Route::PassThrough, 1.0),
    ("stream of 200", Route::SameDialect, Route::PassThrough, 0.5),
    ("image 1.3 MB", Route::SameDialect, Route::PassThrough, 1.15),
    ("image 1.3 MB", Route::Translated, Route::SameDialect, 1.1),
];

/// Prints how the rows stand to the aims: the median of the rounds' ratios, the least and the most. Tells, and fails nothing: times of
/// a shared machine are no gate.
pub fn print(rows: &[Row]) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n| aim: CPU time | at most | measured (least to most) | |\n|---|---|---|---|")?;
    for (scenario, route, other, limit) in AIMS {
        let of = |route: Route| rows.iter().find(|row| row.scenario == *scenario && row.route == route);
        let (Some(row), Some(base)) = (of(*route), of(*other)) else { continue };
        let mut ratios: Vec<f64> = row.rounds_cpu_us.iter().zip(&base.rounds_cpu_us).map(|(own, base)| own / base).collect();
        ratios.sort_by(f64::total_cmp);
        let (least, most) = (ratios.first().copied().unwrap_or_default(), ratios.last().copied().unwrap_or_default());
        let word = if middle(&ratios) <= *limit { "met" } else { "missed" };
        writeln!(
            out,
            "| {scenario}: {} to {} | {limit:.2} | {:.2} ({least:.2} to {most:.2}) | {word} |",
            route.name(),
            other.name(),
            middle(&ratios)
        )?;
    }
    Ok(())
}
