//! Is what is generated up to date?

use std::fs;

#[test]
fn the_crd_in_the_repository_is_the_one_the_code_makes() {
    let generated = rollcall::api::crd_yaml().expect("the definition is written");
    let committed = fs::read_to_string("crds/channelmemberships.rollcall.dev.yaml").unwrap_or_default();
    assert!(committed == generated, "crds/ is stale: run make manifests and commit what it writes");
}

#[test]
fn the_crd_is_small_enough_for_any_way_of_applying_it() {
    let generated = rollcall::api::crd_yaml().expect("the definition is written");
    // kubectl's client-side apply keeps the manifest in an annotation, and annotations hold 262,144 bytes.
    assert!(generated.len() < 262_144, "{} bytes", generated.len());
}
