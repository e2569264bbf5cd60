//! The words of OpenTelemetry's semantic conventions for generative AI, for metrics and spans.

/// `gen_ai.provider.name` by the provider's name in the configuration; one of the operator's own stands for itself.
const PROVIDERS: &[(&str, &str)] = &[
    ("azure", "azure.ai.openai"),
    ("bedrock", "aws.bedrock"),
    ("gemini", "gcp.gemini"),
    ("mistral", "mistral_ai"),
    ("vertex", "gcp.vertex_ai"),
    ("xai", "x_ai"),
];

/// `gen_ai.operation.name` by the endpoint's; another has none.
const OPERATIONS: &[(&str, &str)] = &[("chat", "chat"), ("embeddings", "embeddings"), ("messages", "chat"), ("responses", "chat")];

/// The provider's name in the conventions.
#[must_use]
pub fn provider(name: &str) -> &str {
    PROVIDERS.iter().find(|(ours, _)| *ours == name).map_or(name, |(_, theirs)| theirs)
}

/// The operation's name in the conventions.
#[must_use]
pub fn operation(endpoint: &str) -> Option<&'static str> {
    OPERATIONS.iter().find(|(ours, _)| *ours == endpoint).map(|(_, theirs)| *theirs)
}
