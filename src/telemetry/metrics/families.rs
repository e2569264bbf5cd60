//! Every metric: its name, labels, buckets and meaning, a row each. `src/telemetry/METRICS.md` is written from here.

use prometheus::{IntCounterVec, IntGauge, IntGaugeVec, Result};

use super::counted::Counted;
use super::keep::Keep;

/// Buckets that OpenTelemetry's conventions advise: durations of whole requests, in seconds,
const DURATION: &[f64] = &[0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];
/// until the first token,
const FIRST_TOKEN: &[f64] = &[0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
/// per token after the first,
const PER_TOKEN: &[f64] = &[0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5];
/// and numbers of tokens.
const TOKENS: &[f64] =
    &[1.0, 4.0, 16.0, 64.0, 256.0, 1_024.0, 4_096.0, 16_384.0, 65_536.0, 262_144.0, 1_048_576.0, 4_194_304.0, 16_777_216.0, 67_108_864.0];
/// Waits and stages, in seconds.
const STAGE: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0];
/// Heliostat's own time, in microseconds.
const OWN_TIME: &[f64] =
    &[5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 640.0, 1_280.0, 2_560.0, 5_120.0, 10_240.0, 20_480.0, 40_960.0, 81_920.0];

const REQUEST: &[&str] = &["endpoint", "provider", "model", "client", "status", "stream", "outcome"];
const ERROR: &[&str] = &["endpoint", "provider", "model", "client", "fault", "reason"];
const ABORT: &[&str] = &["endpoint", "provider", "model", "while"];
const FALLBACK: &[&str] = &["from_provider", "from_model", "to_provider", "to_model"];
const GEN_AI: &[&str] = &["gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model"];
const GEN_AI_ERROR: &[&str] = &["gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model", "error_type"];
const GEN_AI_TOKEN: &[&str] = &["gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model", "gen_ai_token_type"];

/// Families of metrics, one a row: the field, its type, and how it is registered.
macro_rules! families {
    ($(#[$doc:meta])* $name:ident $(<$k:ident: $bound:ident>)?, $keeper:ty, {
        $($field:ident: $type:ty = $kind:ident($($argument:expr),+ $(,)?),)+
    }) => {
        $(#[$doc])*
        pub(super) struct $name $(<$k: $bound>)? { $(pub(super) $field: $type,)+ }

        impl $(<$k: $bound>)? $name $(<$k>)? {
            /// Registers every row.
            ///
            /// # Errors
            /// If two share a name, or one of the operator's labels is one of its own.
            pub(super) fn register(keeper: &mut $keeper) -> Result<Self> {
                Ok(Self { $($field: keeper.$kind($($argument),+)?,)+ })
            }
        }
    };
}

families! {
    /// What requests and their attempts tell. Each has the operator's labels too.
    Families<K: Keep>, K, {
        requests: K::Counters = counters("heliostat_requests_total", REQUEST, "Requests that ended"),
        errors: K::Counters = counters("heliostat_errors_total", ERROR, "Requests that did not end well, by whose fault"),
        duration: K::Histograms = histograms("heliostat_request_duration_seconds", &["endpoint", "outcome"],
            "From a request's head to its end", DURATION),
        own_time: K::Histograms = histograms("heliostat_own_time_microseconds", &["endpoint"],
            "What a request cost in Heliostat: all but waiting for client and provider", OWN_TIME),
        waits: K::Histograms = histograms("heliostat_wait_seconds", &["endpoint", "for"],
            "What requests waited for: `client`, `queue`, `image_fetch`, `upstream`; once for each that waited", STAGE),
        bytes: K::Counters = counters("heliostat_bytes_total", &["endpoint", "direction"],
            "Bytes of bodies, `from_client` and `to_client`"),
        client_aborts: K::Counters = counters("heliostat_client_aborts_total", ABORT,
            "Requests whose client left: while `sending` its own, while it waited (`queue`, `connect`, `header` …), or `receiving` the answer"),
        tokens: K::Counters = counters("heliostat_tokens_total", &["provider", "model", "client", "kind"],
            "Tokens as providers count them; `cached` and `cache_write` are among `prompt`, `reasoning` among `completion`"),
        losses: K::Counters = counters("heliostat_losses_total", &["provider", "field", "kind"],
            "What translations could not carry, by field"),
        cache: K::Counters = counters("heliostat_cache_requests_total", &["endpoint", "result"],
            "Calls by what the cache had to say, where there is one: `hit-exact`, `miss`, or `bypass` (not asked)"),
        fallbacks: K::Counters = counters("heliostat_fallbacks_total", FALLBACK,
            "Requests answered by another candidate than the first"),
        retries: K::Counters = counters("heliostat_retries_total", &["provider", "model", "reason"],
            "Attempts that followed a failed one at the same candidate; `reason` is that one's verdict"),
        hedges: K::Counters = counters("heliostat_hedges_total", &["provider", "model", "outcome"],
            "Attempts made beside one that was silent, by whom they asked: `won`, `lost`, `failed`, `client_gone`"),
        attempts: K::Counters = counters("heliostat_attempts_total", &["provider", "model", "credential", "outcome"],
            "Attempts and skipped candidates, by verdict; a failed one as soon as it failed"),
        stages: K::Histograms = histograms("heliostat_upstream_stage_seconds", &["provider", "model", "stage"],
            "Stages of attempts: `connect` (with the wait for a token), `header`, `first_content`, `body`", STAGE),
        gen_duration: K::Histograms = histograms("gen_ai_server_request_duration", GEN_AI_ERROR,
            "GenAI requests from head to end, in seconds", DURATION),
        gen_first_token: K::Histograms = histograms("gen_ai_server_time_to_first_token", GEN_AI,
            "Streams: from the request's head to the first content, in seconds", FIRST_TOKEN),
        gen_per_token: K::Histograms = histograms("gen_ai_server_time_per_output_token", GEN_AI,
            "Streams: time per token after the first, in seconds", PER_TOKEN),
        gen_usage: K::Histograms = histograms("gen_ai_client_token_usage", GEN_AI_TOKEN,
            "Tokens of a request, `input` and `output`", TOKENS),
    }
}

families! {
    /// How the gateway stands, and what it did beside requests.
    Standing, Counted, {
        build: IntGaugeVec = gauges("heliostat_build_info", &["version"], "The version that runs"),
        rejected: IntCounterVec = counters("heliostat_rejected_total", &["reason"], "Requests refused for a bound of the gateway's own"),
        cooldowns: IntCounterVec = counters("heliostat_cooldowns_total", &["provider", "credential", "reason"],
            "Rests and switch-offs of credentials and models, by the verdict that brought them"),
        credential_state: IntGaugeVec = gauges("heliostat_credential_state", &["provider", "credential"],
            "0 in use, 1 cooling down, 2 off, 3 cordoned, 4 failing by a drill"),
        breaker_state: IntGaugeVec = gauges("heliostat_breaker_state", &["provider", "credential", "model"],
            "1 half-open, 2 open; a breaker that is closed has no series"),
        attempts_in_flight: IntGaugeVec = gauges("heliostat_attempts_in_flight", &["provider", "credential"], "Attempts under way"),
        places_taken: IntGaugeVec = gauges("heliostat_queue_places_taken", &["provider"],
            "Places taken at a provider with a bound on requests at the same time"),
        queue_length: IntGaugeVec = gauges("heliostat_queue_length", &["provider"], "Requests waiting for a place at such a provider"),
        in_flight: IntGauge = gauge("heliostat_requests_in_flight", "Requests under way"),
        streams_open: IntGauge = gauge("heliostat_streams_open", "Streams that clients are receiving"),
        body_bytes: IntGauge = gauge("heliostat_body_bytes_in_flight", "Memory held for request bodies"),
        cache_entries: IntGauge = gauge("heliostat_cache_entries", "Answers in the cache"),
        cache_bytes: IntGauge = gauge("heliostat_cache_bytes", "What they take, with what it takes to hold them"),
        cache_evictions: IntCounterVec = counters("heliostat_cache_evictions_total", &["reason"],
            "Answers that left the cache: for want of `space`, or `expired`"),
        dropped: IntCounterVec = counters("heliostat_telemetry_dropped_total", &["sink"], "Records lost to a slow or broken sink"),
        reloads: IntCounterVec = counters("heliostat_config_reloads_total", &["result"], "Configurations loaded (`ok`) or refused"),
        last_reload_ok: IntGauge = gauge("heliostat_config_last_reload_successful", "1 if the last configuration was taken"),
        last_reload_at: IntGauge = gauge("heliostat_config_last_reload_success_timestamp_seconds", "When one was last taken"),
    }
}
