//! One call of an HTTP/1 connection through its phases, without Pingora's driver.
//!
//! That driver moves each request into boxes of many kilobytes, and those of its phases into more, made for paths that a call never
//! takes: an eighth of the instructions of a small one, and a quarter of the memory of an open stream. What it does beside is little.
//! It still drives what may go through its native loop, and HTTP/2.

use std::sync::Arc;

use bytes::BytesMut;
use pingora::ErrorType;
use pingora::protocols::Stream;
use pingora::server::ShutdownWatch;
use pingora_proxy::{ProxyHttp as _, Session};

use super::context::Context;
use super::passthrough::native;
use super::{Gateway, endpoint, finish};
use crate::listen::guard::HeadWatch;

/// How a call is received.
pub struct Reception<'r> {
    /// Told when the head has been read.
    pub watch: &'r Arc<HeadWatch>,
    /// Turns true with a stop.
    pub shutdown: &'r ShutdownWatch,
    /// How long the connection may be idle after it, in seconds.
    pub idle_s: u64,
}

impl Gateway {
    /// Whether what a connection begins a request with, `read`, is a call for [`Gateway::serve`].
    #[must_use]
    pub fn serves(read: &[u8]) -> bool {
        let mut words = read.split(|byte| *byte == b' ');
        words.next().zip(words.next()).zip(words.next()).is_some_and(|((method, target), _)| endpoint::is_call(method, target))
    }

    /// Serves a request of which `read` has been read. Returns the connection for the next one, and what was read of that.
    pub async fn serve(&self, stream: Stream, read: BytesMut, reception: Reception<'_>) -> Option<(Stream, BytesMut)> {
        let mut session = Session::new_h1(stream);
        let client = session.as_downstream_mut();
        client.set_keepalive(Some(reception.idle_s));
        client.set_pipelined_prefix(read);
        if !read_head(&mut session).await {
            return None;
        }
        if *reception.shutdown.borrow() {
            session.set_keepalive(None);
        }
        let mut context = self.new_ctx();
        reception.watch.done();
        context.watch = Some(reception.watch.clone());
        let answered = self.answer(&mut session, &mut context).await;
        if let Err(error) = &answered {
            // In a box: it would else be part of every request.
            Box::pin(native::failed(self, &mut session, error, &mut context)).await;
        }
        finish::report(self, &session, answered.as_ref().err().map(|error| &**error), &mut context);
        answered.ok()?;
        let (stream, read) = session.downstream_session.finish().await.ok()??.into_parts();
        Some((stream, read.unwrap_or_default()))
    }

    async fn answer(&self, session: &mut Session, context: &mut Context) -> pingora::Result<()> {
        self.begin(session, context);
        if !self.receive(session, context).await? {
            // In a box: only once a call is admitted does it need that room.
            Box::pin(self.pass_on(session, context)).await?;
        }
        Ok(())
    }
}

/// Reads the rest of a head. What is none is answered in the words of the connection's guard.
async fn read_head(session: &mut Session) -> bool {
    let client = session.as_downstream_mut();
    let error = match client.read_request().await {
        Ok(read) => return read,
        Err(error) => error,
    };
    log::debug!("no request: {error}");
    if matches!(error.etype, ErrorType::InvalidHTTPHeader) {
        let _ = client.respond_error(400).await;
    }
    client.shutdown().await;
    false
}
