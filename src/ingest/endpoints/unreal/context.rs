//! `CrashContext.runtime-xml`: what the engine knew when it crashed. Three sections of properties; whatever is
//! nested deeper, such as the threads, is left to those who open the attachment.

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::Event;

use crate::ingest::endpoints::{map, snake_case};
use crate::ingest::json::{Map, Node};

/// A longer value (a call stack, a list of modules) is not copied into the event.
const VALUE_BYTES_MAX: usize = 8 << 10;

/// Where the game puts an event's fields, as JSON (docs.sentry.io, Unreal Engine, crash reporter).
const SENTRY: &str = "__sentry";

/// The properties in the order of the file, none of them empty.
#[derive(Debug, Default)]
pub(super) struct Context {
    runtime: Vec<(String, String)>,
    engine: Vec<(String, String)>,
    game: Vec<(String, String)>,
}

impl Context {
    /// What can be read up to the first fault.
    pub(super) fn read(xml: &str) -> Context {
        let mut context = Context::default();
        let mut reader = Reader::from_str(xml);
        // The root, a section, and a property are one, two, and three deep.
        let mut depth = 0usize;
        let mut section = String::new();
        let mut property = String::new();
        let mut value = String::new();
        loop {
            match reader.read_event() {
                Ok(Event::Start(tag)) => {
                    depth += 1;
                    let name = tag.name();
                    match depth {
                        2 => name.as_ref().clone_into(&mut section),
                        3 => {
                            name.as_ref().clone_into(&mut property);
                            value.clear();
                        }
                        _ => {}
                    }
                }
                Ok(Event::End(_)) => {
                    if depth == 3 {
                        context.add(&section, &property, value.trim());
                    }
                    depth = depth.saturating_sub(1);
                }
                Ok(Event::Text(text)) if depth == 3 => value.push_str(&text),
                Ok(Event::CData(text)) if depth == 3 => value.push_str(&text),
                Ok(Event::GeneralRef(reference)) if depth == 3 => {
                    match (
                        reference.resolve_char_ref(),
                        resolve_predefined_entity(&reference),
                    ) {
                        (Ok(Some(c)), _) => value.push(c),
                        (_, Some(text)) => value.push_str(text),
                        _ => {}
                    }
                }
                Ok(Event::Eof) | Err(_) => return context,
                Ok(_) => {}
            }
        }
    }

    fn add(&mut self, section: &str, property: &str, value: &str) {
        let section = match section {
            "RuntimeProperties" => &mut self.runtime,
            "EngineData" => &mut self.engine,
            "GameData" => &mut self.game,
            _ => return,
        };
        if !value.is_empty() {
            section.push((property.to_owned(), value.to_owned()));
        }
    }

    /// A property of the run.
    pub(super) fn property(&self, name: &str) -> Option<&str> {
        find(&self.runtime, name)
    }

    /// The event's fields that the game set; empty if it set none, or no JSON object.
    pub(super) fn sentry(&self) -> Map<'static> {
        find(&self.game, SENTRY)
            .and_then(|json| Some(Map::parse(json.as_bytes())?.to_owned()))
            .unwrap_or_default()
    }

    /// The event's context of the type `unreal`; empty if nothing is known.
    pub(super) fn as_event_context(&self) -> Map<'static> {
        let runtime = short(&self.runtime).map(|(name, value)| {
            let name = snake_case(name).replace('.', "_");
            (name.into(), Node::text(value.to_owned()))
        });
        let section = |properties| {
            let section: Map<'static> = short(properties)
                .filter(|(name, _)| *name != SENTRY)
                .map(|(name, value)| (name.to_owned().into(), Node::text(value.to_owned())))
                .collect();
            if section.is_empty() {
                Node::Null
            } else {
                section.into()
            }
        };
        let mut context: Map<'static> = runtime.collect();
        let mut sections = map([
            ("engine_data", section(&self.engine)),
            ("game_data", section(&self.game)),
        ]);
        for (key, value) in sections.take_entries() {
            context.insert(key, value);
        }
        if !context.is_empty() {
            context.insert("type", Node::text("unreal"));
        }
        context
    }
}

fn find<'p>(properties: &'p [(String, String)], name: &str) -> Option<&'p str> {
    let (_, value) = properties.iter().find(|(key, _)| key == name)?;
    Some(value)
}

fn short(properties: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> {
    properties
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .filter(|(_, value)| value.len() <= VALUE_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deep_nesting_costs_nothing() {
        let xml = "<a>".repeat(300_000);
        assert!(Context::read(&xml).as_event_context().is_empty());
        let closed = xml + &"</a>".repeat(300_000);
        assert!(Context::read(&closed).as_event_context().is_empty());
    }

    #[test]
    fn what_stands_before_a_fault_is_kept() {
        let xml = "<x><RuntimeProperties><CrashType>Crash</CrashType><IsEnsure>true</Is";
        let context = Context::read(xml);
        assert_eq!(context.property("CrashType"), Some("Crash"));
        assert_eq!(context.property("IsEnsure"), None);
    }

    #[test]
    fn long_values_stay_in_the_attachment() {
        let stack = "x".repeat(VALUE_BYTES_MAX + 1);
        let xml = format!(
            "<x><RuntimeProperties><CallStack>{stack}</CallStack><GameName><![CDATA[<g>]]></GameName></RuntimeProperties></x>"
        );
        let context = Context::read(&xml).as_event_context();
        assert_eq!(context.to_vec(), br#"{"game_name":"<g>","type":"unreal"}"#);
    }

    #[test]
    fn only_an_object_is_taken_for_an_events_fields() {
        for json in ["[1]", "{", "text"] {
            let xml = format!("<x><GameData><__sentry>{json}</__sentry></GameData></x>");
            assert!(Context::read(&xml).sentry().is_empty(), "{json}");
        }
    }
}
