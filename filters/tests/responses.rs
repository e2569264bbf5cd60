//! The Responses dialect: what providers were recorded to send is read whole, and comes back whole.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test says what it expects")]
#![allow(clippy::disallowed_types, reason = "tests read with other means than the code under test")]

#[path = "responses/events.rs"]
mod events;
#[path = "responses/naive.rs"]
mod naive;
#[path = "responses/recorded.rs"]
mod recorded;
#[path = "responses/requests.rs"]
mod requests;
#[path = "responses/splits.rs"]
mod splits;
#[path = "responses/stream.rs"]
mod stream;
mod table;
