//! Google's `:embedContent` and `:batchEmbedContents`, where the model is one of a provider that speaks Google's dialect: passed as they
//! are. To others embeddings are asked for at `/v1/embeddings`.

use heliostat_filters::dialect::{Client as _, Dialect as _, Gemini, Kind, encode_segment};

use super::target::Target;
use crate::config::{Resolution, Snapshot};
use crate::proxy::problem::Problem;

/// Where such a request goes; `None` if it is none.
///
/// # Errors
/// 400 where the model is another provider's.
pub(super) fn target(path: &str, query: Option<&str>, snapshot: &Snapshot) -> Result<Option<Target>, Problem> {
    let bare = path.strip_prefix('/').and_then(|path| path.strip_prefix(Gemini.home())).unwrap_or(path);
    let Some((Kind::Embeddings, address)) = Gemini.address(bare, query.unwrap_or_default()) else { return Ok(None) };
    let (Some(model), Some((_, method))) = (address.model, bare.rsplit_once(':')) else { return Ok(None) };
    match snapshot.resolve(&model) {
        Resolution::Candidate(candidate) if candidate.provider.speaks(&candidate.model).dialect.name() == Gemini.name() => {
            Target::below(&candidate.provider, &format!("models/{}:{method}", encode_segment(&candidate.model)), query).map(Some)
        }
        Resolution::Unknown { known } => Err(crate::proxy::plan::unknown_model(&model, &known, "model")),
        _ => {
            let message = "Embeddings in this form are passed to providers of Google's API alone. Ask for others at /v1/embeddings.";
            Err(Problem::new(400, "unsupported_operation", message).at("model"))
        }
    }
}
