//! The script that loads the JavaScript SDK (facts/ingestion.md 1.13), made for one key.

use serde_json::{Map, Value, json};

use super::{call, javascript};
use crate::domain::bundle_url::BundleUrl;
use crate::domain::dsn::UrlPrefix;
use crate::domain::key::LoaderOptions;
use crate::http::Response;
use crate::store::snapshot::KeyState;

pub(super) const LOADER: &str = include_str!("loader.js");
pub(super) const NOTHING: &str = include_str!("nothing.js");

/// Caches may serve an old script for long when this server is slow or away: a page must not wait for it.
const CACHE_CONTROL: &str = "public, max-age=3600, s-maxage=60, stale-while-revalidate=315360000, \
     stale-if-error=315360000";

/// The public key in `{public_key}.js` and `{public_key}.min.js`; both are the same script.
pub(in crate::ingest) fn public_key(file: &str) -> Option<&str> {
    let stem = file.strip_suffix(".js")?;
    Some(stem.strip_suffix(".min").unwrap_or(stem))
}

/// The script for a key; one that does nothing when there is no such key, it is switched off, or nobody said where
/// the SDK is. Never an error: it would be one of the page.
pub(in crate::ingest) fn script(
    key: Option<&KeyState>,
    prefix: &UrlPrefix,
    bundle_url: Option<&BundleUrl>,
) -> Response {
    let key = key.filter(|key| key.active);
    let response = match (key, bundle_url) {
        (Some(key), Some(url)) => javascript(for_key(key, prefix, url)),
        _ => javascript(call(NOTHING, &[])),
    };
    let response = response
        .with_header("Access-Control-Allow-Origin", "*")
        .with_header("Cache-Control", CACHE_CONTROL);
    match key {
        Some(key) => {
            let version = &key.browser_sdk_version;
            let surrogates = format!("project/{} sdk/{version} sdk-loader", key.project);
            response.with_header("Surrogate-Key", surrogates)
        }
        None => response,
    }
}

fn for_key(key: &KeyState, prefix: &UrlPrefix, url: &BundleUrl) -> String {
    let version = &key.browser_sdk_version;
    let options = supported(version, key.loader_options);
    let dsn = prefix.public_dsn(key.public, key.project);
    call(
        LOADER,
        &[
            json!(key.public.as_str()),
            json!(url.fill(version, &modifiers(version, options))),
            config(&dsn, options),
            json!(is_lazy(options)),
        ],
    )
}

/// The number in front of `10.x`; `latest` is newer than all.
fn major(version: &str) -> u32 {
    let number = version.split('.').next().unwrap_or_default();
    number.parse().unwrap_or(u32::MAX)
}

/// Before version 7 there were no bundles but the plain one.
fn supported(version: &str, options: LoaderOptions) -> LoaderOptions {
    if major(version) >= 7 {
        return options;
    }
    LoaderOptions {
        has_replay: false,
        has_performance: false,
        has_feedback: false,
        has_logs_and_metrics: false,
        ..options
    }
}

/// What stands between a bundle's name and its suffix, in the order of the SDK's own bundles. Those with more than
/// tracing are not made for old browsers.
fn modifiers(version: &str, options: LoaderOptions) -> String {
    let only_modern = options.has_replay || options.has_feedback || options.has_logs_and_metrics;
    [
        (options.has_performance, ".tracing"),
        (options.has_replay, ".replay"),
        (options.has_feedback, ".feedback"),
        (options.has_logs_and_metrics, ".logs.metrics"),
        (major(version) >= 7 && !only_modern, ".es5"),
        (options.has_debug, ".debug"),
    ]
    .into_iter()
    .filter_map(|(is_on, modifier)| is_on.then_some(modifier))
    .collect()
}

/// Whether the SDK may wait for the first error: what it observes from the start cannot.
fn is_lazy(options: LoaderOptions) -> bool {
    let LoaderOptions {
        has_replay,
        has_performance,
        has_debug: _,
        has_feedback,
        has_logs_and_metrics,
    } = options;
    !(has_replay || has_performance || has_feedback || has_logs_and_metrics)
}

/// What `Sentry.init` is given.
fn config(dsn: &str, options: LoaderOptions) -> Value {
    let mut config = Map::new();
    config.insert("dsn".to_owned(), json!(dsn));
    for (is_on, name, value) in [
        (options.has_debug, "debug", json!(true)),
        (options.has_performance, "tracesSampleRate", json!(1)),
        (options.has_replay, "replaysSessionSampleRate", json!(0.1)),
        (options.has_replay, "replaysOnErrorSampleRate", json!(1)),
        (options.has_feedback, "loaderFeedback", json!(true)),
        (options.has_logs_and_metrics, "enableLogs", json!(true)),
    ] {
        if is_on {
            config.insert(name.to_owned(), value);
        }
    }
    Value::Object(config)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::id::{KeyId, ProjectId};
    use crate::domain::key::PublicKey;
    use crate::domain::window::KeyWindow;

    const NONE: LoaderOptions = LoaderOptions {
        has_replay: false,
        has_performance: false,
        has_debug: false,
        has_feedback: false,
        has_logs_and_metrics: false,
    };

    fn key(version: &str, options: LoaderOptions) -> KeyState {
        KeyState {
            id: KeyId(1),
            project: ProjectId(42),
            public: PublicKey::parse("0123456789abcdef0123456789abcdef").unwrap(),
            active: true,
            limit: None,
            window: Arc::new(KeyWindow::default()),
            expires: None,
            uses: Arc::default(),
            browser_sdk_version: version.to_owned(),
            loader_options: options,
        }
    }

    fn script_of(key: Option<&KeyState>, url: Option<&str>) -> Response {
        let prefix = UrlPrefix::parse("https://errors.example.test").unwrap();
        let url = url.map(|url| BundleUrl::parse(url).unwrap());
        script(key, &prefix, url.as_ref())
    }

    const URL: &str = "https://cdn.example.test/{version}/bundle{modifiers}.min.js";

    #[test]
    fn the_script_is_called_with_the_keys_settings() {
        let performance = LoaderOptions {
            has_performance: true,
            ..NONE
        };
        for (version, options, arguments) in [
            (
                "10.x",
                LoaderOptions::default(),
                r#""https://cdn.example.test/10.x/bundle.tracing.replay.min.js", {"dsn":"DSN","tracesSampleRate":1,"replaysSessionSampleRate":0.1,"replaysOnErrorSampleRate":1}, false"#,
            ),
            (
                "7.x",
                NONE,
                r#""https://cdn.example.test/7.x/bundle.es5.min.js", {"dsn":"DSN"}, true"#,
            ),
            (
                "latest",
                performance,
                r#""https://cdn.example.test/latest/bundle.tracing.es5.min.js", {"dsn":"DSN","tracesSampleRate":1}, false"#,
            ),
            (
                "6.x",
                LoaderOptions {
                    has_debug: true,
                    ..LoaderOptions::default()
                },
                r#""https://cdn.example.test/6.x/bundle.debug.min.js", {"dsn":"DSN","debug":true}, true"#,
            ),
            (
                "9.x",
                LoaderOptions {
                    has_feedback: true,
                    has_logs_and_metrics: true,
                    has_debug: true,
                    ..NONE
                },
                r#""https://cdn.example.test/9.x/bundle.feedback.logs.metrics.debug.min.js", {"dsn":"DSN","debug":true,"loaderFeedback":true,"enableLogs":true}, false"#,
            ),
        ] {
            let key = key(version, options);
            let response = script_of(Some(&key), Some(URL));
            let script = String::from_utf8(response.body.into_owned()).unwrap();
            let dsn = "https://0123456789abcdef0123456789abcdef@errors.example.test/42";
            let arguments = arguments.replace("DSN", dsn);
            let expected = format!("\n}})(\"0123456789abcdef0123456789abcdef\", {arguments});\n");
            assert!(script.ends_with(&expected), "{script}");
        }
    }

    #[test]
    fn a_script_that_does_nothing_never_fails() {
        let used = key("10.x", LoaderOptions::default());
        let disabled = KeyState {
            active: false,
            ..key("10.x", LoaderOptions::default())
        };
        for (key, url) in [
            (None, Some(URL)),
            (Some(&disabled), Some(URL)),
            (Some(&used), None),
        ] {
            let response = script_of(key, url);
            assert_eq!(response.status, 200);
            let script = String::from_utf8(response.body.into_owned()).unwrap();
            assert_eq!(script, format!("{}();\n", NOTHING.trim_end()));
        }
    }

    #[test]
    fn caches_and_pages_of_any_origin_may_have_it() {
        let key = key("10.x", NONE);
        for (key, surrogates) in [
            (Some(&key), Some("project/42 sdk/10.x sdk-loader")),
            (None, None),
        ] {
            let response = script_of(key, Some(URL));
            assert_eq!(response.header("content-type"), Some("text/javascript"));
            assert_eq!(response.header("access-control-allow-origin"), Some("*"));
            assert_eq!(
                response.header("cache-control"),
                Some(
                    "public, max-age=3600, s-maxage=60, stale-while-revalidate=315360000, stale-if-error=315360000"
                )
            );
            assert_eq!(response.header("surrogate-key"), surrogates);
        }
    }

    #[test]
    fn the_key_is_in_the_name_of_the_file() {
        for (file, key) in [
            ("abc.js", Some("abc")),
            ("abc.min.js", Some("abc")),
            ("abc", None),
            ("abc.css", None),
            (".min.js", Some("")),
        ] {
            assert_eq!(public_key(file), key, "{file}");
        }
    }

    #[test]
    fn the_loader_speaks_of_everything_that_the_facts_name() {
        for word in [
            "'init'",
            "'addBreadcrumb'",
            "'captureMessage'",
            "'captureException'",
            "'captureEvent'",
            "'configureScope'",
            "'withScope'",
            "'showReportDialog'",
            "stub.onLoad",
            "stub.forceLoad",
            "addEventListener('error'",
            "addEventListener('unhandledrejection'",
            "data-lazy",
            "crossOrigin = 'anonymous'",
            "SENTRY_SDK_SOURCE = 'loader'",
        ] {
            assert!(LOADER.contains(word), "{word}");
        }
    }
}
