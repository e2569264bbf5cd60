//! An embeddings request as views over the client's body.

use super::peek::is_tokens;
use crate::chat::field::{expect, missing, of_kind, rest, string, unknown_value, wrong_kind};
use crate::json::{Document, Kind, View};
use crate::refusal::{Refusal, RefusalScope};

/// Members that are taken up by name.
static KNOWN: &[&str] = &["model", "input", "dimensions", "encoding_format", "input_type", "user", "fallbacks"];

/// An embeddings request.
#[derive(Debug)]
pub struct EmbeddingsRequest<'a> {
    /// The client's body.
    pub document: &'a Document,
    /// What is to be embedded, in order; never empty.
    pub inputs: Vec<Input<'a>>,
    /// Length of the vectors: a positive integer.
    pub dimensions: Option<View<'a>>,
    /// How the client wants its vectors.
    pub encoding: Encoding,
    /// What the vectors are for, in Cohere's words (`search_document`, `search_query`, `classification`, `clustering`) or the
    /// provider's own. No member of OpenAI's: the gateway's extension for providers that ask for it.
    pub input_type: Option<View<'a>>,
    /// The end user.
    pub user: Option<View<'a>>,
    /// Everything else.
    pub others: Vec<View<'a>>,
}

/// One thing to embed.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// A string.
    Text(View<'a>),
    /// Tokens of an OpenAI model.
    Tokens(View<'a>),
}

/// How vectors are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    /// An array of numbers.
    #[default]
    Float,
    /// Little-endian 32-bit floats in base64; what the official SDKs ask for.
    Base64,
}

impl<'a> EmbeddingsRequest<'a> {
    /// Reads a body that was scanned with [`super::EMBEDDINGS`].
    ///
    /// # Errors
    /// A [`Refusal`] that names the member that is absent or not what OpenAI takes.
    pub fn read(document: &'a Document) -> Result<Self, Refusal> {
        let root = expect(document.root(), Kind::Object)?;
        let dimensions = of_kind(root, "dimensions", Kind::Number)?;
        if let Some(view) = dimensions.filter(|view| view.unsigned().is_none_or(|count| count == 0)) {
            return Err(Refusal::client(view.path(), "Invalid value for 'dimensions': expected a positive integer."));
        }
        Ok(Self {
            document,
            inputs: inputs(root)?,
            dimensions,
            encoding: encoding(root)?,
            input_type: string(root, "input_type")?,
            user: string(root, "user")?.filter(|user| user.raw() != "\"\""),
            others: rest(root, KNOWN).collect(),
        })
    }

    /// The inputs as texts, for providers that know nothing of OpenAI's tokens and take at most `most` texts in one call.
    ///
    /// # Errors
    /// A [`Refusal`] of this candidate.
    pub fn texts(&self, most: usize) -> Result<Vec<View<'a>>, Refusal> {
        if self.inputs.len() > most {
            let texts = if most == 1 { "one input".to_owned() } else { format!("{most} inputs") };
            let message = format!("This model's provider takes at most {texts} in one call, but got {}.", self.inputs.len());
            return Err(refusal("array_above_max_length", message));
        }
        let text = |input: &Input<'a>| match input {
            Input::Text(view) => Ok(*view),
            Input::Tokens(view) => Err(Refusal::candidate(*view, "This model's provider takes text, not OpenAI's tokens. Send strings.")),
        };
        self.inputs.iter().map(text).collect()
    }
}

fn refusal(code: &'static str, message: String) -> Refusal {
    Refusal { path: "input".to_owned(), code, message: message.into(), scope: RefusalScope::Candidate }
}

fn inputs(root: View<'_>) -> Result<Vec<Input<'_>>, Refusal> {
    let input = root.present("input").ok_or_else(|| missing(root, "input"))?;
    let inputs = match input.kind() {
        Kind::String => vec![Input::Text(input)],
        Kind::Array if is_tokens(input) => vec![Input::Tokens(input)],
        Kind::Array => input.elements().map(one).collect::<Result<_, _>>()?,
        _ => return Err(wrong_kind(input, "a string or an array")),
    };
    if inputs.is_empty() {
        return Err(Refusal::client("input", "Invalid 'input': the array is empty."));
    }
    Ok(inputs)
}

fn one(view: View<'_>) -> Result<Input<'_>, Refusal> {
    match view.kind() {
        Kind::String => Ok(Input::Text(view)),
        Kind::Array => Ok(Input::Tokens(view)),
        _ => Err(wrong_kind(view, "a string or an array of tokens")),
    }
}

fn encoding(root: View<'_>) -> Result<Encoding, Refusal> {
    let Some(view) = string(root, "encoding_format")? else { return Ok(Encoding::Float) };
    match view.text().as_deref() {
        Some("float") => Ok(Encoding::Float),
        Some("base64") => Ok(Encoding::Base64),
        _ => Err(unknown_value(view, "'float' and 'base64'")),
    }
}
