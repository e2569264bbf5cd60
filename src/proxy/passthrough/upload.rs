//! The body of an upload: streamed to the provider as it arrives from the client, with an eye on both.

use std::pin::pin;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use super::headers::Framing;
use crate::config::Limits;
use crate::proxy::attempt::{self, Ended, Interrupt};
use crate::proxy::body;
use crate::proxy::context::Outcome;
use crate::proxy::problem::Problem;
use crate::proxy::session::{Read, Session};
use crate::proxy::waits::counted;
use crate::upstream::connection::{Pieces, Sent};
use crate::upstream::pool::Lease;
use crate::upstream::verdict::Phase;

/// So much must arrive within each `limits.body_timeout_ms`, or the rest: an upload may take long, but not its place for nothing.
const STEP_BYTES: u64 = 64 * 1024;
/// So much of a body is kept, that it can be sent again with another key.
const KEPT_BYTES: usize = 64 * 1024;
/// The end of a body in chunks.
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// A body that is not held whole.
#[derive(Debug)]
pub struct Upload {
    /// Its length, where that was announced.
    length: Option<u64>,
    /// Most bytes that pass.
    limit_bytes: u64,
    read_bytes: u64,
    /// How long a step may take, how far the one under way leads, and how long it may still be waited for. Only the client's time counts:
    /// a provider may take the body as slowly as it likes.
    patience: Duration,
    step_end: u64,
    step_left: Duration,
    /// All that has been read, as long as that is little.
    kept: Option<BytesMut>,
    /// The client waits for a word before it sends anything.
    awaits: bool,
    has_ended: bool,
    /// Why it is not passed on any further, where that is the client's doing.
    pub refused: Option<Problem>,
}

/// What came next.
enum Event {
    Read(pingora::Result<Read>),
    /// The provider does not want more.
    Answered,
    Late,
}

impl Upload {
    /// Before anything was read.
    ///
    /// # Errors
    /// 413 for a body announced as longer than `limits.upload_bytes`.
    pub fn new(session: &Session<'_>, limits: &Limits) -> Result<Self, Problem> {
        let (length, limit_bytes) = (body::announced_bytes(session), limits.upload_bytes as u64);
        if length.is_some_and(|length| length > limit_bytes) {
            return Err(too_large(limit_bytes));
        }
        let (kept, awaits) = (Some(BytesMut::new()), body::expects_continue(session));
        let patience = Duration::from_millis(limits.body_timeout_ms);
        let (step_end, step_left) = (STEP_BYTES, patience);
        Ok(Self { length, limit_bytes, read_bytes: 0, patience, step_end, step_left, kept, awaits, has_ended: false, refused: None })
    }

    /// How it is framed for the provider.
    #[must_use]
    pub fn framing(&self) -> Framing {
        self.length.map_or(Framing::Chunked, Framing::Length)
    }

    /// Whether all of it has been read.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Whether nothing of it has been read.
    #[must_use]
    pub fn is_untouched(&self) -> bool {
        self.read_bytes == 0 && !self.has_ended
    }

    /// Whether another attempt may be made with it.
    #[must_use]
    pub fn may_be_sent_again(&self) -> bool {
        self.kept.is_some()
    }

    /// Sends a request: its head, what had been read of the body before, and the rest as it arrives; no more where the provider answers
    /// with a failure before the end.
    ///
    /// # Errors
    /// [`Ended::Failed`] if the provider does not take it; [`Ended::ClientGone`] if the client left, or [`Upload::refused`] says what it
    /// did wrong.
    pub async fn send(
        &mut self,
        head: &[u8],
        lease: &mut Lease,
        session: &mut Session<'_>,
        outcome: &mut Outcome,
        until: Instant,
    ) -> Result<(), Ended> {
        let mut piece = self.kept.as_ref().map(|kept| Bytes::copy_from_slice(kept)).unwrap_or_default();
        let mut head = head;
        loop {
            if self.write(head, piece, lease, outcome, until).await? == Sent::Cut || self.has_ended {
                return Ok(());
            }
            head = &[];
            piece = match self.next(lease, session, outcome, until).await? {
                Some(piece) => piece,
                None => return Ok(()),
            };
        }
    }

    async fn write(&self, head: &[u8], piece: Bytes, lease: &mut Lease, outcome: &mut Outcome, until: Instant) -> Result<Sent, Ended> {
        let mut before = head.to_vec();
        let mut after = Vec::new();
        if self.length.is_none() {
            if !piece.is_empty() {
                before.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
                after.extend_from_slice(b"\r\n");
            }
            after.extend_from_slice(if self.has_ended { LAST_CHUNK } else { b"" });
        }
        let body: Vec<Bytes> = [piece, after.into()].into_iter().filter(|part| !part.is_empty()).collect();
        let sent = {
            let sending = pin!(tokio::time::timeout_at(until.into(), lease.connection.send(Pieces::new(&before, &body))));
            counted(&mut outcome.waits.upstream, sending).await
        };
        match sent {
            Ok(Ok(sent)) => Ok(sent),
            Ok(Err(error)) => Err(attempt::broken(&error, false, lease.connection.has_received())),
            Err(_) => Err(Interrupt::Deadline.ended(Phase::Header)),
        }
    }

    /// The next piece of the body, empty at its end; `None` if the provider does not want more.
    async fn next(
        &mut self,
        lease: &mut Lease,
        session: &mut Session<'_>,
        outcome: &mut Outcome,
        until: Instant,
    ) -> Result<Option<Bytes>, Ended> {
        if std::mem::take(&mut self.awaits) {
            session.write_continue().await.map_err(|_| Ended::ClientGone)?;
        }
        let began = Instant::now();
        let (step, pause) = (began + self.step_left, began + body::PAUSE);
        let end = until.min(step).min(pause);
        // Without room for it, a body comes in pieces.
        let mut room = BytesMut::new();
        let event = async {
            tokio::select! {
                biased;
                read = session.read_body(&mut room) => Event::Read(read),
                () = lease.connection.early_failure() => Event::Answered,
                () = tokio::time::sleep_until(end.into()) => Event::Late,
            }
        };
        let event = counted(&mut outcome.waits.client, event).await;
        self.step_left = self.step_left.saturating_sub(began.elapsed());
        match event {
            Event::Read(Ok(Read::Piece(piece))) => self.take(piece, outcome).map(Some),
            Event::Read(Ok(Read::InPlace)) => self.take(room.freeze(), outcome).map(Some),
            Event::Read(Ok(Read::End)) => {
                self.has_ended = true;
                Ok(Some(Bytes::new()))
            }
            Event::Read(Err(error)) => Err(self.unreadable(&error)),
            Event::Answered => Ok(None),
            Event::Late => {
                let message = if end == until {
                    "The request body took longer to arrive than network.timeouts.total_ms allows."
                } else if end == step {
                    "Less than 64 KiB of the request body arrived within limits.body_timeout_ms."
                } else {
                    "The request body stopped arriving for 30 seconds."
                };
                Err(self.refuse(body::too_slow(message)))
            }
        }
    }

    fn take(&mut self, piece: Bytes, outcome: &mut Outcome) -> Result<Bytes, Ended> {
        let length = piece.len() as u64;
        outcome.bytes_in += length;
        self.read_bytes += length;
        if self.read_bytes > self.limit_bytes {
            return Err(self.refuse(too_large(self.limit_bytes)));
        }
        if self.read_bytes >= self.step_end {
            (self.step_end, self.step_left) = (self.read_bytes + STEP_BYTES, self.patience);
        }
        match &mut self.kept {
            Some(kept) if kept.len() + piece.len() <= KEPT_BYTES => kept.extend_from_slice(&piece),
            kept => *kept = None,
        }
        Ok(piece)
    }

    fn refuse(&mut self, problem: Problem) -> Ended {
        self.refused = Some(problem);
        Ended::ClientGone
    }

    /// What cannot be read is no body, or nobody is there any more.
    fn unreadable(&mut self, error: &pingora::Error) -> Ended {
        if body::is_malformed(error) { self.refuse(body::broken(error)) } else { Ended::ClientGone }
    }
}

fn too_large(limit_bytes: u64) -> Problem {
    let message = format!("The request body is larger than {limit_bytes} bytes. Send less, or raise limits.upload_bytes.");
    Problem::new(413, "request_too_large", message).closing()
}
