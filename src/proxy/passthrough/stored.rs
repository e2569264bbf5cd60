//! `/v1/responses/{id}` and what is below it: responses that a provider has stored (to be read, deleted, cancelled) and its other
//! endpoints beside the call itself. Their paths name no model, so that only configurations with one such provider can serve them.

use super::target::Target;
use crate::config::{Provider, Snapshot};
use crate::proxy::problem::Problem;

/// Where they stand, from the longest on.
const PREFIXES: &[&str] = &["/openai/v1/responses/", "/v1/responses/", "/responses/"];

/// The dialect whose providers store responses.
const DIALECT: &str = "responses";

/// Where such a request goes; `None` if it is none.
///
/// # Errors
/// 404 where no provider stores responses, 400 where several do, or for a path that steps upwards.
pub(super) fn target(path: &str, query: Option<&str>, snapshot: &Snapshot) -> Result<Option<Target>, Problem> {
    let Some(rest) = PREFIXES.iter().find_map(|prefix| path.strip_prefix(prefix)).filter(|rest| !rest.is_empty()) else {
        return Ok(None);
    };
    let native: Vec<_> = snapshot.providers.iter().filter(|provider| speaks(provider)).collect();
    match native.as_slice() {
        [one] => Target::below(one, &format!("responses/{rest}"), query).map(Some),
        [] => {
            let message = "The gateway stores no responses, and no configured provider speaks the Responses API itself.";
            Err(Problem::new(404, "response_not_found", message))
        }
        many => {
            let paths: Vec<_> = many.iter().map(|provider| format!("/{}/v1/responses/…", provider.name)).collect();
            let message = format!("More than one configured provider stores responses. Say which one by its path: {}.", paths.join(", "));
            Err(Problem::new(400, "ambiguous_provider", message))
        }
    }
}

fn speaks(provider: &Provider) -> bool {
    let also = provider.also.iter().any(|speech| speech.dialect.name() == DIALECT);
    also || provider.speech.dialect.name() == DIALECT
}
