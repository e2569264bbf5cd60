//! A chat request as its client wrote it, whatever the client's dialect: views over the client's own body, so that a loss or a refusal
//! names the client's own fields, and an image stays a slice of it.
//!
//! The fields are those of OpenAI's chat completions and the extensions that clients of other gateways send (`cache_control`,
//! `reasoning_content`, `top_k`). Where dialects differ in form, a small enum holds the form: [`Arguments`], [`MediaSource`],
//! [`Schema`], [`Thinking`]. What a dialect has no string for (the id of a call in Gemini) is a [`Word`].
//!
//! Dialects destructure these types without `..`, so that a field added here cannot be forgotten there: every field is either
//! mapped, or reported as a [`crate::loss::Loss`].

use std::borrow::Cow;

use super::form::{Arguments, MediaSource, Schema, Thinking, Word};
use crate::json::{Document, Literal, View};
use crate::loss::Losses;
use crate::refusal::Refusal;

/// A whole request. Fields that are absent, `null`, or equal to their documented default are `None`: leaving them out loses nothing.
#[derive(Debug)]
pub struct ChatRequest<'a> {
    /// The scanned body.
    pub document: &'a Document,
    /// The model as asked, still with its provider prefix.
    pub model: Cow<'a, str>,
    /// Whether an event stream is wanted.
    pub stream: bool,
    /// `stream_options.include_usage`.
    pub include_usage: bool,
    /// The conversation, in order.
    pub messages: Vec<Message<'a>>,
    /// `tools`, or the legacy `functions` in the same form.
    pub tools: Vec<Tool<'a>>,
    /// The client wrote `functions`/`function_call`: the reply must use `function_call` too.
    pub legacy_functions: bool,
    /// `tool_choice`, or the legacy `function_call`.
    pub tool_choice: ToolChoice<'a>,
    /// `parallel_tool_calls: false`, where it stands; `true` is the default.
    pub no_parallel_tool_calls: Option<View<'a>>,
    /// The most tokens of the answer.
    pub max_tokens: Option<View<'a>>,
    /// Sampling temperature, 0 to 2.
    pub temperature: Option<View<'a>>,
    /// Nucleus sampling, 0 to 1.
    pub top_p: Option<View<'a>>,
    /// An extension that Anthropic and Google know.
    pub top_k: Option<View<'a>>,
    /// Stop sequences: a string or an array of strings.
    pub stop: Vec<View<'a>>,
    /// What form the answer must have.
    pub response_format: ResponseFormat<'a>,
    /// How much to think before the answer.
    pub thinking: Thinking<'a>,
    /// Number of choices, where it is not 1.
    pub n: Option<View<'a>>,
    /// Random seed.
    pub seed: Option<View<'a>>,
    /// Presence penalty, where it is not 0.
    pub presence_penalty: Option<View<'a>>,
    /// Frequency penalty, where it is not 0.
    pub frequency_penalty: Option<View<'a>>,
    /// `logprobs: true`.
    pub logprobs: Option<View<'a>>,
    /// Number of alternatives per token.
    pub top_logprobs: Option<View<'a>>,
    /// Output modalities, where they are not `["text"]`.
    pub modalities: Option<View<'a>>,
    /// An opaque id of the end user: `safety_identifier`, else `user`.
    pub user: Option<View<'a>>,
    /// The tier of service in OpenAI's words, where it is not `auto`.
    pub service_tier: Option<Word<'a>>,
    /// Every other member that could matter to an upstream. A dialect reports those it does not map. (Not here: `model`, `stream`,
    /// `stream_options.include_usage`, `fallbacks`, and members equal to their default.)
    pub others: Vec<View<'a>>,
    /// What the pivot keeps, but in another place than where it stood. A dialect reports it as approximated.
    pub moved: Vec<View<'a>>,
}

impl<'a> ChatRequest<'a> {
    /// Reads the views of a scanned body. Runs once a request, before any candidate is tried.
    ///
    /// # Errors
    /// A [`Refusal`] of the client's fault that names the path of what is not a chat request: no `messages`, an unknown role, a
    /// content part without its field, a tool without a name.
    pub fn read(document: &'a Document) -> Result<Self, Refusal> {
        super::read::read(document)
    }
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "OpenAI's own role names")]
pub enum Role {
    System,
    Developer,
    User,
    Assistant,
    Tool,
    /// Legacy: the result of a `function_call`.
    Function,
}

/// One message.
#[derive(Debug)]
pub struct Message<'a> {
    /// Who speaks.
    pub role: Role,
    /// The content in order; a plain string is one [`Part::Text`]; `null` or absent is empty.
    pub content: Vec<Part<'a>>,
    /// Calls the assistant made; the legacy `function_call` has no id.
    pub tool_calls: Vec<ToolCall<'a>>,
    /// Role tool: the call this answers.
    pub tool_call_id: Option<Word<'a>>,
    /// `name`: of the speaker, or of the function (roles tool and function).
    pub name: Option<View<'a>>,
    /// The assistant's earlier refusal, where it is not null.
    pub refusal: Option<View<'a>>,
    /// The assistant's earlier reasoning, replayed by the client.
    pub reasoning: Vec<ReasoningTrace<'a>>,
    /// `cache_control` on the message itself (an extension; see Anthropic's prompt caching).
    pub cache_control: Option<View<'a>>,
    /// `is_error: true` on a tool message (an extension that keeps Anthropic's flag).
    pub is_error: Option<View<'a>>,
    /// Members not named here.
    pub others: Vec<View<'a>>,
    /// The message itself, for paths.
    pub view: View<'a>,
}

impl<'a> Message<'a> {
    /// A message that says nothing yet.
    pub(crate) fn blank(role: Role, view: View<'a>) -> Self {
        Self {
            role,
            content: Vec::new(),
            tool_calls: Vec::new(),
            tool_call_id: None,
            name: None,
            refusal: None,
            reasoning: Vec::new(),
            cache_control: None,
            is_error: None,
            others: Vec::new(),
            view,
        }
    }
}

/// One part of a message's content.
#[derive(Debug)]
pub enum Part<'a> {
    /// Text. `view` is the string itself.
    Text {
        /// The text, ready to be carried.
        text: Literal<'a>,
        /// The string's place.
        view: View<'a>,
        /// `cache_control` beside it.
        cache_control: Option<View<'a>>,
        /// Members not named here, of the part and of the object inside it.
        others: Vec<View<'a>>,
    },
    /// An image.
    Image {
        /// Where its bytes are.
        source: MediaSource<'a>,
        /// `image_url.detail`, where it is not `auto`.
        detail: Option<View<'a>>,
        /// `cache_control` beside it.
        cache_control: Option<View<'a>>,
        /// Members not named here, of the part and of the object inside it.
        others: Vec<View<'a>>,
        /// The whole part.
        view: View<'a>,
    },
    /// Audio: base64 and its format.
    Audio {
        /// Base64 of the audio.
        data: View<'a>,
        /// `wav`, `mp3`, …
        format: Word<'a>,
        /// Members not named here, of the part and of the object inside it.
        others: Vec<View<'a>>,
        /// The whole part.
        view: View<'a>,
    },
    /// A document or another file that is no image.
    File {
        /// Where its bytes are.
        source: MediaSource<'a>,
        /// Its name or title.
        filename: Option<View<'a>>,
        /// `cache_control` beside it.
        cache_control: Option<View<'a>>,
        /// Members not named here, of the part and of the object inside it.
        others: Vec<View<'a>>,
        /// The whole part.
        view: View<'a>,
    },
    /// `refusal` inside an assistant's content.
    Refusal {
        /// The refusal's text.
        text: Literal<'a>,
        /// Members not named here, of the part and of the object inside it.
        others: Vec<View<'a>>,
        /// The whole part.
        view: View<'a>,
    },
    /// A part of a type not named here. No dialect but the client's own can carry it.
    Unknown {
        /// The whole part.
        view: View<'a>,
    },
}

/// Reasoning of an earlier turn, replayed. Vendors sign it: it is only of use to the one that signed.
#[derive(Debug)]
pub enum ReasoningTrace<'a> {
    /// `reasoning_content` or `reasoning`: plain text without a signature.
    Plain {
        /// The text.
        text: Literal<'a>,
        /// Where it stands.
        view: View<'a>,
    },
    /// One of `reasoning_details` (`reasoning.text`) or of `thinking_blocks` (`thinking`), with its signature.
    Signed {
        /// The text.
        text: Literal<'a>,
        /// The vendor's signature.
        signature: Literal<'a>,
        /// Where it stands.
        view: View<'a>,
    },
    /// `reasoning.encrypted` or `redacted_thinking`: opaque data.
    Encrypted {
        /// The data.
        data: Literal<'a>,
        /// Where it stands.
        view: View<'a>,
    },
}

/// A call the assistant made in an earlier turn.
#[derive(Debug)]
pub struct ToolCall<'a> {
    /// The call's id; absent in OpenAI's legacy form.
    pub id: Option<Word<'a>>,
    /// The function's name.
    pub name: View<'a>,
    /// The arguments.
    pub arguments: Option<Arguments<'a>>,
    /// Google's thought signature.
    pub thought_signature: Option<Word<'a>>,
    /// `cache_control` beside it.
    pub cache_control: Option<View<'a>>,
    /// Members not named here.
    pub others: Vec<View<'a>>,
    /// The whole call.
    pub view: View<'a>,
}

/// A function the model may call.
#[derive(Debug)]
pub struct Tool<'a> {
    /// The function's name; `None` for a tool that is not a function (`type: custom`, a server tool).
    pub name: Option<View<'a>>,
    /// What it does.
    pub description: Option<View<'a>>,
    /// Its JSON Schema, an opaque object whose key order is kept.
    pub parameters: Option<Schema<'a>>,
    /// `strict`, where it is written.
    pub strict: Option<View<'a>>,
    /// `cache_control` on the tool or inside `function`.
    pub cache_control: Option<View<'a>>,
    /// Members not named here.
    pub others: Vec<View<'a>>,
    /// The whole tool.
    pub view: View<'a>,
}

/// The tools that are functions. What is none (a search that a vendor runs, a grammar) another vendor cannot run, and is noted as dropped:
/// coding agents declare such tools with every request, needed or not.
pub(crate) fn functions<'t, 'a>(tools: &'t [Tool<'a>], losses: &mut Losses) -> Vec<&'t Tool<'a>> {
    losses.dropped(tools.iter().filter(|tool| tool.name.is_none()).map(|tool| tool.view));
    tools.iter().filter(|tool| tool.name.is_some()).collect()
}

/// Whether and what the model must call.
#[derive(Debug)]
pub enum ToolChoice<'a> {
    /// Not said.
    Unset,
    /// As the model likes.
    Auto(View<'a>),
    /// Nothing.
    None(View<'a>),
    /// Something.
    Required(View<'a>),
    /// This function.
    Named {
        /// The function's name.
        name: View<'a>,
        /// The whole choice.
        view: View<'a>,
    },
    /// One of these functions (`allowed_tools`).
    Allowed {
        /// Their names.
        names: Vec<Cow<'a, str>>,
        /// Mode `required`, else `auto`.
        required: bool,
        /// The whole choice.
        view: View<'a>,
    },
}

/// What form the answer must have.
#[derive(Debug)]
pub enum ResponseFormat<'a> {
    /// Not said, or `text`.
    Text,
    /// Some JSON object.
    JsonObject(View<'a>),
    /// JSON of a schema.
    JsonSchema {
        /// `json_schema.name`.
        name: Option<View<'a>>,
        /// `json_schema.description`.
        description: Option<View<'a>>,
        /// `json_schema.schema`, opaque.
        schema: Option<Schema<'a>>,
        /// `json_schema.strict`.
        strict: Option<View<'a>>,
        /// The whole `response_format`.
        view: View<'a>,
    },
    /// A type not named here.
    Unknown(View<'a>),
}
