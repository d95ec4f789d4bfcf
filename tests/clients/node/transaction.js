// Sends a transaction as older versions of the SDK do; the DSN is in SENTRY_DSN.
const Sentry = require("@sentry/node");

Sentry.init({ tracesSampleRate: 1, traceLifecycle: "static" });
Sentry.startSpan({ name: "checkout", op: "task" }, () => {
  for (const name of ["reserve", "pay"]) {
    Sentry.startSpan({ name, op: "step" }, () => {});
  }
});
Sentry.flush(20_000);
