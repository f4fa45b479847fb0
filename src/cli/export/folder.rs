//! How does a folder hold one whole file for each channel, whenever a run is interrupted?

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use super::Failure;
use crate::membership::arn::ChannelArn;
use crate::offline::export::declares;

/// Where files are.
pub(super) struct Folder(PathBuf);

/// What stands in a channel's file. A file that is there is whole.
pub(super) enum Found {
    /// There is none.
    Nothing,
    /// Manifests of the channel.
    Channel,
}

impl Folder {
    /// Makes the folder if there is none.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        fs::create_dir_all(path)
            .map_err(|error| Failure(format!("failed to make the folder {}: {error}", path.display())))?;
        Ok(Self(path.to_owned()))
    }

    /// Looks whether a channel has its file. One that holds something else is nobody's to write over.
    pub fn look(&self, name: &str, channel: &ChannelArn) -> Result<Found, Failure> {
        let path = self.file(name);
        match fs::read_to_string(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Found::Nothing),
            Err(error) => Err(Failure(format!("failed to read {}: {error}", path.display()))),
            Ok(text) if declares(&text, channel) => Ok(Found::Channel),
            Ok(_) => Err(Failure(format!(
                "failed to export {channel}: {} holds something else, so choose another folder or move it away",
                path.display()
            ))),
        }
    }

    /// Writes a channel's file: it is there in whole or not at all.
    pub fn write(&self, name: &str, text: &str) -> Result<(), Failure> {
        // Neither kubectl nor kustomize takes it for a manifest. What an interruption leaves, the next run writes over.
        let (partial, path) = (self.0.join(format!(".{name}.partial")), self.file(name));
        let write = || {
            let mut file = File::create(&partial)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&partial, &path)
        };
        write().map_err(|error| {
            // What cannot be taken away does no harm.
            let _ = fs::remove_file(&partial);
            Failure(format!("failed to write {}: {error}", path.display()))
        })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}.yaml"))
    }
}
