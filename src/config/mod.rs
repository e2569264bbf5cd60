//! Configuration: what was written ([`file`](self) → check) and what it means ([`Snapshot`]).

mod secret;
mod snapshot;

pub use secret::Secret;
pub use snapshot::{Auth, Candidate, Concurrency, Credential, Endpoint, Limits, ModelPattern, Provider, Retry, Route, Snapshot, Timeouts};
