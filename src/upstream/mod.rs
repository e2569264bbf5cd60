//! Everything between the gateway and a provider: connections, names, the choice of a credential, and what a failure means.

pub mod connection;
pub mod dns;
pub mod framing;
pub mod head;
pub mod health;
pub mod limit;
pub mod pool;
pub mod retry_after;
pub mod select;
pub mod token;
pub mod verdict;
mod wheel;
