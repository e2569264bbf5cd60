//! What an upstream's failure means, whatever its dialect.
//!
//! A kind is decided in three steps, each a table: the status, then the provider's own code or type, then (only to tell kinds of
//! 400 and 503 apart) the text. Codes and texts are a moving target: prefer a code, and add a row rather than a branch.

/// The longest message kept of a fault. Providers echo whole prompts into errors.
const MESSAGE_BYTES: usize = 4096;

/// A failure an upstream reported: an error status with its body, or an error inside a 200.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The HTTP status it came with, or the one an error inside a stream stands for.
    pub status: u16,
    /// What kind of failure it is.
    pub kind: FaultKind,
    /// The provider's message; empty if it gave none. Never trusted to be short: cut to 4 KiB.
    pub message: String,
    /// The provider's own code or type, such as `rate_limit_exceeded`.
    pub code: Option<String>,
    /// The provider's `param`, where it names one.
    pub param: Option<String>,
    /// How long the provider asks to wait, if the body says so (Google's `RetryInfo`); headers are read by the caller.
    pub retry_after_ms: Option<u64>,
}

/// Kinds of failure, as the selection of the next attempt needs them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// 429: this credential for now.
    RateLimited,
    /// 429 that waiting does not cure (`insufficient_quota`): this credential until it is paid.
    QuotaExhausted,
    /// 401, or Google's 400 `API_KEY_INVALID`: this credential is wrong.
    Authentication,
    /// 402.
    Billing,
    /// 403.
    Permission,
    /// 404: the model (or the path) is not there.
    NotFound,
    /// 529, or an overload inside a stream.
    Overloaded,
    /// 408, 504.
    Timeout,
    /// Other 5xx.
    Server,
    /// A 200 that is no answer: the body or an event is not what the API documents.
    Malformed,
    /// 400 and 422: the request is wrong.
    BadRequest,
    /// 400: the conversation is longer than the model's context.
    ContextLength,
    /// 400: refused by a content policy.
    ContentPolicy,
    /// 413.
    TooLarge,
    /// 409.
    Conflict,
}

impl Fault {
    /// A fault of `status`, its kind worked out from status, code and message (see [`FaultKind::of_status`] and
    /// [`FaultKind::refine`]). The message is cut to 4 KiB; param and delay are left for the caller to fill in.
    #[must_use]
    pub fn new(status: u16, code: Option<&str>, message: &str) -> Self {
        Self {
            status,
            kind: FaultKind::of_status(status).refine(code, message),
            message: cut(message).to_owned(),
            code: code.map(|code| cut(code).to_owned()),
            param: None,
            retry_after_ms: None,
        }
    }
}

impl Fault {
    /// A 200 that cannot be read.
    #[must_use]
    pub fn malformed(message: &str) -> Self {
        Self { kind: FaultKind::Malformed, ..Self::new(502, None, message) }
    }
}

impl FaultKind {
    /// The kind a status alone stands for. Unknown 4xx are the request's fault; all else is the upstream's.
    #[must_use]
    pub fn of_status(status: u16) -> Self {
        let row = STATUSES.iter().find(|(known, _)| *known == status);
        match row {
            Some((_, kind)) => *kind,
            None if (400..499).contains(&status) => Self::BadRequest,
            None => Self::Server,
        }
    }

    /// The kind after a look at the provider's code (or type) and message. A known code decides, whatever the status of a refused
    /// request; text only tells what kind of 400 or 503 it is.
    #[must_use]
    pub fn refine(self, code: Option<&str>, message: &str) -> Self {
        let by_code = code.and_then(|code| CODES.iter().find(|(known, _)| known.eq_ignore_ascii_case(code)));
        if let Some((_, kind)) = by_code {
            return *kind;
        }
        let message = message.to_lowercase();
        if NOT_A_KIND.iter().any(|phrase| message.contains(phrase)) {
            return self;
        }
        let by_text = TEXTS.iter().find(|row| row.of.contains(&self) && row.all.iter().all(|phrase| message.contains(phrase)));
        by_text.map_or(self, |row| row.kind)
    }
}

/// What a status means on its own. Sources: OpenAI's and Anthropic's error references; 410 is a retired model, 424 Bedrock's
/// `ModelErrorException`, 498 Groq's flex capacity, 499 Google's `CANCELLED`, 529 Anthropic's overload.
static STATUSES: &[(u16, FaultKind)] = &[
    (401, FaultKind::Authentication),
    (402, FaultKind::Billing),
    (403, FaultKind::Permission),
    (404, FaultKind::NotFound),
    (408, FaultKind::Timeout),
    (409, FaultKind::Conflict),
    (410, FaultKind::NotFound),
    (413, FaultKind::TooLarge),
    (424, FaultKind::Server),
    (429, FaultKind::RateLimited),
    (498, FaultKind::Overloaded),
    (499, FaultKind::Server),
    (504, FaultKind::Timeout),
    (529, FaultKind::Overloaded),
];

/// Providers' own codes and types that say more than the status, or something else. `model_not_found` comes with a 403 where the
/// project lacks the model: the credential is good, the model is not there.
static CODES: &[(&str, FaultKind)] = &[
    ("insufficient_quota", FaultKind::QuotaExhausted),
    ("billing_hard_limit_reached", FaultKind::QuotaExhausted),
    ("billing_not_active", FaultKind::QuotaExhausted),
    ("enforced_spend_limit_reached", FaultKind::QuotaExhausted),
    ("contract_spend_limit_reached", FaultKind::QuotaExhausted),
    ("billing_error", FaultKind::Billing),
    ("insufficient_balance", FaultKind::Billing),
    ("invalid_api_key", FaultKind::Authentication),
    ("API_KEY_INVALID", FaultKind::Authentication),
    ("model_not_found", FaultKind::NotFound),
    ("invalid_model", FaultKind::NotFound),
    ("DeploymentNotFound", FaultKind::NotFound),
    ("context_length_exceeded", FaultKind::ContextLength),
    ("content_policy_violation", FaultKind::ContentPolicy),
    ("content_filter", FaultKind::ContentPolicy),
    ("moderation_blocked", FaultKind::ContentPolicy),
    ("ResponsibleAIPolicyViolation", FaultKind::ContentPolicy),
    ("overloaded", FaultKind::Overloaded),
    ("overloaded_error", FaultKind::Overloaded),
    ("slow_down", FaultKind::Overloaded),
    ("capacity_exceeded", FaultKind::Overloaded),
];

/// A text that tells what kind of failure it is.
struct Text {
    /// The kinds it may refine.
    of: &'static [FaultKind],
    /// What it becomes.
    kind: FaultKind,
    /// Phrases that must all stand in the lower-cased message.
    all: &'static [&'static str],
}

const fn context(all: &'static [&'static str]) -> Text {
    Text { of: &[FaultKind::BadRequest, FaultKind::TooLarge], kind: FaultKind::ContextLength, all }
}

const fn policy(all: &'static [&'static str]) -> Text {
    Text { of: &[FaultKind::BadRequest, FaultKind::Permission], kind: FaultKind::ContentPolicy, all }
}

const fn unpaid(all: &'static [&'static str]) -> Text {
    Text { of: &[FaultKind::BadRequest], kind: FaultKind::Billing, all }
}

const fn overload(all: &'static [&'static str]) -> Text {
    Text { of: &[FaultKind::Server], kind: FaultKind::Overloaded, all }
}

/// Texts of providers in the wild, lower case: OpenAI, Anthropic, Gemini, Bedrock, vLLM, llama.cpp, TGI, Cerebras,
/// OpenRouter, Ollama, Perplexity.
static TEXTS: &[Text] = &[
    context(&["context_length_exceeded"]),
    context(&["maximum context length is"]),
    context(&["exceeded max context length"]),
    context(&["exceeds the context window"]),
    context(&["is longer than the model's context length"]),
    context(&["exceed context limit"]),
    context(&["exceeds the available context size"]),
    context(&["prompt is too long"]),
    context(&["prompt too long"]),
    context(&["length of all messages is too long"]),
    context(&["exceeds the maximum number of tokens allowed"]),
    context(&["input is too long"]),
    context(&["input too long:"]),
    context(&["too many input tokens"]),
    context(&["input tokens exceed the configured limit"]),
    context(&["`inputs` tokens + `max_new_tokens` must be"]),
    context(&["current length is", "while limit is"]),
    policy(&["content_policy_violation"]),
    policy(&["responsibleaipolicyviolation"]),
    policy(&["rejected as a result of our safety system"]),
    policy(&["content filtering policy"]),
    policy(&["content management policy"]),
    // Anthropic says these with a 400 `invalid_request_error`; another credential may well be paid.
    unpaid(&["credit balance is too low"]),
    unpaid(&["reached your specified api usage limits"]),
    overload(&["overloaded"]),
    overload(&["over capacity"]),
];

/// Texts that look like one of [`TEXTS`] and are not: a single field was too long, not the conversation.
static NOT_A_KIND: &[&str] = &["string_above_max_length", "invalid 'user'"];

/// The beginning of `text`, at most [`MESSAGE_BYTES`] long, cut between characters.
fn cut(text: &str) -> &str {
    let end = (0..=MESSAGE_BYTES.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or_default()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{Fault, FaultKind, MESSAGE_BYTES};

    #[test]
    fn status_then_code_then_text_decide() {
        let cases = [
            (429, None, "Rate limit reached", FaultKind::RateLimited),
            (429, Some("insufficient_quota"), "You exceeded your current quota", FaultKind::QuotaExhausted),
            (400, Some("billing_hard_limit_reached"), "", FaultKind::QuotaExhausted),
            (400, None, "This model's maximum context length is 8192 tokens", FaultKind::ContextLength),
            (400, None, "Current length is 9000 while limit is 8192", FaultKind::ContextLength),
            (400, None, "string_above_max_length: input is too long", FaultKind::BadRequest),
            (400, Some("content_filter"), "", FaultKind::ContentPolicy),
            (422, None, "extra fields not permitted", FaultKind::BadRequest),
            (429, None, "prompt is too long", FaultKind::RateLimited),
            (503, None, "The model is overloaded. Please try again later.", FaultKind::Overloaded),
            (503, None, "no healthy upstream", FaultKind::Server),
            (403, Some("model_not_found"), "", FaultKind::NotFound),
            (302, None, "", FaultKind::Server),
            (418, None, "", FaultKind::BadRequest),
        ];
        for (status, code, message, kind) in cases {
            assert_eq!(Fault::new(status, code, message).kind, kind, "{status} {code:?} {message}");
        }
    }

    #[test]
    fn a_message_is_cut_between_characters() {
        let message = "é".repeat(MESSAGE_BYTES);
        let fault = Fault::new(400, None, &format!("x{message}"));
        assert_eq!(fault.message.len(), MESSAGE_BYTES - 1);
    }
}
