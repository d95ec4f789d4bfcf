// Exports spans and logs with OpenTelemetry, in JSON; the DSN is in SENTRY_DSN.
const { SeverityNumber } = require("@opentelemetry/api-logs");
const { OTLPLogExporter } = require("@opentelemetry/exporter-logs-otlp-http");
const { OTLPTraceExporter } = require("@opentelemetry/exporter-trace-otlp-http");
const { BatchLogRecordProcessor, LoggerProvider } = require("@opentelemetry/sdk-logs");
const { BasicTracerProvider, BatchSpanProcessor } = require("@opentelemetry/sdk-trace-base");

const dsn = new URL(process.env.SENTRY_DSN);
const base = `${dsn.protocol}//${dsn.host}/api${dsn.pathname}/integration/otlp/v1`;
const headers = { "x-sentry-auth": `sentry sentry_key=${dsn.username}` };

const traces = new BasicTracerProvider({
  spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter({ url: `${base}/traces`, headers }))],
});
const tracer = traces.getTracer("shop");
for (const name of ["checkout", "reserve", "pay"]) {
  tracer.startSpan(name).end();
}
traces.shutdown();

const exporter = new OTLPLogExporter({ url: `${base}/logs`, headers });
const logs = new LoggerProvider({ processors: [new BatchLogRecordProcessor({ exporter })] });
const logger = logs.getLogger("shop");
logger.emit({ severityNumber: SeverityNumber.WARN, body: "a first line" });
logger.emit({ severityNumber: SeverityNumber.ERROR, body: "a second line" });
logs.shutdown();
