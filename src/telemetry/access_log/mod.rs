//! The access log: one JSON object per line and request ([`line`]), written by a thread of its own ([`output`]). No prompt, no reply, no
//! secret is among it; a last look at each line sees to that.

mod line;
mod object;
mod output;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use arc_swap::ArcSwap;
use prometheus::IntCounter;

#[cfg(test)]
pub(super) use self::line::FIELDS;
use self::output::Output;
use super::event::{Blame, Outcome, RequestRecord};
use super::queue::Message;
use super::redact;
use crate::config::{AccessLog, LineLevel};

/// The name of this sink in `heliostat_telemetry_dropped_total`.
pub(super) const SINK: &str = "access_log";
/// How long lines are gathered before they are written.
const REST: Duration = Duration::from_millis(5);

/// What the log's thread is told meanwhile.
#[derive(Default)]
pub(super) struct Wishes {
    /// Which requests leave a line, and where.
    rules: ArcSwap<AccessLog>,
    /// What must not be in it.
    redactor: redact::InForce,
    /// The file has been moved away.
    reopen: AtomicBool,
}

impl Wishes {
    /// Lines are to be without what this finds.
    pub(super) fn new(redactor: redact::InForce) -> Self {
        Self { redactor, ..Self::default() }
    }

    /// Other rules from now on.
    pub(super) fn rule(&self, log: AccessLog) {
        self.rules.store(Arc::new(log));
    }

    /// The file is to be opened anew.
    pub(super) fn reopen(&self) {
        self.reopen.store(true, Ordering::Release);
    }
}

/// Starts the log's thread. With `out` lines go there, whatever the rules say.
///
/// # Errors
/// The thread cannot be started.
pub(super) fn start(
    records: Receiver<Message>,
    wishes: Arc<Wishes>,
    out: Option<Box<dyn Write + Send>>,
    dropped: IntCounter,
) -> std::io::Result<()> {
    let writer = Writer { output: Output::new(out), wishes, dropped, line: Vec::new(), complained: false };
    std::thread::Builder::new().name("access-log".into()).spawn(move || writer.run(&records))?;
    Ok(())
}

/// The thread's work.
struct Writer {
    output: Output,
    wishes: Arc<Wishes>,
    dropped: IntCounter,
    line: Vec<u8>,
    complained: bool,
}

impl Writer {
    /// Writes what is queued, hands it on, and rests for a moment. A resting thread need not be woken, so a busy gateway pays for a few
    /// writes a second, not for one a request. Ends when the log is dropped.
    fn run(mut self, records: &Receiver<Message>) {
        while let Ok(first) = records.recv() {
            let rules = self.wishes.rules.load_full();
            let reopen = self.wishes.reopen.swap(false, Ordering::AcqRel);
            if let Err(error) = self.output.follow(&rules.output, reopen) {
                log::error!("access log: {error}");
            }
            let mut failed = self.take(first, &rules);
            while let Ok(message) = records.try_recv() {
                failed += self.take(message, &rules);
            }
            let flushed = self.output.flush();
            self.dropped.inc_by(failed);
            if (failed > 0 || flushed.is_err()) && !std::mem::replace(&mut self.complained, true) {
                log::error!("the access log cannot be written; further failures are only counted");
            }
            std::thread::sleep(REST);
        }
    }

    /// Writes a line, or answers a flush. Returns how many lines were lost.
    fn take(&mut self, message: Message, rules: &AccessLog) -> u64 {
        match message {
            Message::Record(record) => u64::from(self.write(&record, rules).is_err()),
            Message::Flush(done) => {
                let lost = u64::from(self.output.flush().is_err());
                // One who no longer waits needs no answer.
                let _ = done.try_send(());
                lost
            }
        }
    }

    fn write(&mut self, record: &RequestRecord, rules: &AccessLog) -> std::io::Result<()> {
        let level = level(record);
        if !wanted(record, level, rules) {
            return Ok(());
        }
        self.line.clear();
        line::write(record, level, &mut self.line);
        self.wishes.redactor.load().clean(&mut self.line);
        self.line.push(b'\n');
        self.output.line(&self.line, level)
    }
}

/// How remarkable a request was.
fn level(record: &RequestRecord) -> LineLevel {
    match (record.outcome, record.blame()) {
        (Outcome::Ok, _) | (_, None) => LineLevel::Info,
        (_, Some(Blame::Client)) => LineLevel::Warn,
        (_, Some(Blame::Gateway | Blame::Provider)) => LineLevel::Error,
    }
}

/// Whether it leaves a line. What fell back, was retried or lost something is no sample.
fn wanted(record: &RequestRecord, level: LineLevel, log: &AccessLog) -> bool {
    if log.level.is_none_or(|least| level < least) {
        return false;
    }
    let plain = level == LineLevel::Info && record.attempts.len() < 2 && record.losses.is_empty();
    !plain || log.sample >= 1.0 || fastrand::f64() < log.sample
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::tests::record;

    #[test]
    fn what_is_remarkable_is_always_written_and_the_rest_by_its_share() {
        let log = |level, sample| AccessLog { level, sample, ..AccessLog::default() };
        let one = || {
            let mut record = record();
            record.attempts.remove(0);
            record
        };
        let refused = RequestRecord { outcome: Outcome::Refused, status: 400, ..one() };
        let failed = RequestRecord { outcome: Outcome::Error, status: 502, ..one() };
        for (record, level, log, written) in [
            (one(), LineLevel::Info, log(Some(LineLevel::Info), 1.0), true),
            (one(), LineLevel::Info, log(Some(LineLevel::Info), 0.0), false),
            (record(), LineLevel::Info, log(Some(LineLevel::Info), 0.0), true),
            (one(), LineLevel::Info, log(Some(LineLevel::Warn), 1.0), false),
            (refused.clone(), LineLevel::Warn, log(Some(LineLevel::Warn), 0.0), true),
            (refused, LineLevel::Warn, log(Some(LineLevel::Error), 1.0), false),
            (failed.clone(), LineLevel::Error, log(Some(LineLevel::Error), 0.0), true),
            (failed, LineLevel::Error, log(None, 1.0), false),
        ] {
            assert_eq!(super::level(&record), level);
            assert_eq!(wanted(&record, level, &log), written, "{:?} {log:?}", record.outcome);
        }
    }
}
