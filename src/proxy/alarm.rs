//! A clock for a wait that is begun again and again, and hardly ever ends by it.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Poll, ready};
use std::time::Instant;

use tokio::time::Sleep;

/// Rings at a time that moves on. It stays set to an earlier one, and is moved only when that comes: to set a timer costs several times
/// what it costs to look at one that is set.
#[derive(Debug)]
pub struct Alarm(Pin<Box<Sleep>>);

impl Alarm {
    /// Set to a time at which it may ring first.
    #[must_use]
    pub fn at(time: Instant) -> Self {
        Self(Box::pin(tokio::time::sleep_until(time.into())))
    }

    /// Resolves at `time`, not before. May be dropped, and asked for another time.
    pub async fn rings(&mut self, time: Instant) {
        let Self(sleep) = self;
        let time = time.into();
        if time < sleep.deadline() {
            sleep.as_mut().reset(time);
        }
        poll_fn(|cx| {
            loop {
                ready!(sleep.as_mut().poll(cx));
                if sleep.deadline() >= time {
                    return Poll::Ready(());
                }
                sleep.as_mut().reset(time);
            }
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_rings_at_the_time_that_was_asked_for_last() {
        let begin = tokio::time::Instant::now();
        let after = |seconds| (begin + Duration::from_secs(seconds)).into_std();
        let mut alarm = Alarm::at(after(5));
        for (asked, given_up) in [(5, 1), (6, 2), (9, 3)] {
            let rung = tokio::time::timeout_at(begin + Duration::from_secs(given_up), alarm.rings(after(asked))).await;
            assert!(rung.is_err(), "{asked}");
        }
        alarm.rings(after(20)).await;
        assert_eq!(begin.elapsed(), Duration::from_secs(20));
        assert!(tokio::time::timeout(Duration::ZERO, alarm.rings(after(20))).await.is_ok(), "that time has come");
        alarm.rings(after(30)).await;
        assert_eq!(begin.elapsed(), Duration::from_secs(30));
        let sooner = async {
            let later = tokio::time::timeout(Duration::from_secs(1), alarm.rings(after(60)));
            assert!(later.await.is_err());
            alarm.rings(after(40)).await;
        };
        sooner.await;
        assert_eq!(begin.elapsed(), Duration::from_secs(40));
    }
}
