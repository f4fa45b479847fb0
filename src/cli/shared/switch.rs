//! A flag with the values on and off.

use clap::ValueEnum;

/// The value of an on/off flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Switch {
    On,
    Off,
}
