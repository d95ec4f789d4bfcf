//! Reads the few fields of a JSON object that matter, and leaves everything else of it alone.
//!
//! What SDKs send is taken as kindly as can be: a key that comes twice counts as it came last, a value of an odd
//! type is the reader's to look at, and what nobody asks for is skipped without being built.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

/// A JSON string, borrowed where it has no escapes.
#[derive(Deserialize)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// Makes a struct of raw values out of some keys of an object. Anything but an object is an error.
macro_rules! fields {
    ($(#[$doc:meta])* struct $name:ident { $($field:ident: $key:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        pub(super) struct $name<'a> {
            $(pub(super) $field: Option<&'a serde_json::value::RawValue>,)*
        }

        impl<'de> serde::Deserialize<'de> for $name<'de> {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Keys;

                impl<'de> serde::de::Visitor<'de> for Keys {
                    type Value = $name<'de>;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("an object")
                    }

                    fn visit_map<A: serde::de::MapAccess<'de>>(
                        self,
                        mut map: A,
                    ) -> Result<Self::Value, A::Error> {
                        let mut fields = $name::default();
                        while let Some(key) = map.next_key::<crate::ingest::fields::Text<'de>>()? {
                            match &*key.0 {
                                $($key => fields.$field = Some(map.next_value()?),)*
                                _ => {
                                    map.next_value::<serde::de::IgnoredAny>()?;
                                }
                            }
                        }
                        Ok(fields)
                    }
                }

                deserializer.deserialize_map(Keys)
            }
        }
    };
}
pub(super) use fields;

/// The text of a JSON string; none for any other value.
pub(super) fn text(value: &RawValue) -> Option<Cow<'_, str>> {
    serde_json::from_str::<Text<'_>>(value.get())
        .ok()
        .map(|text| text.0)
}

/// How many items a JSON list has; none for any other value.
pub(super) fn list_len(value: &RawValue) -> Option<u64> {
    serde_json::from_str::<Vec<IgnoredAny>>(value.get())
        .ok()
        .map(|items| items.len() as u64)
}

/// A whole number that is not negative; none for any other value.
pub(super) fn number(value: &RawValue) -> Option<u64> {
    serde_json::from_str(value.get()).ok()
}

#[cfg(test)]
mod tests {
    fields! {
        struct Sample {
            first: "first",
        }
    }

    fn first(json: &str) -> Option<String> {
        let sample: Sample<'_> = serde_json::from_str(json).ok()?;
        sample.first.map(|raw| raw.get().to_owned())
    }

    #[test]
    fn a_key_that_comes_twice_counts_as_it_came_last() {
        let json = r#"{"first":1,"other":{"first":3},"fir\u0073t":[2]}"#;
        assert_eq!(first(json).as_deref(), Some("[2]"));
    }

    #[test]
    fn only_an_object_has_fields() {
        assert!(serde_json::from_str::<Sample<'_>>("[1]").is_err());
        assert!(serde_json::from_str::<Sample<'_>>("null").is_err());
        assert_eq!(first("{}"), None);
    }
}
