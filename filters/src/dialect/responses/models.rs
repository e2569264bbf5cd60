//! What a model takes here, as data: OpenAI's own as in chat completions, and others that are served by this API.

use crate::dialect::openai::{self, Model};

/// How the names of others' models begin that give their reasoning back. Source: recorded traffic of xAI.
static OTHERS: &[&str] = &["grok-4"];

/// What such a name holds where the model does not reason.
const PLAIN: &str = "non-reasoning";

/// What is known of a model by its name at the provider.
pub(super) fn of(model: &str) -> &'static Model {
    openai::model(model)
}

/// Whether a model gives its reasoning back, encrypted. Others refuse to be asked for it, so one that is not known is not asked.
pub(super) fn reasons(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or(model);
    let other = OTHERS.iter().any(|start| name.starts_with(start)) && !name.contains(PLAIN);
    other || !of(model).efforts.is_empty()
}

#[cfg(test)]
mod tests {
    use super::reasons;

    #[test]
    fn the_name_says_whether_a_model_reasons() {
        for model in ["o3-mini", "gpt-5-nano", "openai/gpt-5.2", "grok-4.3"] {
            assert!(reasons(model), "{model}");
        }
        for model in ["gpt-4o-mini", "gpt-5-chat-latest", "grok-4-1-fast-non-reasoning", "my-deployment"] {
            assert!(!reasons(model), "{model}");
        }
    }
}
