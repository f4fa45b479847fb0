//! Limits in the notation of a manifest: a number such as `3`, or a percentage such as `25%`.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A number of members, or a percentage of a number of members, rounded up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tolerance {
    /// A number of members.
    Count(u32),
    /// A percentage of members, 0 to 100.
    Percent(u8),
}

/// A text that is neither a number nor a percentage.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a limit: write a number of members such as 3, or a percentage from \"0%\" to \"100%\"")]
pub struct ToleranceError(String);

impl Tolerance {
    /// Returns the limit as a number of members, out of `whole` members.
    pub fn of(self, whole: usize) -> usize {
        match self {
            Self::Count(count) => count as usize,
            Self::Percent(percent) => (whole * usize::from(percent)).div_ceil(100),
        }
    }
}

impl Default for Tolerance {
    fn default() -> Self {
        Self::Count(0)
    }
}

impl std::str::FromStr for Tolerance {
    type Err = ToleranceError;

    fn from_str(text: &str) -> Result<Self, ToleranceError> {
        text.strip_suffix('%')
            .and_then(|digits| digits.parse::<u8>().ok())
            .filter(|percent| *percent <= 100)
            .map(Self::Percent)
            .ok_or_else(|| ToleranceError(text.chars().take(64).collect()))
    }
}

impl Serialize for Tolerance {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Count(count) => serializer.serialize_u32(*count),
            Self::Percent(percent) => serializer.collect_str(&format_args!("{percent}%")),
        }
    }
}

impl<'de> Deserialize<'de> for Tolerance {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum IntOrString {
            Int(u32),
            String(String),
        }
        match IntOrString::deserialize(deserializer)? {
            IntOrString::Int(count) => Ok(Self::Count(count)),
            IntOrString::String(text) => text.parse().map_err(D::Error::custom),
        }
    }
}

impl JsonSchema for Tolerance {
    fn schema_name() -> Cow<'static, str> {
        "Tolerance".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "maxLength": 4,
            "x-kubernetes-validations": [{
                "rule": "type(self) == int ? int(self) >= 0 && int(self) <= 10000 : string(self).matches('^(100|[0-9]{1,2})%$')",
                "message": "write a number of members from 0 to 10000, or a percentage from \"0%\" to \"100%\"",
            }],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_round_up() {
        assert_eq!(Tolerance::Percent(25).of(10), 3);
        assert_eq!(Tolerance::Percent(0).of(10), 0);
        assert_eq!(Tolerance::Percent(1).of(1), 1);
        assert_eq!(Tolerance::Count(3).of(0), 3);
    }

    #[test]
    fn number_and_percentage_are_parsed_and_other_values_are_refused() {
        for (json, want) in [("3", Tolerance::Count(3)), ("\"25%\"", Tolerance::Percent(25))] {
            assert_eq!(serde_json::from_str::<Tolerance>(json).unwrap(), want);
            assert_eq!(serde_json::to_string(&want).unwrap(), json);
        }
        for bad in ["-1", "\"3\"", "\"101%\"", "\"%\"", "1.5", "null"] {
            assert!(serde_json::from_str::<Tolerance>(bad).is_err(), "{bad}");
        }
    }
}
