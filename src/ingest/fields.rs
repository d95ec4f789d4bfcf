//! Reads the few fields of a JSON object that matter, and leaves everything else of it alone.
//!
//! What SDKs send is taken as kindly as can be: a key that comes twice counts as it came last, a value of an odd
//! type is the reader's to look at, and what nobody asks for is skipped without being built.

use std::borrow::Cow;
use std::fmt;
use std::io;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::value::RawValue;

use super::source::Payload;

/// A JSON string, borrowed where it has no escapes.
#[derive(serde::Deserialize)]
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

/// How many items the list under a key of a JSON object has; none if there is no such list. The payload is read
/// from front to back and costs no memory.
pub(super) fn list_len_in(payload: &Payload<'_>, key: &str) -> Option<u64> {
    fn read<'de>(json: impl serde_json::de::Read<'de>, key: &str) -> Option<u64> {
        let mut json = serde_json::Deserializer::new(json);
        let len = CountUnder(key).deserialize(&mut json).ok()?;
        json.end().ok()?;
        len
    }
    match payload {
        Payload::Memory(bytes) => read(serde_json::de::SliceRead::new(bytes), key),
        Payload::Spooled(_) => {
            let reader = io::BufReader::with_capacity(64 << 10, payload.reader());
            read(serde_json::de::IoRead::new(reader), key)
        }
    }
}

/// Counts the list under this key of an object.
struct CountUnder<'k>(&'k str);

impl<'de> DeserializeSeed<'de> for CountUnder<'_> {
    type Value = Option<u64>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for CountUnder<'_> {
    type Value = Option<u64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key::<Text<'de>>()? {
            if key.0 == self.0 {
                found = map.next_value::<Length>()?.0;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// The length of a list; none for any other value.
struct Length(Option<u64>);

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Counting;

        impl<'de> Visitor<'de> for Counting {
            type Value = Length;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON value")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Length, A::Error> {
                let mut len = 0;
                while list.next_element::<IgnoredAny>()?.is_some() {
                    len += 1;
                }
                Ok(Length(Some(len)))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Length, A::Error> {
                IgnoredAny.visit_map(map).map(|_| Length(None))
            }

            fn visit_str<E>(self, _: &str) -> Result<Length, E> {
                Ok(Length(None))
            }

            fn visit_bool<E>(self, _: bool) -> Result<Length, E> {
                Ok(Length(None))
            }

            fn visit_i64<E>(self, _: i64) -> Result<Length, E> {
                Ok(Length(None))
            }

            fn visit_u64<E>(self, _: u64) -> Result<Length, E> {
                Ok(Length(None))
            }

            fn visit_f64<E>(self, _: f64) -> Result<Length, E> {
                Ok(Length(None))
            }

            fn visit_unit<E>(self) -> Result<Length, E> {
                Ok(Length(None))
            }
        }

        deserializer.deserialize_any(Counting)
    }
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
