//! The side where clients connect: what happens to a connection before and between requests.
//!
//! [`Reception`] takes a connection through, in order: [`caps`] (is there room), [`proxy_protocol`] (who is it really), [`tls`],
//! HTTP/2 or HTTP/1; then it hands request after request to the proxy, each through a [`guard`] that times and refuses heads.
//! [`head`] checks the raw bytes of an HTTP/1 head; the proxy calls it first of all. [`refusal`] is how a connection is answered that
//! has no request yet.

pub mod caps;
pub mod guard;
pub mod head;
pub mod proxy_protocol;
pub mod refusal;
pub mod tls;

mod endpoints;
mod reception;

pub use endpoints::{add, probe};
pub use reception::Reception;
