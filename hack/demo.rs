//! What does Rollcall do? Shown on a real Kubernetes API server, with a local stand-in for the Chime service.
//!
//! `make demo` builds and runs this. All that it shows is real and was waited for: what is not seen within its deadline ends
//! the demo with exit code 1, which says what it was. It stays until Ctrl-C; with `DEMO_EXIT=1` it ends by itself.

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
use failure::Failure;
use screen::Screen;
use stage::Stage;

/// What a shell reports of a process that Ctrl-C ended.
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

/// Plays it all and takes everything down again. Gives whether all was seen, or else somebody pressed Ctrl-C before that.
async fn play(screen: &Screen, ends_by_itself: bool) -> Result<bool, Failure> {
    // What is shown as typed is typed in the checkout.
    std::env::set_current_dir(Path::new(env!("CARGO_MANIFEST_DIR"))).map_err(Failure::Checkout)?;
    let stop = rollcall::ops::stop::on_signal().map_err(Failure::Signals)?;
    story::open(screen)?;
    let began = Instant::now();
    let Some(control_plane) = stop.run_until_cancelled(ControlPlane::start()).await else { return Ok(false) };
    let control_plane = control_plane?;
    let played = perform(screen, &control_plane, began, ends_by_itself, &stop).await;
    control_plane.stop().await;
    if let Ok(true) = played {
        screen.say("")?;
        screen.say("Ended: nothing is left running.")?;
    }
    played
}

async fn perform(
    screen: &Screen,
    control_plane: &ControlPlane,
    began: Instant,
    ends_by_itself: bool,
    stop: &CancellationToken,
) -> Result<bool, Failure> {
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

/// Goes on showing what happens.
async fn stay(stage: &mut Stage<'_>) -> Result<(), Failure> {
    loop {
        stage.look().await?;
    }
}
