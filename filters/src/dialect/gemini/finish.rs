//! Why an answer ended, as data.

use crate::chat::FinishReason;
use crate::fault::{Fault, FaultKind};

/// What a reason of Google's means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// It ended in OpenAI's sense.
    Finished(FinishReason),
    /// The model failed. Where it said nothing yet, another attempt is due.
    Broken,
    /// A reason nobody knows.
    Unknown,
}

use Ending::{Broken, Finished};
use FinishReason::{ContentFilter, Length, Stop};

/// Names and numbers. Sources: `Candidate.FinishReason` of generativelanguage v1beta and aiplatform v1; the numbers of the two agree up
/// to 5 and part ways after that, so only those are read as numbers.
static REASONS: &[(&str, Ending)] = &[
    ("STOP", Finished(Stop)),
    ("1", Finished(Stop)),
    ("MAX_TOKENS", Finished(Length)),
    ("2", Finished(Length)),
    ("CONTINUATION", Finished(Length)),
    ("SAFETY", Finished(ContentFilter)),
    ("3", Finished(ContentFilter)),
    ("RECITATION", Finished(ContentFilter)),
    ("4", Finished(ContentFilter)),
    ("LANGUAGE", Finished(ContentFilter)),
    ("BLOCKLIST", Finished(ContentFilter)),
    ("PROHIBITED_CONTENT", Finished(ContentFilter)),
    ("SPII", Finished(ContentFilter)),
    ("IMAGE_SAFETY", Finished(ContentFilter)),
    ("IMAGE_PROHIBITED_CONTENT", Finished(ContentFilter)),
    ("IMAGE_RECITATION", Finished(ContentFilter)),
    ("MODEL_ARMOR", Finished(ContentFilter)),
    ("ESCALATION", Finished(ContentFilter)),
    ("OTHER", Finished(Stop)),
    ("5", Finished(Stop)),
    ("IMAGE_OTHER", Finished(Stop)),
    ("NO_IMAGE", Finished(Stop)),
    ("FINISH_REASON_UNSPECIFIED", Finished(Stop)),
    ("MALFORMED_FUNCTION_CALL", Broken),
    ("MALFORMED_RESPONSE", Broken),
    ("UNEXPECTED_TOOL_CALL", Broken),
    ("MISSING_THOUGHT_SIGNATURE", Broken),
    ("TOO_MANY_TOOL_CALLS", Broken),
];

/// Looks a reason up. `None` for what says that the answer goes on.
pub(super) fn ending(reason: &str) -> Option<Ending> {
    let reason = reason.trim_matches('"');
    if matches!(reason, "" | "0" | "null") {
        return None;
    }
    Some(REASONS.iter().find(|(name, _)| *name == reason).map_or(Ending::Unknown, |(_, ending)| *ending))
}

/// The fault of a model that broke off before it said anything.
pub(super) fn broken(reason: &str, message: Option<&str>) -> Fault {
    let reason = reason.trim_matches('"');
    let told = message.map(|message| format!(": {message}")).unwrap_or_default();
    Fault { kind: FaultKind::Server, ..Fault::new(502, Some(reason), &format!("The model ended with {reason}{told}")) }
}
