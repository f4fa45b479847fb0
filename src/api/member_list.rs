//! A list of up to 10,000 member names in two allocations.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

use super::resource::{MAX_ARN_BYTES, MAX_MEMBERS};

/// Member names in the order of the manifest. Clones share the text.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct MemberList {
    text: Arc<str>,
    ends: Arc<[u32]>,
}

impl MemberList {
    /// Returns the number of names.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns `true` if the list has no names.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Returns the name at an index.
    pub fn get(&self, index: usize) -> Option<&str> {
        let end = *self.ends.get(index)?;
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        self.text.get(start as usize..end as usize)
    }

    /// Returns the names in the order of the manifest.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> + '_ {
        (0..self.len()).map(|index| self.get(index).unwrap_or_default())
    }
}

impl<T: AsRef<str>> FromIterator<T> for MemberList {
    /// Omits names beyond 4 GiB of text. The API server refuses objects over 1.5 MiB (etcd's limit
    /// of a request).
    fn from_iter<I: IntoIterator<Item = T>>(names: I) -> Self {
        let (mut text, mut ends) = (String::new(), Vec::new());
        for name in names {
            let Ok(end) = u32::try_from(text.len() + name.as_ref().len()) else { break };
            text.push_str(name.as_ref());
            ends.push(end);
        }
        Self { text: text.into(), ends: ends.into() }
    }
}

impl fmt::Debug for MemberList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl Serialize for MemberList {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for MemberList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = MemberList;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of member names")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut names: A) -> Result<MemberList, A::Error> {
                let mut failure = None;
                let list = std::iter::from_fn(|| match names.next_element::<Cow<'_, str>>() {
                    Ok(name) => name,
                    Err(error) => {
                        failure = Some(error);
                        None
                    }
                })
                .collect();
                failure.map_or(Ok(list), Err)
            }
        }
        deserializer.deserialize_seq(Names)
    }
}

impl JsonSchema for MemberList {
    fn schema_name() -> Cow<'static, str> {
        "MemberList".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "array",
            "maxItems": MAX_MEMBERS,
            "x-kubernetes-list-type": "atomic",
            "items": {
                "type": "string",
                "minLength": 1,
                "maxLength": MAX_ARN_BYTES,
                // A pattern is free of cost. A rule with a regular expression over 10,000 members
                // costs four times the API server's budget.
                "pattern": "^((arn:.+/)?(user|bot)/)?[A-Za-z0-9]([A-Za-z0-9:_.@-]{0,62}[A-Za-z0-9])?$",
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_text_and_order() {
        let json = r#"["bob","alice","bot/helper","\u00fc",""]"#;
        let list: MemberList = serde_json::from_str(json).unwrap();
        assert_eq!(list.iter().collect::<Vec<_>>(), ["bob", "alice", "bot/helper", "ü", ""]);
        assert_eq!(serde_json::to_string(&list).unwrap(), json.replace("\\u00fc", "ü"));
    }

    #[test]
    fn value_that_is_not_a_list_of_names_is_refused() {
        for bad in ["[1]", "[\"a\",null]", "\"a\"", "{}"] {
            assert!(serde_json::from_str::<MemberList>(bad).is_err(), "{bad}");
        }
    }
}
