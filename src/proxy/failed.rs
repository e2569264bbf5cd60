//! The end of a request whose phases returned an error: the client is told, unless it left or has an answer already.

use pingora::{Error, ErrorType};
use pingora_proxy::FailToProxy;

use super::context::Context;
use super::problem::Problem;
use super::reply;
use super::session::Session;

/// Tells the client.
pub async fn tell(session: &mut Session<'_>, error: &Error, context: &mut Context) -> FailToProxy {
    use ErrorType::{ConnectionClosed, ReadError, WriteError, WriteTimedout};
    // These speak of the client's connection: what goes wrong at a provider is answered where it happens.
    let gone = context.outcome.client_gone || matches!(error.etype(), ConnectionClosed | ReadError | WriteError | WriteTimedout);
    let untold = session.response_written().is_none_or(|written| written.status.is_informational());
    let problem = Problem::new(500, "internal_error", "The gateway failed on this request. Its log says why.").closing();
    let problem = Problem { log: Some(error.to_string()), ..problem };
    let told = untold && !gone && reply::problem(session, context, &problem).await.is_ok();
    FailToProxy { error_code: if told { context.outcome.status } else { 0 }, can_reuse_downstream: false }
}
