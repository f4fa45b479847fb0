//! Whom may somebody have meant who wrote a name that is not there?

/// The most names that are suggested.
const MOST: usize = 5;

/// Those of `names` that look like `written`, the likest first. They are suggested and never taken.
pub(in crate::cli) fn near<'a>(written: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
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

/// How far apart two names are; `None` for too far.
fn likeness(wanted: &str, name: &str) -> Option<usize> {
    if wanted == name {
        return Some(0);
    }
    // Of short names every other is near.
    let most = match wanted.chars().count() {
        0..=2 => return None,
        3..=5 => 1,
        _ => 2,
    };
    let apart = distance(wanted, name, most);
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

/// How many letters to change, add or leave out make one of the other (Levenshtein), if no more than `most`.
fn distance(one: &str, other: &str, most: usize) -> Option<usize> {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    if one.len().abs_diff(other.len()) > most {
        return None;
    }
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.iter().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, b) in other.iter().enumerate() {
            let change = corner + usize::from(a != b);
            corner = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(corner + 1);
        }
    }
    row.last().copied().filter(|distance| *distance <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found_the_nearest_first_and_no_others() {
        let names = ["Alice", "alice.smith", "alicia", "bob", "malice", "al", "carol", "smith"];
        assert_eq!(near("alice", names), ["Alice", "malice", "alice.smith"]);
        assert_eq!(near("alice.smyth", names), ["alice.smith", "Alice"]);
        assert_eq!(near("smith alice", names), ["alice.smith", "smith"]);
        assert_eq!(near("zz", names), [] as [&str; 0]);
        assert_eq!(near("", names), [] as [&str; 0]);
        assert_eq!(near("bob", ["bob"]), [] as [&str; 0], "itself is no suggestion");
    }
}
