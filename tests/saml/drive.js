// Signs people in and out of a running Picket (check.js runs one) through a real identity provider, as a browser does, and tries what
// forgers try. Picket must know the provider, which exists only while this runs, so the two take turns:
//
//   node drive.js URL ORGANIZATION [--provider-may-begin]
//
// prints {"provider": {"metadata": XML, "attributes": {…}}} and waits for a line on standard input; whoever started
// it configures the organization's provider with that, and makes ann@example.test somebody who may sign in. Then each
// check is a line {"what", "expected", "found"}. --provider-may-begin: sign-in that begins at the provider is allowed
// there. The exit code says whether everything could be tried, not whether it held.
"use strict";

const readline = require("node:readline");
const zlib = require("node:zlib");
const { createPublicKey } = require("node:crypto");
const { Browser, unescape } = require("./browser");
const { Provider, newKey } = require("./idp");

const [picket, organization, ...flags] = process.argv.slice(2);
if (!picket || !organization) {
  console.error("usage: drive.js URL ORGANIZATION [--provider-may-begin]");
  process.exit(2);
}
const providerMayBegin = flags.includes("--provider-may-begin");
const address = (what) => `${picket}/saml/${what}/${organization}/`;
const service = { entityId: address("metadata"), acs: address("acs"), sls: address("sls") };
const ANN = {
  name: "ann@example.test",
  attributes: { uid: "u-17", email: "ann@example.test", first: "Ann", last: "Example", groups: ["dev", "ops"] },
};
const ATTRIBUTES = { identifier: "uid", user_email: "email", first_name: "first", last_name: "last", groups: "groups" };

const say = (line) => console.log(JSON.stringify(line));
const check = (what, expected, found) => say({ what, expected, found });

/** Whose session a browser has; null if it has none. */
async function who(browser) {
  const answer = await browser.get(`${picket}/api/0/auth/`, { follow: false });
  return answer.status === 200 ? JSON.parse(answer.body).email : null;
}

/** Goes to the sign-in page of the organization and on to the provider; the page that the provider answers with. */
async function goToProvider(browser, provider) {
  let page = await browser.get(`${picket}/auth/login/${organization}/`);
  if (!page.url.startsWith(provider.url)) {
    const link = page.body.match(new RegExp(`href="(/auth/login/${organization}/sso/[^"]*)"`));
    if (!link) throw new Error(`no way to the provider from ${page.url}:\n${page.body}`);
    page = await browser.get(new URL(unescape(link[1]), page.url).href);
  }
  return page;
}

const answerForm = (page) => page.forms().find((form) => "SAMLResponse" in form.fields);

async function signIn(provider) {
  const browser = new Browser();
  const form = answerForm(await goToProvider(browser, provider));
  if (!form) throw new Error(`the provider did not answer: ${provider.problems.join("; ")}`);
  const landed = await browser.submit(form);
  return { browser, form, landed };
}

/** What comes of an answer that was made by hand, in a browser that is on its way to sign in. */
async function tryAnswer(provider, make, { began = true } = {}) {
  const browser = new Browser();
  const id = began ? (await goToProvider(browser, provider), provider.request.match(/ ID="([^"]*)"/)[1]) : undefined;
  const value = await make(id);
  const page = await browser.submit({ method: "POST", action: service.acs, fields: { SAMLResponse: value } });
  return { who: await who(browser), refused: page.status >= 400 && page.status < 500 };
}

const REFUSED = { who: null, refused: true };
const changed = (base64, change) => Buffer.from(change(Buffer.from(base64, "base64").toString())).toString("base64");

async function signingIn(provider) {
  const anonymous = new Browser();
  const metadata = await anonymous.get(service.entityId);
  check("our metadata is served with its own address as the name", [200, "text/xml", true, true], [
    metadata.status, metadata.headers.get("content-type")?.split(";")[0],
    metadata.body.includes(`entityID="${service.entityId}"`), metadata.body.includes(`Location="${service.acs}"`),
  ]);

  const first = await signIn(provider);
  check("ann signs in through the provider", "ann@example.test", await who(first.browser));
  check("and is on a page of ours", true, first.landed.status === 200 && first.landed.url.startsWith(picket));

  const again = new Browser();
  const replayed = await again.submit(first.form);
  check("the same answer in another browser", REFUSED,
    { who: await who(again), refused: replayed.status >= 400 && replayed.status < 500 });
  const twice = await first.browser.submit(first.form);
  check("the same answer once more in the same browser", true, twice.status >= 400 && twice.status < 500);

  provider.person = { ...ANN, attributes: { uid: "u-17" } };
  const lacking = new Browser();
  const page = await lacking.submit(answerForm(await goToProvider(lacking, provider)));
  check("an answer without the address says what came", [null, true],
    [await who(lacking), page.body.includes("email") && page.body.includes("uid")]);
  provider.person = ANN;
}

async function forging(provider) {
  const mallory = newKey("mallory");
  const root = (xml) => xml.replaceAll(">ann@", ">root@");
  const wrapped = (xml) => {
    const original = xml.match(/<saml:Assertion[\s\S]*<\/saml:Assertion>/)[0];
    const forged = root(original.replace(/<Signature[\s\S]*<\/Signature>/, "").replace(/ ID="[^"]*"/, ' ID="_forged"'));
    return xml.replace(original, forged + original);
  };
  const tries = {
    "an answer of the provider, posted by hand": [(id) => provider.answer({ inResponseTo: id }), "ann@example.test"],
    "an answer signed as a whole": [
      (id) => provider.answer({ inResponseTo: id, signAssertion: false, signResponse: true }), "ann@example.test"],
    "an answer signed twice": [(id) => provider.answer({ inResponseTo: id, signResponse: true }), "ann@example.test"],
    "an answer that was changed": [async (id) => changed(await provider.answer({ inResponseTo: id }), root)],
    "an answer with a forged assertion before the signed one": [
      async (id) => changed(await provider.answer({ inResponseTo: id }), wrapped)],
    "an answer cut by a comment": [async (id) => changed(await provider.answer({ inResponseTo: id }),
      (xml) => xml.replace(">ann@example", ">ann@<!-- -->example"))],
    "an answer that is not signed": [(id) => provider.answer({ inResponseTo: id, signAssertion: false })],
    "an answer of another key": [(id) => provider.answer({ inResponseTo: id, ...mallory })],
    "an answer with SHA-1": [(id) => provider.answer({ inResponseTo: id, signatureAlgorithm: "rsa-sha1" })],
    "an answer that has expired": [(id) => provider.answer({ inResponseTo: id, lifetimeInSeconds: -120 })],
    "an answer for another application": [
      (id) => provider.answer({ inResponseTo: id, audience: "https://other.example.test/" })],
    "an answer for another address": [
      (id) => provider.answer({ inResponseTo: id, recipient: "https://other.example.test/acs" })],
    "an answer of another provider": [
      (id) => provider.answer({ inResponseTo: id, issuer: "https://other.example.test/" })],
    "an answer to another request": [() => provider.answer({ inResponseTo: "_other" })],
    "an encrypted answer": [(id) => provider.answer({
      inResponseTo: id, encryptionCert: provider.pair.cert,
      encryptionPublicKey: createPublicKey(provider.pair.cert).export({ type: "spki", format: "pem" }),
    })],
    "no base64": [() => "%%%"],
    "nothing": [() => ""],
  };
  for (const [what, [make, person]] of Object.entries(tries)) {
    check(what, person ? { who: person, refused: false } : REFUSED, await tryAnswer(provider, make));
  }
  const unasked = (changes) => tryAnswer(provider, () => provider.answer(changes), { began: false });
  check("sign-in that begins at the provider", providerMayBegin ? { who: ANN.name, refused: false } : REFUSED,
    await unasked({ inResponseTo: undefined }));
  check("an answer to a request of nobody", REFUSED, await unasked({ inResponseTo: "_other" }));
}

async function signingOut(provider) {
  const here = await signIn(provider);
  const page = await here.browser.get(`${picket}/settings/account/`);
  const form = page.forms().find((one) => one.action.includes("/auth/logout/"));
  const leaving = await here.browser.submit(form);
  const refresh = leaving.body.match(/http-equiv="refresh" content="0; url=([^"]+)"/);
  const left = refresh ? await here.browser.get(unescape(refresh[1])) : leaving;
  check("signing out here ends the session here and there", [null, 0, true],
    [await who(here.browser), provider.participants.all.length, left.status === 200 && left.url.startsWith(picket)]);

  const there = await signIn(provider);
  for (const [what, how] of [["unsigned", { signed: false }], ["of another key", { pair: newKey("mallory") }]]) {
    const answer = await there.browser.get(provider.logoutUrl(how).url, { follow: false });
    check(`a request to sign out that is ${what}`, ["ann@example.test", true],
      [await who(there.browser), answer.status >= 400 && answer.status < 500]);
  }
  const { id, url } = provider.logoutUrl();
  const answer = await there.browser.get(url, { follow: false });
  const back = new URL(answer.headers.get("location") ?? "about:blank");
  const packed = Buffer.from(back.searchParams.get("SAMLResponse") ?? "", "base64");
  const xml = packed.length > 0 ? zlib.inflateRawSync(packed).toString() : "";
  check("signing out there ends the session here, and is answered",
    [null, `${provider.url}/logout`, "there", true, true],
    [await who(there.browser), back.origin + back.pathname, back.searchParams.get("RelayState"),
      xml.includes(`InResponseTo="${id}"`), xml.includes("status:Success")]);
  const repeated = await there.browser.get(url, { follow: false });
  check("the same request to sign out once more", true, repeated.status >= 400 && repeated.status < 500);
}

async function main() {
  const provider = new Provider(service);
  await provider.start();
  provider.person = ANN;
  try {
    const metadata = (await new Browser().get(`${provider.url}/metadata`)).body;
    say({ provider: { metadata, attributes: ATTRIBUTES } });
    const lines = readline.createInterface({ input: process.stdin });
    await new Promise((done) => lines.once("line", done));
    lines.close();
    await signingIn(provider);
    await forging(provider);
    await signingOut(provider);
    check("the provider found nothing wrong with our messages", [], provider.problems);
  } finally {
    provider.stop();
  }
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
