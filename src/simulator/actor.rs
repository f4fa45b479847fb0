//! The author of a change, as the audit log records it.

use super::operation::ApiOperation;
use crate::membership::arn::MemberArn;

/// The bearer and the operation of a change. Both are absent if no call made the change.
#[derive(Clone, Copy, Debug, Default)]
pub struct Actor<'a> {
    pub bearer: Option<&'a MemberArn>,
    pub operation: Option<ApiOperation>,
}
