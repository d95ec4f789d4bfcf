"""Exports spans and logs with OpenTelemetry, in protobuf; the DSN is in SENTRY_DSN."""

import logging
import os
from urllib.parse import urlsplit

from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

dsn = urlsplit(os.environ["SENTRY_DSN"])
base = f"http://{dsn.hostname}:{dsn.port}/api{dsn.path}/integration/otlp/v1"
headers = {"x-sentry-auth": f"sentry sentry_key={dsn.username}"}

traces = TracerProvider()
traces.add_span_processor(
    BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{base}/traces", headers=headers))
)
tracer = traces.get_tracer("shop")
with tracer.start_as_current_span("checkout"):
    for name in ("reserve", "pay"):
        with tracer.start_as_current_span(name):
            pass
traces.shutdown()

logs = LoggerProvider()
exporter = OTLPLogExporter(
    endpoint=f"{base}/logs", headers=headers, compression=Compression.Gzip
)
logs.add_log_record_processor(BatchLogRecordProcessor(exporter))
logger = logging.getLogger("shop")
logger.addHandler(LoggingHandler(logger_provider=logs))
logger.warning("a first line")
logger.error("a second line")
logs.shutdown()
