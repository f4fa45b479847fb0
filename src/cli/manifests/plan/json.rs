//! The plan as JSON; [`crate::offline::plan`] describes the fields.

use std::io::{self, Write};

use crate::offline::plan::Plan;

pub(super) fn print(plan: &Plan, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, plan)?;
    writeln!(out)
}
