//! Heliostat from outside: the binary is started, spoken to over loopback sockets, and watched. Nothing here looks inside.
//!
//! [`support`] is the library of fakes; each other module tells one part of the contract, a sentence a test.
#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::needless_pass_by_value,
    reason = "a test that cannot go on says so by a panic"
)]

mod support;

mod access_log;
mod admin;
mod architecture;
mod azure;
mod breaker;
mod cache;
mod calls;
mod chat;
mod cli;
mod content_clock;
mod context;
mod demo;
mod embeddings;
mod empty_answer;
mod failover;
mod fakes;
mod fixtures;
mod genai;
mod hedge;
mod hostile_client;
mod hostile_upstream;
mod hostile_wire;
mod http2;
mod image_fetch;
mod images;
mod leaving;
mod limits;
mod listen;
mod matrix;
mod memory;
mod messages;
mod metrics;
mod mistral;
mod operate;
mod passthrough;
mod paths_out;
mod policy;
mod readme;
mod reload;
mod responses;
mod rest;
mod retry_budget;
mod service;
mod slow_stream;
mod stop;
mod stream;
mod traces;
mod translate;
mod upload;
mod upstream;
mod vertex;
mod walk;
mod weights;
