//! Tests of whole reconciles, with a service and a store in memory and a paused clock.

/// Makes one test per prune mode from an async function that takes the mode.
///
/// `for_each_prune!(member_stays in [Owned, Declared])` makes the tests `member_stays::Owned` and
/// `member_stays::Declared`.
macro_rules! for_each_prune {
    ($test:ident in [$($mode:ident),+]) => {
        #[expect(non_snake_case, reason = "each test has the name of its mode")]
        mod $test {
            $(
                #[tokio::test(start_paused = true)]
                async fn $mode() {
                    super::$test(crate::api::Prune::$mode).await;
                }
            )+
        }
    };
}

mod answers;
mod calls;
pub(crate) mod cluster;
mod conformance;
mod crash;
mod dry_run;
pub(crate) mod fake;
mod faults;
mod grants;
mod guards;
mod incidents;
mod life;
mod listings;
pub(crate) mod operator;
mod order_law;
pub(crate) mod process;
mod random_walks;
pub(crate) mod world;
