//! Configuration: what was written, and what it means.
//!
//! [`load`] reads YAML or JSON into a tree that knows every part's line and column (`tree`), reads that by tables of known keys
//! (`field`; one module a section), joins each provider with its row of `conf/providers.yaml` (`catalogue`), and yields a [`Snapshot`],
//! which cannot be wrong. All that is wrong with a file is reported in one run, each with its place.

mod access_log;
mod account;
mod api_version;
mod base;
mod base_url;
mod candidates;
mod catalogue;
mod cidr;
mod environment;
mod field;
mod hedge;
mod identity;
mod image_fetch;
mod inactive;
mod listener;
mod load;
mod models;
mod network;
mod observability;
mod otel_variables;
mod policy;
mod problem;
mod provider;
mod report;
mod resolve;
mod secret;
mod semantic_cache;
mod snapshot;
mod speech;
mod timeouts;
mod traces;
mod transport;
mod tree;
mod value;

#[cfg(test)]
mod tests;

pub use access_log::{AccessLog, FILE_MODE, LineLevel, LogOutput};
pub use account::ServiceAccount;
pub use cidr::Cidr;
pub use environment::{Environment, MapEnvironment, ProcessEnvironment, WithoutEnvironment};
pub use hedge::Hedge;
pub use identity::Identity;
pub use image_fetch::{ImageFetch, ImageFetchMode};
pub use inactive::{Governance, VirtualKey};
pub use load::{from_environment, load, load_file};
pub use observability::{MetricAliases, OWN_LABELS, Observability};
pub use policy::{Barred, Policy};
pub use problem::{Position, Problem, Severity};
pub use report::describe;
pub use resolve::Resolution;
pub use secret::Secret;
pub use semantic_cache::SemanticCache;
pub use snapshot::{
    Account, Auth, BreakerRules, BudgetRules, CallPath, Candidate, ClientKey, Concurrency, Credential, Detour, Door, Endpoint, Exception,
    Limits, Listener, ModelPattern, Provider, Retry, Route, Snapshot, Speech,
};
pub use timeouts::{Overrides, SlowStream, Timeouts};
pub use traces::{Attribute, Protocol, Sampling, Source as AttributeSource, Traces};
pub use transport::{Authorities, Transport};
