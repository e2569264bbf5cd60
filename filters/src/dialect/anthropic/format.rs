//! The form the answer must have.
//!
//! A schema goes to `output_config.format` where model and schema allow it. Elsewhere a tool is made up whose arguments have the
//! schema, its call is forced, and the reply's reader turns its arguments back into the answer's text. `json_object` is asked for in
//! words, at the end of the system prompt: a tool without a schema would make up a form that the client did not ask for.

use std::borrow::Cow;

use super::models::Model;
use super::schema;
use crate::chat::{ResponseFormat, Schema, ToolChoice};
use crate::dialect::tool_names::ToolNames;
use crate::json::{Literal, View};
use crate::loss::{LossKind, Losses};
use crate::refusal::Refusal;

/// The tool's name, where the client's format has none.
const ANSWER_TOOL: &str = "json";

/// How the answer's form is asked for.
#[derive(Debug)]
pub(super) enum Format<'a> {
    /// Not at all.
    Free,
    /// In words.
    Words(Literal<'static>),
    /// `output_config.format` with this schema.
    Native(String),
    /// A tool.
    Tool(AnswerTool<'a>),
}

/// A tool whose arguments are the answer.
#[derive(Debug)]
pub(super) struct AnswerTool<'a> {
    pub(super) name: String,
    pub(super) description: Literal<'a>,
    pub(super) schema: Schema<'a>,
    /// The whole `response_format`, for losses.
    pub(super) view: View<'a>,
}

/// Chooses how to ask.
pub(super) fn choose<'a>(
    format: &ResponseFormat<'a>,
    choice: &ToolChoice<'_>,
    (model, names): (&Model, &ToolNames),
    losses: &mut Losses,
) -> Result<Format<'a>, Refusal> {
    match format {
        ResponseFormat::Text => Ok(Format::Free),
        ResponseFormat::JsonObject(view) => {
            losses.note(LossKind::Approximated, *view);
            Ok(Format::Words(Literal::quote("Answer with one JSON object and nothing else.")))
        }
        ResponseFormat::Unknown(view) => Err(Refusal::candidate(*view, "This model knows no such response format.")),
        // The name is a label that OpenAI demands and `output_config` has no place for; an unstrict schema is held too.
        ResponseFormat::JsonSchema { name, description, schema, strict: _, view } => {
            let Some(schema) = schema else {
                losses.note(LossKind::Approximated, *view);
                return Ok(Format::Words(Literal::quote("Answer with JSON and nothing else.")));
            };
            if let Some(json) = native(schema, model, losses) {
                losses.dropped(*description);
                return Ok(Format::Native(json));
            }
            // A call is forced already: the model will not answer in text.
            if is_forced(choice) {
                losses.note(LossKind::Dropped, *view);
                return Ok(Format::Free);
            }
            let description = description.and_then(View::literal).unwrap_or_else(|| Literal::quote("Answer with this."));
            let label = name.and_then(View::text).filter(|label| !label.is_empty()).unwrap_or(Cow::Borrowed(ANSWER_TOOL));
            Ok(Format::Tool(AnswerTool { name: names.fresh(&label), description, schema: schema.clone(), view: *view }))
        }
    }
}

fn native(schema: &Schema<'_>, model: &Model, losses: &mut Losses) -> Option<String> {
    let sanitised = schema::sanitise(schema.raw()).filter(|_| model.native_schema)?;
    let path = schema.view.path();
    for keyword in sanitised.moved {
        losses.at(LossKind::Approximated, Cow::Owned(format!("{path}{keyword}")));
    }
    Some(sanitised.json)
}

fn is_forced(choice: &ToolChoice<'_>) -> bool {
    matches!(choice, ToolChoice::Required(_) | ToolChoice::Named { .. } | ToolChoice::Allowed { required: true, .. })
}
