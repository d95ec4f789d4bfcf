//! The way through an item: one pass, in which every value meets the rules of its zone (`zones`).

use super::super::json::{Map, Node};
use super::super::meta::{Meta, Remark};
use super::Scrubber;
use super::addresses;
use super::cookies;
use super::patterns::{self, FILTERED, Role, Rule, filter};
use super::place::Place;
use super::selectors::Type;
use super::words::{self, DEFAULTS, KeyRule, Signs};
use super::zones::{self, Fields, Form, Zone};

static PASSWORD: Rule = filter("@password:filter");
static TOKEN: Rule = filter("@token:filter");
static SESSION_COOKIE: Rule = filter("@cookie:filter");
/// The protocol's name for the words of the settings.
static SENSITIVE: Rule = filter("strip-fields");
const REMOVED: &str = "@anything:remove";

pub(super) struct Walk<'s, 'm> {
    rules: &'s Scrubber,
    meta: &'m mut Meta,
    /// How many values were changed so far.
    changes: usize,
}

impl<'s, 'm> Walk<'s, 'm> {
    pub(super) fn new(rules: &'s Scrubber, meta: &'m mut Meta) -> Walk<'s, 'm> {
        Walk {
            rules,
            meta,
            changes: 0,
        }
    }

    /// An object of the protocol. Its shape stays: where a word of the settings names a part of it, the values in
    /// that part are filtered, one by one.
    pub(super) fn fields(&mut self, map: &mut Map<'_>, fields: &Fields, place: &Place<'_>) {
        for (key, node) in map.iter_mut() {
            let zone = fields.zone(key);
            let place = place.key(key);
            match (zone, node) {
                (Zone::Kept, _) => {}
                (Zone::Fields(fields), Node::Map(map)) if self.is_sensitive(key) => {
                    self.empty(map, fields, &place);
                }
                (Zone::Fields(_) | Zone::Each(_) | Zone::Attributes | Zone::Annotations, node) => {
                    self.value(node, zone, &place);
                }
                (Zone::Pairs(Form::Tags), node) => self.value(node, zone, &place),
                (_, node) => self.entry(key, node, zone, &place),
            }
        }
    }

    /// Filters every value of an object of the protocol, except those that are never touched.
    fn empty(&mut self, map: &mut Map<'_>, fields: &Fields, place: &Place<'_>) {
        for (key, node) in map.iter_mut() {
            let place = place.key(key);
            match (fields.zone(key), node) {
                (Zone::Kept | Zone::Message | Zone::Each(_), _) => {}
                (Zone::Fields(fields), Node::Map(map)) => self.empty(map, fields, &place),
                (_, node) if has_content(node) => self.filter(node, &SENSITIVE, &place),
                _ => {}
            }
        }
    }

    /// A value with a name.
    fn entry(&mut self, key: &str, node: &mut Node<'_>, zone: Zone, place: &Place<'_>) {
        if !has_content(node) {
            if let Zone::Address = zone {
                self.value(node, zone, place);
            }
            return;
        }
        match self.rule_for_key(key, zone) {
            Some(rule) => self.filter(node, rule, place),
            None => self.value(node, zone, place),
        }
    }

    fn rule_for_key(&self, key: &str, zone: Zone) -> Option<&'static Rule> {
        let (settings, defaults) = match zone {
            Zone::Data | Zone::Pairs(_) => (true, self.rules.defaults),
            Zone::Named | Zone::Url => (true, false),
            // Without the rule for addresses, it is data of which no default rule would take anything.
            Zone::Address => (!self.rules.addresses, false),
            _ => (false, false),
        };
        if settings && self.is_sensitive(key) {
            return Some(&SENSITIVE);
        }
        let found = defaults.then(|| DEFAULTS.key(key)).flatten()?;
        Some(match found {
            KeyRule::Password => &PASSWORD,
            KeyRule::Token => &TOKEN,
        })
    }

    /// A value whose name says nothing.
    fn value(&mut self, node: &mut Node<'_>, zone: Zone, place: &Place<'_>) {
        match (zone, node) {
            (Zone::Kept, _) | (_, Node::Null) => {}
            (Zone::Address, node) => self.address(node, place),
            (Zone::Identity, node) => {
                if node.as_str().is_some_and(addresses::is_address) {
                    self.address(node, place);
                }
            }
            (Zone::Annotations, Node::Map(map)) => self.originals(map, "", place),
            (Zone::Fields(fields), Node::Map(map)) => self.fields(map, fields, place),
            (Zone::Each(each), Node::Map(map)) if map.list("values").is_some() => {
                self.wrapped(map, *each, place);
            }
            (Zone::Each(each), node @ Node::Map(_)) => self.value(node, *each, place),
            (Zone::Each(each), Node::List(list)) => self.each(list, *each, place),
            (Zone::Attributes, Node::Map(map)) => self.attributes(map, place),
            (Zone::Pairs(form), node) => self.pairs(node, form, place),
            (Zone::Message, node) => self.leaf(node, Zone::Message, place),
            (zone @ (Zone::Named | Zone::Url), node) => self.leaf(node, zone, place),
            // Data, and whatever has not the shape that its place promises.
            (_, node) => self.leaf(node, Zone::Data, place),
        }
    }

    /// A list under `values`, and whatever else somebody has put beside it.
    fn wrapped(&mut self, map: &mut Map<'_>, zone: Zone, place: &Place<'_>) {
        for (key, node) in map.iter_mut() {
            let place = place.key(key);
            match node {
                Node::List(list) if key == "values" => self.each(list, zone, &place),
                node => self.entry(key, node, Zone::Data.under(key), &place),
            }
        }
    }

    fn each(&mut self, list: &mut [Node<'_>], zone: Zone, place: &Place<'_>) {
        for (index, node) in list.iter_mut().enumerate() {
            let place = place.index(index);
            match node {
                Node::Map(_) => self.value(node, zone, &place),
                node => self.element(node, Zone::Data, &place),
            }
        }
    }

    /// A value of any type, in the zones without a structure of their own: data, named and message.
    fn leaf(&mut self, node: &mut Node<'_>, zone: Zone, place: &Place<'_>) {
        match node {
            Node::Text(_) => self.text(node, zone, place),
            Node::Number(_) => self.number(node, zone, place),
            Node::List(list) => {
                for (index, node) in list.iter_mut().enumerate() {
                    self.element(node, zone, &place.index(index));
                }
            }
            Node::Map(map) => self.map(map, zone, place),
            Node::Null | Node::Bool(_) => {}
        }
    }

    fn map(&mut self, map: &mut Map<'_>, zone: Zone, place: &Place<'_>) {
        if map.len() == 2 {
            self.named_value(map, zone, place);
        }
        for (key, node) in map.iter_mut() {
            self.entry(key, node, zone.under(key), &place.key(key));
        }
    }

    /// An object of a name and a value is a pair, such as `{"key": "password", "value": "x"}`.
    fn named_value(&mut self, map: &mut Map<'_>, zone: Zone, place: &Place<'_>) {
        let name = map.str("name").or_else(|| map.str("key"));
        let rule = name.and_then(|name| self.rule_for_key(name, zone));
        if let Some(rule) = rule
            && let Some(value) = map.get_mut("value")
            && has_content(value)
        {
            self.filter(value, rule, &place.key("value"));
        }
    }

    /// An element of a list. Two of which the first names a secret may be a name and a value.
    fn element(&mut self, node: &mut Node<'_>, zone: Zone, place: &Place<'_>) {
        if let Node::List(list) = node
            && let [Node::Text(name), value] = list.as_mut_slice()
            && has_content(value)
            && let Some(rule) = self.rule_for_key(name, zone)
        {
            let at = place.path.index(1);
            self.filter(value, rule, &place.named(name, at));
        }
        self.leaf(node, zone, place);
    }

    fn attributes(&mut self, map: &mut Map<'_>, place: &Place<'_>) {
        for (key, node) in map.iter_mut() {
            let zone = zones::attribute(key);
            let place = place.key(key);
            let before = self.changes;
            match node {
                Node::Map(typed) if typed.contains("value") => {
                    let value = typed.entry("value");
                    self.attribute(key, value, zone, &place.key("value"));
                    let now_text = matches!(value, Node::Text(_));
                    if self.changes > before && now_text && typed.contains("type") {
                        typed.insert("type", Node::text("string"));
                    }
                }
                node => self.attribute(key, node, zone, &place),
            }
        }
    }

    fn attribute(&mut self, key: &str, node: &mut Node<'_>, zone: Zone, place: &Place<'_>) {
        let is_session = self.rules.defaults
            && has_content(node)
            && zones::cookie_header(key).is_some_and(cookies::is_session);
        if is_session {
            return self.filter(node, &SESSION_COOKIE, place);
        }
        // A reserved prefix makes no secret a name of a program.
        let zone = match zone {
            Zone::Named if !zones::counts_tokens(key) && DEFAULTS.key(key).is_some() => Zone::Data,
            zone => zone,
        };
        self.entry(key, node, zone, place);
    }

    /// Names with values, in whatever form they came.
    pub(super) fn pairs(&mut self, node: &mut Node<'_>, form: Form, place: &Place<'_>) {
        match node {
            Node::Map(map) => {
                for (name, value) in map.iter_mut() {
                    self.pair(name, value, form, &place.key(name));
                }
            }
            Node::List(list) => {
                for (index, node) in list.iter_mut().enumerate() {
                    let place_of_pair = place.index(index);
                    match node {
                        Node::List(pair) => match pair.as_mut_slice() {
                            [name, value] if name.as_str().is_some() => {
                                let text = name.as_str().unwrap_or_default();
                                let at = place_of_pair.path.index(1);
                                self.pair(text, value, form, &place.named(text, at));
                                self.name(name, form, &place_of_pair.index(0));
                            }
                            _ => self.value(node, form.zone(""), &place_of_pair),
                        },
                        // The elements of a list of headers or cookies may be texts like the whole.
                        Node::Text(_) => self.text_of(node, form, &place_of_pair),
                        node => self.value(node, form.zone(""), &place_of_pair),
                    }
                }
            }
            Node::Text(_) => self.text_of(node, form, place),
            node => self.leaf(node, form.zone(""), place),
        }
    }

    pub(super) fn pair(&mut self, name: &str, node: &mut Node<'_>, form: Form, place: &Place<'_>) {
        let is_session = form == Form::Cookies
            && self.rules.defaults
            && has_content(node)
            && cookies::is_session(name);
        if is_session {
            self.filter(node, &SESSION_COOKIE, place);
        } else {
            self.entry(name, node, form.zone(name), place);
        }
    }

    /// Names and values in one text: taken apart if it can be, else data.
    fn text_of(&mut self, node: &mut Node<'_>, form: Form, place: &Place<'_>) {
        let Node::Text(text) = &*node else { return };
        let changed = match form {
            Form::Cookies => self.separated(text, ';', form, place),
            Form::Query => self.separated(text, '&', form, place),
            Form::Body => self.body(text, place),
            Form::Headers | Form::Environment | Form::Tags => None,
        };
        match changed {
            Some(Some(text)) => *node = Node::text(text),
            Some(None) => {}
            None => self.leaf(node, form.zone(""), place),
        }
    }

    /// Faulty values that annotations keep: of data, whatever field they are of. What is done to them is not
    /// annotated again.
    pub(super) fn originals(&mut self, map: &mut Map<'_>, name: &str, place: &Place<'_>) {
        for (key, node) in map.iter_mut() {
            match node {
                Node::Map(annotations) if key.is_empty() => {
                    if let Some(original) = annotations.get_mut("val") {
                        let mut unsaid = Meta::default();
                        Walk::new(self.rules, &mut unsaid).entry(name, original, Zone::Data, place);
                    }
                }
                Node::Map(map) => self.originals(map, key, &place.key(key)),
                _ => {}
            }
        }
    }

    fn text(&mut self, node: &mut Node<'_>, zone: Zone, place: &Place<'_>) {
        let Node::Text(text) = &*node else { return };
        if !matches!(zone, Zone::Message) && self.is_sensitive(text) {
            return self.filter(node, &SENSITIVE, place);
        }
        let role = match zone {
            Zone::Data => Role::Data,
            Zone::Message => Role::Message,
            Zone::Url => return self.url(node, place),
            _ => return,
        };
        if !self.rules.defaults && !self.rules.addresses {
            return;
        }
        let signs = DEFAULTS.read(text);
        if self.rules.defaults && role == Role::Data && words::is_secret(text, &signs) {
            self.filter(node, &PASSWORD, place);
        } else {
            self.parts(node, role, &signs, place);
        }
    }

    /// The passwords in a text's urls.
    fn url(&mut self, node: &mut Node<'_>, place: &Place<'_>) {
        let Node::Text(text) = &*node else { return };
        // Few of these texts have one: no automaton for a sign that one search finds.
        if !self.rules.defaults || !text.contains('@') {
            return;
        }
        let mut hits = Vec::new();
        patterns::find_url_passwords(text, &DEFAULTS.read(text), &mut hits);
        if !hits.is_empty() && !self.is_safe(node, place) {
            self.replace(node, hits, place);
        }
    }

    /// Whatever of a text is recognized by its form.
    fn parts(&mut self, node: &mut Node<'_>, role: Role, signs: &Signs, place: &Place<'_>) {
        let Node::Text(text) = &*node else { return };
        let mut hits = Vec::new();
        if self.rules.defaults {
            patterns::find(text, role, signs, &mut hits);
        }
        if self.rules.addresses && role == Role::Data && signs.address() {
            patterns::find_addresses(text, &mut hits);
        }
        if !hits.is_empty() && !self.is_safe(node, place) {
            self.replace(node, hits, place);
        }
    }

    /// The first of two in a list. In a query or a body it may be no name: text with blanks in it is a value, and a
    /// word without may be a card's number.
    fn name(&mut self, node: &mut Node<'_>, form: Form, place: &Place<'_>) {
        let Node::Text(text) = &*node else { return };
        match form {
            Form::Headers | Form::Environment | Form::Tags => {}
            _ if text.contains(char::is_whitespace) => self.leaf(node, Zone::Data, place),
            _ => {
                let signs = DEFAULTS.read(text);
                self.parts(node, Role::Data, &signs, place);
            }
        }
    }

    /// A number may be a card's, or have the digits that somebody does not want to see.
    fn number(&mut self, node: &mut Node<'_>, zone: Zone, place: &Place<'_>) {
        let Node::Number(number) = &*node else { return };
        let long = number.as_f64().is_some_and(|value| value.abs() >= 1e14);
        let wanted = self.rules.sensitive.is_some() && !matches!(zone, Zone::Message);
        let card = self.rules.defaults && long && !matches!(zone, Zone::Named | Zone::Url);
        if !wanted && !card {
            return;
        }
        let text = number.to_string();
        if wanted && self.is_sensitive(&text) {
            self.filter(node, &SENSITIVE, place);
        } else if card && patterns::is_card(&text) {
            self.filter(node, &patterns::CARD, place);
        }
    }

    fn address(&mut self, node: &mut Node<'_>, place: &Place<'_>) {
        if self.rules.addresses {
            if !self.is_safe(node, place) {
                *node = Node::Null;
                self.changes += 1;
                self.meta
                    .remark(&place.path, REMOVED, Remark::Removed, None, None);
            }
        } else if node.as_str().is_some_and(|text| self.is_sensitive(text)) {
            self.filter(node, &SENSITIVE, place);
        }
    }

    /// Takes a whole value.
    fn filter(&mut self, node: &mut Node<'_>, rule: &'static Rule, place: &Place<'_>) {
        if node.as_str() == Some(FILTERED) || self.is_safe(node, place) {
            return;
        }
        let old_len = node.as_str().map(|text| text.chars().count());
        *node = Node::text(FILTERED);
        self.remark(rule, 0..FILTERED.len(), old_len, place);
    }

    /// Takes parts of a text.
    fn replace(&mut self, node: &mut Node<'_>, hits: Vec<patterns::Hit>, place: &Place<'_>) {
        let Node::Text(text) = &*node else { return };
        let old_len = Some(text.chars().count());
        let replaced = patterns::replace_all(text, hits);
        for (rule, range) in replaced.parts {
            self.remark(rule, range, old_len, place);
        }
        *node = Node::text(replaced.text);
    }

    fn remark(
        &mut self,
        rule: &'static Rule,
        range: std::ops::Range<usize>,
        old_len: Option<usize>,
        place: &Place<'_>,
    ) {
        self.changes += 1;
        // A position in a part of a text says nothing about the text.
        let (range, old_len) = match place.inside {
            Some(len) => (None, Some(len)),
            None => (Some((range.start, range.end)), old_len),
        };
        self.meta
            .remark(&place.path, rule.id, Remark::Substituted, range, old_len);
    }

    fn is_sensitive(&self, text: &str) -> bool {
        self.rules
            .sensitive
            .as_ref()
            .is_some_and(|words| words.is_in(text))
    }

    fn is_safe(&self, node: &Node<'_>, place: &Place<'_>) -> bool {
        let Some(safe) = &self.rules.safe else {
            return false;
        };
        safe.covers(&place.steps(), type_of(node))
    }

    pub(super) fn changes(&self) -> usize {
        self.changes
    }
}

/// Whether a value can tell anything (facts/ingestion.md 9.3).
fn has_content(node: &Node<'_>) -> bool {
    !matches!(node, Node::Null | Node::Bool(_))
}

fn type_of(node: &Node<'_>) -> Type {
    match node {
        Node::Null => Type::Null,
        Node::Bool(_) => Type::Boolean,
        Node::Number(_) => Type::Number,
        Node::Text(_) => Type::Text,
        Node::List(_) => Type::List,
        Node::Map(_) => Type::Map,
    }
}
