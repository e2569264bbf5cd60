//! What a request is for, and in which dialect it asks: by its path and method.

use heliostat_filters::dialect::openai::OpenAi;
use heliostat_filters::dialect::responses::Responses;
use heliostat_filters::dialect::{Address, Anthropic, CLIENTS, Client, Gemini, Kind};
use http::Method;
use pingora::http::RequestHeader;

use super::operation::Operation;
use super::problem::Problem;
use crate::config::Snapshot;

/// What a request asks for.
#[derive(Debug, Clone)]
pub enum Ask {
    /// A call that providers are asked for.
    Call(Called),
    /// `GET /v1/models`, in the asker's shape.
    Models(&'static dyn Client),
    /// `GET /v1/models/{id}`
    Model(&'static dyn Client, String),
    /// Anything else of a provider's API: `/{provider}/…`
    PassThrough,
    /// Liveness or readiness.
    Health,
    /// `HEAD /`: clients look whether anybody is there.
    Root,
}

/// A call, and what its path says of it.
#[derive(Debug, Clone)]
pub struct Called {
    /// What it is for.
    pub operation: Operation,
    /// What its path says.
    pub address: Address,
    /// The name that leads it, `anthropic` of `/anthropic/v1/messages`: who is asked for a model that is nobody's.
    pub home: Option<&'static str>,
}

/// Endpoints with a fixed path: path, method, what it is. Each stands below its dialect's name too: `/anthropic/v1/messages`.
const ENDPOINTS: &[(&str, Method, Ask)] = &[
    ("/v1/chat/completions", Method::POST, call(&OpenAi, Kind::Chat)),
    ("/chat/completions", Method::POST, call(&OpenAi, Kind::Chat)),
    ("/v1/responses", Method::POST, call(&Responses, Kind::Chat)),
    ("/responses", Method::POST, call(&Responses, Kind::Chat)),
    ("/v1/embeddings", Method::POST, call(&OpenAi, Kind::Embeddings)),
    ("/embeddings", Method::POST, call(&OpenAi, Kind::Embeddings)),
    ("/v1/messages", Method::POST, call(&Anthropic, Kind::Chat)),
    ("/v1/messages/count_tokens", Method::POST, call(&Anthropic, Kind::CountTokens)),
    ("/v1/models", Method::GET, Ask::Models(&OpenAi)),
    ("/models", Method::GET, Ask::Models(&OpenAi)),
    ("/v1beta/models", Method::GET, Ask::Models(&Gemini)),
    ("/v1alpha/models", Method::GET, Ask::Models(&Gemini)),
    ("", Method::HEAD, Ask::Root),
];

/// Where lists of models stand, the id of one follows; and whose they are, where the path tells.
const MODELS: &[(&str, Option<&dyn Client>)] =
    &[("/v1/models/", None), ("/models/", None), ("/v1beta/models/", Some(&Gemini)), ("/v1alpha/models/", Some(&Gemini))];

/// A header that only clients of one dialect send.
const TELLING: &[(&str, &dyn Client)] = &[("anthropic-version", &Anthropic), ("x-goog-api-key", &Gemini), ("x-goog-api-client", &Gemini)];

impl Ask {
    /// The endpoint's name in logs and metrics.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Call(called) => match called.operation.kind {
                Kind::Chat => "chat",
                Kind::Embeddings => "embeddings",
                Kind::CountTokens => "count_tokens",
            },
            Self::Models(_) | Self::Model(..) => "models",
            Self::PassThrough => "passthrough",
            Self::Health => "health",
            Self::Root => "root",
        }
    }

    /// The dialect of its call or list, if it is one.
    fn client(&self) -> Option<&'static dyn Client> {
        match self {
            Self::Call(called) => Some(called.operation.client),
            Self::Models(client) | Self::Model(client, _) => Some(*client),
            Self::PassThrough | Self::Health | Self::Root => None,
        }
    }

    /// The same for another asker: a list of models is told in anybody's words.
    fn by(self, asker: &'static dyn Client) -> Self {
        match self {
            Self::Models(_) => Self::Models(asker),
            Self::Model(_, id) => Self::Model(asker, id),
            other => other,
        }
    }
}

const fn call(client: &'static dyn Client, kind: Kind) -> Ask {
    Ask::Call(Called { operation: Operation { client, kind }, address: Address { model: None, stream: None, array: false }, home: None })
}

/// The dialect in which a request is answered, whatever it turns out to be: its path's, else that of a telling header, else OpenAI's.
#[must_use]
pub fn speaker(head: &RequestHeader) -> &'static dyn Client {
    let path = head.uri.path().trim_end_matches('/');
    let (home, bare) = split_home(path);
    let of_path = || ENDPOINTS.iter().filter(|(known, ..)| *known == bare).find_map(|(_, _, ask)| ask.client());
    let list = MODELS.iter().find(|(list, _)| bare.starts_with(list) || bare == list.trim_end_matches('/'));
    let asker = || TELLING.iter().find(|(name, _)| head.headers.contains_key(*name)).map(|(_, client)| *client);
    let addressed = || addressed(head, home, bare).map(|(client, ..)| client);
    let named = || match list {
        Some((_, whose)) => whose.or_else(asker),
        None => of_path(),
    };
    home.or_else(addressed).or_else(named).or_else(asker).unwrap_or(&OpenAi)
}

/// Finds the endpoint of a request.
///
/// # Errors
/// 404 for an unknown path, 405 for a known one with another method.
pub fn find(head: &RequestHeader, snapshot: &Snapshot) -> Result<Ask, Problem> {
    let path = head.uri.path().trim_end_matches('/');
    let (home, bare) = split_home(path);
    let here = |ask: &Ask| match home {
        None => true,
        // A configured provider of that name has a list of its own, and each dialect its own calls.
        Some(home) => ask.client().is_some_and(|client| match ask {
            Ask::Call(_) => client.home() == home.home(),
            _ => snapshot.provider(home.home()).is_none(),
        }),
    };
    let mut of_path = ENDPOINTS.iter().filter(|(known, _, ask)| *known == bare && here(ask)).peekable();
    if of_path.peek().is_none() {
        return match addressed(head, home, bare) {
            // Below its dialect's name a provider of that dialect is asked for what is nobody's. Embeddings are passed as they are.
            Some((client, kind, address)) if head.method == Method::POST && kind != Kind::Embeddings => {
                Ok(Ask::Call(Called { operation: Operation { client, kind }, address, home: home.map(|_| client.name()) }))
            }
            _ => model(head, bare).filter(here).ok_or_else(|| unknown(head, path)),
        };
    }
    let found = of_path.find(|(_, method, _)| *method == head.method || (*method == Method::GET && head.method == Method::HEAD));
    let Some((_, _, ask)) = found else {
        return Err(match bare {
            "" => unknown(head, path),
            _ => Problem::new(405, "method_not_allowed", format!("{} is not allowed on {path}.", head.method)),
        });
    };
    Ok(match ask.clone().by(speaker(head)) {
        Ask::Call(called) => Ask::Call(Called { home: home.map(|home| home.home()), ..called }),
        other => other,
    })
}

/// The dialect whose name leads the path, and what follows it.
fn split_home(path: &str) -> (Option<&'static dyn Client>, &str) {
    let named = CLIENTS.iter().find_map(|client| {
        let rest = path.strip_prefix('/')?.strip_prefix(client.home())?;
        rest.starts_with('/').then_some((Some(*client), rest))
    });
    named.unwrap_or((None, path))
}

/// Whose path it is that says more than a name, and what.
fn addressed(head: &RequestHeader, home: Option<&'static dyn Client>, bare: &str) -> Option<(&'static dyn Client, Kind, Address)> {
    let query = head.uri.query().unwrap_or_default();
    let here = CLIENTS.iter().filter(|client| home.is_none_or(|home| home.home() == client.home()));
    here.into_iter().find_map(|client| client.address(bare, query).map(|(kind, address)| (*client, kind, address)))
}

fn model(head: &RequestHeader, bare: &str) -> Option<Ask> {
    let id = MODELS.iter().find_map(|(list, _)| bare.strip_prefix(list)).filter(|id| !id.is_empty())?;
    let asks = head.method == Method::GET || head.method == Method::HEAD;
    asks.then(|| Ask::Model(speaker(head), super::passthrough::decoded(id)))
}

fn unknown(head: &RequestHeader, path: &str) -> Problem {
    let path = super::redact::cut(path, 128);
    let message = format!(
        "Unknown request URL: {} {path}. The gateway serves /v1/chat/completions, /v1/responses, /v1/messages, \
         /v1beta/models/{{model}}:generateContent, /v1/embeddings and /v1/models, and a configured provider's own API below /{{its name}}/.",
        head.method
    );
    Problem::new(404, "unknown_url", message)
}
