//! Heliostat: a gateway between applications and AI model providers.
//!
//! An application speaks OpenAI's API to it. Each request goes to the provider that is asked for, in that provider's own format, and to
//! the next one when it fails, as long as the client has not seen a byte.
//!
//! # Two crates
//!
//! `heliostat-filters` is the core: bytes in, bytes out. It scans JSON without building it, splits and writes event streams, reads data
//! URIs, translates requests, replies and streams between dialects, and says what a provider's error means. It does no I/O, looks at no
//! clock, and logs nothing, so that a table of cases can test all of it. What it has translated it hands back as pieces: slices of the
//! client's own body, and a few new bytes between them. An image crosses the gateway as such a slice: never decoded, never copied.
//!
//! This crate is everything that touches the world: configuration, sockets, time, signals, logs.
//!
//! # Layers
//!
//! A module uses those of lower layers and none beside it; where two need each other's values, a higher one passes them. One exception:
//! [`proxy`] asks [`listen`] what it has read of a request's raw head.
//!
//! | layer | modules |
//! |---|---|
//! | 8 | [`cli`]: what was asked on the command line |
//! | 7 | [`server`]: listeners and services, put together |
//! | 6 | [`admin`]: the operator's listener · [`reload`]: SIGHUP · [`stop`]: SIGTERM |
//! | 5 | [`listen`]: from an accepted connection to a request that may be read |
//! | 4 | [`proxy`]: the life of a request |
//! | 3 | [`fetch`]: images that a request names by URL · [`live`]: a configuration with its live state · [`source`]: where it is read from · [`demo`]: the one that is built in |
//! | 2 | [`upstream`]: connections, keys, cool-downs, breakers, budgets, verdicts · [`telemetry`]: events and their sinks · [`attend`]: the clients' connections, watched · [`cache`]: answers that are given again · [`simulator`]: providers for the demo and tests |
//! | 1 | [`config`]: what was written, and what it means · [`readiness`] and [`drain`]: whether traffic is wanted, and what is in flight · [`memory`]: what bodies may take · [`notify`]: words to the service manager |
//! | 0 | `heliostat-filters` |
//!
//! Pingora is named by [`notify`], [`attend`], [`upstream`], [`proxy`], [`listen`], [`admin`], [`reload`], [`stop`] and [`server`]; only [`config`] names the YAML parser, only
//! [`telemetry`] the metrics library (and with [`simulator`] the messages of OTLP), only [`cli`] the parser of the command line. `tests/architecture.rs` reads the source and fails on
//! a breach.
//!
//! # The life of a request
//!
//! [`proxy::Gateway`] implements Pingora's phases. In `proxy/`, each step is a file, named here in the order in which a request meets it.
//! Pingora drives them for HTTP/2, and where HTTP/1 is unusual (a WebSocket, a very long head). All else `serve` takes through the same
//! steps, over a codec of our own (`session`), without what Pingora has for other paths.
//!
//! | phase | steps |
//! |---|---|
//! | `new_ctx` | takes the configuration in force, for the whole of this request, and counts it as in flight |
//! | `early_request_filter` | its id; the clocks of the connection |
//! | `request_filter` | `accept`: bounds, endpoint, the client's key → `body`: read whole, into one buffer → `plan`: scanned once, checked against the limits, candidates in order, clocks set. Whatever is wrong is answered here by `reply`, before anything is sent |
//! | `proxy_upstream_filter` | `cached`: where there is a cache, it is asked first, and told of the answer last → `failover`: for each candidate, `prepare` the request in its dialect, choose a key, run an `attempt` → `commit` → `relay`; or, when nothing is left, `exhausted` |
//! | `logging` | `finish`: one event to telemetry, on every path |
//!
//! The loop of attempts is ours, not Pingora's: that one replays at most 64 KiB of a body, and cannot look into a 200 before it passes it
//! on. An attempt sends (`outgoing` writes the head) and reads until the answer may be committed: a plain reply when it is whole (or
//! longer than what is held), a stream when its first content is there. Until then nothing has been written to the client, so any failure
//! leads to a verdict ([`upstream::verdict`]): the same key again, the next key, the next candidate, or the end. While an attempt waits,
//! the client is watched: when it leaves, the connection to the provider is dropped, and with it the request there.
//!
//! From the commit on, `relay` passes bytes as they come, through a `pump`, which reads the stream to know of content, usage and
//! failures, and rewrites it where the dialects differ. Everything that has already arrived goes out in one write; nothing waits for more.
//!
//! # State that outlives a request
//!
//! [`live::Live`] joins a [`config::Snapshot`] with the state of its keys (weights, cool-downs, breakers) and bounds. A reload builds the next one,
//! keeps the state of what has kept its name, and the cache where its bounds are the same, and swaps it in; requests under way end on the one they began with. The pool of idle
//! connections belongs to the process.
//!
//! # Lexicon
//!
//! - **client**, **gateway**, **upstream**: who asks, who passes on, who answers.
//! - **dialect**: a wire format. **provider**: who serves it. **model**: its name there.
//! - **credential**: a secret of ours at a provider (`keys` in the configuration). **client key**: a secret of the client at the gateway.
//! - **route**: a model's name that stands for candidates. **candidate**: a provider and a model. **attempt**: one try at one candidate
//!   with one credential.
//! - **content**: what a client waits for: text, reasoning, a call, a refusal, media, a finish reason. **commit**: the first byte to the
//!   client; before it everything can be tried again, after it nothing.
//! - **hedge**: an attempt beside one that is silent; the quicker of the two is committed. **spare**: a credential good enough for one.
//! - **fault**: what a failure means. **verdict**: what is done next. **refusal**: a request that is wrong, or that a candidate cannot
//!   carry. **loss**: what a translation has no words for. **problem**: an error the gateway answers with.
//! - **snapshot**: what a configuration means. **cool-down**: a rest after a rate limit or an overload; it orders, it does not forbid.
//! - **breaker**: of a model at a host that stopped answering: open, it orders likewise. **trial**: the one request that tries it again.
//!
//! Units stand in names: `_ms`, `_bytes`, `_us`.

pub mod admin;
pub mod attend;
pub mod cache;
pub mod cli;
pub mod config;
pub mod demo;
pub mod drain;
pub mod fetch;
pub mod listen;
pub mod live;
pub mod memory;
pub mod notify;
pub mod proxy;
pub mod readiness;
pub mod reload;
pub mod server;
pub mod simulator;
pub mod source;
pub mod stop;
pub mod telemetry;
pub mod upstream;
