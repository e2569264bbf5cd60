//! A whole reply, read into the pivot.

use bytes::Bytes;

use crate::chat::Reply;
use crate::dialect::Names;
use crate::fault::Fault;

pub(super) fn read<'a>(_body: &'a Bytes, _names: &Names) -> Result<Reply<'a>, Fault> {
    Ok(Reply::default())
}
