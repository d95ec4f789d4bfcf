// Starts a Picket, lets drive.js sign people in and out of it through a real identity provider, and counts what held:
//
//   node check.js PICKET
//
// Twice: sign-in may begin at the provider only the second time. Each time a Picket of its own, because one address may
// try only so often. Exits with 1 if anything is not as it should be.
"use strict";

const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const readline = require("node:readline");
const { isDeepStrictEqual, promisify } = require("node:util");
const { execFile, spawn } = require("node:child_process");

const WORLD = `
[[organization]]
slug = "acme"
name = "Acme"

[[user]]
email = "ann@example.test"
password = "correct horse battery staple"
roles = { acme = "member" }

[[user]]
email = "root@example.test"
password = "another horse battery staple"
roles = { acme = "owner" }
`;

const [picket] = process.argv.slice(2);

async function ended(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const over = new Promise((done) => child.once("exit", done));
  child.kill("SIGTERM");
  await over;
}

async function pass(flags) {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "picket-saml-"));
  const running = [];
  try {
    const run = (...args) => promisify(execFile)(picket, args, { cwd: directory, env: {} });
    fs.writeFileSync(path.join(directory, "world.toml"), WORLD);
    await run("apply", "world.toml");
    const server = spawn(picket, ["serve", "--listen", "127.0.0.1:0"],
      { cwd: directory, env: {}, stdio: ["ignore", "pipe", "inherit"] });
    running.push(server);
    let origin;
    for await (const line of readline.createInterface({ input: server.stdout })) {
      origin = line.match(/http:\/\/127\.0\.0\.1:\d+/)?.[0];
      if (origin) break;
    }
    if (!origin) throw new Error("Picket did not start");
    server.stdout.resume();

    const driver = spawn(process.execPath, ["--no-deprecation", path.join(__dirname, "drive.js"), origin, "acme", ...flags],
      { stdio: ["pipe", "pipe", "inherit"] });
    running.push(driver);
    const over = new Promise((done) => driver.once("exit", done));
    let [passed, failed] = [0, 0];
    for await (const text of readline.createInterface({ input: driver.stdout })) {
      const line = JSON.parse(text);
      if (line.provider) {
        const { metadata, attributes } = line.provider;
        fs.writeFileSync(path.join(directory, "metadata.xml"), metadata);
        await run(
          "sso", "set", "acme", "--metadata-file", "metadata.xml", "--identifier-attribute", attributes.identifier,
          "--email-attribute", attributes.user_email, "--first-name-attribute", attributes.first_name,
          "--last-name-attribute", attributes.last_name, "--groups-claim", attributes.groups,
          "--trusted-domains", "example.test", "--break-glass", "root@example.test", "--name", "Example ID",
          "--provider-may-begin", flags.includes("--provider-may-begin") ? "yes" : "no", "--url-prefix", origin,
        );
        driver.stdin.write("\n");
      } else if (isDeepStrictEqual(line.found, line.expected)) {
        passed += 1;
        console.log(`ok      ${line.what}`);
      } else {
        failed += 1;
        console.log(`FAILED  ${line.what}: expected ${JSON.stringify(line.expected)}, found ${JSON.stringify(line.found)}`);
      }
    }
    if (await over !== 0) {
      failed += 1;
      console.log("FAILED  the driver ended before it had tried everything");
    }
    return [passed, failed];
  } finally {
    for (const child of running.reverse()) await ended(child);
    fs.rmSync(directory, { recursive: true });
  }
}

async function main() {
  const counts = [];
  for (const flags of [[], ["--provider-may-begin"]]) {
    console.log(flags.length > 0 ? "sign-in may begin at the provider" : "sign-in begins here");
    counts.push(await pass(flags));
  }
  const [passed, failed] = counts.reduce(([a, b], [c, d]) => [a + c, b + d]);
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
