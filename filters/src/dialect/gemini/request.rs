//! The pivot's request, written in this dialect.
//!
//! The model and whether to stream stand in the path, not in the body. The name of a JSON schema is a label that OpenAI's API asks
//! for and no model is shown: leaving it out is no loss. System and developer messages, wherever they stand, go into
//! `systemInstruction` in their order; one that stood amid the conversation is an approximation.

use super::generation::Wishes;
use super::models::Traits;
use super::tools::Names as ToolNames;
use super::{contents, generation, tools};
use crate::chat::{ChatRequest, Tool, Word};
use crate::dialect::{Names, Surface, Target, Translated};
use crate::image::Fetched;
use crate::json::{Splice, View};
use crate::loss::{LossKind, Losses};
use crate::refusal::Refusal;

/// A body being written, and what its parts need to know.
pub(super) struct Writer<'t> {
    /// The body.
    pub out: Splice,
    /// What could not be carried.
    pub losses: Losses,
    /// How tools are called on the wire.
    pub names: ToolNames,
    /// What the model takes.
    pub model: &'t Traits,
    /// What the provider's surface takes.
    pub surface: &'t Surface,
    /// What stands in place of URLs.
    pub fetched: &'t Fetched,
}

impl<'t> Writer<'t> {
    fn new(target: &Target<'t>, declared: &[Tool<'_>]) -> Self {
        Self {
            out: Splice::new(),
            losses: Losses::default(),
            names: ToolNames::declared(declared),
            model: target.surface.models.gemini.of(target.model),
            surface: target.surface,
            fetched: target.fetched,
        }
    }

    fn finish(self) -> Translated {
        let names = Names { renamed_tools: self.names.into_renamed(), ..Names::default() };
        Translated { body: self.out.finish(), losses: self.losses.0, names }
    }

    /// Notes a part as left out.
    pub(super) fn drop(&mut self, view: View<'_>) {
        self.losses.note(LossKind::Dropped, view);
    }

    /// Notes those of `views` that stand as left out.
    pub(super) fn drop_all<'a, const N: usize>(&mut self, views: [Option<View<'a>>; N]) {
        self.losses.dropped(views.into_iter().flatten());
    }
}

/// AI Studio and Vertex differ in more than the ids of calls, and the ids tell them apart.
pub(super) fn on_ai_studio(surface: &Surface) -> bool {
    surface.tool_ids
}

pub(super) fn translate(request: &ChatRequest<'_>, target: &Target<'_>) -> Result<Translated, Refusal> {
    // Every field by name: one that is added to the pivot cannot be forgotten here.
    let ChatRequest {
        document: _,
        model: _,
        stream: _,
        include_usage: _,
        messages,
        tools: declared,
        legacy_functions: _,
        tool_choice,
        no_parallel_tool_calls,
        max_tokens,
        temperature,
        top_p,
        top_k,
        stop,
        response_format,
        thinking,
        n,
        seed,
        presence_penalty,
        frequency_penalty,
        logprobs,
        top_logprobs,
        modalities,
        user,
        service_tier,
        others,
        moved,
    } = request;
    let mut writer = Writer::new(target, declared);
    writer.losses.approximated(moved.iter().copied());
    writer.out.object();
    contents::write(&mut writer, messages)?;
    let declares = tools::write(&mut writer, declared, tool_choice);
    let wishes = Wishes {
        numbers: [temperature, top_p, top_k, max_tokens, n].map(|view| *view),
        penalties: [*presence_penalty, *frequency_penalty],
        seed: *seed,
        stop,
        response_format,
        thinking,
        modalities: *modalities,
        detail: contents::common_detail(messages),
        declares,
    };
    generation::write(&mut writer, &wishes);
    top_level(&mut writer, service_tier.as_ref(), others);
    // The pivot's reply has no place for log-probabilities: better said now than asked for, paid and thrown away.
    writer.drop_all([*no_parallel_tool_calls, *logprobs, *top_logprobs, *user]);
    writer.out.end_object();
    Ok(writer.finish())
}

/// Members of OpenAI's request that have the same meaning here under another name.
const EXTENSIONS: &[(&str, &str)] = &[
    ("safety_settings", "safetySettings"),
    ("safetySettings", "safetySettings"),
    ("cached_content", "cachedContent"),
    ("cachedContent", "cachedContent"),
];

/// OpenAI's service tiers, in Google's words.
const TIERS: &[(&str, &str)] = &[("default", "standard"), ("flex", "flex"), ("priority", "priority")];

fn top_level(writer: &mut Writer<'_>, service_tier: Option<&Word<'_>>, others: &[View<'_>]) {
    for view in others {
        let key = view.key().unwrap_or_default();
        match EXTENSIONS.iter().find(|(name, _)| *name == key) {
            Some((_, name)) => {
                writer.out.key(name).view(*view);
            }
            None => writer.drop(*view),
        }
    }
    let Some(Word { text: asked, view }) = service_tier else { return };
    match TIERS.iter().find(|(name, _)| name == asked) {
        Some((_, tier)) if on_ai_studio(writer.surface) => {
            writer.out.key("serviceTier").string(tier);
        }
        _ => writer.drop(*view),
    }
}
