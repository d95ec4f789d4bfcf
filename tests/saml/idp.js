// An identity provider on loopback: samlp, which others run in production, behind a few lines of HTTP. Whoever asks is
// signed in at once, as the person that was set.
"use strict";

const crypto = require("node:crypto");
const fs = require("node:fs");
const http = require("node:http");
const os = require("node:os");
const path = require("node:path");
const zlib = require("node:zlib");
const { execFileSync } = require("node:child_process");
const samlp = require("samlp");

const EMAIL = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress";

/** A new RSA key with a certificate of its own, both PEM. */
function newKey(name) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "saml-"));
  const [key, cert] = ["key", "crt"].map((end) => path.join(folder, end));
  execFileSync("openssl", [
    "req", "-x509", "-nodes", "-newkey", "rsa:2048", "-keyout", key, "-out", cert, "-days", "2", "-subj", `/CN=${name}`,
  ], { stdio: "ignore" });
  const pair = { key: fs.readFileSync(key, "utf8"), cert: fs.readFileSync(cert, "utf8") };
  fs.rmSync(folder, { recursive: true });
  return pair;
}

/** What samlp asks of a person; it calls this without `new`, and looks at its prototype too. */
function Mapper(person) {
  return {
    getClaims: () => person.attributes,
    getNameIdentifier: () => ({ nameIdentifier: person.name, nameIdentifierFormat: EMAIL }),
  };
}
Mapper.prototype.metadata = [];

/** Sessions at the provider: one, which is enough for one browser. */
class Participants {
  constructor() {
    this.all = [];
  }

  hasElements() {
    return this.all.length > 0;
  }

  get(issuer, indexes, name, done) {
    done(null, this.all.find((one) => [].concat(indexes).includes(one.sessionIndex) && one.nameId === name));
  }

  getFirst(done) {
    done(null, this.all[0]);
  }

  remove(issuer, index, name, done) {
    this.all = this.all.filter((one) => one.sessionIndex !== index || one.nameId !== name);
    done(null);
  }
}

/** The state of a sign-out under way. */
class Store {
  constructor() {
    this.all = new Map();
  }

  save(req, state, done) {
    const id = crypto.randomBytes(8).toString("hex");
    this.all.set(id, state);
    done(null, id);
  }

  load(req, id, options, done) {
    const state = this.all.get(id);
    if (options.destroy) this.all.delete(id);
    (done ?? options)(null, state);
  }

  update(req, id, state, done) {
    this.all.set(id, state);
    done(null);
  }
}

class Provider {
  /** `service`: entityId, acs and sls of who relies on it. */
  constructor(service) {
    this.service = service;
    this.pair = newKey("idp");
    this.person = null;
    this.participants = new Participants();
    this.store = new Store();
    this.sessions = 0;
    this.problems = [];
  }

  async start() {
    this.server = http.createServer((req, res) => this.serve(req, res));
    await new Promise((done) => this.server.listen(0, "127.0.0.1", done));
    this.url = `http://127.0.0.1:${this.server.address().port}`;
    this.entityId = `${this.url}/metadata`;
  }

  stop() {
    this.server.closeAllConnections();
    this.server.close();
  }

  /** samlp is written for express; this is what it uses of that. */
  serve(req, res) {
    const url = new URL(req.url, this.url);
    Object.assign(req, {
      query: Object.fromEntries(url.searchParams), body: {}, protocol: "http", originalUrl: req.url,
    });
    res.set = (name, value) => res.setHeader(name, value);
    res.send = (body) => (typeof body === "number" ? res.writeHead(body).end() : res.end(body));
    res.redirect = (to) => res.writeHead(302, { Location: to }).end();
    const failed = (error) => {
      this.problems.push(String(error));
      res.writeHead(500).end(String(error));
    };
    const handler = {
      "/metadata": () => samlp.metadata({
        issuer: this.entityId, cert: this.pair.cert, profileMapper: Mapper, redirectEndpointPath: "/sso",
        postEndpointPath: "/sso", logoutEndpointPaths: { redirect: "/logout" },
      }),
      "/sso": () => this.signIn(req),
      "/logout": () => samlp.logout({
        deflate: true, issuer: this.entityId, protocolBinding: "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect",
        signatureAlgorithm: "rsa-sha256", digestAlgorithm: "sha256", sessionParticipants: this.participants,
        store: this.store, ...this.pair,
      }),
    }[url.pathname];
    if (!handler) return res.writeHead(404).end();
    handler()(req, res, failed);
  }

  signIn(req) {
    this.request = zlib.inflateRawSync(Buffer.from(req.query.SAMLRequest ?? "", "base64")).toString();
    return samlp.auth({ ...this.options(), getUserFromRequest: () => this.person });
  }

  /** How answers are made; a new session each time. */
  options(changes = {}) {
    const sessionIndex = `_session${++this.sessions}`;
    this.participants.all = [{
      serviceProviderId: this.service.entityId, nameId: this.person.name,
      nameIdFormat: EMAIL, sessionIndex,
      serviceProviderLogoutURL: this.service.sls, binding: "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect",
    }];
    return {
      issuer: this.entityId, profileMapper: Mapper, lifetimeInSeconds: 240, signatureAlgorithm: "rsa-sha256",
      digestAlgorithm: "sha256", audience: this.service.entityId, destination: this.service.acs,
      recipient: this.service.acs, sessionIndex, getPostURL: (audience, dom, r, done) => done(null, this.service.acs),
      ...this.pair, ...changes,
    };
  }

  /** An answer as the browser would post it, in base64; `changes` are samlp's options. */
  answer(changes = {}) {
    return new Promise((done, failed) => {
      samlp.getSamlResponse(this.options(changes), this.person, (error, xml) =>
        error ? failed(error) : done(Buffer.from(xml).toString("base64")));
    });
  }

  /** The URL that brings a request to sign out of the newest session to who relies on it. */
  logoutUrl({ signed = true, pair = this.pair, id = `_${crypto.randomBytes(16).toString("hex")}` } = {}) {
    const [participant] = this.participants.all;
    const xml = '<samlp:LogoutRequest xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" ' +
      `xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="${id}" Version="2.0" ` +
      `IssueInstant="${new Date().toISOString()}" Destination="${this.service.sls}"><saml:Issuer>${this.entityId}` +
      `</saml:Issuer><saml:NameID Format="${participant.nameIdFormat}">${participant.nameId}</saml:NameID>` +
      `<samlp:SessionIndex>${participant.sessionIndex}</samlp:SessionIndex></samlp:LogoutRequest>`;
    const packed = encodeURIComponent(zlib.deflateRawSync(xml).toString("base64"));
    let query = `SAMLRequest=${packed}&RelayState=there`;
    if (signed) {
      query += `&SigAlg=${encodeURIComponent("http://www.w3.org/2001/04/xmldsig-more#rsa-sha256")}`;
      const value = crypto.createSign("sha256").update(query).sign(pair.key, "base64");
      query += `&Signature=${encodeURIComponent(value)}`;
    }
    return { id, url: `${this.service.sls}?${query}` };
  }
}

module.exports = { Mapper, Participants, Provider, Store, newKey };
