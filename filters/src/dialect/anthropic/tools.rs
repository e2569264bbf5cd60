//! Tools and the choice among them.

use std::borrow::Cow;

use super::format::{AnswerTool, Format};
use super::models::Model;
use super::schema::{self, Members};
use crate::chat::{Schema, Tool, ToolChoice, functions};
use crate::dialect::tool_names::ToolNames;
use crate::json::{Literal, Splice, View};
use crate::loss::{LossKind, Losses};

/// The tools as they are sent, and which of them the model must call.
#[derive(Debug, Default)]
pub(super) struct Toolbox<'a> {
    tools: Vec<Declared<'a>>,
    choice: Option<Choice<'a>>,
    /// At most one call.
    single: bool,
}

#[derive(Debug)]
struct Declared<'a> {
    name: Cow<'a, str>,
    description: Option<Literal<'a>>,
    schema: Option<Schema<'a>>,
    strict: bool,
    cache: Option<View<'a>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Choice<'a> {
    Auto,
    None,
    Any,
    Tool(Cow<'a, str>),
}

/// What the request says of tools, and what it is read for.
pub(super) struct Scope<'s, 'a> {
    pub(super) choice: &'s ToolChoice<'a>,
    pub(super) no_parallel: Option<View<'a>>,
    pub(super) format: &'s Format<'a>,
    pub(super) names: &'s ToolNames,
    pub(super) model: &'s Model,
    /// Forced calls are refused while the model is told to think.
    pub(super) thinking: bool,
}

impl<'a> Toolbox<'a> {
    /// Reads the tools and the choice.
    pub(super) fn read(tools: &[Tool<'a>], scope: &Scope<'_, 'a>, losses: &mut Losses) -> Self {
        let tools = functions(tools, losses).into_iter().map(|tool| declare(tool, scope, losses)).collect();
        let mut toolbox = Self { tools, choice: None, single: scope.no_parallel.is_some() };
        toolbox.choose(scope, losses);
        if let Format::Tool(answer) = scope.format {
            toolbox.add_answer(answer, scope, losses);
        }
        toolbox.settle(scope, losses);
        toolbox
    }

    /// Cache breakpoints, in order.
    pub(super) fn breakpoints(&mut self) -> impl Iterator<Item = &mut Option<View<'a>>> {
        self.tools.iter_mut().map(|tool| &mut tool.cache)
    }

    /// Writes the members `tools` and `tool_choice`.
    pub(super) fn write(&self, out: &mut Splice) {
        if self.tools.is_empty() {
            return;
        }
        out.key("tools").array();
        self.tools.iter().for_each(|tool| tool.write(out));
        out.end_array();
        let Some(choice) = &self.choice else { return };
        out.key("tool_choice").object().key("type");
        match choice {
            Choice::Auto => out.string("auto"),
            Choice::None => out.string("none"),
            Choice::Any => out.string("any"),
            Choice::Tool(name) => out.string("tool").key("name").string(name),
        };
        if self.single && *choice != Choice::None {
            out.key("disable_parallel_tool_use").raw("true");
        }
        out.end_object();
    }

    fn choose(&mut self, scope: &Scope<'_, 'a>, losses: &mut Losses) {
        let may_force = scope.model.forced_choice && !scope.thinking;
        let forced = |choice, view, losses: &mut Losses| {
            if may_force {
                return Some(choice);
            }
            losses.note(LossKind::Approximated, view);
            Some(Choice::Auto)
        };
        self.choice = match scope.choice {
            ToolChoice::Unset => None,
            ToolChoice::Auto(_) => Some(Choice::Auto),
            ToolChoice::None(_) => Some(Choice::None),
            ToolChoice::Required(view) => forced(Choice::Any, *view, losses),
            ToolChoice::Named { name, view } => {
                let name = scope.names.sent(name.text().unwrap_or_default());
                if !may_force {
                    self.tools.retain(|tool| tool.name == name);
                }
                forced(Choice::Tool(name), *view, losses)
            }
            ToolChoice::Allowed { names, required, view } => {
                let allowed: Vec<_> = names.iter().map(|name| scope.names.sent(name.clone())).collect();
                self.tools.retain(|tool| allowed.contains(&tool.name));
                if *required { forced(Choice::Any, *view, losses) } else { Some(Choice::Auto) }
            }
        };
    }

    /// The tool that stands for the answer: forced alone, or as one of several where the client has tools the model may call.
    fn add_answer(&mut self, answer: &AnswerTool<'a>, scope: &Scope<'_, 'a>, losses: &mut Losses) {
        let alone = self.tools.is_empty() || self.choice == Some(Choice::None);
        let name: Cow<'a, str> = Cow::Owned(answer.name.clone());
        self.choice = Some(match (scope.model.forced_choice, alone) {
            (false, _) => Choice::Auto,
            (true, true) => Choice::Tool(name.clone()),
            (true, false) => Choice::Any,
        });
        if !scope.model.forced_choice {
            losses.note(LossKind::Approximated, answer.view);
        }
        self.single = true;
        let description = Some(answer.description.clone());
        self.tools.push(Declared { name, description, schema: Some(answer.schema.clone()), strict: false, cache: None });
    }

    fn settle(&mut self, scope: &Scope<'_, 'a>, losses: &mut Losses) {
        if self.tools.is_empty() {
            losses.dropped(scope.no_parallel);
            if let ToolChoice::Required(view) | ToolChoice::Named { view, .. } | ToolChoice::Allowed { view, .. } = scope.choice {
                losses.note(LossKind::Dropped, *view);
            }
        } else if self.single && self.choice.is_none() {
            self.choice = Some(Choice::Auto);
        }
    }
}

fn declare<'a>(tool: &Tool<'a>, scope: &Scope<'_, 'a>, losses: &mut Losses) -> Declared<'a> {
    let Tool { name, description, parameters, strict, cache_control, others, view: _ } = tool;
    losses.dropped(others.iter().copied());
    Declared {
        name: scope.names.sent(name.and_then(View::text).unwrap_or_default()),
        description: description.and_then(View::literal),
        schema: parameters.clone(),
        strict: is_strict(*strict, parameters.as_ref(), scope.model, losses),
        cache: *cache_control,
    }
}

/// Whether a strict tool can be held to its schema as it stands; the schema itself is never changed for it. `strict: false` is the
/// default.
fn is_strict(strict: Option<View<'_>>, parameters: Option<&Schema<'_>>, model: &Model, losses: &mut Losses) -> bool {
    let Some(view) = strict.filter(|view| view.boolean() == Some(true)) else { return false };
    let fits = |schema: &Schema<'_>| schema::sanitise(schema.raw()).is_some_and(|sanitised| !sanitised.changed);
    let held = model.native_schema && parameters.is_some_and(fits);
    if !held {
        losses.note(LossKind::Dropped, view);
    }
    held
}

impl Declared<'_> {
    fn write(&self, out: &mut Splice) {
        out.element().object().key("name").string(&self.name);
        if let Some(description) = &self.description {
            out.key("description").literal(description);
        }
        out.key("input_schema");
        match &self.schema {
            None => {
                out.raw(r#"{"type":"object","properties":{}}"#);
            }
            Some(schema) => write_schema(schema, out),
        }
        if self.strict {
            out.key("strict").raw("true");
        }
        if let Some(cache) = self.cache {
            out.key("cache_control").view(cache);
        }
        out.end_object();
    }
}

/// The client's schema as it stands; `"type":"object"`, which the API demands, is put in front where it is missing.
fn write_schema(schema: &Schema<'_>, out: &mut Splice) {
    let members = serde_json::from_str::<Members<'_>>(schema.raw()).map_or(Vec::new(), |members| members.0);
    if members.iter().any(|(key, _)| key == "type") {
        return schema.write(out);
    }
    let rest = schema.raw().trim_start_matches('{').trim_start();
    let comma = if members.is_empty() { "" } else { "," };
    out.raw(r#"{"type":"object""#).raw(comma).raw(rest);
}
