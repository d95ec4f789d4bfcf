// What the page does; it is told the DSN in its address, and tells the ids of its events to its own server.
import * as Sentry from "@sentry/browser";

const told = new URLSearchParams(location.search);
const everything = {
  release: "shop@1.2.3",
  environment: "checks",
  tracesSampleRate: 1,
  traceLifecycle: "static",
  enableLogs: true,
  replaysSessionSampleRate: 1,
  integrations: [Sentry.browserTracingIntegration(), Sentry.replayIntegration({ minReplayDuration: 0 })],
};
// A header that a page may not send to another origin without asking first.
const preflight = { transportOptions: { headers: { "X-Requested-With": "shop" } } };

Sentry.init({ dsn: told.get("dsn"), ...(told.has("preflight") ? preflight : everything) });
Sentry.setTag("shop", "north");
Sentry.setExtra("basket", { items: 3 });

function report() {
  try {
    null.price;
  } catch (error) {
    return [Sentry.captureException(error)];
  }
}

function reportEverything() {
  Sentry.getIsolationScope().addAttachment({ filename: "ten.txt", data: "0123456789" });
  const ids = report();
  Sentry.getIsolationScope().clearAttachments();
  Sentry.startSpan({ name: "checkout", op: "task", forceTransaction: true }, () => {
    for (const name of ["reserve", "pay"]) {
      Sentry.startSpan({ name, op: "step" }, () => {});
    }
  });
  Sentry.logger.info("a first line");
  Sentry.logger.warn("a second line", { thing: "an attribute" });
  Sentry.captureFeedback({ message: "The till is closed", name: "Ann", email: "ann@example.test" });
  return ids;
}

async function main() {
  const ids = told.has("preflight") ? report() : reportEverything();
  await Sentry.getReplay()?.flush();
  await Sentry.flush(20_000);
  await fetch("/done", { method: "POST", body: ids.join("\n") });
}

addEventListener("load", main);
