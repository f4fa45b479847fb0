//! Finds names that look like a name that is not there.

/// The most names that are suggested.
const MOST: usize = 5;

/// Returns the names that look like `written`, the most similar first. They are suggestions and
/// never used in its place.
pub(in crate::cli) fn near_names<'a>(written: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let wanted = written.to_lowercase();
    let mut found: Vec<(usize, &str)> = names
        .into_iter()
        .filter(|name| *name != written)
        .filter_map(|name| likeness(&wanted, &name.to_lowercase()).map(|rank| (rank, name)))
        .collect();
    found.sort_unstable();
    found.dedup();
    found.into_iter().take(MOST).map(|(_, name)| name.to_owned()).collect()
}

/// Ranks how similar two names are; `None` if they differ too much.
fn likeness(wanted: &str, name: &str) -> Option<usize> {
    if wanted == name {
        return Some(0);
    }
    // A short name is close to every other short name.
    let most = match wanted.chars().count() {
        0..=2 => return None,
        3..=5 => 1,
        _ => 2,
    };
    let apart = Some(strsim::levenshtein(wanted, name)).filter(|apart| *apart <= most);
    let words = |text: &str| -> Vec<String> {
        text.split(|letter: char| !letter.is_alphanumeric())
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let (asked, there) = (words(wanted), words(name));
    let part = !asked.is_empty() && asked.iter().all(|word| there.contains(word));
    match apart {
        Some(apart) => Some(apart),
        None if part => Some(most + 1),
        None if name.starts_with(wanted) || wanted.starts_with(name) && name.len() > 2 => Some(most + 2),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_sorted_by_similarity() {
        let names = ["Alice", "alice.smith", "alicia", "bob", "malice", "al", "carol", "smith"];
        assert_eq!(near_names("alice", names), ["Alice", "malice", "alice.smith"]);
        assert_eq!(near_names("alice.smyth", names), ["alice.smith", "Alice"]);
        assert_eq!(near_names("smith alice", names), ["alice.smith", "smith"]);
        assert_eq!(near_names("zz", names), [] as [&str; 0]);
        assert_eq!(near_names("", names), [] as [&str; 0]);
        assert_eq!(near_names("bob", ["bob"]), [] as [&str; 0], "itself is no suggestion");
    }
}
