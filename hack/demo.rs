//! Shows Rollcall on a real Kubernetes API server, with a local simulation of the Chime service.
//!
//! `make demo` builds and runs this program. The demo waits for everything that it shows: if a step
//! is not seen within its deadline, the demo names it and exits with code 1. The demo runs until
//! Ctrl-C; with `DEMO_EXIT=1` it ends by itself.

#[path = "../tests/support/control_plane.rs"]
mod control_plane;
#[path = "demo/failure.rs"]
mod failure;
#[path = "demo/screen.rs"]
mod screen;
#[path = "demo/stage.rs"]
mod stage;
#[path = "demo/story.rs"]
mod story;

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use control_plane::ControlPlane;
use failure::DemoError;
use screen::Screen;
use stage::DemoStage;

/// The exit code that a shell reports for a process that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let ends_by_itself = std::env::var("DEMO_EXIT").is_ok_and(|value| !matches!(value.as_str(), "" | "0"));
    match play(&Screen::of_stdout(), ends_by_itself).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(INTERRUPTED),
        Err(failure) => {
            eprintln!("\nerror: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Plays the demo and stops all programs. Returns `false` if Ctrl-C ended the demo early.
async fn play(screen: &Screen, ends_by_itself: bool) -> Result<bool, DemoError> {
    // The commands that the demo shows run in the checkout.
    std::env::set_current_dir(Path::new(env!("CARGO_MANIFEST_DIR"))).map_err(DemoError::Checkout)?;
    let stop = rollcall::ops::stop::on_signal().map_err(DemoError::Signals)?;
    story::open(screen)?;
    let began = Instant::now();
    let Some(control_plane) = stop.run_until_cancelled(ControlPlane::start()).await else { return Ok(false) };
    let control_plane = control_plane?;
    let played = perform(screen, &control_plane, began, ends_by_itself, &stop).await;
    control_plane.stop().await;
    if let Ok(true) = played {
        screen.say("")?;
        screen.say("The demo has ended, and all its programs have stopped.")?;
    }
    played
}

async fn perform(
    screen: &Screen,
    control_plane: &ControlPlane,
    began: Instant,
    ends_by_itself: bool,
    stop: &CancellationToken,
) -> Result<bool, DemoError> {
    let setting = stop.run_until_cancelled(story::set_up(screen, control_plane, began)).await;
    let Some(mut stage) = setting.transpose()? else { return Ok(false) };
    let told = stop.run_until_cancelled(story::tell(&mut stage)).await.transpose()?.is_some();
    if told && !ends_by_itself {
        story::hand_over(&mut stage)?;
        stop.run_until_cancelled(stay(&mut stage)).await.transpose()?;
        // The terminal has just shown ^C.
        screen.say("")?;
    }
    stage.close(told).await?;
    Ok(told)
}

/// Shows further events until it is cancelled.
async fn stay(stage: &mut DemoStage<'_>) -> Result<(), DemoError> {
    loop {
        stage.look().await?;
    }
}
