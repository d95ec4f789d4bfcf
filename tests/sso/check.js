// From sign-in to sign-out through a real identity provider: node check.js PICKET.
//
// Plain HTTP with cookies, each step as a browser takes it, and every page's form and link read from the page. Ends
// with exit code 1 at the first thing that is not as it should be.

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';

import { SECRET, start } from './provider.js';

// The keys of a provider are not asked for again sooner.
const KEYS_PAUSE_MS = 11_000;

const WORLD = `
[[organization]]
slug = "acme"
name = "Acme"

[[user]]
email = "ann@example.test"
password = "correct horse battery staple"
roles = { acme = "owner" }

[[user]]
email = "bob@example.test"
password = "another horse battery staple"
roles = { acme = "member" }
`;

class Browser {
    // Cookies by origin, then by name.
    #jar = new Map();

    async send(url, fields) {
        const { origin, pathname } = new URL(url);
        const jar = this.#jar.get(origin) ?? new Map();
        this.#jar.set(origin, jar);
        const cookie = [...jar].filter(([, { path }]) => pathname.startsWith(path))
            .map(([name, { value }]) => `${name}=${value}`).join('; ');
        const answer = await fetch(url, {
            redirect: 'manual',
            method: fields ? 'POST' : 'GET',
            headers: { ...(cookie && { cookie }), ...(fields && { origin }) },
            body: fields && new URLSearchParams(fields),
        });
        for (const line of answer.headers.getSetCookie()) {
            const [pair, ...attributes] = line.split(/; */);
            const [name, value] = [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)];
            const attribute = (key) => attributes.find((text) => text.toLowerCase().startsWith(`${key}=`))
                ?.slice(key.length + 1);
            const isOver = attribute('max-age') === '0' || Date.parse(attribute('expires')) < Date.now();
            if (isOver || value === '') {
                jar.delete(name);
            } else {
                jar.set(name, { value, path: attribute('path') ?? '/' });
            }
        }
        const location = answer.headers.get('location');
        return {
            url, status: answer.status, text: await answer.text(), location: location && new URL(location, url).href,
        };
    }

    // Follows redirects until a page comes, or `until` says that the next address is not to be asked.
    async follow(page, until = () => false) {
        for (let steps = 0; page.location && steps < 20; steps += 1) {
            if (until(page.location)) return page;
            page = await this.send(page.location);
        }
        return page;
    }

    // Sends the form of a page with what its fields hold, and these.
    submit(page, fields) {
        const form = page.text.match(/<form[^>]*action="([^"]+)"[^>]*>([\s\S]*?)<\/form>/);
        assert.ok(form, `a form in ${page.text}`);
        const hidden = [...form[2].matchAll(/<input type="hidden" name="([^"]+)" value="([^"]*)"/g)];
        const values = Object.fromEntries(hidden.map(([, name, value]) => [name, value]));
        return this.send(new URL(unescape_(form[1]), page.url), { ...values, ...fields });
    }

    cookie(origin, name) {
        return this.#jar.get(origin)?.get(name)?.value;
    }
}

function unescape_(text) {
    return text.replaceAll('&#38;', '&').replaceAll('&amp;', '&');
}

const [picket] = process.argv.slice(2);
const directory = mkdtempSync(join(tmpdir(), 'picket-sso-'));

// Runs a command that must succeed; what it wrote. The provider lives in this process, so nothing may wait for it.
async function run(...args) {
    const done = await promisify(execFile)(picket, args, { cwd: directory, env: {} });
    return done.stdout;
}

// Starts Picket on a free port; its address.
async function serve(issuerHost, ...args) {
    const server = spawn(
        picket, ['serve', '--listen', '127.0.0.1:0', '--outbound-internal-hosts', issuerHost, ...args],
        { cwd: directory, env: {}, stdio: ['ignore', 'pipe', 'inherit'] },
    );
    for await (const line of createInterface({ input: server.stdout })) {
        const found = line.match(/http:\/\/127\.0\.0\.1:\d+/);
        if (found) {
            server.stdout.resume();
            return { server, origin: found[0] };
        }
    }
    throw new Error('the server did not start');
}

async function ended(server) {
    if (server.exitCode === null) {
        const over = new Promise((resolve) => server.once('exit', resolve));
        server.kill('SIGTERM');
        await over;
    }
}

const running = [];

async function check() {
    writeFileSync(join(directory, 'world.toml'), WORLD);
    writeFileSync(join(directory, 'secret'), SECRET);
    await run('apply', 'world.toml');

    // Both must know the other's address, so the provider begins without knowing Picket's.
    const first = await start(0, 'http://127.0.0.1/', 'http://127.0.0.1/');
    const { issuer } = first;
    const host = new URL(issuer).host;
    const { server, origin } = await serve(host);
    running.push(() => ended(server));
    await first.stop();
    const callback = `${origin}/auth/sso/`;
    const signedOut = `${origin}/auth/login/acme/`;
    let provider = await start(new URL(issuer).port, callback, signedOut);
    running.push(() => provider.stop());

    await run(
        'sso', 'set', 'acme', '--issuer', issuer, '--client-id', 'rsa', '--client-secret-file', 'secret', '--name',
        'Example ID', '--break-glass', 'ann@example.test', '--group-roles', 'operations=manager,board=owner',
        '--outbound-internal-hosts', host,
    );
    assert.match(await run('sso', 'test', 'acme', '--outbound-internal-hosts', host), /answers as it should/);

    const isBack = (url) => url.startsWith(callback);
    const whoami = (browser) => browser.send(`${origin}/api/0/users/me/`);

    // To the provider and through its pages, to the address that leads back.
    async function ask(browser, person, next = '/') {
        const page = await browser.send(`${origin}/auth/login/acme/?next=${encodeURIComponent(next)}`);
        const link = page.text.match(/class="button" href="([^"]+)"/);
        assert.ok(link && page.text.includes('Sign in with Example ID'), page.text);
        let step = await browser.follow(await browser.send(new URL(unescape_(link[1]), page.url)), isBack);
        while (!step.location) {
            assert.ok(step.url.startsWith(issuer), `${step.url}: ${step.text}`);
            step = await browser.follow(await browser.submit(step, { login: person, password: 'any' }), isBack);
        }
        return step.location;
    }

    async function signIn(browser, person, next) {
        const page = await browser.send(await ask(browser, person, next));
        assert.equal(page.status, 303, page.text);
        return page.location;
    }

    console.log('a newcomer signs in, and has the role of their group');
    const eve = new Browser();
    assert.equal(await signIn(eve, 'eve', '/settings/account/'), `${origin}/settings/account/`);
    assert.equal(JSON.parse((await whoami(eve)).text).email, 'eve@elsewhere.test');
    const organization = JSON.parse((await eve.send(`${origin}/api/0/organizations/acme/`)).text);
    assert.equal(organization.requiresSso, true);
    const own = JSON.parse((await eve.send(`${origin}/api/0/organizations/acme/members/me/`)).text);
    assert.equal(own.orgRole, 'manager');
    assert.equal(own.flags['sso:linked'], true);

    console.log('signing out ends the session at both');
    const account = await eve.send(`${origin}/settings/account/`);
    const left = await eve.submit(account, {});
    const logout = left.text.match(/content="0; url=([^"]+)"/);
    assert.ok(logout, left.text);
    assert.equal(eve.cookie(origin, 'sentrysid'), undefined);
    const confirm = await eve.send(unescape_(logout[1]));
    assert.equal(confirm.status, 200, confirm.text);
    const back = await eve.follow(await eve.submit(confirm, { logout: 'yes' }));
    assert.ok(back.url.startsWith(signedOut), back.url);
    assert.equal(back.status, 200);
    assert.notEqual((await whoami(eve)).status, 200);
    // The provider asks for the password again.
    const again = await eve.follow(await eve.send(`${origin}/auth/login/acme/sso/`), isBack);
    assert.match(again.text, /name="password"/);

    console.log('a used code is worth nothing, nor is one of another browser');
    const thief = new Browser();
    const stolen = await ask(eve, 'eve');
    assert.equal((await thief.send(stolen)).status, 400);
    assert.equal((await eve.send(stolen)).status, 303);
    assert.equal((await eve.send(stolen)).status, 400);
    const fresh = new URL(await ask(eve, 'eve'));
    fresh.searchParams.set('code', new URL(stolen).searchParams.get('code'));
    assert.equal((await eve.send(fresh)).status, 403);

    console.log('an address that is not checked, or not trusted, opens no account');
    const mallory = new Browser();
    const refused = await mallory.send(await ask(mallory, 'mallory'));
    assert.equal(refused.status, 403);
    assert.match(refused.text, /role="alert"/);
    const bob = new Browser();
    const known = await bob.send(await ask(bob, 'bob'));
    assert.match(known.text, /You have an account here/);
    assert.equal(bob.cookie(origin, 'sentrysid'), undefined);

    console.log('a password alone opens the organization to nobody but those who are meant to come in so');
    for (const [email, password, status] of [
        ['bob@example.test', 'another horse battery staple', 401],
        ['ann@example.test', 'correct horse battery staple', 200],
    ]) {
        const browser = new Browser();
        const page = await browser.send(`${origin}/auth/login/`);
        assert.equal((await browser.submit(page, { email, password })).status, 303);
        const answer = await browser.send(`${origin}/api/0/organizations/acme/`);
        assert.equal(answer.status, status, answer.text);
        if (status === 401) {
            const { detail } = JSON.parse(answer.text);
            assert.deepEqual(detail, {
                code: 'sso-required', message: 'Must login via SSO', extra: { loginUrl: '/auth/login/acme/' },
            });
            // Who has the password says that the account is theirs.
            const offer = await browser.send(await ask(browser, 'bob'));
            assert.match(offer.text, /Link your account/);
            const forms = offer.text.slice(offer.text.indexOf('<main>'));
            const linked = await browser.submit({ url: offer.url, text: forms }, { password });
            assert.equal(linked.status, 303, linked.text);
            assert.equal((await browser.send(`${origin}/api/0/organizations/acme/`)).status, 200);
        }
    }

    console.log('new keys are found without a restart, and those of an elliptic curve are taken');
    await provider.stop();
    provider = await start(new URL(issuer).port, callback, signedOut);
    await new Promise((resolve) => setTimeout(resolve, KEYS_PAUSE_MS));
    await signIn(new Browser(), 'eve');
    await run('sso', 'set', 'acme', '--client-id', 'elliptic', '--outbound-internal-hosts', host);
    await signIn(new Browser(), 'bob');

    console.log('a provider that is gone is a plain page');
    const late = new Browser();
    const answer = await ask(late, 'eve');
    await provider.stop();
    const gone = await late.send(answer);
    assert.equal(gone.status, 503);
    assert.match(gone.text, /role="alert"/);
}

try {
    await check();
} finally {
    for (const stop of running.reverse()) await stop();
    rmSync(directory, { recursive: true });
}
