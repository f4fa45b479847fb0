//! The author of a change, as the audit log records it.

use super::operation::ApiOperation;
use crate::membership::arn::MemberArn;

/// The bearer and the operation of a change. Both are absent if the change came from the admin pages or from a test.
#[derive(Clone, Copy, Debug, Default)]
pub struct Actor<'a> {
    /// The bearer of the call.
    pub bearer: Option<&'a MemberArn>,
    /// The operation of the call.
    pub operation: Option<ApiOperation>,
}
