//! What may be touched, by place (facts/ingestion.md 9.3): tables of the protocol's objects.
//!
//! What the tables do not name is data: a field that no table knows is scrubbed rather than kept.

use super::cookies;

/// How a value is treated.
#[derive(Clone, Copy, Debug)]
pub(super) enum Zone {
    /// All rules apply.
    Data,
    /// Only the words of the settings apply: a default rule would hit names that are part of a program.
    Named,
    /// Like [`Zone::Named`], for texts that are or hold a url: a password in one is taken too.
    Url,
    /// Text for people: the default patterns are replaced in place, nothing else is touched.
    Message,
    /// Nothing is touched.
    Kept,
    /// An address of a client, whatever it looks like.
    Address,
    /// Nothing but an address is touched.
    Identity,
    /// An object of the protocol.
    Fields(&'static Fields),
    /// A list of such values, or an object with one under `values`.
    Each(&'static Zone),
    /// Names with values: an object, a list of pairs, or a text with a form of its own.
    Pairs(Form),
    /// The attributes of a span, a log entry or a metric: values, or objects with `type` and `value`.
    Attributes,
    /// Annotations, which have originals of faulty values in them.
    Annotations,
}

/// What names and values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Headers,
    Cookies,
    Query,
    Body,
    Environment,
    Tags,
}

/// The fields of an object.
#[derive(Debug)]
pub(super) struct Fields {
    known: &'static [(&'static str, Zone)],
    others: Zone,
}

impl Fields {
    pub(super) fn zone(&self, key: &str) -> Zone {
        let known = self.known.iter().find(|(name, _)| *name == key);
        known.map_or_else(|| self.others.under(key), |(_, zone)| *zone)
    }
}

impl Zone {
    /// How the value under a key is treated that no table knows.
    pub(super) fn under(self, key: &str) -> Zone {
        match self {
            Zone::Data if cookies::is_header(key) => Zone::Pairs(Form::Cookies),
            zone => zone,
        }
    }
}

impl Form {
    /// How the value under a name is treated.
    pub(super) fn zone(self, name: &str) -> Zone {
        match self {
            Form::Cookies | Form::Query | Form::Body => Zone::Data.under(name),
            Form::Headers | Form::Environment if cookies::is_header(name) => {
                Zone::Pairs(Form::Cookies)
            }
            Form::Headers | Form::Environment if is_user_agent(name) => Zone::Kept,
            Form::Environment if name.eq_ignore_ascii_case("REMOTE_ADDR") => Zone::Address,
            Form::Headers | Form::Environment => Zone::Data,
            Form::Tags if name == "user.ip" => Zone::Address,
            Form::Tags => Zone::Named,
        }
    }
}

fn is_user_agent(name: &str) -> bool {
    name.eq_ignore_ascii_case("user-agent") || name.eq_ignore_ascii_case("http_user_agent")
}

/// How the value of an attribute is treated. Names are those of OpenTelemetry's and Sentry's conventions.
pub(super) fn attribute(name: &str) -> Zone {
    const MESSAGES: [&str; 14] = [
        "sentry.message.template",
        "gen_ai.prompt",
        "gen_ai.input.messages",
        "gen_ai.output.messages",
        "gen_ai.request.messages",
        "gen_ai.response.text",
        "gen_ai.response.object",
        "gen_ai.response.tool_calls",
        "gen_ai.system_instructions",
        "gen_ai.tool.input",
        "gen_ai.tool.output",
        "ai.prompt.messages",
        "ai.input_messages",
        "ai.responses",
    ];
    // Versions look like addresses, names of functions like passwords, and counts of tokens like tokens.
    const NAMED: [&str; 7] = [
        "sentry.",
        "code.",
        "os.",
        "browser.",
        "process.runtime.",
        "telemetry.sdk.",
        "user_agent.original",
    ];
    if MESSAGES.contains(&name) {
        Zone::Message
    } else if name == "client.address" || name == "user.ip" {
        Zone::Address
    } else if name.starts_with("sentry.message.parameter") {
        Zone::Data
    } else if NAMED.iter().any(|start| name.starts_with(start)) || counts_tokens(name) {
        Zone::Named
    } else if cookie_header(name) == Some("") {
        Zone::Pairs(Form::Cookies)
    } else {
        Zone::Data
    }
}

/// Whether an attribute of this name is a count of a language model's tokens.
pub(super) fn counts_tokens(name: &str) -> bool {
    const COUNTS: [&str; 4] = [
        "gen_ai.request.max_tokens",
        "ai.prompt_tokens.used",
        "ai.completion_tokens.used",
        "ai.total_tokens.used",
    ];
    name.starts_with("gen_ai.usage.") || COUNTS.contains(&name)
}

/// The cookie's name in an attribute for one cookie, such as `http.request.header.cookie.name`; empty for an
/// attribute with all of them.
pub(super) fn cookie_header(attribute: &str) -> Option<&str> {
    let mut rest = attribute;
    loop {
        let (segment, after) = rest.split_once('.').unwrap_or((rest, ""));
        if cookies::is_header(segment) {
            return Some(after);
        }
        if after.is_empty() {
            return None;
        }
        rest = after;
    }
}

use Zone::{Address, Attributes, Data, Each, Identity, Kept, Message, Named, Pairs, Url};

/// Short for the tables below.
const fn fields(known: &'static [(&'static str, Zone)], others: Zone) -> Fields {
    Fields { known, others }
}

/// Errors, transactions, feedback, security reports and replay events.
pub(super) static EVENT: Fields = fields(
    &[
        ("event_id", Kept),
        ("timestamp", Kept),
        ("platform", Kept),
        ("level", Kept),
        ("logger", Kept),
        ("release", Kept),
        ("environment", Kept),
        ("contexts", Zone::Fields(&CONTEXTS)),
        ("breadcrumbs", Each(&Zone::Fields(&BREADCRUMB))),
        ("exception", Each(&Zone::Fields(&EXCEPTION))),
        ("extra", Zone::Fields(&ANY)),
        ("request", Zone::Fields(&REQUEST)),
        ("user", Zone::Fields(&USER)),
        ("tags", Pairs(Form::Tags)),
        ("sdk", Zone::Fields(&SDK)),
        ("logentry", Zone::Fields(&LOG_ENTRY)),
        ("spans", Each(&Zone::Fields(&SPAN))),
        ("threads", Each(&Zone::Fields(&THREAD))),
        ("stacktrace", Zone::Fields(&STACKTRACE)),
        ("culprit", Named),
        ("transaction", Kept),
        ("received", Kept),
        ("start_timestamp", Kept),
        ("type", Kept),
        ("version", Kept),
        ("dist", Kept),
        ("fingerprint", Kept),
        ("modules", Kept),
        ("debug_meta", Kept),
        ("measurements", Kept),
        ("breakdowns", Kept),
        ("transaction_info", Kept),
        ("template", Kept),
        ("project", Kept),
        ("key_id", Kept),
        ("site", Named),
        ("_metrics", Kept),
        ("_metrics_summary", Kept),
        ("errors", Each(&Zone::Fields(&FAULT))),
        ("_meta", Zone::Annotations),
        // Of replay events.
        ("replay_id", Kept),
        ("replay_type", Kept),
        ("replay_start_timestamp", Kept),
        ("segment_id", Kept),
        ("urls", Url),
        ("error_ids", Kept),
        ("trace_ids", Kept),
    ],
    Data,
);

/// A span of a transaction or on its own, in both versions of the protocol.
pub(super) static SPAN: Fields = fields(
    &[
        ("span_id", Kept),
        ("trace_id", Kept),
        ("parent_span_id", Kept),
        ("op", Kept),
        ("description", Url),
        ("start_timestamp", Kept),
        ("timestamp", Kept),
        ("data", Attributes),
        ("attributes", Attributes),
        ("tags", Pairs(Form::Tags)),
        ("status", Kept),
        ("origin", Kept),
        ("name", Url),
        ("end_timestamp", Kept),
        ("kind", Kept),
        ("exclusive_time", Kept),
        ("segment_id", Kept),
        ("profile_id", Kept),
        ("platform", Kept),
        ("received", Kept),
        ("sentry_tags", Kept),
        ("measurements", Kept),
        ("links", Each(&Zone::Fields(&LINK))),
        ("_metrics_summary", Kept),
        ("_meta", Zone::Annotations),
    ],
    Data,
);

/// An entry of a log.
pub(super) static LOG: Fields = fields(
    &[
        ("timestamp", Kept),
        ("observed_timestamp_nanos", Kept),
        ("trace_id", Kept),
        ("span_id", Kept),
        ("level", Kept),
        ("severity_text", Kept),
        ("severity_number", Kept),
        ("body", Message),
        ("attributes", Attributes),
        ("_meta", Zone::Annotations),
    ],
    Data,
);

/// A point of a metric.
pub(super) static METRIC: Fields = fields(
    &[
        ("timestamp", Kept),
        ("trace_id", Kept),
        ("span_id", Kept),
        ("name", Named),
        ("type", Kept),
        ("unit", Kept),
        ("value", Kept),
        ("attributes", Attributes),
        ("_meta", Zone::Annotations),
    ],
    Data,
);

/// Check-ins, user reports and sessions.
pub(super) static OTHER: Fields = fields(
    &[
        ("check_in_id", Kept),
        ("monitor_slug", Kept),
        ("monitor_config", Kept),
        ("status", Kept),
        ("duration", Kept),
        ("release", Kept),
        ("environment", Kept),
        ("contexts", Zone::Fields(&CONTEXTS)),
        ("event_id", Kept),
        ("name", Kept),
        ("email", Kept),
        ("comments", Message),
        ("sid", Kept),
        ("did", Identity),
        ("seq", Kept),
        ("timestamp", Kept),
        ("started", Kept),
        ("init", Kept),
        ("errors", Kept),
        ("abnormal_mechanism", Kept),
        ("attrs", Zone::Fields(&SESSION)),
        ("aggregates", Each(&Zone::Fields(&AGGREGATE))),
    ],
    Data,
);

/// An object of which all keys are the user's own.
static ANY: Fields = fields(&[], Data);
static SESSION: Fields = fields(&[("ip_address", Address)], Kept);
static AGGREGATE: Fields = fields(&[("did", Identity)], Kept);
static SDK: Fields = fields(&[("client_ip", Address)], Kept);
static FAULT: Fields = fields(&[("value", Data)], Kept);
static USER: Fields = fields(&[("ip_address", Address), ("geo", Named)], Data);
static LINK: Fields = fields(&[("attributes", Attributes)], Kept);

/// The template without its values groups events: it is treated like the text that came of it.
static LOG_ENTRY: Fields = fields(&[("formatted", Message), ("message", Message)], Data);

static REQUEST: Fields = fields(
    &[
        ("url", Url),
        ("method", Kept),
        ("headers", Pairs(Form::Headers)),
        ("cookies", Pairs(Form::Cookies)),
        ("query_string", Pairs(Form::Query)),
        ("data", Pairs(Form::Body)),
        ("env", Pairs(Form::Environment)),
        ("inferred_content_type", Kept),
        ("api_target", Kept),
    ],
    Data,
);

static RESPONSE: Fields = fields(
    &[
        ("type", Kept),
        ("headers", Pairs(Form::Headers)),
        ("cookies", Pairs(Form::Cookies)),
        ("data", Pairs(Form::Body)),
    ],
    Data,
);

static BREADCRUMB: Fields = fields(
    &[
        ("data", Data),
        ("message", Data),
        ("type", Kept),
        ("category", Kept),
        ("level", Kept),
        ("timestamp", Kept),
        ("event_id", Kept),
        ("origin", Kept),
    ],
    Data,
);

static EXCEPTION: Fields = fields(
    &[
        ("stacktrace", Zone::Fields(&STACKTRACE)),
        ("raw_stacktrace", Zone::Fields(&STACKTRACE)),
        ("mechanism", Zone::Fields(&MECHANISM)),
    ],
    Kept,
);

static THREAD: Fields = fields(
    &[
        ("stacktrace", Zone::Fields(&STACKTRACE)),
        ("raw_stacktrace", Zone::Fields(&STACKTRACE)),
        ("name", Named),
    ],
    Kept,
);

static MECHANISM: Fields = fields(&[("data", Data), ("description", Data)], Kept);
static STACKTRACE: Fields = fields(&[("frames", Each(&Zone::Fields(&FRAME)))], Kept);
static FRAME: Fields = fields(&[("vars", Zone::Fields(&ANY)), ("module", Named)], Kept);

/// Contexts with a schema have versions and names of programs in them, all others are the user's own.
static CONTEXTS: Fields = fields(
    &[
        ("trace", Zone::Fields(&TRACE)),
        ("device", Zone::Fields(&DEVICE)),
        ("os", Zone::Fields(&SOFTWARE)),
        ("client_os", Zone::Fields(&SOFTWARE)),
        ("browser", Zone::Fields(&SOFTWARE)),
        ("runtime", Zone::Fields(&SOFTWARE)),
        ("app", Zone::Fields(&SOFTWARE)),
        ("gpu", Zone::Fields(&SOFTWARE)),
        ("profile", Zone::Fields(&PROFILE)),
        ("replay", Zone::Fields(&PROFILE)),
        ("response", Zone::Fields(&RESPONSE)),
        ("feedback", Zone::Fields(&FEEDBACK)),
    ],
    Data,
);

static TRACE: Fields = fields(
    &[
        ("trace_id", Kept),
        ("span_id", Kept),
        ("parent_span_id", Kept),
        ("type", Kept),
        ("op", Kept),
        ("status", Kept),
        ("origin", Kept),
        ("description", Url),
        ("exclusive_time", Kept),
        ("client_sample_rate", Kept),
        ("sampled", Kept),
        ("data", Attributes),
        ("links", Each(&Zone::Fields(&LINK))),
    ],
    Data,
);

static DEVICE: Fields = fields(
    &[
        ("type", Kept),
        ("family", Named),
        ("model", Named),
        ("model_id", Named),
        ("manufacturer", Named),
        ("brand", Named),
        ("arch", Named),
        ("cpu_description", Named),
    ],
    Data,
);

static SOFTWARE: Fields = fields(
    &[
        ("type", Kept),
        ("name", Named),
        ("version", Named),
        ("build", Named),
        ("os", Named),
        ("browser", Named),
        ("client_os", Named),
        ("runtime", Named),
        ("raw_description", Named),
        ("kernel_version", Named),
        ("distribution_version", Named),
        ("driver_version", Named),
        ("app_name", Named),
        ("app_version", Named),
        ("app_build", Named),
        ("app_identifier", Named),
    ],
    Data,
);

static PROFILE: Fields = fields(
    &[
        ("type", Kept),
        ("profile_id", Kept),
        ("profiler_id", Kept),
        ("replay_id", Kept),
    ],
    Data,
);

/// Somebody's own words and how to reach them, which are the purpose of the thing.
static FEEDBACK: Fields = fields(
    &[
        ("type", Kept),
        ("message", Message),
        ("name", Kept),
        ("contact_email", Kept),
        ("source", Kept),
        ("associated_event_id", Kept),
        ("replay_id", Kept),
        ("url", Url),
    ],
    Data,
);
