// Walks through the pages as people do, in a headless browser without script. Its argument is JSON: the browser and its
// flags, and the links that somebody is given. It prints a line of JSON for each thing that it looked at: what, what was
// expected, what was found.

const puppeteer = require("puppeteer-core");

const { executable, args, link, invitation, reset } = JSON.parse(process.argv[2]);
const FIRST = "unlikely badger orchard drum";
const SECOND = "another badger orchard drum";
const THIRD = "a third badger in the orchard";

const say = (what, expected, found) => console.log(JSON.stringify([what, expected, found]));

// What the browser itself complains about, but for statuses, which are looked at below.
const complaints = [];

async function visitor(browser) {
  const context = await browser.createBrowserContext();
  const page = await context.newPage();
  await page.setJavaScriptEnabled(false);
  page.setDefaultTimeout(20_000);
  page.on("console", (message) => complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("request", (request) => {
    if (new URL(request.url()).origin !== new URL(link).origin) {
      complaints.push(`asks ${request.url()}`);
    }
  });
  return page;
}

async function press(page, form) {
  const button = await page.$(`${form} button`);
  const [response] = await Promise.all([page.waitForNavigation(), button.click()]);
  return response.status();
}

async function send(page, form, fields) {
  for (const [name, value] of Object.entries(fields)) {
    const field = await page.$(`${form} [name=${name}]`);
    await field.click({ clickCount: 3 });
    await field.type(value);
  }
  return press(page, form);
}

const here = (page) => new URL(page.url()).pathname;
const heading = (page) => page.$eval("h1", (h1) => h1.textContent);
const alert = (page) => page.$eval("[role=alert]", (element) => element.textContent.trim());
const open = (page, path) => page.goto(new URL(path, link).href);

// What a page lacks for those who do not see it.
async function lacks(page) {
  return page.evaluate(() => {
    const found = [];
    if (!document.documentElement.lang) found.push("no language");
    if (!document.title) found.push("no title");
    if (document.querySelectorAll("h1").length !== 1) found.push("not one heading");
    if (document.querySelectorAll("main").length !== 1) found.push("not one main part");
    for (const field of document.querySelectorAll("input:not([type=hidden]):not([hidden]), select, textarea")) {
      if (field.labels.length === 0) found.push(`no label for ${field.name || field.id}`);
    }
    for (const button of document.querySelectorAll("button, a")) {
      if (!button.textContent.trim() && !button.ariaLabel) found.push("a button or link without a name");
    }
    for (const element of document.querySelectorAll("[aria-describedby]")) {
      if (!document.getElementById(element.getAttribute("aria-describedby"))) found.push("a description is missing");
    }
    const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
    if (new Set(ids).size !== ids.length) found.push("an id twice");
    return found;
  });
}

async function look(page, what) {
  say(`${what} can be used without seeing it`, [], await lacks(page));
}

async function owner(browser) {
  const page = await visitor(browser);
  await page.goto(link);
  await look(page, "the page for setting up");
  const fields = { email: "olive@example.test", name: "Olive", password: "iloveyou", again: "iloveyou" };
  say("a weak password is refused", 400, await send(page, "main form", fields));
  say("with a reason", "This password is one of those that everybody tries first.", await alert(page));
  await send(page, "main form", { password: FIRST, again: FIRST });
  say("whoever set up is signed in", ["/", "Organizations"], [here(page), await heading(page)]);
  await look(page, "the start page");
  const again = await page.goto(link);
  say("the link worked once", 404, again.status());

  await open(page, "/settings/account/");
  await look(page, "the account page");
  await send(page, 'form[action="/settings/account/"]', { name: "Olive Example" });
  say("the new name is shown", "Olive Example", await page.$eval("nav a", (a) => a.textContent));

  const other = await visitor(browser);
  await open(other, "/settings/account/");
  await look(other, "the sign-in page");
  await send(other, "main form", { email: "olive@example.test", password: FIRST });
  say("who signs in comes to where they wanted to go", "/settings/account/", here(other));

  await open(page, "/settings/account/security/session-history/");
  await look(page, "the page of sessions");
  say("both browsers are listed", 2, (await page.$$("tbody tr")).length);

  await open(page, "/settings/account/security/password/");
  await look(page, "the page for another password");
  await send(page, "main form", { current: FIRST, password: SECOND, again: SECOND });
  say("the password is changed", 1, (await page.$$("[role=status]")).length);
  await open(other, "/settings/account/");
  say("the other browser is signed out", "/auth/login/", here(other));

  await press(page, 'form[action="/auth/logout/"]');
  say("signing out leads to the sign-in page", "/auth/login/", here(page));
  const wrong = { email: "olive@example.test", password: FIRST };
  say("the old password is refused", 400, await send(page, "main form", wrong));
  await send(page, "main form", { password: SECOND });
  say("the new one is taken", "/", here(page));

  await open(page, "/auth/verify/?next=%2Fsettings%2Faccount%2F");
  await look(page, "the page that asks for the password again");
  await send(page, "main form", { password: SECOND });
  say("it leads back", "/settings/account/", here(page));
}

async function invited(browser) {
  const page = await visitor(browser);
  await page.goto(invitation);
  await look(page, "the page of an invitation");
  await send(page, "main form", { name: "Zed", password: FIRST, again: FIRST });
  say("whoever is invited is in", ["/", 1], [here(page), (await page.$$("main li")).length]);
}

async function forgetful(browser) {
  const page = await visitor(browser);
  await open(page, "/account/recover/");
  await look(page, "the page for a forgotten password");
  await page.goto(reset);
  await look(page, "the page for setting a forgotten password");
  await send(page, "main form", { password: THIRD, again: THIRD });
  say("then one signs in", "/auth/login/", here(page));
  await send(page, "main form", { email: "ann@example.test", password: THIRD });
  say("with the new password", "/", here(page));
}

(async () => {
  const browser = await puppeteer.launch({ executablePath: executable, args, headless: "shell" });
  try {
    await owner(browser);
    await invited(browser);
    await forgetful(browser);
  } finally {
    await browser.close();
  }
  const real = complaints.filter((text) => !text.startsWith("Failed to load resource"));
  say("the browser finds nothing wrong with the pages", [], real);
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
