//! The module resolves scalars without quotes as kubectl and the API server do.
//!
//! These are the rules of YAML 1.1 in the version of go-yaml: `yes` is true and `012` is ten, but
//! `12:30` and dates stay text. The inference of serde-saphyr differs: it reads `yEs` as true and
//! refuses `1e400`, which stays text in go-yaml.

use serde_json::Number;

use super::node::Data;

/// Returns the value of a scalar without quotes, or the reason that JSON cannot express it.
pub(super) fn resolve_plain(text: &str) -> Result<Data, &'static str> {
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => Data::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Data::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Data::Bool(false),
        ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" | "-.inf" | "-.Inf"
        | "-.INF" => {
            return Err("is not a number that a manifest can hold: quote it");
        }
        _ if text.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first)) => {
            parse_number(text).map_or_else(|| Data::Text(text.to_owned()), Data::Number)
        }
        _ => Data::Text(text.to_owned()),
    })
}

fn parse_number(text: &str) -> Option<Number> {
    if text.starts_with('.') {
        return is_decimal(text).then(|| parse_float(text)).flatten();
    }
    let digits = text.replace('_', "");
    parse_integer(&digits).or_else(|| is_decimal(&digits).then(|| parse_float(&digits)).flatten())
}

/// Parses integers as Go writes them: `0x1f`, `0o17`, `017`, `0b11`.
fn parse_integer(text: &str) -> Option<Number> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let radixes = [("0x", 16), ("0X", 16), ("0o", 8), ("0O", 8), ("0b", 2), ("0B", 2)];
    let prefixed = radixes.iter().find_map(|(prefix, radix)| Some((digits.strip_prefix(prefix)?, *radix)));
    let octal = || digits.strip_prefix('0').filter(|rest| !rest.is_empty()).map(|rest| (rest, 8));
    let (digits, radix) = prefixed.or_else(octal).unwrap_or((digits, 10));
    if !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    let size = u64::from_str_radix(digits, radix).ok()?;
    if !negative {
        return Some(size.into());
    }
    0_i64.checked_sub_unsigned(size).map(Number::from)
}

/// Matches `^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`
fn is_decimal(text: &str) -> bool {
    let all_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).map_or((unsigned, None), |(m, e)| (m, Some(e)));
    let (whole, fraction) = mantissa.split_once('.').map_or((mantissa, None), |(w, f)| (w, Some(f)));
    let exponent_is_one = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !digits.is_empty() && all_digits(digits)
    });
    let fraction_is_one = fraction.is_none_or(|digits| all_digits(digits) && (!whole.is_empty() || !digits.is_empty()));
    exponent_is_one && fraction_is_one && all_digits(whole) && !(whole.is_empty() && fraction.is_none())
}

/// Parses a decimal. A whole decimal becomes an integer, because Go writes `1.0` as `1` in JSON.
fn parse_float(text: &str) -> Option<Number> {
    let value = text.parse::<f64>().ok().filter(|value| value.is_finite())?;
    #[expect(clippy::cast_possible_truncation, reason = "a whole value within 2^53 fits")]
    let whole = || value as i64;
    if value.fract() == 0.0 && value.abs() <= 9_007_199_254_740_992.0 {
        return Some(whole().into());
    }
    Number::from_f64(value)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn resolve(text: &str) -> Value {
        match resolve_plain(text).unwrap() {
            Data::Null => Value::Null,
            Data::Bool(truth) => Value::Bool(truth),
            Data::Number(number) => Value::Number(number),
            Data::Text(text) => Value::String(text),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn scalars_resolve_as_in_kubectl() {
        let table = [
            ("yes", json!(true)),
            ("Off", json!(false)),
            ("yEs", json!("yEs")),
            ("", json!(null)),
            ("~", json!(null)),
            ("012", json!(10)),
            ("0o12", json!(10)),
            ("089", json!(89)),
            ("0x1F", json!(31)),
            ("-0b11", json!(-3)),
            ("1_000", json!(1000)),
            ("1e3", json!(1000)),
            ("1.0", json!(1)),
            ("1.5", json!(1.5)),
            ("+7", json!(7)),
            ("-", json!("-")),
            ("+", json!("+")),
            (".", json!(".")),
            (".5", json!(0.5)),
            ("12:30", json!("12:30")),
            ("2026-12-31", json!("2026-12-31")),
            ("2026-12-31T00:00:00Z", json!("2026-12-31T00:00:00Z")),
            ("25%", json!("25%")),
            ("18446744073709551615", json!(u64::MAX)),
            ("-9223372036854775808", json!(i64::MIN)),
            ("1e400", json!("1e400")),
            ("0x", json!("0x")),
            ("1e", json!("1e")),
            ("alice", json!("alice")),
        ];
        for (text, value) in table {
            assert_eq!(resolve(text), value, "{text:?}");
        }
        assert!(resolve_plain(".inf").is_err() && resolve_plain(".nan").is_err());
    }
}
