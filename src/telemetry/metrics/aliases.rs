//! The same figures by the names that other gateways give them, so that dashboards made for those go on working. Made when the metrics
//! are read, from what is there: nothing is counted twice.

use prometheus::proto::{Bucket, Histogram, LabelPair, Metric, MetricFamily, MetricType};

use crate::config::MetricAliases;

/// Which series an alias takes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Taken {
    All,
    /// Those whose label says one of these.
    Where(&'static str, &'static [&'static str]),
    /// Those whose label says something else.
    Unless(&'static str, &'static str),
}

/// A name that others use.
#[derive(Debug, Clone, Copy)]
pub(super) struct Alias {
    pub(super) set: MetricAliases,
    pub(super) name: &'static str,
    pub(super) of: &'static str,
    pub(super) taken: Taken,
    /// So many of our units are one of theirs.
    per: f64,
}

const fn alias(set: MetricAliases, name: &'static str, of: &'static str, taken: Taken) -> Alias {
    Alias { set, name, of, taken, per: 1.0 }
}

const fn litellm(name: &'static str, of: &'static str, taken: Taken) -> Alias {
    alias(MetricAliases::LiteLlm, name, of, taken)
}

const fn bifrost(name: &'static str, of: &'static str, taken: Taken) -> Alias {
    alias(MetricAliases::Bifrost, name, of, taken)
}

const DURATION: &str = "gen_ai_server_request_duration";
const FIRST_TOKEN: &str = "gen_ai_server_time_to_first_token";
const PER_TOKEN: &str = "gen_ai_server_time_per_output_token";
const REQUESTS: &str = "heliostat_requests_total";
const ATTEMPTS: &str = "heliostat_attempts_total";
const TOKENS: &str = "heliostat_tokens_total";
const WAITS: &str = "heliostat_wait_seconds";

/// All aliases.
pub(super) const ALIASES: &[Alias] = &[
    litellm("litellm_proxy_total_requests_metric_total", REQUESTS, Taken::All),
    litellm("litellm_proxy_failed_requests_metric_total", "heliostat_errors_total", Taken::All),
    litellm("litellm_request_total_latency_metric", DURATION, Taken::All),
    litellm("litellm_llm_api_latency_metric", WAITS, Taken::Where("for", &["upstream"])),
    litellm("litellm_llm_api_time_to_first_token_metric", FIRST_TOKEN, Taken::All),
    litellm("litellm_request_queue_time_seconds", WAITS, Taken::Where("for", &["queue"])),
    Alias { per: 1e6, ..litellm("litellm_overhead_latency_metric", "heliostat_own_time_microseconds", Taken::All) },
    litellm("litellm_in_flight_requests", "heliostat_requests_in_flight", Taken::All),
    litellm("litellm_input_tokens_metric_total", TOKENS, Taken::Where("kind", &["prompt"])),
    litellm("litellm_output_tokens_metric_total", TOKENS, Taken::Where("kind", &["completion"])),
    litellm("litellm_total_tokens_metric_total", TOKENS, Taken::Where("kind", &["prompt", "completion"])),
    litellm("litellm_input_cached_tokens_metric_total", TOKENS, Taken::Where("kind", &["cached"])),
    litellm("litellm_input_cache_creation_tokens_metric_total", TOKENS, Taken::Where("kind", &["cache_write"])),
    litellm("litellm_output_reasoning_tokens_metric_total", TOKENS, Taken::Where("kind", &["reasoning"])),
    litellm("litellm_deployment_total_requests_total", ATTEMPTS, Taken::All),
    litellm("litellm_deployment_success_responses_total", ATTEMPTS, Taken::Where("outcome", &["ok"])),
    litellm("litellm_deployment_failure_responses_total", ATTEMPTS, Taken::Unless("outcome", "ok")),
    litellm("litellm_deployment_cooled_down_total", "heliostat_cooldowns_total", Taken::All),
    litellm("litellm_deployment_successful_fallbacks_total", "heliostat_fallbacks_total", Taken::All),
    litellm("litellm_deployment_state", "heliostat_credential_state", Taken::All),
    litellm("litellm_deployment_latency_per_output_token", PER_TOKEN, Taken::All),
    bifrost("bifrost_upstream_requests_total", ATTEMPTS, Taken::All),
    bifrost("bifrost_success_requests_total", ATTEMPTS, Taken::Where("outcome", &["ok"])),
    bifrost("bifrost_error_requests_total", ATTEMPTS, Taken::Unless("outcome", "ok")),
    bifrost("bifrost_upstream_latency_seconds", DURATION, Taken::All),
    bifrost("bifrost_input_tokens_total", TOKENS, Taken::Where("kind", &["prompt"])),
    bifrost("bifrost_output_tokens_total", TOKENS, Taken::Where("kind", &["completion"])),
    bifrost("bifrost_stream_first_token_latency_seconds", FIRST_TOKEN, Taken::All),
    bifrost("bifrost_stream_inter_token_latency_seconds", PER_TOKEN, Taken::All),
    bifrost("http_requests_total", REQUESTS, Taken::All),
    bifrost("http_request_duration_seconds", "heliostat_request_duration_seconds", Taken::All),
];

/// What they call our labels.
pub(super) const LABELS: &[(MetricAliases, &str, &str)] = &[
    (MetricAliases::LiteLlm, "provider", "api_provider"),
    (MetricAliases::LiteLlm, "model", "litellm_model_name"),
    (MetricAliases::LiteLlm, "client", "api_key_alias"),
    (MetricAliases::LiteLlm, "status", "status_code"),
    (MetricAliases::LiteLlm, "reason", "exception_class"),
    (MetricAliases::LiteLlm, "to_model", "fallback_model"),
    (MetricAliases::LiteLlm, "from_model", "requested_model"),
    (MetricAliases::LiteLlm, "gen_ai_provider_name", "api_provider"),
    (MetricAliases::LiteLlm, "gen_ai_request_model", "litellm_model_name"),
    (MetricAliases::Bifrost, "client", "virtual_key_name"),
    (MetricAliases::Bifrost, "credential", "selected_key_name"),
    (MetricAliases::Bifrost, "endpoint", "method"),
    (MetricAliases::Bifrost, "gen_ai_provider_name", "provider"),
    (MetricAliases::Bifrost, "gen_ai_request_model", "model"),
    (MetricAliases::Bifrost, "gen_ai_operation_name", "method"),
];

/// The aliases of a set, of the families that have series.
pub(super) fn of(set: MetricAliases, families: &[MetricFamily]) -> Vec<MetricFamily> {
    let found = |alias: &Alias| written(alias, families.iter().find(|family| family.name() == alias.of)?);
    ALIASES.iter().filter(|alias| alias.set == set).filter_map(found).collect()
}

fn written(alias: &Alias, family: &MetricFamily) -> Option<MetricFamily> {
    let series: Vec<Metric> =
        family.get_metric().iter().filter(|metric| alias.taken.has(metric)).map(|metric| series(alias, family, metric)).collect();
    if series.is_empty() {
        return None;
    }
    let mut written = MetricFamily::default();
    written.set_name(alias.name.to_owned());
    written.set_help(format!("As {}: {}", alias.of, family.help()));
    written.set_field_type(family.get_field_type());
    written.set_metric(series);
    Some(written)
}

fn series(alias: &Alias, family: &MetricFamily, metric: &Metric) -> Metric {
    let mut series = metric.clone();
    let mut labels = series.take_label();
    labels.iter_mut().for_each(|label| rename(alias.set, label));
    labels.sort();
    series.set_label(labels);
    if family.get_field_type() == MetricType::HISTOGRAM && alias.per > 1.0 {
        series.set_histogram(scaled(metric.get_histogram(), alias.per));
    }
    series
}

fn rename(set: MetricAliases, label: &mut LabelPair) {
    if let Some((.., theirs)) = LABELS.iter().find(|(of, ours, _)| *of == set && *ours == label.name()) {
        label.set_name((*theirs).to_owned());
    }
}

fn scaled(histogram: &Histogram, per: f64) -> Histogram {
    let bucket = |bucket: &Bucket| {
        let mut scaled = bucket.clone();
        scaled.set_upper_bound(bucket.upper_bound() / per);
        scaled
    };
    let mut scaled = histogram.clone();
    scaled.set_sample_sum(histogram.get_sample_sum() / per);
    scaled.set_bucket(histogram.get_bucket().iter().map(bucket).collect());
    scaled
}

impl Taken {
    fn has(self, metric: &Metric) -> bool {
        let says = |name: &str, value: &str| metric.get_label().iter().any(|label| label.name() == name && label.value() == value);
        match self {
            Self::All => true,
            Self::Where(label, values) => values.iter().any(|value| says(label, value)),
            Self::Unless(label, value) => !says(label, value),
        }
    }
}
