//! The way from a request to a sink: a bounded queue that never blocks the request. What does not fit is dropped and counted.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use prometheus::IntCounter;

use super::event::RequestRecord;

/// Records that may wait for a slow sink.
const RECORDS: usize = 8_192;

/// What a sink receives.
pub enum Message {
    /// A request ended.
    Record(Arc<RequestRecord>),
    /// Hand on all that came before, then answer.
    Flush(SyncSender<()>),
}

/// The requests' end of a queue.
pub(super) struct Queue {
    sink: &'static str,
    records: SyncSender<Message>,
    dropped: IntCounter,
}

impl Queue {
    /// A queue to `sink`, and the sink's end of it. What is lost is counted in `dropped`.
    pub(super) fn new(sink: &'static str, dropped: IntCounter) -> (Self, Receiver<Message>) {
        let (records, receiver) = sync_channel(RECORDS);
        (Self { sink, records, dropped }, receiver)
    }

    /// Offers a record: it is taken or counted.
    pub(super) fn offer(&self, record: &Arc<RequestRecord>) {
        if self.records.try_send(Message::Record(record.clone())).is_err() {
            self.dropped.inc();
        }
    }

    /// Waits until the sink has handed on all that is queued, at most for `patience`.
    pub(super) fn flush(&self, patience: Duration) {
        let (done, wait) = sync_channel(1);
        let until = Instant::now() + patience;
        let mut message = Message::Flush(done);
        // A full queue is being emptied: offer again until there is room or patience ends.
        while let Err(TrySendError::Full(back)) = self.records.try_send(message) {
            if Instant::now() >= until {
                return log::warn!("{} is too slow: what is still queued at the stop is lost", self.sink);
            }
            message = back;
            std::thread::yield_now();
        }
        if wait.recv_timeout(until.saturating_duration_since(Instant::now())) == Err(RecvTimeoutError::Timeout) {
            log::warn!("{} did not finish in time: what is still queued at the stop is lost", self.sink);
        }
    }
}
