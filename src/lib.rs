//! Heliostat: a gateway between applications and AI model providers.

pub mod admin;
pub mod attend;
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
