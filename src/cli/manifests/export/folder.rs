//! A folder with one complete file for each channel, even after an interruption.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use crate::cli::shared::failure::Failure;
use crate::membership::arn::ChannelArn;
use crate::offline::export::declares_channel;

/// The folder of the exported files.
pub(super) struct Folder(PathBuf);

/// The state of a channel's file. A file that exists is complete.
pub(super) enum Found {
    /// There is no file.
    Nothing,
    /// The file holds manifests of the channel.
    Channel,
}

impl Folder {
    /// Opens the folder, and creates it if it is missing.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        fs::create_dir_all(path)
            .map_err(|error| Failure(format!("failed to make the folder {}: {error}", path.display())))?;
        Ok(Self(path.to_owned()))
    }

    /// Checks whether a channel has its file. A file with other content is an error: it is not
    /// overwritten.
    pub fn check_file(&self, name: &str, channel: &ChannelArn) -> Result<Found, Failure> {
        let path = self.file(name);
        match fs::read_to_string(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Found::Nothing),
            Err(error) => Err(Failure(format!("failed to read {}: {error}", path.display()))),
            Ok(text) if declares_channel(&text, channel) => Ok(Found::Channel),
            Ok(_) => Err(Failure(format!(
                "failed to export {channel}: {} holds something else, so choose another folder or move it away",
                path.display()
            ))),
        }
    }

    /// Writes a channel's file completely or not at all.
    pub fn write(&self, name: &str, text: &str) -> Result<(), Failure> {
        // kubectl and kustomize do not read a file of this name. The next run overwrites the rest
        // of an interrupted one.
        let (partial, path) = (self.0.join(format!(".{name}.partial")), self.file(name));
        let write = || {
            let mut file = File::create(&partial)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&partial, &path)
        };
        write().map_err(|error| {
            // A partial file that cannot be deleted does no harm.
            let _ = fs::remove_file(&partial);
            Failure(format!("failed to write {}: {error}", path.display()))
        })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}.yaml"))
    }
}
