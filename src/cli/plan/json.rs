//! How does a plan look for programs? As the value it is: see [`crate::offline::plan`].

use std::io::{self, Write};

use crate::offline::plan::Plan;

pub(super) fn print(plan: &Plan, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, plan)?;
    writeln!(out)
}
