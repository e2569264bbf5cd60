//! Limits, sampling and the smaller members of a request.

use super::models::{Model, Sampling};
use crate::chat::Word;
use crate::json::{Splice, View};
use crate::loss::{LossKind, Losses};
use crate::refusal::Refusal;

/// `max_tokens` where neither the client nor the model's row names a limit: Bifrost's and Vercel's default.
const DEFAULT_MAX_TOKENS: u64 = 4096;
/// Anthropic's highest temperature.
const MAX_TEMPERATURE: f64 = 1.0;
/// Anthropic's longest `metadata.user_id`.
const USER_ID_BYTES: usize = 256;

/// The limit to send; the API demands one.
pub(super) fn max_tokens(asked: Option<View<'_>>, model: &Model, losses: &mut Losses) -> Result<u64, Refusal> {
    let Some(view) = asked else { return Ok(model.max_output_tokens.unwrap_or(DEFAULT_MAX_TOKENS)) };
    let Some(asked) = view.unsigned() else {
        return Err(Refusal::client(view.path(), "The limit of tokens must be a whole number."));
    };
    match model.max_output_tokens {
        Some(most) if asked > most => {
            losses.note(LossKind::Clamped, view);
            Ok(most)
        }
        _ => Ok(asked),
    }
}

/// Sampling as the client asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) temperature: Option<View<'a>>,
    pub(super) top_p: Option<View<'a>>,
    pub(super) top_k: Option<View<'a>>,
}

impl<'a> Asked<'a> {
    /// What of it the model takes; a thinking model takes none.
    pub(super) fn accepted(mut self, sampling: Sampling, thinking: bool, losses: &mut Losses) -> Self {
        if thinking || sampling == Sampling::Rejected {
            losses.dropped([self.temperature, self.top_p, self.top_k].into_iter().flatten());
            return Self { temperature: None, top_p: None, top_k: None };
        }
        if sampling == Sampling::One && self.temperature.is_some() {
            losses.dropped(self.top_p.take());
        }
        if let Some(view) = self.temperature.filter(|view| is_hot(*view)) {
            losses.note(LossKind::Clamped, view);
        }
        self
    }

    /// Writes the members `temperature`, `top_p` and `top_k`.
    pub(super) fn write(self, out: &mut Splice) {
        if let Some(view) = self.temperature {
            out.key("temperature");
            if is_hot(view) {
                out.raw("1")
            } else {
                out.view(view)
            };
        }
        for (key, view) in [("top_p", self.top_p), ("top_k", self.top_k)] {
            if let Some(view) = view {
                out.key(key).view(view);
            }
        }
    }
}

fn is_hot(temperature: View<'_>) -> bool {
    temperature.number().is_some_and(|value| value > MAX_TEMPERATURE)
}

/// The stop sequences that the API takes: it refuses those of white space alone.
pub(super) fn stop<'a>(asked: &[View<'a>], losses: &mut Losses) -> Vec<View<'a>> {
    let (blank, kept) = asked.iter().partition::<Vec<_>, _>(|view| view.text().is_none_or(|text| text.trim().is_empty()));
    losses.dropped(blank);
    kept
}

/// The end user's id. Anthropic forbids names, addresses and numbers of people there: what looks like one stays here.
pub(super) fn user<'a>(asked: Option<View<'a>>, losses: &mut Losses) -> Option<View<'a>> {
    let view = asked?;
    let opaque = view.text().is_some_and(|text| !text.is_empty() && text.len() <= USER_ID_BYTES && !is_personal(&text));
    if !opaque {
        losses.note(LossKind::Dropped, view);
    }
    opaque.then_some(view)
}

/// An e-mail address, a telephone number, or a name in several words.
fn is_personal(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let telephone = digits >= 7 && text.bytes().all(|byte| byte.is_ascii_digit() || b"+-(). /".contains(&byte)) && !is_number(text);
    text.contains('@') || text.contains(char::is_whitespace) || telephone
}

/// Digits alone are as likely a row of a database as a telephone.
fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// OpenAI's tiers in Anthropic's words (Bifrost's mapping), and whether they mean the same.
static TIERS: &[(&str, &str, bool)] = &[
    ("default", "standard_only", true),
    ("flex", "standard_only", false),
    ("priority", "auto", false),
    ("standard_only", "standard_only", true),
];

/// The tier to ask for.
pub(super) fn service_tier(asked: Option<&Word<'_>>, losses: &mut Losses) -> Option<&'static str> {
    let Word { text: word, view } = asked?;
    let row = TIERS.iter().find(|(openai, _, _)| openai == word);
    match row {
        None => losses.note(LossKind::Dropped, *view),
        Some((_, _, false)) => losses.note(LossKind::Approximated, *view),
        Some(_) => {}
    }
    row.map(|(_, anthropic, _)| *anthropic)
}

#[cfg(test)]
mod tests {
    use super::is_personal;

    #[test]
    fn people_are_told_from_ids() {
        for person in ["a@example.com", "+49 170 1234567", "(555) 010-9999", "Ada Lovelace"] {
            assert!(is_personal(person), "{person}");
        }
        for id in ["user_123", "550e8400-e29b-41d4-a716-446655440000", "12345678", "sha256-ab12"] {
            assert!(!is_personal(id), "{id}");
        }
    }
}
