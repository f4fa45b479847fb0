//! How are up to 10,000 written names held without 10,000 allocations?

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

use super::resource::{MAX_ARN_BYTES, MAX_MEMBERS};

/// Member names in the order written, in one block of text, which copies share.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct MemberList {
    text: Arc<str>,
    ends: Arc<[u32]>,
}

impl MemberList {
    /// How many names there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no name.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The name at a place of the list.
    pub fn get(&self, index: usize) -> Option<&str> {
        let end = *self.ends.get(index)?;
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        self.text.get(start as usize..end as usize)
    }

    /// The names in the order written.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> + '_ {
        (0..self.len()).map(|index| self.get(index).unwrap_or_default())
    }
}

impl<T: AsRef<str>> FromIterator<T> for MemberList {
    /// Names beyond 4 GiB of text are left out; the API server stops at 1.5 MiB (etcd's request limit).
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
                // A pattern and no rule: over 10,000 members a rule with a regular expression costs four times the budget.
                "pattern": "^((arn:.+/)?(user|bot)/)?[A-Za-z0-9]([A-Za-z0-9:_.@-]{0,62}[A-Za-z0-9])?$",
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_as_written_and_in_order() {
        let json = r#"["bob","alice","bot/helper","\u00fc",""]"#;
        let list: MemberList = serde_json::from_str(json).unwrap();
        assert_eq!(list.iter().collect::<Vec<_>>(), ["bob", "alice", "bot/helper", "ü", ""]);
        assert_eq!(serde_json::to_string(&list).unwrap(), json.replace("\\u00fc", "ü"));
    }

    #[test]
    fn what_is_no_list_of_names_is_refused() {
        for bad in ["[1]", "[\"a\",null]", "\"a\"", "{}"] {
            assert!(serde_json::from_str::<MemberList>(bad).is_err(), "{bad}");
        }
    }
}
