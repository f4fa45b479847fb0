//! Short digests of texts and of sets of names.

use sha2::{Digest as _, Sha256};

/// The first 64 bits of SHA-256 over parts that none can be mistaken for two, as 16 hexadecimal
/// digits.
pub fn of<T: AsRef<str>>(parts: impl IntoIterator<Item = T>) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.as_ref().len() as u64).to_be_bytes());
        digest.update(part.as_ref());
    }
    let mut first = [0; 8];
    first.copy_from_slice(&digest.finalize()[..8]);
    format!("{:016x}", u64::from_be_bytes(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_depends_on_where_parts_end() {
        assert_ne!(of(["ab", "c"]), of(["a", "bc"]));
        assert_eq!(of(["ab", "c"]).len(), 16);
    }
}
