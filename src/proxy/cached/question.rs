//! What makes a request the same as another, and which are none of the cache's business.

use heliostat_filters::dialect::Kind;
use heliostat_filters::json::{self, View};
use http::HeaderMap;

use crate::cache::{Key, KeyWriter};
use crate::config::Candidate;
use crate::proxy::context::Call;
use crate::proxy::outgoing;

/// Members of a body that tie the answer to a state at the provider: whoever sends one that is neither false nor null wants more than words.
const STATEFUL: &[(&str, &str)] =
    &[("store", "store"), ("background", "background"), ("previous_response_id", "previous-response-id"), ("conversation", "conversation")];

/// A request, as the cache sees it.
#[derive(Clone, Copy)]
pub struct Question<'q> {
    /// The name of the client's key: what one client was answered is never another's. Those without one are one client.
    pub client: Option<&'q str>,
    /// Its path.
    pub path: &'q str,
    /// The rest of it, planned.
    pub call: &'q Call,
}

impl Question<'_> {
    /// Why the cache is not asked, whatever the client says; `None` if it may be.
    pub(super) fn why_not(&self) -> Option<&'static str> {
        if self.call.operation.kind == Kind::CountTokens {
            return Some("endpoint");
        }
        // Each that stands there, should one stand twice.
        let members = self.call.document.root().members().filter(says_yes);
        members.filter_map(|member| member.key()).find_map(|key| STATEFUL.iter().find(|(name, _)| *name == key)).map(|(_, why)| *why)
    }

    /// The key. What goes into it is all that could change the answer: who asks, for what, in which dialect, in which form, by which
    /// headers, whom it goes to, and every byte of the body.
    pub(super) fn key(&self, mut key: KeyWriter, headers: &HeaderMap) -> Key {
        let Self { client, path, call } = *self;
        let form = [call.operation.kind as u8, call.stream.into(), call.address.array.into(), call.strict.into()];
        key.option(client).part(call.operation.client.name()).part(form).part(path);
        for name in outgoing::that_shape_answers(call.operation.client.name()) {
            key.part(name);
            for value in headers.get_all(name) {
                key.part([1]).part(value);
            }
            key.part([0]);
        }
        call.candidates.iter().for_each(|to| candidate(to, &mut key));
        key.part([0]).part(call.document.bytes());
        key.finish()
    }
}

/// A candidate: by its names, and by where these lead. After a reload a name may stand for another host.
fn candidate(candidate: &Candidate, key: &mut KeyWriter) {
    let provider = &candidate.provider;
    key.part([1]).part(&provider.name).part(&candidate.model).part(candidate.speech().dialect.name());
    for credential in &provider.credentials {
        let endpoint = &credential.endpoint;
        key.part([1, endpoint.tls.into()]).part(&endpoint.authority).part(&endpoint.path).option(credential.api_version.as_ref());
    }
    key.part([0]);
}

fn says_yes(member: &View<'_>) -> bool {
    member.kind() != json::Kind::Null && member.boolean() != Some(false)
}
