//! The page about `rollcall apply` matches the program.

use rollcall::simulator::{ChannelSeed, Seed};

use crate::page;
use crate::workspace::Workspace;

fn section() -> String {
    page::section("Carry it out without a cluster")
}

#[tokio::test]
async fn the_commands_of_the_page_print_what_stands_below_them() {
    let users = ["alice", "bob", "carol", "dave", "rollcall"];
    let seed =
        Seed::new("arn:aws:chime:us-east-1:123456789012:app-instance/1f0c2d3e").users(users).admins(["rollcall"]);
    let workspace = Workspace::with(seed.channel(ChannelSeed::new("lobby"))).await;
    assert_eq!(page::follow(&section(), &workspace).await, 2);
}

#[test]
fn every_flag_has_its_row_and_its_variable() {
    page::every_flag_has_its_row("apply", &section());
}
