//! The pivot's request, written as a chat completion's body, for clients of other dialects.

use super::form::Form;
use super::messages;
use super::models::Model;
use super::settings;
use super::tools;
use crate::chat::ChatRequest;
use crate::chat::neutral::is_default;
use crate::dialect::tool_names::ToolNames;
use crate::dialect::{Names, Target, Translated};
use crate::json::{Splice, View};
use crate::loss::Losses;
use crate::refusal::Refusal;

/// Longest name of a function.
const NAME_BYTES: usize = 64;

/// The body being written, and what its parts need to know.
pub(super) struct Writer<'w> {
    pub(super) out: Splice,
    pub(super) losses: Losses,
    pub(super) target: &'w Target<'w>,
    pub(super) form: &'static Form,
    pub(super) model: &'w Model,
    pub(super) names: &'w ToolNames,
}

impl Writer<'_> {
    /// Whether neither the wire format nor the provider has a member.
    pub(super) fn lacks(&self, key: &str) -> bool {
        self.form.lacks.contains(&key) || self.target.surface.refuses(key)
    }

    /// Whether the wire format or the provider has a member that the pivot has not.
    pub(super) fn takes(&self, key: &str) -> bool {
        self.form.takes.contains(&key) || self.target.surface.takes(key)
    }

    /// Begins a member under the provider's name for it. `None` where the provider refuses it; what was `asked` is then lost.
    pub(super) fn member(&mut self, key: &str, asked: Option<View<'_>>) -> Option<&mut Splice> {
        if self.lacks(key) {
            self.losses.dropped(asked.filter(|asked| !is_default(*asked)));
            return None;
        }
        let name = self.form.rename(key).unwrap_or_else(|| self.target.surface.name_of(key));
        Some(self.out.key(name))
    }
}

/// Translates a request into a wire format of the family.
pub(in crate::dialect) fn translate(request: &ChatRequest<'_>, target: &Target<'_>, form: &'static Form) -> Result<Translated, Refusal> {
    // No `..`: a field that is added to the pivot must be mapped here, or lost by name.
    let ChatRequest {
        document: _,
        model: _,
        stream,
        include_usage: _,
        messages,
        tools,
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
    let names = ToolNames::of(tools, messages, NAME_BYTES);
    let model = target.surface.models.openai.of(target.model);
    let mut writer = Writer { out: Splice::new(), losses: Losses::default(), target, form, model, names: &names };
    writer.losses.approximated(moved.iter().copied());
    writer.losses.dropped(*modalities);

    writer.out.object().key("model").string(target.name());
    settings::stream(&mut writer, *stream);
    messages::write(&mut writer, messages)?;
    tools::write(&mut writer, tools, tool_choice, *no_parallel_tool_calls);
    settings::limit(&mut writer, *max_tokens)?;
    let penalties = [("presence_penalty", *presence_penalty), ("frequency_penalty", *frequency_penalty)];
    let probabilities = [("logprobs", *logprobs), ("top_logprobs", *top_logprobs)];
    settings::sampling(&mut writer, &[[("temperature", *temperature), ("top_p", *top_p)], penalties, probabilities]);
    settings::stop(&mut writer, stop);
    settings::response_format(&mut writer, response_format)?;
    settings::thinking(&mut writer, thinking);
    settings::carried(&mut writer, &[("n", *n), ("seed", *seed)]);
    settings::others(&mut writer, top_k.iter().chain(others));
    settings::user(&mut writer, *user);
    settings::tier(&mut writer, service_tier.as_ref());
    writer.out.end_object();
    let Writer { out, losses, .. } = writer;
    Ok(Translated { body: out.finish(), losses: losses.0, names: Names { renamed_tools: names.into_renamed(), ..Names::default() } })
}
