//! Ownership of members over listings.

use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn set(names: &[&str]) -> NameSet {
    names.iter().copied().collect()
}

#[test]
fn ownership_is_confirmed_by_listings_while_declared() {
    let mut owned = Ownership::default();
    owned.extend(&set(&["user/a", "user/b"]));
    owned.confirm(&set(&["user/a", "user/b"]), at(10));
    owned.confirm(&set(&["user/a"]), at(20));
    owned.confirm(&set(&["user/a"]), at(30));
    assert_eq!((owned.proven_until("user/a"), owned.proven_until("user/b")), (Some(at(30)), Some(at(10))));
    assert_eq!(owned.proven_until("user/c"), None);
    owned.confirm(&set(&["user/a", "user/b"]), at(40));
    assert_eq!(owned.proven_until("user/b"), Some(at(40)), "declared again");
    owned.release(&set(&["user/b"]));
    assert_eq!(owned.proven_until("user/b"), None);
}
