//! What `/metrics` says. The names are kept from version to version, and stand in the README; labels have few values, and
//! none of them is a project, a key or an address.

use super::Watch;
use super::exposition::{Exposition, seconds};
use super::process;
use crate::http::{Front, FrontMetrics, Metrics};
use crate::store::health::Health;
use crate::store::space::Space;
use crate::store::tally::WriterMeasures;

impl Watch {
    pub(super) fn metrics(&self) -> String {
        let mut text = Exposition::new();
        self.about_server(&mut text);
        if let Some(meter) = self.meter.get() {
            let metrics = meter.read();
            about_connections(&mut text, &metrics);
            about_requests(&mut text, &metrics);
        }
        about_refusals(&mut text, self.store.health());
        about_writer(&mut text, &self.store.writer().measures());
        if let Some(space) = self.space() {
            about_space(&mut text, &space);
        }
        self.about_people(&mut text);
        self.about_process(&mut text);
        text.finish()
    }

    fn about_server(&self, text: &mut Exposition) {
        text.gauge("picket_build_info", "The version that runs; always 1.")
            .sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
        let is_ready = u8::from(self.hindrances().next().is_none());
        text.gauge(
            "picket_ready",
            "Whether /health/ready says so: 1, or 0 while something keeps the server from working.",
        )
        .value(is_ready);
    }

    fn about_people(&self, text: &mut Exposition) {
        let mail = self.mailer.measures();
        text.gauge(
            "picket_mail_letters_waiting",
            "Letters that wait to be sent, or to be sent again.",
        )
        .value(mail.waiting);
        text.counter(
            "picket_mail_letters_total",
            "What became of letters: sent; failed, after which a letter may be tried again; given up.",
        )
        .sample(&[("outcome", "sent")], mail.sent)
        .sample(&[("outcome", "failed")], mail.failed)
        .sample(&[("outcome", "given_up")], mail.given_up);

        let hashing = self.identity.hashing.measures();
        text.gauge(
            "picket_password_hashings",
            "Passwords that are being hashed, and requests that wait for that.",
        )
        .sample(&[("state", "running")], hashing.running)
        .sample(&[("state", "waiting")], hashing.waiting);
        text.counter(
            "picket_password_hashings_total",
            "Passwords that were hashed, to be compared or to be kept.",
        )
        .value(hashing.runs);
        text.counter(
            "picket_password_hashings_refused_total",
            "Requests refused because too many passwords were being hashed.",
        )
        .value(hashing.refused);
    }

    fn about_process(&self, text: &mut Exposition) {
        let process = process::read();
        let started = u64::try_from(self.started.us()).unwrap_or(0);
        text.gauge(
            "process_start_time_seconds",
            "When the process started, in seconds since 1970.",
        )
        .value(seconds(started));
        text.counter(
            "process_cpu_seconds_total",
            "Processor time that the process used.",
        )
        .value(seconds(process.cpu_us));
        for (name, help, value) in [
            (
                "process_resident_memory_bytes",
                "Memory that the process holds.",
                process.resident_bytes,
            ),
            (
                "process_virtual_memory_bytes",
                "Addresses that the process reserved.",
                process.virtual_bytes,
            ),
            (
                "process_threads",
                "Threads of the process.",
                process.threads,
            ),
            (
                "process_open_fds",
                "Files and sockets that are open.",
                process.descriptors_open,
            ),
            (
                "process_max_fds",
                "How many files and sockets may be open.",
                process.descriptors_max,
            ),
        ] {
            if let Some(value) = value {
                text.gauge(name, help).value(value);
            }
        }
    }
}

fn about_connections(text: &mut Exposition, metrics: &Metrics) {
    text.gauge(
        "picket_http_connections_open",
        "Client connections that are open.",
    )
    .value(metrics.connections_open);
    text.counter(
        "picket_http_connections_total",
        "Client connections that were accepted.",
    )
    .value(metrics.connections_accepted);
    text.counter(
        "picket_http_connections_refused_total",
        "Connections closed at once because there were too many, in all or from one address.",
    )
    .value(metrics.connections_refused);
    text.counter(
        "picket_http_connections_evicted_total",
        "Connections closed while they waited, to make room for others.",
    )
    .value(metrics.connections_evicted);
    let mut ended = text.counter(
        "picket_http_connections_ended_total",
        "Connections that are over, by reason; each is counted once.",
    );
    for (reason, count) in &metrics.connections_ended {
        ended.sample(&[("reason", reason)], count);
    }
    text.counter(
        "picket_http_tls_handshakes_total",
        "TLS handshakes that were made.",
    )
    .value(metrics.tls_handshakes);
    text.counter(
        "picket_http_redirects_total",
        "Requests that the redirecting address sent on.",
    )
    .value(metrics.redirects);
    text.counter(
        "picket_http_accept_errors_total",
        "Connections that could not be accepted, or got no thread.",
    )
    .value(metrics.accept_errors);
    text.counter(
        "picket_http_slow_readers_cut_total",
        "Connections closed because their client did not read its answer.",
    )
    .value(metrics.slow_readers_cut);
    text.gauge(
        "picket_http_lanes_open",
        "Ways to the workers that are open.",
    )
    .sample(&[("lanes", "ingest")], metrics.ingest_lanes_open)
    .sample(&[("lanes", "general")], metrics.general_lanes_open);
    text.counter(
        "picket_http_lanes_broken_total",
        "Ways to the workers that broke.",
    )
    .value(metrics.lanes_broken);
    text.counter(
        "picket_http_handler_panics_total",
        "Requests whose handling met a mistake of the program.",
    )
    .value(metrics.handler_panics);
    text.counter(
        "picket_access_log_lines_dropped_total",
        "Lines of the access log that found no room or could not be written.",
    )
    .value(metrics.access_lines_dropped);
}

fn about_requests(text: &mut Exposition, metrics: &Metrics) {
    text.counter(
        "picket_http_handled_requests_total",
        "Requests that were handed to a worker.",
    )
    .value(metrics.requests);
    let mut refusals = text.counter(
        "picket_http_refusals_total",
        "Answers given before or instead of a worker's, by reason.",
    );
    for (kind, count) in &metrics.refusals {
        refusals.sample(&[("reason", kind)], count);
    }
    let fronts = || Front::ALL.into_iter().zip(&metrics.fronts);
    let mut answers = text.counter(
        "picket_http_requests_total",
        "Requests by who answers them and the class of the answer's status, refusals included.",
    );
    for (front, counts) in fronts() {
        for (class, count) in ["1xx", "2xx", "3xx", "4xx", "5xx"]
            .iter()
            .zip(counts.answers)
        {
            if *class != "1xx" {
                answers.sample(&[("front", front.name()), ("status", class)], count);
            }
        }
    }
    let mut by_front = |name, help, count: fn(&FrontMetrics) -> u64| {
        let mut family = text.counter(name, help);
        for (front, counts) in fronts() {
            family.sample(&[("front", front.name())], count(counts));
        }
    };
    by_front(
        "picket_http_requests_unanswered_total",
        "Connections closed instead of an answer, because nobody could say what took effect.",
        |counts| counts.unanswered,
    );
    by_front(
        "picket_http_request_body_bytes_total",
        "Bytes of the bodies of requests, as they were sent.",
        |counts| counts.body_bytes_received,
    );
    by_front(
        "picket_http_response_body_bytes_total",
        "Bytes of the bodies of answers.",
        |counts| counts.body_bytes_sent,
    );
    let mut took = text.histogram(
        "picket_http_request_duration_seconds",
        "From having a request whole to having its answer; refusals are not among them.",
    );
    for (front, counts) in fronts() {
        took.durations(&[("front", front.name())], &counts.took);
    }
}

fn about_refusals(text: &mut Exposition, health: &Health) {
    let mut refused = text.counter(
        "picket_writer_refused_total",
        "Changes that were not taken, by reason; events among them were answered 503.",
    );
    for (trouble, count) in health.refused() {
        refused.sample(&[("reason", trouble.code())], count);
    }
    if let Some((_, _, floor)) = health.disk() {
        text.gauge(
            "picket_disk_floor_bytes",
            "No events are taken while less of the disk is free.",
        )
        .value(floor);
    }
}

fn about_writer(text: &mut Exposition, writer: &WriterMeasures) {
    text.gauge(
        "picket_writer_queue_jobs",
        "Changes that wait to be written.",
    )
    .value(writer.waiting_jobs);
    text.gauge(
        "picket_writer_queue_bytes",
        "Memory that changes hold which wait to be written.",
    )
    .value(writer.waiting_bytes);
    text.counter(
        "picket_writer_jobs_total",
        "Changes by what became of them: committed; failed by themselves; faulted, by the disk or another process.",
    )
    .sample(&[("outcome", "committed")], writer.committed)
    .sample(&[("outcome", "failed")], writer.failed)
    .sample(&[("outcome", "faulted")], writer.faulted);
    text.counter(
        "picket_writer_batches_total",
        "Transactions that were committed.",
    )
    .value(writer.batches);
    text.histogram(
        "picket_writer_commit_duration_seconds",
        "How long the disk took to make a transaction durable.",
    )
    .durations(&[], &writer.commit);
    text.counter(
        "picket_writer_busy_total",
        "How often another process held the file for longer than is waited for.",
    )
    .value(writer.busy);
    text.counter(
        "picket_writer_reopened_total",
        "How often the file was opened anew after a fault of the disk.",
    )
    .value(writer.reopened);
    text.gauge(
        "picket_wal_pages",
        "Pages in the write-ahead log after the last commit.",
    )
    .value(writer.wal_pages);
    text.counter(
        "picket_wal_checkpoints_total",
        "How often the write-ahead log was copied into the file.",
    )
    .value(writer.checkpoints);
    text.counter(
        "picket_wal_checkpoints_partial_total",
        "Of these, those that a reader kept from copying everything.",
    )
    .value(writer.checkpoints_partial);
    text.counter(
        "picket_jobs_steps_total",
        "Steps of background work: the removal of what was deleted or is too old.",
    )
    .value(writer.work_steps);
    text.counter(
        "picket_jobs_rows_total",
        "Rows that background work changed or removed.",
    )
    .value(writer.work_rows);
    let mut items = text.counter(
        "picket_items_total",
        "What was added to the ledger since the start: items, or bytes in the categories that count bytes.",
    );
    for (category, outcome, quantity) in &writer.items {
        items.sample(
            &[("category", category.name()), ("outcome", outcome.name())],
            quantity,
        );
    }
}

fn about_space(text: &mut Exposition, space: &Space) {
    for (name, help, bytes) in [
        (
            "picket_store_file_bytes",
            "The database without its log.",
            space.file,
        ),
        (
            "picket_store_unused_bytes",
            "Of the database: what nothing uses, and new rows take first.",
            space.unused,
        ),
        ("picket_store_wal_bytes", "The write-ahead log.", space.log),
        (
            "picket_disk_free_bytes",
            "What may still be written to the disk that the database is on.",
            space.disk.free,
        ),
        (
            "picket_disk_total_bytes",
            "The disk that the database is on.",
            space.disk.total,
        ),
    ] {
        text.gauge(name, help).value(bytes);
    }
}
