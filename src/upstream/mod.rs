//! Everything between the gateway and a provider: connections, names, the choice of a credential, and what a failure means.

pub mod breaker;
mod budget;
pub mod connect;
pub mod connection;
pub mod decode;
pub mod dns;
pub mod exchange;
pub mod framing;
pub mod head;
pub mod health;
pub mod http2;
pub mod intervention;
pub mod limit;
pub mod pace;
pub mod pool;
pub mod retry_after;
pub mod select;
pub mod tls;
pub mod token;
pub mod verdict;
mod wheel;
