//! Time spent waiting for others, measured where it is spent: whatever is left of a request's time is our own.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

/// Runs `future`, and adds to `waited` the time in which it could not go on. What it does itself is not counted, nor is a future that
/// never waits: it costs no look at the clock.
pub async fn counted<T>(waited: &mut Duration, future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut since: Option<Instant> = None;
    poll_fn(|cx| {
        if let Some(since) = since.take() {
            *waited += since.elapsed();
        }
        let polled: Poll<T> = future.as_mut().poll(cx);
        if polled.is_pending() {
            since = Some(Instant::now());
        }
        polled
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waiting_counts_and_working_does_not() {
        let mut waited = Duration::ZERO;
        counted(&mut waited, async { std::thread::sleep(Duration::from_millis(20)) }).await;
        assert_eq!(waited, Duration::ZERO);
        counted(&mut waited, tokio::time::sleep(Duration::from_millis(20))).await;
        assert!(waited >= Duration::from_millis(15), "{waited:?}");
    }
}
