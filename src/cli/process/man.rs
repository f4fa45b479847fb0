//! `rollcall man` writes the manual pages.

use std::path::{Path, PathBuf};

use clap::Command;
use clap_mangen::Man;

use crate::cli::shared::failure::Failure;
use crate::cli::shared::output::print;

/// Write the manual pages: all of them to a folder, or one to standard output.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  rollcall man | man -l -
  rollcall man status | man -l -
  rollcall man --dir /usr/local/share/man/man1")]
pub(in crate::cli) struct Args {
    /// The command whose page is written. Default: rollcall itself.
    #[arg(value_name = "COMMAND")]
    command: Option<String>,

    /// The folder that all pages are written to. It is created if it is missing.
    #[arg(long, env = "ROLLCALL_DIR", value_name = "FOLDER", conflicts_with = "command")]
    dir: Option<PathBuf>,
}

pub(in crate::cli) fn run(args: &Args, all: Command) -> Result<(), Failure> {
    let mut all = all.disable_help_subcommand(true);
    all.build();
    if let Some(folder) = &args.dir {
        return write_all(&all, folder);
    }
    let page = match &args.command {
        None => page(all),
        Some(name) => {
            let found = all.find_subcommand(name).filter(|it| !it.is_hide_set());
            let found = found.ok_or_else(|| Failure::of(format!("{name:?} is no command of rollcall (see --help)")))?;
            page(found.clone())
        }
    };
    print(&String::from_utf8_lossy(&page.map_err(Failure::of)?));
    Ok(())
}

fn write_all(all: &Command, folder: &Path) -> Result<(), Failure> {
    let failed = |error| Failure::of(format!("failed to write the manual pages to {}: {error}", folder.display()));
    std::fs::create_dir_all(folder).map_err(failed)?;
    let commands = all.get_subcommands().filter(|it| !it.is_hide_set()).cloned();
    for command in std::iter::once(all.clone()).chain(commands) {
        let path = folder.join(format!("{}.1", command.get_name()));
        std::fs::write(path, page(command).map_err(failed)?).map_err(failed)?;
    }
    Ok(())
}

fn page(command: Command) -> std::io::Result<Vec<u8>> {
    let mut page = Vec::new();
    Man::new(command).render(&mut page)?;
    Ok(page)
}
