//! What a configuration means: built once per load, shared by every request that began under it.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use heliostat_filters::dialect::{Dialect, Surface};

use super::Secret;
use super::account::ServiceAccount;
use super::cidr::Cidr;
use super::identity::Identity;
use super::image_fetch::ImageFetch;
use super::inactive::Governance;
use super::observability::Observability;
use super::policy::Policy;
use super::semantic_cache::SemanticCache;
use super::timeouts::{Overrides, Timeouts};
use super::transport::Transport;

/// A whole configuration. Immutable; a reload builds another.
#[derive(Debug)]
pub struct Snapshot {
    /// Where clients connect.
    pub listen: Vec<Listener>,
    /// Where operators connect: metrics, health.
    pub admin_listen: SocketAddr,
    /// Worker threads of the client listener.
    pub threads: usize,
    /// Providers in the order of the file.
    pub providers: Vec<Arc<Provider>>,
    /// Named routes (`mcp`), usable as `model`.
    pub routes: HashMap<String, Route>,
    /// `fallbacks` as a plain list: tried after any asked model.
    pub global_fallbacks: Vec<Candidate>,
    /// `fallbacks` as `{primary, fallback}`: tried after that model.
    pub primary_fallbacks: Vec<(Candidate, Vec<Candidate>)>,
    /// `context_fallbacks`: tried when that model says that the conversation is too long for it.
    pub context_fallbacks: Vec<(Candidate, Vec<Candidate>)>,
    /// Bounds on what a client may send.
    pub limits: Limits,
    /// What becomes of images that are named by URL.
    pub image_fetch: ImageFetch,
    /// How long a stop waits after saying so, before it closes the listeners.
    pub drain_notice_ms: u64,
    /// How long a stop waits for requests in flight.
    pub drain_deadline_ms: u64,
    /// Who may call; empty is anybody.
    pub client_keys: Vec<ClientKey>,
    /// The operator's word that anybody may, on a listener that others can reach.
    pub allow_anonymous: bool,
    /// What the cache keeps; without the section there is none.
    pub semantic_cache: Option<SemanticCache>,
    /// Accepted and not yet active.
    pub governance: Option<Governance>,
    /// What is told of requests.
    pub observability: Observability,
    /// What was accepted but has no effect, in words for `check` and the start-up log.
    pub notices: Vec<String>,
}

/// A place where clients connect.
#[derive(Debug, Clone)]
pub struct Listener {
    /// Its address.
    pub door: Door,
    /// TLS, and who we are there.
    pub tls: Option<Identity>,
    /// HTTP/2: offered in the TLS handshake; without TLS, taken from clients that know beforehand.
    pub http2: bool,
    /// Balancers: each of their connections begins with a PROXY protocol header.
    pub balancers: Vec<Cidr>,
}

/// The address of a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Door {
    /// An address and a port.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix {
        /// Where.
        path: PathBuf,
        /// Who may connect, as the permission bits of a file.
        mode: u32,
    },
}

impl Listener {
    /// Whether `other` differs in more than its certificate, which a reload can change.
    #[must_use]
    pub fn is_another(&self, other: &Self) -> bool {
        let shape = |listener: &Self| (listener.door.clone(), listener.tls.is_some(), listener.http2, listener.balancers.clone());
        shape(self) != shape(other)
    }
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix { path, .. } => path.display().fmt(f),
        }
    }
}

impl fmt::Display for ModelPattern {
    /// As it is written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Prefix(stem) => write!(f, "{stem}*"),
        }
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.door.fmt(f)?;
        let traits = [(self.tls.is_some(), " tls"), (self.http2, " http/2"), (!self.balancers.is_empty(), " proxy-protocol")];
        traits.iter().filter(|(has, _)| *has).try_for_each(|(_, word)| f.write_str(word))
    }
}

/// A caller's key.
#[derive(Debug, Clone)]
pub struct ClientKey {
    /// A label for logs and metrics; never the secret.
    pub name: String,
    /// What the caller presents. Compare it in constant time.
    pub secret: Secret,
}

/// A model at a provider.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Who serves it.
    pub provider: Arc<Provider>,
    /// Its name there.
    pub model: String,
    /// Which of [`Provider::also`] it is spoken to in; `None` is the usual way.
    pub also: Option<usize>,
    /// Clocks of an attempt at it: its provider's, or what its route says instead.
    pub timeouts: Timeouts,
}

impl Candidate {
    /// A model at a provider, with the provider's clocks.
    #[must_use]
    pub fn new(provider: &Arc<Provider>, model: impl Into<String>) -> Self {
        Self { provider: provider.clone(), model: model.into(), also: None, timeouts: provider.timeouts }
    }
}

/// A named route.
#[derive(Debug, Clone)]
pub struct Route {
    /// Tried first.
    pub primary: Candidate,
    /// Tried next, in order.
    pub fallbacks: Vec<Candidate>,
    /// Clocks that hold for whatever is asked through it.
    pub timeouts: Overrides,
    /// Where nobody's failover may go.
    pub policy: Policy,
}

/// Who serves models.
#[derive(Debug)]
pub struct Provider {
    /// Its name in the configuration; `google_vertex` is written `vertex` here.
    pub name: String,
    /// Where it serves, as the operator says; a service account's location stands before it.
    pub region: Option<String>,
    /// Its position in [`Snapshot::providers`].
    pub index: usize,
    /// How it is spoken to about most models; [`Provider::speaks`] knows of which.
    pub speech: Speech,
    /// How else it is spoken to about those: in another dialect, at the same address.
    pub also: Vec<Speech>,
    /// How about others: Claude on Vertex.
    pub exceptions: Vec<Exception>,
    /// How a credential is put on a request.
    pub auth: Auth,
    /// Headers every request carries, such as `anthropic-version`.
    pub headers: Vec<(&'static str, &'static str)>,
    /// Its credentials in the order of the file; never empty (one with an empty secret where the provider needs none).
    pub credentials: Vec<Credential>,
    /// Clocks of an attempt.
    pub timeouts: Timeouts,
    /// Extra attempts at one candidate.
    pub retry: Retry,
    /// How many of them may be repeats.
    pub budget: BudgetRules,
    /// When a host that fails is asked last.
    pub breaker: BreakerRules,
    /// Bound on requests under way, where one is set.
    pub concurrency: Option<Concurrency>,
}

/// How models are spoken to.
#[derive(Debug, Clone)]
pub struct Speech {
    /// The wire format.
    pub dialect: &'static dyn Dialect,
    /// What the surface takes.
    pub surface: Surface,
    /// Where calls go, if not where the dialect says.
    pub call: Option<CallPath>,
}

/// How a provider is spoken to about some of its models.
#[derive(Debug, Clone)]
pub struct Exception {
    /// How their names begin.
    pub models: &'static str,
    /// How it is spoken to about them.
    pub speech: Speech,
}

/// Where calls go, below a credential's base path; `{model}` stands for the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallPath {
    /// For a whole reply.
    pub whole: String,
    /// For a stream.
    pub stream: String,
    /// For embeddings; `None` is where the dialect says.
    pub embeddings: Option<String>,
}

/// How a credential is put on a request. One with a service account is always a bearer's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// `Authorization: Bearer …`
    Bearer,
    /// A header of its own, such as `x-api-key`.
    Header(&'static str),
    /// None (a model server on the same host).
    None,
}

/// A secret with its share of the traffic.
#[derive(Debug)]
pub struct Credential {
    /// `name`, else the variable's name, else `provider-1`. In headers, logs and metrics; never the secret.
    pub name: String,
    /// Its position in [`Provider::credentials`].
    pub index: usize,
    /// The secret; empty for a service account, whose key never goes on the wire: its tokens do.
    pub secret: Secret,
    /// A Google service account.
    pub account: Option<Account>,
    /// Share of first attempts, relative to the others'; 0 is never.
    pub weight: f64,
    /// Models it may be used for; `None` is all.
    pub models: Option<Vec<ModelPattern>>,
    /// Where requests with it go.
    pub endpoint: Arc<Endpoint>,
    /// The version of the API that its calls ask for (`?api-version=`), where the provider has such.
    pub api_version: Option<String>,
    /// Its base paths for models that [`Provider::exceptions`] names.
    pub detours: Vec<Detour>,
}

/// A credential's base path for some models.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detour {
    /// How their names begin.
    pub models: &'static str,
    /// The base path; `None` where the credential cannot reach them.
    pub path: Option<String>,
}

/// A service account in use: whose it is, and where it calls.
#[derive(Debug, Clone)]
pub struct Account {
    /// Its key.
    pub service: Arc<ServiceAccount>,
    /// The Google Cloud project that is billed.
    pub project: String,
    /// The location: `global`, `us`, `eu`, or a region.
    pub location: String,
}

/// A model name, or a prefix of it (`gpt-4o*`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelPattern {
    /// This name.
    Exact(String),
    /// Names that begin so.
    Prefix(String),
}

/// A base URL, taken apart once.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// `https`.
    pub tls: bool,
    /// Host name or address, without brackets or port.
    pub host: String,
    /// Port.
    pub port: u16,
    /// The `Host` header: with the port where it is not the scheme's own.
    pub authority: String,
    /// Path prefix without a trailing slash: `/v1`.
    pub path: String,
    /// Trust, and the version of HTTP.
    pub transport: Transport,
}

/// Extra attempts at one candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Exactly so many; `None`: each other healthy key once.
    pub max_retries: Option<u32>,
    /// Back-off before the same key is tried again: doubled each time, full jitter.
    pub backoff_initial_ms: u64,
}

impl Default for Retry {
    fn default() -> Self {
        Self { max_retries: None, backoff_initial_ms: 500 }
    }
}

/// How much of what a provider is asked may be asked again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BudgetRules {
    /// Whether there is a budget at all.
    pub enabled: bool,
    /// Repeats, as a share of first attempts.
    pub share: f64,
    /// So many are free in ten to twenty seconds.
    pub reserve: u32,
}

impl Default for BudgetRules {
    fn default() -> Self {
        // A provider that fails four times in ten is still repeated in full; one that fails always gets half as much again.
        Self { enabled: true, share: 0.5, reserve: 20 }
    }
}

/// When a host that fails is asked last, and for how long.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BreakerRules {
    /// Whether there is a breaker at all.
    pub enabled: bool,
    /// So many faults in a row open it.
    pub consecutive: u32,
    /// So large a share of faults within a window opens it, from 0 to 1,
    pub error_rate: f64,
    /// once there are so many requests in it.
    pub min_requests: u32,
    /// The window.
    pub window_ms: u64,
    /// The first rest, before one request tries again; doubled with every trial that fails.
    pub open_ms: u64,
    /// The longest rest.
    pub open_max_ms: u64,
    /// A time-out that the caller's own deadline brought counts if the host had so long.
    pub fair_ms: u64,
}

impl BreakerRules {
    /// What holds where nothing is set.
    pub const DEFAULT: Self = Self {
        enabled: true,
        consecutive: 5,
        error_rate: 0.5,
        min_requests: 20,
        window_ms: 10_000,
        open_ms: 2_000,
        open_max_ms: 60_000,
        fair_ms: 3_000,
    };
}

impl Default for BreakerRules {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Bound on requests under way at one provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Concurrency {
    /// Requests at the same time.
    pub limit: usize,
    /// Requests that may wait for a place.
    pub queue: usize,
    /// How long one waits.
    pub queue_ms: u64,
}

/// Bounds on what a client may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Request body.
    pub body_bytes: usize,
    /// Body of a raw request that is streamed and not held: an upload.
    pub upload_bytes: usize,
    /// Until a request body has arrived whole, in milliseconds.
    pub body_timeout_ms: u64,
    /// All request bodies in flight together.
    pub memory_bytes: u64,
    /// Header block.
    pub header_bytes: usize,
    /// Header fields.
    pub header_fields: usize,
    /// Images in a request.
    pub images: usize,
    /// One image, decoded.
    pub image_bytes: usize,
    /// JSON nesting.
    pub depth: usize,
    /// Connections at the same time.
    pub connections: usize,
    /// Connections at the same time from one address (IPv6: from one /64); `None` is no bound.
    pub connections_per_address: Option<usize>,
    /// How long the head of a request may take, from its first byte; of a connection's first request, from the connection's begin.
    pub header_timeout_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 64 << 20,
            upload_bytes: 2 << 30,
            body_timeout_ms: 120_000,
            memory_bytes: 1 << 30,
            header_bytes: 64 << 10,
            header_fields: 100,
            images: 100,
            image_bytes: 20 << 20,
            depth: 128,
            connections: 10_000,
            connections_per_address: None,
            header_timeout_ms: 10_000,
        }
    }
}
