//! Whom did other resources declare when last seen, and which of those resources are gone?

use super::names::NameSet;
use super::roll::Roll;
use crate::api::MembershipType;

/// Those whom others declare, or declared when last seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Elsewhere {
    /// All of them, to be remembered.
    pub names: NameSet,
    /// The ones that are undeclared now, and not because a resource was edited: as far as is known the one that did is gone.
    pub orphans: NameSet,
}

impl Elsewhere {
    /// Of `names`, whom this resource itself does not declare. `before` is what was remembered; `previous` are the others when
    /// last seen by this process, `now` as they are.
    pub fn of<'a>(
        names: impl IntoIterator<Item = &'a str>,
        membership_type: MembershipType,
        before: &NameSet,
        previous: &Roll,
        now: &Roll,
    ) -> Self {
        let (mut still, mut orphans) = (Vec::new(), Vec::new());
        for name in names {
            if now.declares(membership_type, name) {
                still.push(name);
                continue;
            }
            let mut declared = previous.declaring(membership_type, name).peekable();
            let known = declared.peek().is_some();
            let all_remain = declared.all(|declarer| now.has(&declarer.uid));
            // Whoever declared them is still there and does not any more: somebody edited that resource.
            let edited = known && all_remain;
            if !edited && (known || before.contains(name)) {
                orphans.push(name);
            }
        }
        let names = still.iter().chain(&orphans).copied().collect();
        Self { names, orphans: orphans.into_iter().collect() }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;

    use super::super::arn::ChannelArn;
    use super::super::roll::Declarer;
    use super::super::roster::Roster;
    use super::*;

    const DEFAULT: MembershipType = MembershipType::Default;

    fn roll(declarers: &[(&str, &[&str])]) -> Roll {
        let channel = ChannelArn::parse("arn:aws:chime:us-east-1:1:app-instance/i/channel/c").unwrap();
        let declarer = |(uid, names): &(&str, &[&str])| {
            Arc::new(Declarer {
                resource: (*uid).into(),
                uid: (*uid).into(),
                created: Timestamp::UNIX_EPOCH,
                membership_type: DEFAULT,
                roster: Arc::new(Roster::read(&channel, names.iter().copied()).unwrap()),
                authoritative: false,
                bearer: None,
                unknown: None,
            })
        };
        declarers.iter().map(declarer).collect()
    }

    fn of(before: &[&str], previous: &[(&str, &[&str])], now: &[(&str, &[&str])]) -> (bool, bool) {
        let before = before.iter().copied().collect();
        let elsewhere = Elsewhere::of(["user/x"], DEFAULT, &before, &roll(previous), &roll(now));
        (elsewhere.names.contains("user/x"), elsewhere.orphans.contains("user/x"))
    }

    #[test]
    fn who_is_declared_by_another_is_remembered() {
        assert_eq!(of(&[], &[], &[("b", &["x"])]), (true, false));
    }

    #[test]
    fn an_edit_of_the_other_resource_sets_them_free() {
        assert_eq!(of(&["user/x"], &[("b", &["x"])], &[("b", &["y"])]), (false, false));
    }

    #[test]
    fn the_end_of_the_other_resource_orphans_them_and_a_restart_does_not_forget_it() {
        assert_eq!(of(&[], &[("b", &["x"])], &[]), (true, true));
        assert_eq!(of(&["user/x"], &[], &[("c", &["y"])]), (true, true));
        assert_eq!(of(&[], &[("b", &["x"]), ("c", &["x"])], &[("c", &[])]), (true, true), "one of two is gone");
    }

    #[test]
    fn whom_nobody_else_ever_declared_is_nobodys_orphan() {
        assert_eq!(of(&[], &[("b", &["y"])], &[]), (false, false));
    }
}
