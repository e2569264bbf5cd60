//! The variables that OpenTelemetry defines for every SDK, as far as they concern traces. A value that cannot be read is a warning
//! and counts as unset: they are set for many services at once, and must not stop one.

use super::Secret;
use super::base_url;
use super::field::Field;
use super::snapshot::Endpoint;
use super::traces::{Protocol, Sampling, collector, known_protocol};
use super::transport::Authorities;
use super::value::Vault;

/// What the variables say.
pub(super) struct Variables {
    /// A collector is named, or traces are asked for.
    pub(super) named: bool,
    /// Traces are switched off.
    pub(super) off: bool,
    pub(super) protocol: Option<Protocol>,
    pub(super) headers: Vec<(String, Secret)>,
    pub(super) authorities: Option<Authorities>,
    pub(super) gzip: bool,
    pub(super) timeout_ms: Option<u64>,
    pub(super) batch_ms: Option<u64>,
    /// `service.name` among it.
    pub(super) resource: Vec<(String, String)>,
    pub(super) baggage: bool,
    pub(super) sampling: Sampling,
    /// `OTEL_EXPORTER_OTLP_ENDPOINT`: where all signals go.
    base: Option<String>,
    /// `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`: taken as it is.
    traces: Option<String>,
}

impl Variables {
    /// The collector that they name.
    pub(super) fn endpoint(&self, protocol: Protocol) -> Option<Endpoint> {
        let own = self.traces.as_ref().and_then(|url| base_url::parse(url).ok());
        own.or_else(|| self.base.as_ref().and_then(|url| collector(url, protocol).ok()))
    }
}

/// Reads them. What is wrong is reported at `field`.
pub(super) fn read(vault: &Vault<'_>, field: &Field<'_>) -> Variables {
    let reader = Reader { vault, field };
    let (base, traces) = (reader.url("OTEL_EXPORTER_OTLP_ENDPOINT"), reader.url("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"));
    let exporter = vault.variable("OTEL_TRACES_EXPORTER");
    let disabled = vault.variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    Variables {
        named: base.is_some() || traces.is_some() || exporter.as_deref() == Some("otlp"),
        off: disabled || exporter.as_deref() == Some("none"),
        protocol: reader.of_traces("PROTOCOL", known_protocol),
        headers: reader
            .of_traces("HEADERS", pairs)
            .unwrap_or_default()
            .into_iter()
            .map(|(name, value)| (name, Secret::new(value)))
            .collect(),
        authorities: reader.authorities(),
        gzip: reader.of_traces("COMPRESSION", |value| Some(value == "gzip").filter(|gzip| *gzip || value == "none")).unwrap_or(false),
        timeout_ms: reader.of_traces("TIMEOUT", milliseconds),
        batch_ms: reader.of("OTEL_BSP_SCHEDULE_DELAY", milliseconds),
        resource: resource(&reader),
        baggage: reader.of("OTEL_PROPAGATORS", |value| Some(value.split(',').any(|name| name.trim() == "baggage"))).unwrap_or(true),
        sampling: sampling(&reader),
        base,
        traces,
    }
}

struct Reader<'r> {
    vault: &'r Vault<'r>,
    field: &'r Field<'r>,
}

impl Reader<'_> {
    /// A variable's value as `parse` understands it.
    fn of<T>(&self, name: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        let value = self.vault.variable(name)?;
        let parsed = parse(value.trim());
        if parsed.is_none() {
            // The value may be a secret.
            self.field.warn(format!("the variable {name} cannot be understood, and is passed over"));
        }
        parsed
    }

    /// The variable for traces, else the one for all signals.
    fn of_traces<T>(&self, what: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        let names = [format!("OTEL_EXPORTER_OTLP_TRACES_{what}"), format!("OTEL_EXPORTER_OTLP_{what}")];
        names.iter().find_map(|name| self.of(name, &parse))
    }

    /// Where the file cannot be read, that is reported as an error: spans would go nowhere, or to somebody else.
    fn authorities(&self) -> Option<Authorities> {
        let path = self.of_traces("CERTIFICATE", |path| Some(path.to_owned()))?;
        Authorities::of_file(&path, self.field, self.vault)?
    }

    fn url(&self, name: &str) -> Option<String> {
        self.of(name, |value| base_url::parse(value).ok().map(|_| value.to_owned()))
    }
}

fn resource(reader: &Reader<'_>) -> Vec<(String, String)> {
    let mut resource = reader.of("OTEL_RESOURCE_ATTRIBUTES", pairs).unwrap_or_default();
    let name = reader.vault.variable("OTEL_SERVICE_NAME");
    let named = resource.iter().any(|(key, _)| key == "service.name");
    if let Some(name) = name.or_else(|| (!named).then(|| "heliostat".to_owned())) {
        resource.retain(|(key, _)| key != "service.name");
        resource.push(("service.name".to_owned(), name));
    }
    resource
}

fn sampling(reader: &Reader<'_>) -> Sampling {
    let mut sampling = Sampling::default();
    let Some((ratio, parent_based)) = reader.of("OTEL_TRACES_SAMPLER", sampler) else { return sampling };
    let argument = || reader.of("OTEL_TRACES_SAMPLER_ARG", |value| value.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio)));
    sampling.ratio = ratio.unwrap_or_else(|| argument().unwrap_or(1.0));
    sampling.parent_based = parent_based;
    sampling
}

/// The share, where the name says it, and whether the caller decides first.
fn sampler(name: &str) -> Option<(Option<f64>, bool)> {
    let (own, parent_based) = name.strip_prefix("parentbased_").map_or((name, false), |own| (own, true));
    match own {
        "always_on" => Some((Some(1.0), parent_based)),
        "always_off" => Some((Some(0.0), parent_based)),
        "traceidratio" => Some((None, parent_based)),
        _ => None,
    }
}

fn milliseconds(value: &str) -> Option<u64> {
    value.parse().ok().filter(|ms| (1..=86_400_000).contains(ms))
}

/// `name=value,name=value`, values percent-encoded.
fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=')?;
        let value = decoded(value.trim())?;
        let sendable = value.bytes().all(|byte| (0x20..0x7f).contains(&byte));
        sendable.then(|| (name.trim().to_owned(), value)).filter(|(name, _)| !name.is_empty())
    };
    text.split(',').filter(|pair| !pair.trim().is_empty()).map(pair).collect()
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let mut digit = || char::from(rest.next()?).to_digit(16);
        bytes.push(if byte == b'%' { u8::try_from(digit()? * 16 + digit()?).ok()? } else { byte });
    }
    String::from_utf8(bytes).ok()
}
