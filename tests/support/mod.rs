//! Fakes on both sides of the gateway: [`Provider`] upstream, [`client`] in front, [`Gateway`] between them.
//!
//! Every wait goes through [`within`]: ten seconds, then a failure that says what did not come.

pub mod client;
pub mod collector;
pub mod config;
pub mod gateway;
pub mod h2;
pub mod http;
pub mod manager;
pub mod messages;
pub mod native;
pub mod provider;
pub mod sample;
pub mod stage;
pub mod tls;

use std::future::Future;
use std::time::Duration;

pub use client::Reply;
pub use config::Config;
pub use gateway::Gateway;
pub use manager::Manager;
pub use provider::{Provider, reply};
pub use serde_json::{Value, json};

/// The longest any single wait may take.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Waits for `future`, and fails loudly when it takes longer than [`PATIENCE`].
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("nothing came within {PATIENCE:?} while waiting for {what}"),
    }
}

/// A chat request with one user message.
pub fn ask(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "hi"}]})
}

/// The same as a stream.
pub fn ask_stream(model: &str) -> Value {
    with(ask(model), json!({"stream": true}))
}

/// `base` with the members of `more` added or replaced.
pub fn with(mut base: Value, more: Value) -> Value {
    for (key, value) in more.as_object().expect("an object") {
        base[key] = value.clone();
    }
    base
}
