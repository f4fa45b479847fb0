//! `--removals`: may anybody be removed just now?

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::engine::settings::RemovalSwitch;

/// A file so long says neither `on` nor `off`; of a longer one no more is read.
const MAX_BYTES: usize = 64;

/// What the flag says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Removals {
    /// Yes.
    On,
    /// No.
    Off,
    /// What stands in a file whenever it is asked.
    File(PathBuf),
}

impl Removals {
    /// The switch.
    pub fn switch(&self) -> RemovalSwitch {
        match self.clone() {
            Self::On => RemovalSwitch::new(|| true),
            Self::Off => RemovalSwitch::new(|| false),
            Self::File(path) => RemovalSwitch::new(move || says_on(&path)),
        }
    }
}

impl FromStr for Removals {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "on" => Ok(Self::On),
            "off" => Ok(Self::Off),
            // A word that is neither is a slip and no file.
            path if path.contains('/') => Ok(Self::File(path.into())),
            _ => Err("write on, off, or the path of a file that holds on or off, such as /etc/rollcall/removals"),
        }
    }
}

impl fmt::Display for Removals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::On => f.write_str("on"),
            Self::Off => f.write_str("off"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// Whether the file holds `on` and nothing else: one that cannot be read is an emergency stop, too.
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
    fn a_file_is_read_whenever_it_is_asked_and_anything_but_on_is_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("removals");
        let switch = path.to_str().unwrap().parse::<Removals>().unwrap().switch();
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
    fn a_slip_is_refused_and_not_taken_for_a_file() {
        assert_eq!("on".parse(), Ok(Removals::On));
        assert_eq!("off".parse(), Ok(Removals::Off));
        assert_eq!("./off".parse(), Ok(Removals::File("./off".into())));
        for slip in ["", "no", "On", "false", "offf"] {
            assert!(slip.parse::<Removals>().is_err(), "{slip}");
        }
        assert!(Removals::On.switch().is_on() && !Removals::Off.switch().is_on());
    }
}
