//! Heliostat: a gateway between applications and AI model providers.
//!
//! SKELETON: the architecture, the life of a request and the lexicon are written here when the first version stands.

pub mod config;
pub mod demo;
pub mod simulator;
