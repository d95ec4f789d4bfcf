// Makes the messages in vectors/, which the tests of src/identity/saml read: good ones, and one for each way to forge
// or to break one. All are for one moment, so they never grow old: the tests turn the clock there. The keys are made
// anew each time and kept nowhere; only the certificates are.
//
// Usage: npm ci && node generate.js
"use strict";

const crypto = require("node:crypto");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const zlib = require("node:zlib");
const { execFileSync } = require("node:child_process");
const { SignedXml } = require("xml-crypto");

const NOW = Date.parse("2030-01-01T00:00:00Z");
// samlp writes the time that it finds.
global.Date = class extends Date {
  constructor(...given) {
    super(...(given.length === 0 ? [NOW] : given));
  }

  static now() {
    return NOW;
  }
};

const samlp = require("samlp");
const { Mapper, Participants, Store } = require("./idp");

const US = "https://picket.example.test/saml";
const [SP, ACS, SLS] = ["metadata", "acs", "sls"].map((what) => `${US}/${what}/acme/`);
const IDP = "https://idp.example.test/metadata";
const REQUEST = "_request1";

const PROTOCOL = "urn:oasis:names:tc:SAML:2.0:protocol";
const ASSERTION = "urn:oasis:names:tc:SAML:2.0:assertion";
const DSIG = "http://www.w3.org/2000/09/xmldsig#";
const MORE = "http://www.w3.org/2001/04/xmldsig-more#";
const SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256";
const SHA512 = "http://www.w3.org/2001/04/xmlenc#sha512";
const ENVELOPED = `${DSIG}enveloped-signature`;
const EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#";
const INCLUSIVE = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315";
const EMAIL = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress";

const out = path.join(__dirname, "vectors");
fs.rmSync(out, { recursive: true, force: true });
fs.mkdirSync(out);
const write = (name, text) => fs.writeFileSync(path.join(out, `${name}.xml`), text);

// ---- keys

function pair(name, algorithm) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "saml-"));
  const files = ["key", "crt"].map((end) => path.join(folder, end));
  execFileSync("openssl", [
    "req", "-x509", "-nodes", "-newkey", ...algorithm, "-keyout", files[0], "-out", files[1],
    "-days", "36500", "-subj", `/CN=${name}`,
  ], { stdio: "ignore" });
  const [key, certificate] = files.map((file) => fs.readFileSync(file, "utf8"));
  fs.rmSync(folder, { recursive: true });
  fs.writeFileSync(path.join(out, `${name}.crt`), certificate);
  return { key, certificate };
}

const idp = pair("idp", ["rsa:2048"]);
const next = pair("next", ["rsa:2048"]);
const curve = pair("curve", ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]);
const mallory = pair("mallory", ["rsa:2048"]);
pair("short", ["rsa:1024"]);
pair("edwards", ["ed25519"]);

// ---- messages

const iso = (secs) => new Date(NOW + secs * 1000).toISOString().replace(/\.\d+Z/, "Z");

const DEFAULTS = {
  id: "_assertion1", issued: -1, issuer: IDP, name: "ann@example.test", email: "ann@example.test", notBefore: -30,
  notAfter: 240, confirmedUntil: 240, audience: SP, recipient: ACS, answers: REQUEST, method: "bearer",
  confirmationNotBefore: null, sessionEnds: null, statement: true, conditions: true, nameId: null, attributes: null,
};

const attribute = (name, ...values) =>
  `<saml:Attribute Name="${name}">` +
  values.map((value) => `<saml:AttributeValue xsi:type="xs:string">${value}</saml:AttributeValue>`).join("") +
  "</saml:Attribute>";

function assertion(changes = {}) {
  const a = { ...DEFAULTS, ...changes };
  const nameId = a.nameId ?? `<saml:NameID Format="${EMAIL}">${a.name}</saml:NameID>`;
  const attributes = a.attributes ??
    attribute("uid", "u-17") + attribute("email", a.email) + attribute("first", "Ann") +
    attribute("last", "Example") + attribute("groups", "dev", "ops");
  const audience = a.audience === null ? ""
    : `<saml:AudienceRestriction><saml:Audience>${a.audience}</saml:Audience></saml:AudienceRestriction>`;
  return `<saml:Assertion xmlns:saml="${ASSERTION}" xmlns:xs="http://www.w3.org/2001/XMLSchema" ` +
    `xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" ID="${a.id}" Version="2.0" IssueInstant="${iso(a.issued)}">` +
    `<saml:Issuer>${a.issuer}</saml:Issuer><saml:Subject>${nameId}` +
    `<saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:${a.method}"><saml:SubjectConfirmationData` +
    (a.answers === null ? "" : ` InResponseTo="${a.answers}"`) +
    (a.confirmationNotBefore === null ? "" : ` NotBefore="${iso(a.confirmationNotBefore)}"`) +
    ` NotOnOrAfter="${iso(a.confirmedUntil)}" Recipient="${a.recipient}"/></saml:SubjectConfirmation></saml:Subject>` +
    (a.conditions
      ? `<saml:Conditions NotBefore="${iso(a.notBefore)}" NotOnOrAfter="${iso(a.notAfter)}">${audience}</saml:Conditions>`
      : "") +
    (a.statement
      ? `<saml:AuthnStatement AuthnInstant="${iso(-1)}" SessionIndex="_session1"` +
        (a.sessionEnds === null ? "" : ` SessionNotOnOrAfter="${iso(a.sessionEnds)}"`) +
        "><saml:AuthnContext><saml:AuthnContextClassRef>" +
        "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport</saml:AuthnContextClassRef>" +
        "</saml:AuthnContext></saml:AuthnStatement>"
      : "") +
    `<saml:AttributeStatement>${attributes}</saml:AttributeStatement></saml:Assertion>`;
}

function response(inner, changes = {}) {
  const r = { id: "_response1", to: ACS, answers: REQUEST, issuer: IDP, code: "Success", ...changes };
  return `<samlp:Response xmlns:samlp="${PROTOCOL}" ID="${r.id}" Version="2.0" IssueInstant="${iso(-1)}"` +
    ` Destination="${r.to}"` + (r.answers === null ? "" : ` InResponseTo="${r.answers}"`) +
    `><saml:Issuer xmlns:saml="${ASSERTION}">${r.issuer}</saml:Issuer><samlp:Status>` +
    `<samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:${r.code}"/></samlp:Status>${inner}</samlp:Response>`;
}

// ---- signatures

class EcdsaSha256 {
  getAlgorithmName() { return `${MORE}ecdsa-sha256`; }
  getSignature(info, key) {
    return crypto.sign("sha256", Buffer.from(info), { key, dsaEncoding: "ieee-p1363" }).toString("base64");
  }
}

// xml-crypto gives the list of prefixes to the first transform too, in a namespace of its own making.
class Signer extends SignedXml {
  addAllReferences(document, signature, ...rest) {
    super.addAllReferences(document, signature, ...rest);
    const lists = Array.from(signature.getElementsByTagNameNS(ENVELOPED, "InclusiveNamespaces"));
    for (const list of lists) list.parentNode.removeChild(list);
  }
}

function sign(xml, what, changes = {}) {
  const s = {
    by: idp, algorithm: `${MORE}rsa-sha256`, digest: SHA256, transforms: [ENVELOPED, EXCLUSIVE], form: EXCLUSIVE,
    keyInfo: true, prefixes: undefined, ...changes,
  };
  const signed = new Signer({
    privateKey: s.by.key, signatureAlgorithm: s.algorithm, canonicalizationAlgorithm: s.form,
    ...(s.keyInfo ? { publicCert: s.by.certificate } : { getKeyInfoContent: () => null }),
  });
  signed.SignatureAlgorithms[`${MORE}ecdsa-sha256`] = EcdsaSha256;
  if (s.hmac) signed.enableHMAC();
  const xpath = `//*[local-name(.)='${what}']`;
  signed.addReference({
    xpath, transforms: s.transforms, digestAlgorithm: s.digest, inclusiveNamespacesPrefixList: s.prefixes,
  });
  signed.computeSignature(xml, {
    prefix: s.prefix ?? "ds", location: { reference: `${xpath}/*[local-name(.)='Issuer']`, action: "after" },
  });
  return signed.getSignedXml();
}

const signedAssertion = (changes, how) => sign(response(assertion(changes)), "Assertion", how);

// ---- good ones

const plain = response(assertion());
const good = sign(plain, "Assertion");
const goodResponse = sign(plain, "Response");
const both = sign(good, "Response");

write("good_assertion_signed", good);
write("good_response_signed", goodResponse);
write("good_both_signed", both);
write("good_inclusive_form", sign(plain, "Assertion", { transforms: [ENVELOPED, INCLUSIVE], form: INCLUSIVE }));
write("good_response_inclusive_form", sign(plain, "Response", { transforms: [ENVELOPED, INCLUSIVE], form: INCLUSIVE }));
write("good_kept_prefixes", sign(plain, "Assertion", { prefixes: ["xs", "xsi"] }));
write("good_sha512", sign(plain, "Assertion", { algorithm: `${MORE}rsa-sha512`, digest: SHA512 }));
write("good_ecdsa", sign(plain, "Assertion", { by: curve, algorithm: `${MORE}ecdsa-sha256` }));
write("good_next_key", sign(plain, "Assertion", { by: next }));
write("good_without_key_info", sign(plain, "Assertion", { keyInfo: false }));
write("good_unsolicited", sign(response(assertion({ answers: null }), { answers: null }), "Assertion"));
// As ADFS and Azure write it: no prefixes, and line breaks between the elements.
write("good_default_namespaces", sign(
  plain.replaceAll("<saml:", "<").replaceAll("</saml:", "</").replaceAll("xmlns:saml=", "xmlns=")
    .replaceAll("><", ">\n  <"), "Assertion", { prefix: "" }));
write("good_without_name_id", signedAssertion({ nameId: " " }));
write("good_name_id_alone", signedAssertion({ attributes: attribute("other", "x") }));
write("good_transient_name_id", signedAssertion({
  nameId: '<saml:NameID Format="urn:oasis:names:tc:SAML:2.0:nameid-format:transient">t-1</saml:NameID>',
}));
write("good_escaped_text", signedAssertion({ email: "a&amp;b&#39;c@example.test" }));
// What was signed has a point there: written as a reference it is the same document, and must be read whole.
write("good_character_reference",
  signedAssertion({ name: "ann@example.test.evil.test", email: "ann@example.test.evil.test" })
    .replaceAll("ann@example.test.evil.test", "ann@example.test&#46;evil.test"));
write("good_session_end", signedAssertion({ sessionEnds: 3600 }));

// ---- changed, unsigned, or signed by somebody else

write("bad_changed_name", good.replace(">ann@", ">root@"));
write("bad_changed_name_response", goodResponse.replace(">ann@", ">root@"));
write("bad_changed_both", both.replaceAll(">ann@", ">root@"));
write("bad_changed_response_only", both.replace(`InResponseTo="${REQUEST}"`, 'InResponseTo="_request2"'));
write("bad_changed_attribute", good.replace(">ops<", ">admin<"));
write("bad_changed_digest", good.replace(/<ds:DigestValue>./, (start) => start.slice(0, -1) + "A"));
write("bad_unsigned", plain);
write("bad_empty_signature_value", good.replace(/<ds:SignatureValue>.*?</s, "<ds:SignatureValue><"));
write("bad_other_key", sign(plain, "Assertion", { by: mallory, keyInfo: false }));
write("bad_other_key_in_key_info", sign(plain, "Assertion", { by: mallory }));
write("bad_other_key_inner", sign(sign(plain, "Assertion", { by: mallory }), "Response"));
write("bad_other_key_outer", sign(good, "Response", { by: mallory }));
{
  const { n, e } = crypto.createPublicKey(mallory.certificate).export({ format: "jwk" });
  const base64 = (text) => Buffer.from(text, "base64url").toString("base64");
  write("bad_key_value", sign(plain, "Assertion", { by: mallory }).replace(/<ds:X509Data>.*?<\/ds:X509Data>/s,
    `<ds:KeyValue><ds:RSAKeyValue><ds:Modulus>${base64(n)}</ds:Modulus><ds:Exponent>${base64(e)}</ds:Exponent>` +
    "</ds:RSAKeyValue></ds:KeyValue>"));
  write("bad_key_info_elsewhere", sign(plain, "Assertion", { by: mallory }).replace(/<ds:X509Data>.*?<\/ds:X509Data>/s,
    '<ds:RetrievalMethod URI="#_response1"/>'));
}

// ---- algorithms

write("bad_sha1_signature", sign(plain, "Assertion", { algorithm: `${DSIG}rsa-sha1` }));
write("bad_sha1_digest", sign(plain, "Assertion", { digest: `${DSIG}sha1` }));
for (const [name, key] of [["public_key", crypto.createPublicKey(idp.certificate).export({ type: "spki", format: "pem" })],
  ["certificate", idp.certificate]]) {
  // Keyed with what everybody knows, in the hope that the verifier takes it for a shared secret.
  const by = { key, certificate: idp.certificate };
  const xml = sign(plain, "Assertion", { by, algorithm: `${DSIG}hmac-sha1`, hmac: true });
  write(`bad_hmac_${name}`, xml);
  write(`bad_hmac_sha256_${name}`, xml.replace(`${DSIG}hmac-sha1`, `${MORE}hmac-sha256`));
}
write("bad_algorithm_none", good.replace(`${MORE}rsa-sha256`, "none"));
write("bad_algorithm_absent", good.replace(/<ds:SignatureMethod[^>]*>/, "<ds:SignatureMethod/>"));
write("bad_md5", good.replace(`${MORE}rsa-sha256`, `${MORE}rsa-md5`));

// ---- what hides text

const long = signedAssertion({ name: "root@example.test.evil.test", email: "root@example.test.evil.test" });
const cut = (by) => long.replaceAll("root@example.test.evil.test", `root@example.test${by}.evil.test`);
write("bad_cut_by_comment", cut("<!-- -->"));
write("bad_cut_by_instruction", cut("<?x y?>"));
write("bad_cut_by_cdata", cut("<![CDATA[]]>"));
write("bad_cut_by_element", cut("<x/>"));
write("bad_comment_in_name", good.replace(">ann@example.test<", ">ann<!-- x -->@example.test<"));
write("bad_comment_in_digest", good.replace(/<ds:DigestValue>(.*?)<\//, (_, d) => `<ds:DigestValue><!--${d}-->AAAA</`));
write("bad_document_type", `<!DOCTYPE Response>${good}`);
write("bad_entity", `<!DOCTYPE r [<!ENTITY x "y">]>${good}`);
write("bad_external_entity", `<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]>${good.replace(">ann@", ">&x;ann@")}`);
write("bad_not_xml", "SAMLResponse");
write("bad_two_roots", good + good);

// ---- wrapping: a signed element carried along, and a forged one where it is looked for

const signature = good.match(/<ds:Signature[\s\S]*<\/ds:Signature>/)[0];
const responseSignature = goodResponse.match(/<ds:Signature[\s\S]*<\/ds:Signature>/)[0];
const original = good.match(/<saml:Assertion[\s\S]*<\/saml:Assertion>/)[0];
const bare = original.replace(signature, "");
const forged = bare.replace('ID="_assertion1"', 'ID="_forged"').replaceAll(">ann@", ">root@");
const forgedSame = bare.replaceAll(">ann@", ">root@");
const bareResponse = goodResponse.replace(responseSignature, "");
const forgedResponse = bareResponse.replace('ID="_response1"', 'ID="_forgedResponse"')
  .replace('ID="_assertion1"', 'ID="_forged"').replaceAll(">ann@", ">root@");
const into = (element, what) => element.replace("</saml:Issuer>", `</saml:Issuer>${what}`);
const objectIn = (what) => signature.replace("</ds:Signature>", `<ds:Object>${what}</ds:Object></ds:Signature>`);
const extensions = (what) => `<samlp:Extensions>${what}</samlp:Extensions>`;

write("bad_wrap_1", into(forgedResponse, responseSignature.replace("</ds:Signature>", `${bareResponse}</ds:Signature>`)));
write("bad_wrap_1_object", into(forgedResponse,
  responseSignature.replace("</ds:Signature>", `<ds:Object>${bareResponse}</ds:Object></ds:Signature>`)));
write("bad_wrap_2", into(forgedResponse, bareResponse + responseSignature));
write("bad_wrap_3", response(forged + original));
write("bad_wrap_3_after", response(original + forged));
write("bad_wrap_3_same_id", response(forgedSame + original));
write("bad_wrap_4", response(forged.replace("</saml:Assertion>", `${original}</saml:Assertion>`)));
write("bad_wrap_5", response(into(forged, signature) + bare));
write("bad_wrap_5_same_id", response(into(forgedSame, signature) + bare));
write("bad_wrap_6", response(into(forged, signature.replace("</ds:Signature>", `${bare}</ds:Signature>`))));
write("bad_wrap_7", response(extensions(original) + forged));
write("bad_wrap_7_same_id", response(extensions(original) + forgedSame));
write("bad_wrap_8", response(into(forged, objectIn(bare))));
write("bad_wrap_sibling", response(forged + bare + signature));
write("bad_wrap_advice", response(forged.replace("</saml:Conditions>",
  `</saml:Conditions><saml:Advice>${original}</saml:Advice>`)));
write("bad_wrap_attribute_value", response(forged.replace(">dev<", `>${original}<`)));
write("bad_wrap_other_namespace", response(original.replaceAll(ASSERTION, "urn:x") + forged));
const encrypted = (inside) => `<saml:EncryptedAssertion xmlns:saml="${ASSERTION}">${inside}</saml:EncryptedAssertion>`;
write("bad_wrap_encrypted", response(encrypted(original) + forged));
write("bad_wrap_whole_response",
  response(forged, { id: "_outer" }).replace("</samlp:Response>", `${goodResponse}</samlp:Response>`));
write("bad_wrap_request", good.replace("<samlp:Status>", `<samlp:AuthnRequest ID="_x"/><samlp:Status>`));

// ---- shapes of signatures

const elsewhere = (uri) => good.replace('URI="#_assertion1"', uri);
write("bad_reference_to_file", elsewhere('URI="Cargo.toml"'));
write("bad_reference_to_url", elsewhere('URI="http://127.0.0.1:1/"'));
write("bad_reference_to_all", elsewhere('URI=""'));
write("bad_reference_absent", elsewhere(""));
write("bad_reference_to_attachment", elsewhere('URI="cid:x"'));
write("bad_reference_to_pointer", elsewhere("URI=\"#xpointer(id('_assertion1'))\""));
write("bad_reference_to_root", elsewhere('URI="#xpointer(/)"').replace('ID="_assertion1"', 'ID="xpointer(/)"'));
write("bad_reference_to_response", sign(good.replace(signature, ""), "Response")
  .replace(responseSignature, "").replace("</saml:Issuer><saml:Subject>", `</saml:Issuer>${responseSignature}<saml:Subject>`));
const transform = (inside) => good.replace(`<ds:Transform Algorithm="${EXCLUSIVE}"/>`,
  `${inside}<ds:Transform Algorithm="${EXCLUSIVE}"/>`);
write("bad_xslt", transform('<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xslt-19991116"><xsl:stylesheet ' +
  'xmlns:xsl="http://www.w3.org/1999/XSL/Transform" version="1.0"><xsl:template match="/"><x/></xsl:template>' +
  "</xsl:stylesheet></ds:Transform>"));
write("bad_xslt_alone", good.replace(`<ds:Transform Algorithm="${EXCLUSIVE}"/>`,
  '<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xslt-19991116"/>'));
write("bad_xpath", transform('<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xpath-19991116"><ds:XPath>' +
  'not(ancestor-or-self::*[local-name()="NameID"])</ds:XPath></ds:Transform>'));
write("bad_xpath_alone", good.replace(`<ds:Transform Algorithm="${EXCLUSIVE}"/>`,
  '<ds:Transform Algorithm="http://www.w3.org/2002/06/xmldsig-filter2"/>'));
write("bad_base64_transform",
  good.replace(`<ds:Transform Algorithm="${ENVELOPED}"/>`, `<ds:Transform Algorithm="${DSIG}base64"/>`));
write("bad_no_transforms", good.replace(/<ds:Transforms>.*?<\/ds:Transforms>/s, ""));
write("bad_form_with_comments", sign(plain, "Assertion", {
  form: `${EXCLUSIVE}WithComments`, transforms: [ENVELOPED, `${EXCLUSIVE}WithComments`],
}));
write("bad_two_signed_infos", good.replace("<ds:SignedInfo>",
  '<ds:SignedInfo><ds:CanonicalizationMethod Algorithm="x"/></ds:SignedInfo><ds:SignedInfo>'));
write("bad_two_references", good.replace(/(<ds:Reference.*?<\/ds:Reference>)/s, "$1$1"));
write("bad_two_digests", good.replace(/(<ds:DigestValue>.*?<\/ds:DigestValue>)/s, "$1$1"));
write("bad_two_signatures", good.replace(signature, signature + signature));
write("bad_signature_nested", good.replace(signature, "").replace("<saml:AttributeStatement>",
  `<saml:AttributeStatement>${signature}`));
write("bad_signature_in_status", good.replace(signature, "").replace("</samlp:Status>", `${signature}</samlp:Status>`));
write("bad_signature_namespace", good.replaceAll(`xmlns:ds="${DSIG}"`, 'xmlns:ds="http://evil.test"'));
write("bad_signature_object", good.replace(signature, objectIn("<x/>")));
write("bad_signature_text", good.replace("<ds:SignatureValue>", "x<ds:SignatureValue>"));
write("bad_two_algorithm_attributes", good.replace(`<ds:SignatureMethod Algorithm="${MORE}rsa-sha256"`,
  `<ds:SignatureMethod x:Algorithm="${DSIG}rsa-sha1" xmlns:x="urn:x" Algorithm="${MORE}rsa-sha256"`));
write("bad_namespaced_algorithm",
  good.replace("<ds:SignatureMethod Algorithm=", '<ds:SignatureMethod xmlns:x="urn:x" x:Algorithm='));
write("bad_two_ids", good.replace("<samlp:Status>", `${extensions('<x ID="_assertion1"/>')}<samlp:Status>`));
write("bad_two_ids_by_case", good.replace("<samlp:Status>", `${extensions('<x id="_assertion1"/>')}<samlp:Status>`));
write("bad_namespaced_id", good.replace("<samlp:Status>", `${extensions('<x xmlns:y="urn:y" y:ID="_z"/>')}<samlp:Status>`));
write("bad_xml_id", good.replace("<samlp:Status>", `${extensions('<x xml:id="_z"/>')}<samlp:Status>`));
write("bad_no_assertion", response(""));
write("bad_two_assertions", sign(response(assertion() + assertion({ id: "_assertion2" })), "Response"));
write("bad_many_attributes", good.replace("<samlp:Status>",
  `${extensions(`<x ${Array.from({ length: 200 }, (_, at) => `a${at}=""`).join(" ")}/>`)}<samlp:Status>`));
write("bad_encrypted", response(encrypted("<x/>")));
write("bad_encrypted_name", signedAssertion({ nameId: "<saml:EncryptedID><x/></saml:EncryptedID>" }));

// ---- signed as they should be, and yet not for us, or not now

write("bad_expired", signedAssertion({ issued: -200, notBefore: -200, notAfter: -61, confirmedUntil: -61 }));
write("bad_confirmation_expired", signedAssertion({ confirmedUntil: -61 }));
write("bad_session_over", signedAssertion({ sessionEnds: -61 }));
write("bad_not_yet", signedAssertion({ notBefore: 61 }));
write("bad_from_the_future", signedAssertion({ issued: 61 }));
write("bad_old", signedAssertion({ issued: -301, notAfter: 4000, confirmedUntil: 4000 }));
write("bad_audience", signedAssertion({ audience: "https://other.example.test/metadata" }));
write("bad_audience_longer", signedAssertion({ audience: `${SP}x` }));
write("bad_no_audience", signedAssertion({ audience: null }));
write("bad_no_conditions", signedAssertion({ conditions: false }));
write("bad_recipient", signedAssertion({ recipient: "https://other.example.test/acs" }));
write("bad_confirmation_method", signedAssertion({ method: "holder-of-key" }));
write("bad_confirmation_not_before", signedAssertion({ confirmationNotBefore: -10 }));
write("bad_no_statement", signedAssertion({ statement: false }));
write("bad_assertion_issuer", signedAssertion({ issuer: "https://other.example.test/metadata" }));
write("bad_response_issuer", sign(response(assertion(), { issuer: "https://other.example.test/metadata" }), "Response"));
write("bad_destination", sign(response(assertion(), { to: "https://other.example.test/acs" }), "Assertion"));
write("bad_request", sign(response(assertion(), { answers: "_request2" }), "Assertion"));
write("bad_request_in_assertion", signedAssertion({ answers: "_request2" }));
write("bad_request_stripped", signedAssertion().replace(` InResponseTo="${REQUEST}"><saml:Issuer`, "><saml:Issuer"));
write("bad_denied", response("", { code: "Responder" }).replace('Responder"/>',
  'Responder"><samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:AuthnFailed"/></samlp:StatusCode>'));
write("bad_denied_signed", sign(response(assertion(), { code: "Requester" }), "Response"));
write("bad_no_status", good.replace(/<samlp:Status>.*?<\/samlp:Status>/s, ""));
write("bad_not_a_response", good.replaceAll("samlp:Response", "samlp:LogoutResponse"));
write("bad_version", good.replace('ID="_response1" Version="2.0"', 'ID="_response1" Version="1.1"'));
write("bad_assertion_version",
  sign(plain.replace('ID="_assertion1" Version="2.0"', 'ID="_assertion1" Version="1.1"'), "Assertion"));
write("bad_date", good.replace(`IssueInstant="${iso(-1)}" Destination`, 'IssueInstant="today" Destination'));
write("bad_no_attributes", signedAssertion({ attributes: attribute("mail", "ann@example.test") }));
write("bad_empty_email", signedAssertion({ email: " " }));
write("bad_email", signedAssertion({ email: "ann" }));

// ---- by a provider that others run in production

const ann = {
  name: "ann@example.test",
  attributes: { uid: "u-17", email: "ann@example.test", first: "Ann", last: "Example", groups: ["dev", "ops"] },
};
const samlpOptions = {
  issuer: IDP, audience: SP, destination: ACS, recipient: ACS, inResponseTo: REQUEST, sessionIndex: "_session1",
  profileMapper: Mapper, lifetimeInSeconds: 240, signatureAlgorithm: "rsa-sha256", digestAlgorithm: "sha256",
  key: idp.key, cert: idp.certificate,
};
for (const [name, changes] of Object.entries({
  good_samlp_assertion: {},
  good_samlp_response: { signAssertion: false, signResponse: true },
  good_samlp_both: { signResponse: true },
  good_samlp_prefixes: { signatureNamespacePrefix: "ds", signResponse: true },
  bad_samlp_encrypted: {
    encryptionCert: idp.certificate,
    encryptionPublicKey: crypto.createPublicKey(idp.certificate).export({ type: "spki", format: "pem" }),
  },
})) {
  samlp.getSamlResponse({ ...samlpOptions, ...changes }, ann, (error, xml) => {
    if (error) throw error;
    write(name, xml);
  });
}
samlp.metadata({
  issuer: IDP, cert: idp.certificate, profileMapper: Mapper, redirectEndpointPath: "/sso", postEndpointPath: "/post",
  logoutEndpointPaths: { redirect: "/slo" },
})({ headers: { host: "idp.example.test" }, protocol: "https" }, {
  set() {},
  send: (xml) => write("metadata_samlp", xml),
});

// ---- single logout: a query a line, after its name

const logoutRequest = (changes = {}) => {
  const name = `<saml:NameID Format="${EMAIL}">ann@example.test</saml:NameID>`;
  const l = { id: "_logout1", issued: -1, to: SLS, issuer: IDP, end: 240, name, ...changes };
  return `<samlp:LogoutRequest xmlns:samlp="${PROTOCOL}" xmlns:saml="${ASSERTION}" ID="${l.id}" Version="2.0" ` +
    `IssueInstant="${iso(l.issued)}"${l.to === null ? "" : ` Destination="${l.to}"`} NotOnOrAfter="${iso(l.end)}">` +
    `<saml:Issuer>${l.issuer}</saml:Issuer>${l.name}<samlp:SessionIndex>_session1</samlp:SessionIndex></samlp:LogoutRequest>`;
};
const logoutResponse = (changes = {}) => {
  const l = { issued: -1, to: SLS, issuer: IDP, answers: "_logout2", code: "Success", inner: "", ...changes };
  return `<samlp:LogoutResponse xmlns:samlp="${PROTOCOL}" xmlns:saml="${ASSERTION}" ID="_answer1" Version="2.0" ` +
    `IssueInstant="${iso(l.issued)}" Destination="${l.to}" InResponseTo="${l.answers}">` +
    `<saml:Issuer>${l.issuer}</saml:Issuer><samlp:Status>` +
    `<samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:${l.code}">${l.inner}</samlp:StatusCode>` +
    "</samlp:Status></samlp:LogoutResponse>";
};
const packed = (xml) => encodeURIComponent(zlib.deflateRawSync(xml, { level: 9 }).toString("base64"));
function query(xml, changes = {}) {
  const q = { as: "SAMLRequest", by: idp, algorithm: `${MORE}rsa-sha256`, hash: "sha256", relay: "state-1", ...changes };
  const text = `${q.as}=${packed(xml)}${q.relay === null ? "" : `&RelayState=${encodeURIComponent(q.relay)}`}` +
    `&SigAlg=${encodeURIComponent(q.algorithm)}`;
  const value = q.hmac
    ? crypto.createHmac("sha256", q.hmac).update(text).digest()
    : crypto.createSign(q.hash).update(text).sign(q.by.key);
  return `${text}&Signature=${encodeURIComponent(value.toString("base64"))}`;
}
const asked = query(logoutRequest());
const answered = (changes) => query(logoutResponse(changes), { as: "SAMLResponse" });
const lines = {
  good_request: asked,
  good_request_without_state: query(logoutRequest(), { relay: null }),
  good_request_next_key: query(logoutRequest(), { by: next }),
  good_answer: answered(),
  good_partial_answer: answered({ inner: '<samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:PartialLogout"/>' }),
  good_failed_answer: answered({ code: "Responder" }),
  bad_other_key: query(logoutRequest(), { by: mallory }),
  bad_sha1: query(logoutRequest(), { algorithm: `${DSIG}rsa-sha1`, hash: "sha1" }),
  bad_hmac: query(logoutRequest(), { algorithm: `${MORE}hmac-sha256`, hmac: idp.certificate }),
  bad_none: asked.replace(/SigAlg=[^&]*/, "SigAlg=none"),
  bad_changed_state: asked.replace("RelayState=state-1", "RelayState=state-2"),
  bad_state_taken: asked.replace("RelayState=state-1&", ""),
  bad_changed_request: asked.replace(/SAMLRequest=[^&]*/, `SAMLRequest=${packed(logoutRequest({ id: "_logout3" }))}`),
  bad_other_encoding: asked.replace(/%2B/g, "%2b").replace(/%2F/g, "%2f"),
  bad_unsigned: asked.replace(/&SigAlg.*/, ""),
  bad_without_signature: asked.replace(/&Signature.*/, ""),
  bad_twice: `${asked}&SAMLRequest=AAAA`,
  bad_both: `${asked}&SAMLResponse=AAAA`,
  bad_bomb: query(logoutRequest().replace("</samlp:LogoutRequest>", `${" ".repeat(2e6)}</samlp:LogoutRequest>`)),
  bad_not_packed: `SAMLRequest=${encodeURIComponent(Buffer.from(logoutRequest()).toString("base64"))}`,
  bad_document_type: query(`<!DOCTYPE x>${logoutRequest()}`),
  bad_comment: query(logoutRequest({ name: "<saml:NameID>ann<!-- -->@example.test</saml:NameID>" })),
  bad_destination: query(logoutRequest({ to: "https://other.example.test/sls" })),
  bad_no_destination: query(logoutRequest({ to: null })),
  bad_issuer: query(logoutRequest({ issuer: "https://other.example.test/metadata" })),
  bad_old: query(logoutRequest({ issued: -361 })),
  bad_expired: query(logoutRequest({ end: -61 })),
  bad_from_the_future: query(logoutRequest({ issued: 61 })),
  bad_nobody: query(logoutRequest({ name: "<saml:NameID/>" })),
  bad_encrypted_name: query(logoutRequest({ name: "<saml:EncryptedID><x/></saml:EncryptedID>" })),
  bad_other_message: query(good),
  bad_version: query(logoutRequest().replace('Version="2.0"', 'Version="1.1"')),
  bad_answer_as_request: query(logoutResponse()),
  bad_answer_request: answered({ answers: "_logout9" }),
  bad_answer_issuer: answered({ issuer: "https://other.example.test/metadata" }),
  bad_answer_destination: answered({ to: "https://other.example.test/sls" }),
  bad_answer_old: answered({ issued: -361 }),
  bad_answer_unsigned: answered().replace(/&SigAlg.*/, ""),
};

const writeLogouts = () => fs.writeFileSync(path.join(out, "logout.txt"),
  Object.entries(lines).map(([name, text]) => `${name} ${text}\n`).join(""));

const participants = new Participants();
participants.all = [{
  serviceProviderId: SP, nameId: ann.name, nameIdFormat: EMAIL, sessionIndex: "_session1", serviceProviderLogoutURL: SLS,
  binding: "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect",
}];
samlp.logout({
  deflate: true, issuer: IDP, protocolBinding: "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect", key: idp.key,
  cert: idp.certificate, signatureAlgorithm: "rsa-sha256", digestAlgorithm: "sha256", sessionParticipants: participants,
  store: new Store(),
})({ query: {}, body: {} }, {
  redirect(url) {
    lines.good_samlp_request = url.split("?")[1];
    writeLogouts();
  },
}, (error) => {
  throw error;
});
