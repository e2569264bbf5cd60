//! Upstreams: which credential of a provider serves an attempt, and what an attempt's failure means.

pub mod health;
pub mod limit;
pub mod retry_after;
pub mod select;
pub mod verdict;
mod wheel;
