//! `--removals`: the switch that allows or stops removals.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::engine::settings::RemovalSwitch;

/// The most bytes that are read. A longer file says neither `on` nor `off`.
const MAX_BYTES: usize = 64;

/// The value of the flag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RemovalsFlag {
    /// Removals are allowed.
    On,
    /// No member is removed.
    Off,
    /// The content of this file decides, and is read before each removal.
    File(PathBuf),
}

impl RemovalsFlag {
    /// Returns the switch that the engine asks before each removal.
    pub fn switch(&self) -> RemovalSwitch {
        match self.clone() {
            Self::On => RemovalSwitch::new(|| true),
            Self::Off => RemovalSwitch::new(|| false),
            Self::File(path) => RemovalSwitch::new(move || says_on(&path)),
        }
    }
}

impl FromStr for RemovalsFlag {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "on" => Ok(Self::On),
            "off" => Ok(Self::Off),
            // A word that is neither on nor off is a typing error, and no file name.
            path if path.contains('/') => Ok(Self::File(path.into())),
            _ => Err("write on, off, or the path of a file that holds on or off, such as /etc/rollcall/removals"),
        }
    }
}

impl fmt::Display for RemovalsFlag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::On => f.write_str("on"),
            Self::Off => f.write_str("off"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// Returns true if the file holds `on` and nothing else. A file that cannot be read stops removals
/// too.
fn says_on(path: &Path) -> bool {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(MAX_BYTES as u64).read_to_string(&mut text));
    read.is_ok_and(|bytes| bytes < MAX_BYTES) && text.trim() == "on"
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn file_is_read_on_every_check_and_only_on_allows_removals() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("removals");
        let switch = path.to_str().unwrap().parse::<RemovalsFlag>().unwrap().switch();
        assert!(!switch.is_on(), "no file");
        for (text, on) in [("on", true), ("off", false), ("on\n", true), ("", false), ("on off", false), ("ON", false)]
        {
            fs::write(&path, text).unwrap();
            assert_eq!(switch.is_on(), on, "{text:?}");
        }
        fs::write(&path, format!("on{}off", " ".repeat(100))).unwrap();
        assert!(!switch.is_on(), "the rest is not read, so it may say anything");
        fs::write(&path, b"on\xff").unwrap();
        assert!(!switch.is_on(), "no text");
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(!switch.is_on(), "no file");
    }

    #[test]
    fn typing_error_is_refused_and_not_used_as_a_file() {
        assert_eq!("on".parse(), Ok(RemovalsFlag::On));
        assert_eq!("off".parse(), Ok(RemovalsFlag::Off));
        assert_eq!("./off".parse(), Ok(RemovalsFlag::File("./off".into())));
        for slip in ["", "no", "On", "false", "offf"] {
            assert!(slip.parse::<RemovalsFlag>().is_err(), "{slip}");
        }
        assert!(RemovalsFlag::On.switch().is_on() && !RemovalsFlag::Off.switch().is_on());
    }
}
