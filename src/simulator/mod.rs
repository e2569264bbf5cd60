//! Simulated providers: servers on loopback that speak the wire formats of OpenAI, Anthropic, Gemini and Mistral.
//!
//! They serve `heliostat demo`, the tests, the SDK tests and the benches. They share no code with `heliostat_filters`:
//! what judges a translation must not be the code that made it. They hold a whole request as a JSON tree, decode every
//! image, validate as strictly as the providers do, and answer with a line of text that says what arrived.
//!
//! | file | holds |
//! |---|---|
//! | `exchange` | a request, a refusal, a reply, and what a wire format must be able to do |
//! | `openai/`, `anthropic/`, `gemini/`, `mistral/` | one wire format each: `mod` paths, keys and errors · `check` validation · `write` replies and streams |
//! | `asked`, `answer`, `schema`, `image`, `vector` | what was asked, in no provider's terms, and what to say to it |
//! | `fault`, `script` | misbehaviour by model name, and the steps by which a reply is sent |
//! | `collector` | takes traces over OTLP, and shows them |
//! | `server`, `ledger` | sockets, and the record behind `GET /__received` |
//!
//! Any credential that begins with `demo` or `sk-demo` is good. Model names are free; those that contain the name of a fault
//! (`fail-529`, `stall-after-3`, `reset`, …: the table in `fault`) misbehave after the request was found valid.

mod answer;
mod anthropic;
mod asked;
pub mod collector;
mod exchange;
mod fault;
mod gemini;
mod image;
mod ledger;
mod mistral;
mod openai;
#[cfg(test)]
mod recorded;
mod schema;
mod script;
mod server;
#[cfg(test)]
mod tests;
mod vector;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use exchange::Format;
use ledger::Ledger;

/// A wire format that can be simulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// `POST /v1/chat/completions`, `POST /v1/responses`, `POST /v1/embeddings`, `GET /v1/models`.
    OpenAi,
    /// `POST /v1/messages`, `POST /v1/messages/count_tokens`, `GET /v1/models`.
    Anthropic,
    /// `POST /{v1|v1beta}/models/{model}:generateContent`, `:streamGenerateContent`, `:embedContent`, `:batchEmbedContents` and
    /// `:predict`, the same under Vertex's `/v1/publishers/google/models/`, and `GET …/models`.
    Gemini,
    /// `POST /v1/chat/completions`, `POST /v1/embeddings`, `GET /v1/models`: not among those of the demo.
    Mistral,
}

impl Wire {
    fn format(self) -> &'static dyn Format {
        match self {
            Self::OpenAi => &openai::OpenAi,
            Self::Anthropic => &anthropic::Anthropic,
            Self::Gemini => &gemini::Gemini,
            Self::Mistral => &mistral::Mistral,
        }
    }
}

/// One simulator of each wire format. Dropping it stops them and closes their connections.
#[derive(Debug)]
pub struct Simulators {
    /// Where the OpenAI simulator listens.
    pub openai: SocketAddr,
    /// Where the Anthropic simulator listens.
    pub anthropic: SocketAddr,
    /// Where the Gemini simulator listens; it serves Vertex's express path too.
    pub gemini: SocketAddr,
    _running: [Simulator; 3],
}

/// A running simulator. Dropping it stops it and closes its connections.
#[derive(Debug)]
pub struct Simulator {
    addr: SocketAddr,
    ledger: Arc<Ledger>,
    task: JoinHandle<()>,
}

impl Simulator {
    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What arrived so far, as `GET /__received` shows it: `{"connections", "requests": [{"method", "path", "headers", …}]}`.
    #[must_use]
    pub fn received(&self) -> serde_json::Value {
        self.ledger.show()
    }

    /// Stops it. The same as dropping it, said aloud.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Starts the three simulators on free ports of `bind`. Call it within a tokio runtime; they run on that runtime.
///
/// # Errors
/// Where a port cannot be bound.
pub async fn start(bind: IpAddr) -> io::Result<Simulators> {
    let free = SocketAddr::new(bind, 0);
    let openai = start_one(Wire::OpenAi, free).await?;
    let anthropic = start_one(Wire::Anthropic, free).await?;
    let gemini = start_one(Wire::Gemini, free).await?;
    Ok(Simulators { openai: openai.addr, anthropic: anthropic.addr, gemini: gemini.addr, _running: [openai, anthropic, gemini] })
}

/// Starts one simulator on the given address; port 0 takes a free one.
///
/// # Errors
/// Where the address cannot be bound.
pub async fn start_one(wire: Wire, addr: SocketAddr) -> io::Result<Simulator> {
    let listener = TcpListener::bind(addr).await?;
    let addr = listener.local_addr()?;
    let ledger = Arc::new(Ledger::default());
    let task = tokio::spawn(server::run(listener, wire.format(), Arc::clone(&ledger)));
    Ok(Simulator { addr, ledger, task })
}
