//! One request of an HTTP/1 connection through its phases, without Pingora's driver.
//!
//! That driver moves each request into boxes of many kilobytes, and those of its phases into more, made for paths that no request here
//! takes: an eighth of the instructions of a small one, and a quarter of the memory of an open stream. What it does beside is little.
//! It still drives upgrades, very long heads, and HTTP/2.

use std::sync::Arc;

use bytes::BytesMut;
use pingora::protocols::Stream;
use pingora::server::ShutdownWatch;
use pingora_proxy::ProxyHttp as _;

use super::context::Context;
use super::session::{Http1, Session};
use super::{Gateway, failed, finish};
use crate::listen::guard::HeadWatch;

pub use super::session::HEAD_BYTES_MAX;

/// A connection whose next request is not one for [`Gateway::serve`], with what was read of it.
pub type Others = (Stream, BytesMut);

impl Gateway {
    /// Serves a request of which `read` has been read, with a whole head. Returns the connection for the next request, and what was read of
    /// that; `None` if it is closed.
    ///
    /// # Errors
    /// The head is none, not sound, or unusual: the connection as it was.
    pub async fn serve(
        &self,
        stream: Stream,
        read: BytesMut,
        watch: &Arc<HeadWatch>,
        shutdown: &ShutdownWatch,
    ) -> Result<Option<(Stream, BytesMut)>, Others> {
        let mut client = Http1::open(stream, read)?;
        watch.done();
        if *shutdown.borrow() {
            client.close_after();
        }
        let mut context = self.new_ctx();
        let answered = self.answer(&mut Session::Served(&mut client), &mut context).await;
        let mut session = Session::Served(&mut client);
        if let Err(error) = &answered {
            // In a box: it would else be part of every request.
            Box::pin(failed::tell(&mut session, error, &mut context)).await;
        }
        finish::report(self, &session, answered.as_ref().err().map(|error| &**error), &mut context);
        drop(context.body_memory);
        let next = if answered.is_ok() { client.finish().await } else { None };
        // A stop waits for what is still read of a body, and for the answer to arrive.
        drop(context.in_flight);
        Ok(next)
    }

    async fn answer(&self, session: &mut Session<'_>, context: &mut Context) -> pingora::Result<()> {
        self.begin(session, context);
        if !self.receive(session, context).await? {
            // In a box: only once a call is admitted does it need that room.
            Box::pin(self.pass_on(session, context)).await?;
        }
        Ok(())
    }
}
