//! OpenAI's dialect: requests keep their bytes, and what providers were recorded to send is read whole.

#![allow(clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "a test says what it expects")]
#![allow(clippy::disallowed_types, reason = "tests read with other means than the code under test")]

#[path = "openai/recorded.rs"]
mod recorded;
#[path = "openai/rewrite.rs"]
mod rewrite;
#[path = "openai/stream.rs"]
mod stream;
#[path = "openai/write.rs"]
mod write;
