//! Settings of a project that only the API knows: they are shown as they were set, because whoever describes a project
//! as code reads them back. What they are about (mail, issues, symbols, fetched sources) Picket does not have yet.
//!
//! The names are those under which Sentry keeps them. The settings that govern ingestion are in [`super::option`].

pub(crate) const SUBJECT_PREFIX: &str = "mail:subject_prefix";
pub(crate) const SUBJECT_TEMPLATE: &str = "mail:subject_template";
/// Seconds.
pub(crate) const DIGESTS_MIN_DELAY: &str = "digests:mail:minimum_delay";
/// Seconds.
pub(crate) const DIGESTS_MAX_DELAY: &str = "digests:mail:maximum_delay";
/// Hours; 0 is never.
pub(crate) const RESOLVE_AGE: &str = "sentry:resolve_age";
pub(crate) const STORE_CRASH_REPORTS: &str = "sentry:store_crash_reports";
pub(crate) const SECURITY_TOKEN_HEADER: &str = "sentry:token_header";
pub(crate) const VERIFY_SSL: &str = "sentry:verify_ssl";
pub(crate) const SCRAPE_JAVASCRIPT: &str = "sentry:scrape_javascript";
pub(crate) const AUTO_RELEASES: &str = "sentry:enable_auto_release_creation";
pub(crate) const DEFAULT_ENVIRONMENT: &str = "sentry:default_environment";
pub(crate) const HIGHLIGHT_TAGS: &str = "sentry:highlight_tags";
pub(crate) const HIGHLIGHT_CONTEXT: &str = "sentry:highlight_context";
pub(crate) const GROUPING_ENHANCEMENTS: &str = "sentry:grouping_enhancements";
pub(crate) const FINGERPRINTING_RULES: &str = "sentry:fingerprinting_rules";
pub(crate) const BUILTIN_SYMBOL_SOURCES: &str = "sentry:builtin_symbol_sources";
pub(crate) const SYMBOL_SOURCES: &str = "sentry:symbol_sources";
pub(crate) const DEBUG_FILES_ROLE: &str = "sentry:debug_files_role";

/// One origin a line.
pub(crate) const TOOLBAR_ORIGINS: &str = "sentry:toolbar_allowed_origins";

/// Seconds between two digests, unless a project says otherwise: the shortest and the longest.
pub(crate) const DIGESTS_DELAY_SECS: (i64, i64) = (300, 1800);

/// Options of the map `options` that are kept for the same reason.
pub(crate) const KEPT_OPTIONS: [&str; 6] = [
    "feedback:branding",
    "sentry:feedback_user_report_notifications",
    "sentry:feedback_ai_spam_detection",
    "sentry:replay_rage_click_issues",
    "sentry:replay_hydration_error_issues",
    "quotas:spike-protection-disabled",
];
