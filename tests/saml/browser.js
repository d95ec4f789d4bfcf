// As much of a browser as signing in takes: cookies, redirects, and the forms of a page without its scripts.
//
// Stricter than a browser in one thing: our servers differ by port alone, which makes them one site to browsers. Here
// they are different sites, as a provider and Picket are in the world, so a form that one posts to the other takes
// along no cookie but those with SameSite=None.
"use strict";

const REDIRECTS_MAX = 10;

const unescape = (text) =>
  text.replace(/&(#x[0-9a-f]+|#[0-9]+|amp|lt|gt|quot|apos);/gi, (_, name) => {
    const named = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" }[name.toLowerCase()];
    const number = () => (/^#x/i.test(name) ? parseInt(name.slice(2), 16) : Number(name.slice(1)));
    return named ?? String.fromCodePoint(number());
  });

const attributes = (tag) => Object.fromEntries(
  Array.from(tag.matchAll(/([a-z-]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>]+)))?/gi))
    .slice(1)
    .map(([, name, ...values]) => [name.toLowerCase(), unescape(values.find((value) => value !== undefined) ?? "")]));

class Page {
  constructor(url, response, body) {
    Object.assign(this, { url, status: response.status, headers: response.headers, body });
  }

  /** Each form with its method, its absolute action, and the fields that it would send untouched. */
  forms() {
    return Array.from(this.body.matchAll(/<form\b[^>]*>[\s\S]*?<\/form>/gi)).map(([text]) => {
      const form = attributes(text.match(/<form\b[^>]*>/i)[0]);
      const fields = {};
      for (const [tag] of text.matchAll(/<(?:input|button)\b[^>]*>/gi)) {
        const input = attributes(tag);
        if (input.name && !["checkbox", "radio"].includes(input.type)) fields[input.name] = input.value ?? "";
      }
      const action = new URL(form.action ?? "", this.url).href;
      return { method: (form.method ?? "get").toUpperCase(), action, fields, from: new URL(this.url).origin };
    });
  }
}

class Browser {
  constructor() {
    // By origin, since ports are all that tells our servers apart, and browsers do not tell by them.
    this.cookies = new Map();
  }

  get(url, options) {
    return this.request("GET", url, undefined, options);
  }

  /** `from`: the origin of the page with the form; some other site's if it is not given. */
  submit({ method, action, fields, from = "https://elsewhere.example.test" }, options = {}) {
    const sent = new URLSearchParams(fields).toString();
    return method === "GET"
      ? this.request("GET", `${action.split("?")[0]}?${sent}`, undefined, options)
      : this.request("POST", action, sent, { ...options, from });
  }

  async request(method, url, body, { follow = true, from } = {}) {
    for (let redirects = 0; redirects <= REDIRECTS_MAX; redirects++) {
      const { origin } = new URL(url);
      const jar = this.cookies.get(origin) ?? new Map();
      this.cookies.set(origin, jar);
      const response = await fetch(url, {
        method, body, redirect: "manual",
        headers: {
          cookie: Array.from(jar)
            .filter(([, cookie]) => method === "GET" || from === origin || cookie.everywhere)
            .map(([name, cookie]) => `${name}=${cookie.value}`).join("; "),
          ...(body === undefined ? {} : { "content-type": "application/x-www-form-urlencoded", origin: from }),
        },
      });
      for (const line of response.headers.getSetCookie()) {
        const [, name, value] = line.match(/^([^=]*)=([^;]*)/);
        if (/;\s*max-age=(0|-)/i.test(line) || value === "") jar.delete(name);
        else jar.set(name, { value, everywhere: /;\s*samesite=none/i.test(line) });
      }
      const text = await response.text();
      const to = response.headers.get("location");
      if (!follow || response.status < 300 || response.status > 399 || !to) return new Page(url, response, text);
      [method, url, body] = [response.status === 307 ? method : "GET", new URL(to, url).href,
        response.status === 307 ? body : undefined];
    }
    throw new Error(`redirected more than ${REDIRECTS_MAX} times, to ${url}`);
  }
}

module.exports = { Browser, unescape };
