// Reports an exception; the DSN is in SENTRY_DSN.
const Sentry = require("@sentry/node");

Sentry.init();
Sentry.setTag("shop", "north");
Sentry.setExtra("basket", { items: 3 });
try {
  null.price;
} catch (error) {
  console.log(Sentry.captureException(error));
}
Sentry.flush(20_000);
