//! Which form a scraper wants.

/// A form that metrics are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' text format.
    Text,
    /// `OpenMetrics`: with examples.
    OpenMetrics,
}

impl Format {
    /// By the values of a request's `Accept`: `OpenMetrics` where it is named and wanted no less than plain text.
    #[must_use]
    pub fn wanted<'a>(accept: impl IntoIterator<Item = &'a str>) -> Self {
        let (mut text, mut open) = (0.0_f32, 0.0_f32);
        for range in accept.into_iter().flat_map(|value| value.split(',')) {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default();
            let (mut version, mut weight) = (None, 1.0);
            for (name, value) in parts.filter_map(|part| part.split_once('=')) {
                match name.trim_end() {
                    "version" => version = Some(value.trim().trim_matches('"')),
                    "q" => weight = value.trim().parse().unwrap_or(0.0),
                    _ => {}
                }
            }
            match kind.to_ascii_lowercase().as_str() {
                "application/openmetrics-text" if version.is_none_or(|version| version == "1.0.0") => open = open.max(weight),
                "text/plain" | "text/*" | "*/*" => text = text.max(weight),
                _ => {}
            }
        }
        if open > 0.0 && open >= text { Self::OpenMetrics } else { Self::Text }
    }

    /// What the answer says it is.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Format;

    /// As Prometheus 2 and 3 ask.
    const PROMETHEUS_2: &str = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
        text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    const PROMETHEUS_3: &str = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
        application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";

    #[test]
    fn the_scraper_chooses() {
        for (accept, wanted) in [
            (&[][..], Format::Text),
            (&["*/*"], Format::Text),
            (&["text/plain", "application/openmetrics-text;q=0.9"], Format::Text),
            (&["application/openmetrics-text;q=0"], Format::Text),
            (&["application/openmetrics-text;version=0.0.1"], Format::Text),
            (&["application/openmetrics-text; version=\"1.0.0\""], Format::OpenMetrics),
            (&["Application/OpenMetrics-Text, */*"], Format::OpenMetrics),
            (&[PROMETHEUS_2], Format::OpenMetrics),
            (&[PROMETHEUS_3], Format::OpenMetrics),
        ] {
            assert_eq!(Format::wanted(accept.iter().copied()), wanted, "{accept:?}");
        }
    }
}
