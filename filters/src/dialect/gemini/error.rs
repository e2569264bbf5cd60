//! Errors of the dialect.

use crate::fault::{Fault, FaultKind};

pub(super) fn fault(status: u16, _body: &[u8]) -> Fault {
    Fault { status, kind: FaultKind::Server, message: String::new(), code: None, param: None, retry_after_ms: None }
}
