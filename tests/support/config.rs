//! Configurations of a few lines, written as YAML for a gateway under test.

use std::fmt::Write as _;

use super::Provider;

/// A configuration under construction; providers keep their order.
#[derive(Debug, Clone, Default)]
pub struct Config {
    top: Vec<String>,
    providers: Vec<Section>,
}

#[derive(Debug, Clone)]
struct Section {
    name: String,
    lines: Vec<String>,
    keys: Option<String>,
}

impl Config {
    /// Without providers.
    pub fn new() -> Self {
        Self::default()
    }

    /// The usual three.
    pub fn three(openai: &Provider, anthropic: &Provider, gemini: &Provider) -> Self {
        Self::new().provider("openai", openai).provider("anthropic", anthropic).provider("gemini", gemini)
    }

    /// A provider with one key, `env.<NAME>_API_KEY`, whose value is [`secret_of`] that name.
    #[must_use]
    pub fn provider(mut self, name: &str, upstream: &Provider) -> Self {
        let lines = vec![format!("base_url: {}", upstream.url())];
        self.providers.push(Section { name: name.into(), lines, keys: None });
        self
    }

    /// One more line of YAML for a provider, in flow style where it is nested.
    #[must_use]
    pub fn line(mut self, provider: &str, yaml: &str) -> Self {
        self.section(provider).lines.push(yaml.into());
        self
    }

    /// The keys of a provider, as a YAML flow sequence.
    #[must_use]
    pub fn keys(mut self, provider: &str, yaml: &str) -> Self {
        self.section(provider).keys = Some(yaml.into());
        self
    }

    /// One more top-level entry.
    #[must_use]
    pub fn top(mut self, yaml: &str) -> Self {
        self.top.push(yaml.into());
        self
    }

    /// Clocks of a provider: `stall_ms: 200`.
    #[must_use]
    pub fn timeouts(self, provider: &str, yaml: &str) -> Self {
        self.line(provider, &format!("network: {{ timeouts: {{ {yaml} }} }}"))
    }

    /// The file's text.
    pub fn yaml(&self) -> String {
        let mut out = String::from("providers:\n");
        for section in &self.providers {
            let keys = section.keys.clone().unwrap_or_else(|| format!("[{{ value: env.{} }}]", variable_of(&section.name)));
            let _ = writeln!(out, "  {}:\n    keys: {keys}", section.name);
            for line in &section.lines {
                let _ = writeln!(out, "    {line}");
            }
        }
        for entry in &self.top {
            let _ = writeln!(out, "{entry}");
        }
        out
    }

    /// Variables the file may name, with their values.
    pub fn environment() -> Vec<(String, String)> {
        let names = [
            "OPENAI_API_KEY",
            "ANTHROPIC_API_KEY",
            "GEMINI_API_KEY",
            "VERTEX_API_KEY",
            "COHERE_API_KEY",
            "MISTRAL_API_KEY",
            "OTHER_API_KEY",
            "KEY_A",
            "KEY_B",
            "KEY_C",
        ];
        names.iter().map(|name| ((*name).to_owned(), secret_of(name))).collect()
    }

    fn section(&mut self, name: &str) -> &mut Section {
        self.providers.iter_mut().find(|s| s.name == name).expect("a provider of this configuration")
    }
}

/// The secret behind a variable, easy to search for in logs.
pub fn secret_of(variable: &str) -> String {
    format!("sk-secret-{}", variable.to_lowercase())
}

fn variable_of(provider: &str) -> String {
    format!("{}_API_KEY", provider.to_uppercase())
}
