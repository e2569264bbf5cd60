//! WebSockets: after the handshake, bytes go both ways until one side ends. Frames are not looked into.
//!
//! Not Pingora's native loop: where the provider agrees at once, that one may take the end of the request's (empty) body for the end
//! of the socket, and it cannot bound the handshake without bounding the silences after it.

use bytes::Bytes;

use super::headers;
use crate::drain;
use crate::proxy::context::Context;
use crate::proxy::headers as own;
use crate::proxy::session::Session;
use crate::proxy::waits::counted;
use crate::upstream::head::Head;
use crate::upstream::pool::Lease;

/// What came next.
enum Event {
    Client(Bytes),
    Provider(Bytes),
    Ended,
}

/// Ends the handshake and carries what follows. Silence has no limit: the provider ends a session that lasts too long.
///
/// # Errors
/// The client cannot be written to.
pub async fn relay(session: &mut Session<'_>, context: &mut Context, head: &Head, mut lease: Lease) -> pingora::Result<()> {
    if !super::is_web_socket(session) {
        return pingora::Error::e_explain(pingora::ErrorType::InvalidHTTPHeader, "the provider upgraded what nobody asked to upgrade");
    }
    let mut header = own::base(head.status, context)?;
    headers::add_handshake(&mut header, head)?;
    let Some(client) = session.driven().map(pingora_proxy::Session::as_downstream_mut) else {
        return pingora::Error::e_explain(pingora::ErrorType::InvalidHTTPHeader, "a call is not upgraded");
    };
    client.set_read_timeout(None);
    client.write_response_header(Box::new(header)).await?;
    loop {
        let either = async {
            tokio::select! {
                bytes = client.read_request_body() => Ok::<_, Box<pingora::Error>>(bytes?.map_or(Event::Ended, Event::Client)),
                () = drain::cut() => Ok(Event::Ended),
                bytes = lease.connection.next_body() => Ok(bytes.ok().flatten().map_or(Event::Ended, Event::Provider)),
            }
        };
        // Of a conversation nobody can tell who is waited for.
        match counted(&mut context.outcome.waits.upstream, either).await? {
            Event::Client(bytes) => {
                context.outcome.bytes_in += bytes.len() as u64;
                if lease.connection.write_upgraded(bytes).await.is_err() {
                    break;
                }
            }
            Event::Provider(bytes) => client.write_response_body(bytes, false).await?,
            Event::Ended => break,
        }
    }
    client.finish_body().await
}
