//! The metrics as `OpenMetrics` 1.0: as in Prometheus' own text, but with an example behind a sample that has one, a counter's family
//! without `_total`, and a last line that says it is the last.

use std::fmt::Write as _;

use prometheus::proto::{Metric, MetricFamily, MetricType};

use super::exemplars::{Exemplar, Exemplars};

const TOTAL: &str = "_total";

/// What stands before the value of a sample.
struct Name<'n> {
    family: &'n str,
    suffix: &'n str,
    /// Where a bucket ends.
    le: Option<f64>,
}

/// All families, in their order.
pub(super) fn write(families: &[MetricFamily], exemplars: &Exemplars) -> String {
    let mut text = String::new();
    for family in families {
        let (name, kind) = match (family.get_field_type(), family.name().strip_suffix(TOTAL)) {
            (MetricType::COUNTER, Some(name)) => (name, "counter"),
            // A counter's name ends so, else it is none here.
            (MetricType::COUNTER | MetricType::UNTYPED | MetricType::SUMMARY, _) => (family.name(), "unknown"),
            (MetricType::GAUGE, _) => (family.name(), "gauge"),
            (MetricType::HISTOGRAM, _) => (family.name(), "histogram"),
        };
        let _ = write!(text, "# HELP {name} ");
        escape(family.help(), &mut text);
        let _ = writeln!(text, "\n# TYPE {name} {kind}");
        let marks = exemplars.of(family.name());
        for metric in family.get_metric() {
            let value = |label: &str| metric.get_label().iter().find(|pair| pair.name() == label).map_or("", |pair| pair.value());
            let examples = marks.map(|marks| marks.find(value)).unwrap_or_default();
            let example = |position: usize| examples.get(position).and_then(Option::as_ref);
            let named = |suffix| Name { family: name, suffix, le: None };
            match kind {
                "counter" => sample(&mut text, &named(TOTAL), metric, metric.get_counter().get_value(), example(0)),
                "histogram" => histogram(&mut text, name, metric, example),
                "gauge" => sample(&mut text, &named(""), metric, metric.get_gauge().get_value(), None),
                _ => sample(&mut text, &named(""), metric, metric.get_counter().get_value(), None),
            }
        }
    }
    text.push_str("# EOF\n");
    text
}

fn histogram<'e>(text: &mut String, family: &str, metric: &Metric, example: impl Fn(usize) -> Option<&'e Exemplar>) {
    let histogram = metric.get_histogram();
    let buckets = histogram.get_bucket();
    #[allow(clippy::cast_precision_loss, reason = "a count is far below 2^53")]
    let float = |count: u64| count as f64;
    for (position, bucket) in buckets.iter().enumerate() {
        let name = Name { family, suffix: "_bucket", le: Some(bucket.upper_bound()) };
        sample(text, &name, metric, float(bucket.cumulative_count()), example(position));
    }
    let count = float(histogram.get_sample_count());
    sample(text, &Name { family, suffix: "_bucket", le: Some(f64::INFINITY) }, metric, count, example(buckets.len()));
    sample(text, &Name { family, suffix: "_sum", le: None }, metric, histogram.get_sample_sum(), None);
    sample(text, &Name { family, suffix: "_count", le: None }, metric, count, None);
}

fn sample(text: &mut String, name: &Name<'_>, metric: &Metric, value: f64, example: Option<&Exemplar>) {
    let _ = write!(text, "{}{}", name.family, name.suffix);
    let le = name.le.map(number);
    let own = metric.get_label().iter().map(|pair| (pair.name(), pair.value()));
    labels(text, own.chain(le.as_deref().map(|le| ("le", le))), false);
    let _ = write!(text, " {value}");
    if let Some((value, of)) = example {
        let trace_id = of.trace_id.map(|trace_id| trace_id.to_string());
        let known = [("trace_id", trace_id.as_deref()), ("request_id", of.request_id.as_deref())];
        text.push_str(" # ");
        labels(text, known.into_iter().filter_map(|(name, value)| Some((name, value?))), true);
        let _ = write!(text, " {value} {:.3}", of.at_s);
    }
    text.push('\n');
}

/// Nothing if there are none, unless the braces are wanted.
fn labels<'l>(text: &mut String, pairs: impl Iterator<Item = (&'l str, &'l str)>, always: bool) {
    let mut opened = false;
    for (name, value) in pairs {
        let _ = write!(text, "{}{name}=\"", if opened { ',' } else { '{' });
        escape(value, text);
        text.push('"');
        opened = true;
    }
    match (opened, always) {
        (true, _) => text.push('}'),
        (false, true) => text.push_str("{}"),
        (false, false) => {}
    }
}

/// A bucket's end in the canonical form: always with a point.
fn number(value: f64) -> String {
    if value.is_infinite() { "+Inf".to_owned() } else { format!("{value:?}") }
}

fn escape(value: &str, text: &mut String) {
    for character in value.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            other => text.push(other),
        }
    }
}
