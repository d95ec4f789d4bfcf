//! What the fuzz targets try (`tests/fuzz`): each takes any bytes, and panics where a stage breaks a promise.
//!
//! An input may begin with a line `#...` that sets the target up, words with `|` between them; without one, the
//! input is what an SDK would send, so that recorded payloads are seeds as they are.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::FileExt;
use std::rc::Rc;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::IgnoredAny;

use super::endpoints::{cron, heroku, nel, otlp, security, unreal, vercel};
use super::envelope::EnvelopeHeader;
use super::fields;
use super::items::{self, Kind, Quantities};
use super::json::{Map, Node};
use super::meta::Meta;
use super::normalise::{self, Surroundings};
use super::parcel::{Item, ItemHeader, Parcel};
use super::rules::Rules;
use super::sort::Sorted;
use super::source::{MEMORY_BYTES_MAX, Payload, SpoolDir, Spooled};
use super::uploads::{self, Limits};
use super::{Refusal, auth, container, decode, envelope as envelopes, payload};
use crate::domain::event_id::EventId;
use crate::domain::option::{IngestSettings, LEGACY_BROWSERS};
use crate::domain::time::Timestamp;
use crate::http::{Body, Headers, Method, Request};

/// A name, and what is done with an input.
pub type Target = (&'static str, fn(&[u8]));

pub const TARGETS: &[Target] = &[
    ("envelope", envelope),
    ("store", store),
    ("auth", auth_sources),
    ("scrub", scrub),
    ("filters", filters),
    ("normalise", normalise),
    ("item", item),
    ("encoding", encoding),
    ("upload", upload),
    ("unreal", |data| converted(data, unreal_parcels)),
    ("otlp", |data| converted(data, otlp_parcels)),
    ("report", |data| converted(data, report_parcels)),
    ("drain", |data| converted(data, drain_parcels)),
    ("cron", |data| converted(data, cron_parcels)),
];

const RECEIVED: Timestamp = Timestamp::from_secs(1_772_357_400);
const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7));
const ID: EventId = EventId([0xab; 16]);
/// What must not be left of an event in which it is a password.
const SECRET: &str = "hunter2hunter2";

/// An envelope gives the same items from memory and from a file, and what they count as.
fn envelope(data: &[u8]) {
    compare_envelopes(data);
    // White space before the header moves what follows over the edge of the window on a file.
    if data.len() % 8 == 1 {
        let shift = usize::from(data[0]) % data.len();
        let mut shifted = vec![b'\n'; envelopes::WINDOW_BYTES - shift];
        shifted.extend_from_slice(data);
        compare_envelopes(&shifted);
    }
}

fn compare_envelopes(data: &[u8]) {
    let in_memory = read_envelope(&Payload::borrowed(data));
    assert_eq!(in_memory, read_envelope(&in_file(data)));
    if let Ok((header, items)) = in_memory {
        assert_eq!(envelopes::parse_header(data).as_ref(), Ok(&header));
        let bytes: usize = items.iter().map(|item| item.payload.len()).sum();
        assert!(bytes <= data.len());
    }
}

#[derive(Debug, PartialEq)]
struct ReadItem {
    kind: Kind,
    header: ItemHeader<'static>,
    payload: Vec<u8>,
    counts: Quantities,
}

fn read_envelope(body: &Payload<'_>) -> Result<(EnvelopeHeader, Vec<ReadItem>), Refusal> {
    let mut items = Vec::new();
    let mut sorted = Sorted::default();
    let header = envelopes::parse(body, &mut |item| {
        items.push(read_item(&item));
        sorted.add(item);
    })?;
    sorted.finish();
    Ok((header, items))
}

fn read_item(item: &Item<'_>) -> ReadItem {
    let payload = item.payload.bytes().expect("it was written").into_owned();
    let owned = |text: &Option<std::borrow::Cow<'_, str>>| {
        text.as_deref().map(|text| text.to_owned().into())
    };
    ReadItem {
        kind: item.kind,
        header: ItemHeader {
            item_count: item.header.item_count,
            platform: owned(&item.header.platform),
            content_type: owned(&item.header.content_type),
            filename: owned(&item.header.filename),
            attachment_type: owned(&item.header.attachment_type),
            meta_length: item.header.meta_length,
        },
        payload,
        counts: items::count(item),
    }
}

/// What the store endpoint takes can be read on, and comes out the same in base64.
fn store(data: &[u8]) {
    let Ok(json) = payload::of_store_body(data) else {
        return;
    };
    let in_base64 = STANDARD.encode(&json);
    if json.first() == Some(&b'{') {
        assert_eq!(
            payload::of_store_body(in_base64.as_bytes()).as_ref(),
            Ok(&json)
        );
    }
    if let Ok((kind, id)) = payload::of_store_event(&json) {
        let mut spare = None;
        let event = payload::object(&json, &mut spare).expect("it was read");
        assert_eq!(event.str("event_id").and_then(EventId::parse), id);
        let mut meta = Meta::default();
        let _ = normalise::event(&mut event.to_owned(), &around(kind), &mut meta);
    }
}

/// The lines are `X-Sentry-Auth`, `Authorization`, the query, and the path's key; empty ones are left out. A key
/// from one of them is the same from all of them.
fn auth_sources(data: &[u8]) {
    let _ = auth::Credentials::of_envelope_header(data);
    let text = String::from_utf8_lossy(data);
    if let Some(dsn) = auth::Dsn::parse(&text) {
        assert!(text.contains(dsn.public));
    }
    let mut lines = text.split('\n');
    let mut line = || lines.next().filter(|line| !line.is_empty());
    let (own, authorization) = (line(), line());
    let query = line().unwrap_or_default();
    let path = line();
    let mut request = request("");
    for (name, value) in [("X-Sentry-Auth", own), ("Authorization", authorization)] {
        if let Some(value) = value {
            request.headers.push(name, value);
        }
    }
    query.clone_into(&mut request.query);
    let Ok(Some(found)) = auth::credentials(&request, path) else {
        return;
    };
    assert!(!found.public.is_empty() && !found.public.contains('.'));
    assert_eq!(
        auth::credentials(&request, Some(&found.public)).as_ref(),
        Ok(&Some(found))
    );
}

/// Set up by: kind of item, switches (`a`: addresses too, `d`: without the default rules), sensitive words, safe
/// fields; lists have commas.
///
/// What comes out is JSON that reads as it was, a second pass finds nothing, nothing grows without bound, and by
/// the default rules no password is left.
fn scrub(data: &[u8]) {
    let (setup, json) = split_setup(data);
    let rules = rules_for("scrub", setup, |setup| {
        let mut settings = IngestSettings::of(&HashMap::new(), &HashMap::new());
        settings.scrubbing.addresses = setup.part(1).contains('a');
        settings.scrubbing.defaults = !setup.part(1).contains('d');
        settings.scrubbing.sensitive_fields = setup.list(2);
        settings.scrubbing.safe_fields = setup.list(3);
        settings
    });
    let kind = setup.kind();
    let Some(mut sent) = Map::parse(json) else {
        return;
    };
    let gone = !setup.part(1).contains('d') && setup.list(3).is_empty();
    if gone {
        plant(&mut sent, kind);
    }
    let planted_len = sent.to_vec().len();
    let Some(once) = scrubbed(&rules, kind, sent) else {
        return;
    };
    let written = once.to_vec();
    assert_bounded(planted_len, written.len());
    let read = Map::parse(&written).expect("it is an object");
    assert_same(&read, &once, "it reads as something else");
    if gone {
        assert!(
            memchr::memmem::find(&written, SECRET.as_bytes()).is_none(),
            "the secret is left: {}",
            String::from_utf8_lossy(&written)
        );
    }
    if setup.list(2).iter().any(|word| is_in_a_replacement(word)) {
        return;
    }
    let mut before = read;
    before.remove("_meta");
    let mut again = before.to_owned();
    apply(&rules, kind, &mut again, &mut Meta::default());
    assert_same(&again, &before, "a second pass finds more");
}

/// Whether a sensitive word finds what scrubbing itself wrote: then a second pass rightly finds more.
fn is_in_a_replacement(word: &str) -> bool {
    "[filtered][ip][email][creditcard][iban][us-ssn]".contains(&word.trim().to_lowercase())
}

/// Scrubs as the intake does; none for an event that is refused.
fn scrubbed<'a>(rules: &Rules, kind: Kind, mut item: Map<'a>) -> Option<Map<'a>> {
    let mut meta = Meta::default();
    if is_event(kind) {
        normalise::event(&mut item, &around(kind), &mut meta).ok()?;
    }
    apply(rules, kind, &mut item, &mut meta);
    meta.write_to(&mut item);
    Some(item)
}

fn apply(rules: &Rules, kind: Kind, item: &mut Map<'_>, meta: &mut Meta) {
    if is_event(kind) {
        rules.scrub_event(item, meta);
    } else {
        rules.scrub_entry(kind, item, meta);
    }
}

/// Puts the secret where an SDK's user would: as a password among an event's data, in every object of it.
fn plant(item: &mut Map<'_>, kind: Kind) {
    if !is_event(kind) {
        let value = Node::Map(map_of("value", Node::text(SECRET)));
        let attributes = item.entry("attributes");
        match attributes {
            Node::Map(attributes) => attributes.insert("password", value),
            _ => *attributes = map_of("password", value).into(),
        }
        return;
    }
    let extra = item.entry("extra");
    if extra.as_map().is_none() {
        *extra = Map::new().into();
    }
    plant_below(extra);
    for name in ["user", "request", "contexts", "breadcrumbs"] {
        if let Some(Node::Map(below)) = item.get_mut(name) {
            below.insert("data", map_of("password", Node::text(SECRET)).into());
        }
    }
}

fn map_of(key: &'static str, value: Node<'static>) -> Map<'static> {
    let mut map = Map::new();
    map.insert(key, value);
    map
}

fn plant_below(node: &mut Node<'_>) {
    match node {
        Node::List(list) => list.iter_mut().for_each(plant_below),
        Node::Map(map) => {
            map.iter_mut().for_each(|(_, value)| plant_below(value));
            map.insert("password", Node::text(SECRET));
        }
        _ => {}
    }
}

/// Set up by: kind of item, patterns, addresses, allowed domains, the page's origin, and `all` for patterns in all
/// lists and not only that of logs; lists have commas.
///
/// Filters find the same twice; a pattern without signs fits itself, and others fit what a plain matcher says.
fn filters(data: &[u8]) {
    let (setup, json) = split_setup(data);
    let rules = rules_for("filters", setup, |setup| {
        let mut settings = IngestSettings::of(&HashMap::new(), &HashMap::new());
        let patterns = setup.list(1);
        let filters = &mut settings.filters;
        filters.localhost = true;
        filters.browser_extensions = true;
        filters.legacy_browsers = LEGACY_BROWSERS.map(str::to_owned).into();
        filters.web_crawlers = true;
        // One list to compile is enough for most inputs.
        filters.log_messages.clone_from(&patterns);
        if setup.part(5) == "all" {
            filters.custom_errors.clone_from(&patterns);
            filters.csp_sources.clone_from(&patterns);
            filters.error_messages.clone_from(&patterns);
            filters.metric_names.clone_from(&patterns);
            filters.releases = patterns;
        }
        filters.addresses = setup.list(2);
        settings
    });
    let domains = setup.list(3).join("\n");
    let domains = crate::domain::origin::AllowedDomains::parse(&domains);
    let _ = domains.allow(Some(setup.part(4)));
    let kind = setup.kind();
    if let Some(mut event) = Map::parse(json) {
        let mut meta = Meta::default();
        if normalise::event(&mut event, &around(kind), &mut meta).is_ok() {
            let found = rules.filter_event(&event, kind, PEER);
            assert_eq!(found, rules.filter_event(&event, kind, PEER));
        }
        let _ = rules.filter_entry(kind, &event);
        return;
    }
    let Ok(text) = std::str::from_utf8(json) else {
        return;
    };
    let entry = map_of("body", Node::text(text.to_owned()));
    let found = rules.filter_entry(Kind::Log, &entry).is_some();
    let patterns = setup.list(1);
    let all: String = patterns.concat();
    if text.is_ascii() && all.is_ascii() && all.len() < 1000 && !all.contains(['{', '}']) {
        let text = text.to_ascii_lowercase();
        let fits = patterns
            .iter()
            .any(|pattern| fits(pattern.to_ascii_lowercase().as_bytes(), text.as_bytes()));
        assert_eq!(found, fits, "{patterns:?} {text:?}");
    }
}

/// Whether a pattern of `*`, `?` and plain bytes fits a whole text.
fn fits(pattern: &[u8], text: &[u8]) -> bool {
    let mut reached = vec![false; text.len() + 1];
    reached[0] = true;
    for sign in pattern {
        if *sign == b'*' {
            let first = reached.iter().position(|reached| *reached);
            let first = first.unwrap_or(reached.len());
            reached[first..].fill(true);
        } else {
            for at in (0..text.len()).rev() {
                reached[at + 1] = reached[at] && (*sign == b'?' || *sign == text[at]);
            }
            reached[0] = false;
        }
    }
    reached[text.len()]
}

/// Set up by the kind of event. What is normalised reads as it was, stays as it is, and has a bounded size.
fn normalise(data: &[u8]) {
    let (setup, json) = split_setup(data);
    let kind = setup.kind();
    let mut spare = None;
    let Some(mut event) = payload::object(json, &mut spare) else {
        return;
    };
    let sent_len = event.to_vec().len();
    let mut meta = Meta::default();
    if !is_event(kind) || normalise::event(&mut event, &around(kind), &mut meta).is_err() {
        return;
    }
    let once = event.to_vec();
    let mut again = Map::parse(&once).expect("it is an object");
    assert_same(&again, &event, "it reads as something else");
    normalise::event(&mut again, &around(kind), &mut Meta::default()).expect("it is good");
    assert_same(&again, &event, "a second pass changes more");
    meta.write_to(&mut event);
    assert_bounded(sent_len, event.to_vec().len());
}

/// Set up by: kind of item, content type. A payload is counted the same in memory and in a file, and what of a
/// container is kept is a container.
fn item(data: &[u8]) {
    let (setup, json) = split_setup(data);
    let mut item = Item::new(setup.kind(), Payload::borrowed(json));
    item.header.content_type = Some(setup.part(1).to_owned().into());
    let counts = items::count(&item);
    assert_eq!(
        counts,
        items::count(&Item {
            payload: in_file(json),
            ..item.clone()
        })
    );
    let rules = rules_for("item", Setup(""), |_| {
        let mut settings = IngestSettings::of(&HashMap::new(), &HashMap::new());
        settings.filters.log_messages = vec!["*noise*".to_owned()];
        settings
    });
    if let Some(kept) = container::read(json, item.kind, &rules) {
        assert_bounded(json.len(), kept.payload.len());
        assert!(kept.filtered_bytes <= json.len() as u64);
        let all = fields::list_len_in(&item.payload, "items");
        assert_eq!(all, Some(kept.kept + kept.filtered));
        let left = fields::list_len_in(&Payload::owned(kept.payload), "items");
        assert_eq!(left, Some(kept.kept));
    }
    if let Ok(check_in) = cron::check(json) {
        assert!(Map::parse(&check_in).is_some());
        assert_eq!(cron::check(&check_in).as_ref(), Ok(&check_in));
    }
}

fn assert_same(one: &Map<'_>, other: &Map<'_>, fault: &str) {
    let [one, other] =
        [one, other].map(|map| String::from_utf8(map.to_vec()).expect("JSON is text"));
    assert_eq!(one, other, "{fault}");
}

/// Annotations are longer than the values that they speak of.
fn assert_bounded(before: usize, after: usize) {
    assert!(after <= 64 * before + 4096, "{before} bytes became {after}");
}

/// Set up by the encoding. A body decodes the same in memory and through a file, within its bound.
fn encoding(data: &[u8]) {
    const BYTES_MAX: u64 = 2 << 20;
    let (setup, body) = split_setup(data);
    let mut request = request("");
    request.headers.push("Content-Encoding", setup.part(0));
    let through_file =
        decode::spooled(&request, Payload::owned(body.to_vec()), BYTES_MAX, &spool());
    if let Ok(decoded) = &through_file {
        assert!(decoded.len() <= BYTES_MAX);
    }
    match decode::in_memory(&request, body, BYTES_MAX) {
        Ok(Some(decoded)) => {
            assert!(decoded.len() <= MEMORY_BYTES_MAX);
            let through_file = through_file.expect("it can be decoded");
            assert_eq!(decoded, through_file.bytes().expect("it was written"));
        }
        Ok(None) => {}
        Err(_) => assert!(through_file.is_err()),
    }
    request.body = Body::Memory(body.to_vec());
    let _ = decode::beginning(&request);
}

/// Set up by the content type. A form or a dump gives the same items from memory and from a file.
fn upload(data: &[u8]) {
    const LIMITS: Limits = Limits {
        attachment_bytes_max: 2 << 20,
    };
    let (setup, body) = split_setup(data);
    let request = request(setup.part(0));
    let both = [Payload::borrowed(body), in_file(body)];
    let [first, second] = both.map(|body| {
        let parcels = [
            uploads::minidump::parcel(&body, &request, &spool(), LIMITS),
            uploads::attachments::parcel(&ID.to_string(), &body, &request, &spool()),
            uploads::playstation::parcel(&body, &request, &spool()),
        ];
        parcels
            .map(|parcel| Ok::<_, Refusal>(parcel?.items.iter().map(of_any_id).collect::<Vec<_>>()))
    });
    assert_eq!(first, second);
}

/// An item, without the id that its event got.
fn of_any_id(item: &Item<'_>) -> ReadItem {
    let mut read = read_item(item);
    if item.kind == Kind::Event {
        let mut event = Map::parse(&read.payload)
            .expect("it is an object")
            .to_owned();
        event.remove("event_id");
        read.payload = event.to_vec();
    }
    read
}

type Parcels = Result<Vec<Parcel<'static>>, Refusal>;

/// What endpoints make of a body is what its item says it is, of a bounded size.
fn converted(data: &[u8], convert: fn(Setup<'_>, &[u8]) -> Parcels) {
    let (setup, body) = split_setup(data);
    let Ok(parcels) = convert(setup, body) else {
        return;
    };
    for item in parcels.iter().flat_map(|parcel| &parcel.items) {
        let bytes = item.payload.bytes().expect("it is in memory");
        items::count(item);
        if item.kind == Kind::Attachment {
            continue;
        }
        assert!(serde_json::from_slice::<IgnoredAny>(&bytes).is_ok());
        if let Some(count) = item.header.item_count {
            assert_eq!(fields::list_len_in(&item.payload, "items"), Some(count));
        }
        if item.invalid.is_none() && is_event(item.kind) {
            let mut event = Map::parse(&bytes).expect("it is an object");
            let _ = normalise::event(&mut event, &around(item.kind), &mut Meta::default());
        }
    }
}

fn unreal_parcels(setup: Setup<'_>, body: &[u8]) -> Parcels {
    // Most changes to a compressed body break it.
    let compressed;
    let body = if setup.part(0) == "plain" {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::none());
        std::io::Write::write_all(&mut encoder, body).expect("memory takes it");
        compressed = encoder.finish().expect("memory takes it");
        &compressed
    } else {
        body
    };
    let body = Payload::borrowed(body);
    unreal::parcel(&body, &request(""), &spool(), 2 << 20).map(|parcel| vec![parcel])
}

fn otlp_parcels(setup: Setup<'_>, body: &[u8]) -> Parcels {
    let request = request(match setup.part(1) {
        "json" => "application/json",
        _ => "application/x-protobuf",
    });
    match setup.part(0) {
        "logs" => otlp::logs(body, &request),
        _ => otlp::traces(body, &request),
    }
}

fn report_parcels(setup: Setup<'_>, body: &[u8]) -> Parcels {
    let request = request("application/reports+json");
    match setup.part(0) {
        "nel" => nel::parcels(body, &request),
        _ => security::parcels(body, &request),
    }
}

fn drain_parcels(setup: Setup<'_>, body: &[u8]) -> Parcels {
    match setup.part(0) {
        "lines" => vercel::parcels(body, &request("application/x-ndjson")),
        "json" => vercel::parcels(body, &request("application/json")),
        _ => heroku::parcels(body, &request("application/logplex-1")),
    }
}

fn cron_parcels(setup: Setup<'_>, body: &[u8]) -> Parcels {
    let mut request = request("application/json");
    if !setup.part(1).is_empty() {
        request = self::request("");
        setup.part(1).clone_into(&mut request.query);
    }
    cron::parcels(body, setup.part(0), &request)
}

/// The line that sets a target up, without its `#`; empty if there is none.
#[derive(Clone, Copy)]
struct Setup<'a>(&'a str);

impl Setup<'_> {
    fn part(&self, index: usize) -> &str {
        self.0.split('|').nth(index).unwrap_or_default()
    }

    fn list(&self, index: usize) -> Vec<String> {
        let entries = self
            .part(index)
            .split(',')
            .filter(|entry| !entry.is_empty());
        entries.map(str::to_owned).collect()
    }

    fn kind(&self) -> Kind {
        Kind::parse(self.part(0)).unwrap_or(Kind::Event)
    }
}

fn split_setup(data: &[u8]) -> (Setup<'_>, &[u8]) {
    let Some((b'#', rest)) = data.split_first() else {
        return (Setup(""), data);
    };
    let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
    let line = std::str::from_utf8(&rest[..end]).unwrap_or_default();
    (Setup(line), rest.get(end + 1..).unwrap_or_default())
}

/// Rules for a setup. To compile them takes longer than all else, so those that were used last are kept.
fn rules_for(
    target: &'static str,
    setup: Setup<'_>,
    settings: impl FnOnce(Setup<'_>) -> IngestSettings,
) -> Rc<Rules> {
    const KEPT_MAX: usize = 64;
    thread_local! {
        static KEPT: RefCell<HashMap<(&'static str, String), Rc<Rules>>> = RefCell::default();
    }
    KEPT.with_borrow_mut(|kept| {
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        let compile = || Rc::new(Rules::compile(&settings(setup)));
        let rules = kept
            .entry((target, setup.0.to_owned()))
            .or_insert_with(compile);
        Rc::clone(rules)
    })
}

fn is_event(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Event | Kind::Transaction | Kind::Security | Kind::Feedback | Kind::ReplayEvent
    )
}

fn around(kind: Kind) -> Surroundings {
    Surroundings {
        kind,
        id: ID,
        received: RECEIVED,
        sent_us: None,
        peer: PEER,
    }
}

fn request(content_type: &str) -> Request {
    let mut headers = Headers::default();
    if !content_type.is_empty() {
        headers.push("Content-Type", content_type);
    }
    Request {
        method: Method::Post,
        path: String::new(),
        query: String::new(),
        headers,
        body: Body::empty(),
        peer: PEER,
        received: RECEIVED,
        id: String::new(),
    }
}

fn spool() -> SpoolDir {
    SpoolDir::new(&std::env::temp_dir())
}

/// The bytes in a file, not at its beginning. The file is the same for all, so only one payload may be in use.
fn in_file(bytes: &[u8]) -> Payload<'static> {
    const OFFSET: u64 = 7;
    thread_local! {
        static FILE: Arc<File> = {
            let file = crate::http::nameless_file(&std::env::temp_dir());
            Arc::new(file.expect("the directory for temporary files can be written to"))
        };
    }
    let file = FILE.with(Arc::clone);
    file.write_all_at(bytes, OFFSET).expect("there is room");
    Payload::Spooled(Spooled {
        file,
        offset: OFFSET,
        len: bytes.len() as u64,
    })
}
