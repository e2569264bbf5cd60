//! What dialects write in different forms: the enums that keep the client's own form until an upstream's dialect asks for its own.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::image::{self, Fetched, ImageSource};
use crate::json::{Literal, Splice, View};
use crate::refusal::Refusal;

/// A word and the place it stands for: the client's own string, or the same meaning in the pivot's words, or an id made up where the
/// client's dialect has none.
#[derive(Debug, Clone)]
pub struct Word<'a> {
    /// The word.
    pub text: Cow<'a, str>,
    /// Its place in the client's body, for losses and refusals.
    pub view: View<'a>,
}

impl<'a> Word<'a> {
    /// The string at `view` as it stands.
    #[must_use]
    pub fn of(view: View<'a>) -> Self {
        Self { text: view.text().unwrap_or_default(), view }
    }
}

/// A call's arguments.
#[derive(Debug, Clone, Copy)]
pub enum Arguments<'a> {
    /// A string that holds JSON (OpenAI).
    Text(View<'a>),
    /// JSON itself (Anthropic, Gemini).
    Json(View<'a>),
}

impl<'a> Arguments<'a> {
    /// Their place.
    #[must_use]
    pub fn view(self) -> View<'a> {
        match self {
            Self::Text(view) | Self::Json(view) => view,
        }
    }

    /// The JSON object that they are, as the client wrote it; none at all (or blank, or `null`) is an empty one.
    ///
    /// # Errors
    /// A [`Refusal`] of the client's fault, if they are no JSON object.
    pub fn object(arguments: Option<Self>) -> Result<Cow<'a, str>, Refusal> {
        let Some(arguments) = arguments else { return Ok(Cow::Borrowed("{}")) };
        let (text, scanned) = match arguments {
            Self::Text(view) => (view.text().unwrap_or_default(), false),
            Self::Json(view) => (Cow::Borrowed(view.raw()), true),
        };
        if matches!(text.trim(), "" | "null") {
            return Ok(Cow::Borrowed("{}"));
        }
        if text.trim_start().starts_with('{') && (scanned || serde_json::from_str::<&RawValue>(&text).is_ok()) {
            return Ok(text);
        }
        let form = if scanned { "a JSON object" } else { "a string that holds a JSON object" };
        Err(Refusal::client(arguments.view().path(), format!("The arguments of a call must be {form}.")))
    }

    /// The string that holds them.
    #[must_use]
    pub fn literal(self) -> Literal<'a> {
        match self {
            Self::Text(view) => view.literal().unwrap_or_else(|| Literal::quote("")),
            Self::Json(view) => Literal::quote(view.raw()),
        }
    }
}

/// Where the bytes of an image, a document or another file are.
#[derive(Debug, Clone, Copy)]
pub enum MediaSource<'a> {
    /// A string: a data URI, a URL, or bare base64.
    Address(View<'a>),
    /// Base64 with its media type beside it.
    Base64 {
        /// The base64.
        data: View<'a>,
        /// The type it declares.
        media_type: Option<View<'a>>,
    },
    /// Plain text.
    Text(View<'a>),
    /// An id that one vendor gave.
    FileId(View<'a>),
}

impl<'a> MediaSource<'a> {
    /// The string that says it.
    #[must_use]
    pub fn view(self) -> View<'a> {
        match self {
            Self::Address(view) | Self::Text(view) | Self::FileId(view) | Self::Base64 { data: view, .. } => view,
        }
    }

    /// The bytes, or a URL that nobody has fetched. Nothing is decoded or copied where the base64 is canonical.
    ///
    /// # Errors
    /// A [`Refusal`]: of the client's fault, if what stands there is neither; of the candidate's scope for another vendor's file id.
    pub fn read(self, fetched: &Fetched) -> Result<ImageSource<'a>, Refusal> {
        match self {
            Self::Address(view) => fetched.read(view),
            Self::Base64 { data, media_type } => {
                let declared = media_type.and_then(View::text);
                image::read_base64(data, declared.as_deref()).map(ImageSource::Inline)
            }
            Self::Text(view) => image::of_text(view).map(ImageSource::Inline),
            Self::FileId(view) => Err(foreign_file(view)),
        }
    }
}

/// A file id is of use to its vendor alone.
fn foreign_file(id: View<'_>) -> Refusal {
    Refusal::candidate(id, "A file id is known only to the provider that gave it. Send the file itself, as base64.")
}

/// A JSON Schema: the client's own object, key order and all, or what a dialect with another form of schemas means by it.
#[derive(Debug, Clone)]
pub struct Schema<'a> {
    /// What the client wrote.
    pub view: View<'a>,
    /// The same as a JSON Schema, where the client wrote it in another form.
    pub rewritten: Option<String>,
}

impl<'a> Schema<'a> {
    /// The JSON Schema at `view`.
    #[must_use]
    pub fn of(view: View<'a>) -> Self {
        Self { view, rewritten: None }
    }

    /// Its text.
    #[must_use]
    pub fn raw(&self) -> &str {
        self.rewritten.as_deref().unwrap_or_else(|| self.view.raw())
    }

    /// Writes it as the next value.
    pub fn write(&self, out: &mut Splice) {
        match &self.rewritten {
            Some(text) => out.raw(text),
            None => out.view(self.view),
        };
    }
}

/// How much to think before the answer.
#[derive(Debug, Clone)]
pub enum Thinking<'a> {
    /// Not said.
    Unset,
    /// In OpenAI's words: none, minimal, low, medium, high, xhigh, max.
    Effort(Word<'a>),
    /// At most so many tokens.
    Budget {
        /// How many.
        tokens: u64,
        /// Where that stands.
        view: View<'a>,
    },
    /// As much as the model sees fit.
    Adaptive(View<'a>),
}

/// Budgets up to so many tokens, and the effort that is nearest. Half way between the budgets that Google gives for the efforts.
static BUDGETS: &[(u64, &str)] = &[(0, "none"), (1_024, "minimal"), (4_096, "low"), (16_384, "medium"), (u64::MAX, "high")];

impl<'a> Thinking<'a> {
    /// The wish as an effort, and whether that is only near to what was asked.
    #[must_use]
    pub fn effort(&self) -> Option<(Word<'a>, bool)> {
        match self {
            Self::Unset => None,
            Self::Effort(word) => Some((word.clone(), false)),
            Self::Adaptive(view) => Some((Word { text: Cow::Borrowed("medium"), view: *view }, true)),
            Self::Budget { tokens, view } => {
                let (_, word) = BUDGETS.iter().find(|(most, _)| tokens <= most)?;
                Some((Word { text: Cow::Borrowed(*word), view: *view }, *tokens > 0))
            }
        }
    }
}
