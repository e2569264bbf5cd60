//! Heliostat: a gateway between applications and AI model providers.
//!
//! SKELETON: the architecture, the life of a request and the lexicon are written here when the first version stands.

pub mod admin;
pub mod config;
pub mod drain;
pub mod live;
pub mod proxy;
pub mod readiness;
pub mod telemetry;
pub mod upstream;
