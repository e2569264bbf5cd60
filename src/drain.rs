//! Who is still in flight: a stop waits for them.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;

use tokio::sync::Notify;

tokio::task_local! {
    /// The HTTP/1 connection whose task this is. Requests of other protocols have tasks of their own, and none.
    static CONNECTION: Arc<Connection>;
}

/// Counts requests in flight, each from the first byte of its head on. One for the process.
#[derive(Debug, Default)]
pub struct Flights {
    count: AtomicUsize,
    stopping: AtomicBool,
    cut: AtomicBool,
    cutting: Notify,
}

/// A request in flight; ends when dropped.
#[derive(Debug)]
pub struct InFlight {
    flights: Arc<Flights>,
    connection: Option<Arc<Connection>>,
}

/// A connection that carries one request after another. Between two of them it is idle, and may be closed.
#[derive(Debug)]
pub struct Connection {
    flights: Arc<Flights>,
    busy: AtomicBool,
}

impl Flights {
    /// A request begins: its head has been read.
    #[must_use]
    pub fn enter(self: &Arc<Self>) -> InFlight {
        let connection = CONNECTION.try_with(Arc::clone).ok();
        match &connection {
            Some(connection) => connection.begin(),
            None => self.add(),
        }
        InFlight { flights: self.clone(), connection }
    }

    /// Requests in flight.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// A stop was asked for: answers from now on close their connection.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Those in flight have had their time: they end now, with a word to the client where there is a way.
    pub fn cut(&self) {
        self.cut.store(true, Ordering::Release);
        self.cutting.notify_waiters();
    }

    /// Wakes the calling task when those in flight are cut. Resolves then, unless that was before it was first polled.
    pub async fn cutting(&self) {
        self.cutting.notified().await;
    }

    fn add(&self) {
        self.count.fetch_add(1, Ordering::AcqRel);
    }

    fn remove(&self) {
        self.count.fetch_sub(1, Ordering::AcqRel);
    }
}

impl InFlight {
    /// Whether the answer must be the last on its connection.
    #[must_use]
    pub fn is_last(&self) -> bool {
        self.flights.stopping.load(Ordering::Acquire)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        match &self.connection {
            Some(connection) => connection.end(),
            None => self.flights.remove(),
        }
    }
}

impl Connection {
    /// A connection on which nothing was read yet.
    #[must_use]
    pub fn new(flights: Arc<Flights>) -> Self {
        Self { flights, busy: AtomicBool::new(false) }
    }

    /// Runs the requests of this connection. They find it again in [`Flights::enter`] and [`cut`].
    pub fn carry<T>(self: &Arc<Self>, requests: impl Future<Output = T>) -> impl Future<Output = T> {
        // Not an `async fn`: that would hold the requests twice, as its argument and as what it waits for.
        CONNECTION.scope(self.clone(), requests)
    }

    /// A byte of a request was read, or its whole head.
    pub fn begin(&self) {
        // Most reads are within a request: look before writing.
        if !self.busy.load(Ordering::Relaxed) && !self.busy.swap(true, Ordering::AcqRel) {
            self.flights.add();
        }
    }

    /// Whether no request has begun since the last one ended.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        !self.busy.load(Ordering::Acquire)
    }

    fn end(&self) {
        if self.busy.swap(false, Ordering::AcqRel) {
            self.flights.remove();
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.end();
    }
}

/// Resolves when those in flight are cut. Costs a look at a flag: the connection's task is woken by whoever carries it.
pub async fn cut() {
    poll_fn(|_| {
        let cut = CONNECTION.try_with(|connection| connection.flights.cut.load(Ordering::Acquire));
        if cut.unwrap_or(false) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_counts_from_its_first_byte_to_its_end() {
        let flights = Arc::new(Flights::default());
        let connection = Arc::new(Connection::new(flights.clone()));
        connection.begin();
        connection.begin();
        assert_eq!(flights.count(), 1);
        let request = connection.carry(async { flights.enter() }).await;
        assert!(flights.count() == 1 && !connection.is_idle());
        drop(request);
        assert!(flights.count() == 0 && connection.is_idle());
    }

    #[tokio::test]
    async fn a_head_that_breaks_off_counts_no_more() {
        let flights = Arc::new(Flights::default());
        let connection = Connection::new(flights.clone());
        connection.begin();
        drop(connection);
        assert_eq!(flights.count(), 0);
    }

    #[tokio::test]
    async fn requests_without_a_connection_of_their_own_count_each() {
        let flights = Arc::new(Flights::default());
        let requests = [flights.enter(), flights.enter()];
        assert_eq!(flights.count(), 2);
        drop(requests);
        assert_eq!(flights.count(), 0);
    }

    #[tokio::test]
    async fn a_cut_reaches_those_who_wait() {
        let flights = Arc::new(Flights::default());
        let connection = Arc::new(Connection::new(flights.clone()));
        let waits = connection.carry(async {
            flights.cutting().await;
            cut().await;
        });
        tokio::join!(waits, async { flights.cut() });
    }
}
