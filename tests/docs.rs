//! Do the examples of the pages in `docs/` still work?

#![expect(clippy::expect_used, reason = "a test that cannot read a page has failed")]

use std::fs;

use rollcall::simulator::{Fault, Limits, Operation, Options, Seed, Simulator, Switches};

fn simulator_page() -> String {
    fs::read_to_string("docs/simulator.md").expect("the page can be read")
}

/// What stands between each `from` and the next `to`.
fn between<'a>(page: &'a str, from: &str, to: &str) -> Vec<&'a str> {
    page.split(from).skip(1).filter_map(|rest| rest.split(to).next()).collect()
}

#[tokio::test]
async fn the_simulator_starts_with_the_seed_of_its_page() {
    let page = simulator_page();
    let seeds = between(&page, "```yaml\n", "```");
    assert!(!seeds.is_empty());
    for text in seeds {
        let seed = Seed::from_yaml(text).expect("the seed can be read");
        let simulator =
            Simulator::start(Options { seed, ..Options::default() }).await.expect("the seed can be planted");
        simulator.shutdown().await;
    }
}

#[test]
fn every_fault_of_the_simulators_page_is_one() {
    let page = simulator_page();
    let mut faults = between(&page, "curl $ADMIN/faults -d '", "'\n");
    faults.extend(between(&page, "```json\n", "```").into_iter().flat_map(str::lines));
    assert!(faults.len() > 10, "only {} found", faults.len());
    for fault in faults {
        let read = serde_json::from_str::<Fault>(fault);
        assert!(read.is_ok(), "{fault}: {read:?}");
    }
}

#[test]
fn every_operation_switch_and_limit_is_on_the_simulators_page_with_its_default() {
    let page = simulator_page();
    for operation in Operation::ALL {
        assert!(page.contains(operation.as_str()), "{operation}");
    }
    let switches = serde_json::to_value(Switches::default()).expect("switches are data");
    let limits = serde_json::to_value(Limits::default()).expect("limits are data");
    for (name, value) in switches.as_object().into_iter().chain(limits.as_object()).flatten() {
        let row = format!("\n| `{name}` | `{}` |", value.to_string().trim_matches('"'));
        assert!(page.contains(&row), "no row begins with {row}");
    }
}
