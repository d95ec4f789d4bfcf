// Walks through the pages as people do, in a headless browser: part of the way without script, part with it, because
// what looks for faults in a page is a script. Its argument is JSON: the browser and its
// flags, and the links that somebody is given. It prints a line of JSON for each thing that it looked at: what, what was
// expected, what was found.

const crypto = require("crypto");
const { chromium } = require("playwright-core");
const axe = require("axe-core");

const { executable, args, link, invitation, another, reset } = JSON.parse(process.argv[2]);
const FIRST = "unlikely badger orchard drum";
const SECOND = "another badger orchard drum";
const THIRD = "a third badger in the orchard";
const SITE = new URL(link).origin;
const TIMEOUT_MS = 20_000;

const say = (what, expected, found) => console.log(JSON.stringify([what, expected, found]));

// What the browser itself complains about, and requests to anywhere else.
const complaints = [];

async function visitor(browser, javaScriptEnabled) {
  const context = await browser.newContext({ baseURL: SITE, javaScriptEnabled });
  const page = await context.newPage();
  page.setDefaultTimeout(TIMEOUT_MS);
  page.on("console", (message) => {
    // It says so of every page with a status of its own; those are looked at below.
    const isStatus = message.text().startsWith("Failed to load resource") && message.location().url === page.url();
    if (!isStatus) complaints.push(`${here(page)}: ${message.text()}`);
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (url.origin !== SITE && url.protocol !== "data:") complaints.push(`asks ${url}`);
  });
  return page;
}

const here = (page) => new URL(page.url()).pathname;
const heading = (page) => page.locator("h1").innerText();
const alert = async (page) => (await page.getByRole("alert").first().innerText()).trim();

// Fills the fields with these labels, and presses the button with this name, of one form. The status of what comes.
async function send(page, button, fields = {}) {
  const name = { name: button, exact: true };
  const form = page.locator("form", { has: page.getByRole("button", name) }).first();
  for (const [label, value] of Object.entries(fields)) {
    const field = form.getByLabel(label, { exact: true });
    if (value === true) await field.check();
    else await field.fill(value);
  }
  const [response] = await Promise.all([page.waitForNavigation(), form.getByRole("button", name).click()]);
  return response.status();
}

// What is wrong with a page for those who do not see it, or use it by other means than a mouse.
async function look(page, what) {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate("axe.run()");
  const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" ")}`);
  say(`${what} can be used by everybody`, [], found);
}

const BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

// The one-time code of a moment (RFC 6238), as an app computes it.
function code(secret, moment = Date.now()) {
  const bits = [...secret].map((letter) => BASE32.indexOf(letter).toString(2).padStart(5, "0")).join("");
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const step = Buffer.alloc(8);
  step.writeBigUInt64BE(BigInt(Math.floor(moment / 30_000)));
  const digest = crypto.createHmac("sha1", key).update(step).digest();
  const at = digest[19] & 15;
  return String((digest.readUInt32BE(at) & 0x7fffffff) % 1_000_000).padStart(6, "0");
}

async function owner(browser) {
  const page = await visitor(browser, true);
  await page.goto(link);
  await look(page, "the page for setting up");
  const weak = { Email: "olive@example.test", Name: "Olive", "New password": "iloveyou", "New password once more": "iloveyou" };
  say("a weak password is refused", 400, await send(page, "Set up and sign in", weak));
  say("with a reason", "This password is one of those that everybody tries first.", await alert(page));
  await look(page, "a refusal");
  await send(page, "Set up and sign in", { ...weak, "New password": FIRST, "New password once more": FIRST });
  say("whoever set up is signed in", ["/", "Organizations"], [here(page), await heading(page)]);
  await look(page, "the start page");
  say("the link worked once", 404, (await page.goto(link)).status());
  await look(page, "the page of a link that is over");

  await page.goto("/settings/account/");
  await look(page, "the account page");
  await send(page, "Save the name", { Name: "Olive Example" });
  say("the new name is shown", "Olive Example", await page.locator("nav a").first().innerText());

  const other = await visitor(browser, true);
  await other.goto("/settings/account/");
  await look(other, "the sign-in page");
  await send(other, "Sign in", { Email: "olive@example.test", Password: FIRST });
  say("who signs in comes to where they wanted to go", "/settings/account/", here(other));

  await page.goto("/settings/account/security/session-history/");
  await look(page, "the page of sessions");
  say("both browsers are listed", 2, await page.locator("tbody tr").count());

  await page.goto("/settings/account/security/password/");
  await look(page, "the page for another password");
  const changed = { "Current password": FIRST, "New password": SECOND, "New password once more": SECOND };
  await send(page, "Change the password", changed);
  say("the password is changed", 1, await page.getByRole("status").count());
  await other.goto("/settings/account/");
  say("the other browser is signed out", "/auth/login/", here(other));

  await send(page, "Sign out");
  say("signing out leads to the sign-in page", "/auth/login/", here(page));
  const wrong = { Email: "olive@example.test", Password: FIRST };
  say("the old password is refused", 400, await send(page, "Sign in", wrong));
  await send(page, "Sign in", { Password: SECOND });
  say("the new one is taken", "/", here(page));

  await page.goto("/auth/verify/?next=%2Fsettings%2Faccount%2F");
  await look(page, "the page that asks for the password again");
  await send(page, "Go on", { Password: SECOND });
  say("it leads back", "/settings/account/", here(page));

  await tokens(page);
  await secondFactor(page);
}

async function tokens(page) {
  const list = "/settings/account/api/auth-tokens/";
  await page.goto(list);
  await look(page, "the page of tokens");
  await page.goto(`${list}new-token/`);
  await look(page, "the page for a new token");
  await send(page, "Create", { Name: "reader", "org:read": true, Expires: "2099-12-31" });
  await look(page, "the page of a token that was made");
  const token = await page.locator("#token").innerText();
  say("a token is shown", true, /^sntryu_[0-9a-f]{64}$/.test(token));
  const asked = async () => {
    const headers = { Authorization: `Bearer ${token}` };
    const answer = await fetch(`${SITE}/api/0/`, { headers });
    return [answer.status, (await answer.json()).auth?.scopes];
  };
  say("it is of use at once", [200, ["org:read"]], await asked());
  await page.goto(list);
  say("it is not shown again", false, (await page.content()).includes(token));
  await page.getByRole("link", { name: "reader", exact: true }).click();
  await look(page, "the page of a token");
  await send(page, "Revoke");
  say("a revoked one is refused at once", 401, (await asked())[0]);
}

async function secondFactor(page) {
  await page.goto("/settings/account/security/");
  await look(page, "the page about the second factor");
  await page.goto("/settings/account/security/totp/");
  await look(page, "the page that sets an app up");
  say("there is a picture to scan", 1, await page.locator("main svg").count());
  const secret = (await page.locator("main code").first().innerText()).replace(/\s/g, "");
  say("a wrong code is refused", 400, await send(page, "Confirm", { Code: "000000" }));
  const proof = code(secret);
  await send(page, "Confirm", { Code: proof });
  await look(page, "the page with the recovery codes");
  const codes = await page.locator("ul.codes code").allInnerTexts();
  say("there are ten recovery codes", 10, codes.filter((text) => /^[A-Z2-7]{4}-[A-Z2-7]{4}$/.test(text)).length);

  const label = "Code from your app, or a recovery code";
  const enter = async () => {
    await send(page, "Sign out");
    await send(page, "Sign in", { Email: "olive@example.test", Password: SECOND });
  };
  await enter();
  say("the password is not enough", "/auth/2fa/", here(page));
  await look(page, "the page for the code");
  say("a code that was used is refused", 400, await send(page, "Sign in", { [label]: proof }));
  await send(page, "Sign in", { [label]: codes[0].toLowerCase().replace("-", "") });
  say("a recovery code signs in", "/", here(page));
  await enter();
  say("it does so once", 400, await send(page, "Sign in", { [label]: codes[0] }));
  // The code of the next half minute is good already.
  await send(page, "Sign in", { [label]: code(secret, Date.now() + 30_000) });
  say("a code of the app signs in", "/", here(page));
  await page.goto("/settings/account/security/");
  await look(page, "the page about a second factor that is set up");
}

async function invited(browser) {
  const page = await visitor(browser, false);
  await page.goto(invitation);
  const chosen = { Name: "Zed", "New password": FIRST, "New password once more": FIRST };
  await send(page, "Make the account and join", chosen);
  say("whoever is invited is in", ["/", 1], [here(page), await page.locator("main > ul > li").count()]);
}

async function forgetful(browser) {
  const page = await visitor(browser, false);
  await page.goto(reset);
  await send(page, "Set the password", { "New password": THIRD, "New password once more": THIRD });
  say("then one signs in", "/auth/login/", here(page));
  await send(page, "Sign in", { Email: "ann@example.test", Password: THIRD });
  say("with the new password", "/", here(page));
}

// The pages that the others walk past.
async function reader(browser) {
  const page = await visitor(browser, true);
  await page.goto(another);
  await look(page, "the page of an invitation");
  await page.goto("/account/recover/");
  await look(page, "the page for a forgotten password");
  await page.goto("/nowhere/");
  await look(page, "the page that is not there");
  await page.goto("/auth/login/");
  await send(page, "Sign in", { Email: "ann@example.test", Password: THIRD });
  await page.goto("/settings/acme/auth-tokens/");
  await look(page, "the page of an organization's tokens");
  await page.goto("/settings/acme/auth-tokens/new-token/");
  await look(page, "the page for a new one");
  await page.goto("/settings/acme/auth/");
  await look(page, "the page for single sign-on");
}

(async () => {
  const browser = await chromium.launch({ executablePath: executable, args });
  try {
    await owner(browser);
    await invited(browser);
    await forgetful(browser);
    await reader(browser);
  } finally {
    await browser.close();
  }
  say("the browser finds nothing wrong with the pages", [], complaints);
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
