// Sends one of everything that is cheap to send, and drops an event itself; the DSN is in SENTRY_DSN.
const Sentry = require("@sentry/node");

Sentry.init({
  release: "shop@1.2.3",
  environment: "checks",
  tracesSampleRate: 1,
  enableLogs: true,
  beforeSend: (event) => (event.message === "unwanted" ? null : event),
});
Sentry.setTag("shop", "north");
Sentry.getIsolationScope().addAttachment({ filename: "ten.txt", data: "0123456789" });
Sentry.startSpan({ name: "checkout", op: "task" }, () => {
  for (const name of ["reserve", "pay"]) {
    Sentry.startSpan({ name, op: "step" }, () => {});
  }
});
Sentry.captureCheckIn({ monitorSlug: "nightly", status: "ok", duration: 1.5 });
Sentry.logger.info("a first line");
Sentry.logger.warn("a second line", { thing: "an attribute" });
Sentry.captureMessage("unwanted");
Sentry.captureFeedback({ message: "The till is closed", name: "Ann", email: "ann@example.test" });
console.log(Sentry.captureMessage("Grüße ☃", "warning"));
console.log(Sentry.captureException(new RangeError("no such basket")));
// Larger than what the SDK sends uncompressed.
console.log(Sentry.captureMessage("long", { extra: { text: "0123456789".repeat(5_000) } }));
Sentry.flush(20_000);
