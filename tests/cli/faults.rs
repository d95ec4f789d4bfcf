//! What `picket apply` says about a wrong file: each fault with its line, all of them, and nothing applied.

use crate::support::process::Binary;

/// What the database holds when a wrong file comes.
const BASE: &str = r#"
[[organization]]
slug = "acme"
  [[organization.team]]
  slug = "core"
  [[organization.project]]
  slug = "web"
  id = 31
  key = [{ name = "Default", public = "0123456789abcdef0123456789abcdef" }]
  [[organization.project]]
  slug = "shop"
  key = [{ name = "Default", public = "abababababababababababababababab" }]
  [[organization.token]]
  name = "ci"
[[user]]
email = "ann@example.test"
  [[user.token]]
  name = "laptop"
  token = "sntryu_0000000000000000000000000000000000000000000000000000000000000001"
  [[user.token]]
  name = "lost"
  token = "sntryu_0000000000000000000000000000000000000000000000000000000000000002"
[[user]]
email = "bob@example.test"
"#;

fn base() -> Binary {
    let picket = Binary::new();
    picket.write("base.toml", BASE);
    picket.succeed(&["apply", "base.toml"]);
    // The ids follow the file: ci, laptop, lost.
    picket.succeed(&["token", "revoke", "3"]);
    picket
}

/// Applies each text and compares the faults, one a line, without the file's name.
fn check(cases: &[(&str, &[&str])]) {
    let picket = base();
    let before = std::fs::read(picket.path("picket.db")).unwrap();
    for (text, faults) in cases {
        picket.write("a.toml", text);
        let output = picket.run(&["apply", "a.toml"]);
        let mut lines: Vec<&str> = output.stderr.lines().collect();
        let last = lines.pop().unwrap_or_default();
        let found: Vec<&str> = lines
            .iter()
            .map(|line| line.strip_prefix("a.toml:").unwrap_or(line))
            .collect();
        assert_eq!(found, *faults, "{text}");
        let count = match faults.len() {
            1 => "is 1 fault".to_owned(),
            count => format!("are {count} faults"),
        };
        assert_eq!(
            last,
            format!("picket: there {count} in a.toml, so nothing of it was applied")
        );
        assert_eq!(output.code, Some(1), "{text}");
        assert_eq!(output.stdout, "", "{text}");
    }
    assert!(
        std::fs::read(picket.path("picket.db")).unwrap() == before,
        "the database was changed"
    );
}

/// A file with one project of a new organization, with these lines in it; they begin at line 5.
fn project(lines: &str) -> String {
    format!("[[organization]]\nslug = \"new\"\n[[organization.project]]\nslug = \"api\"\n{lines}\n")
}

#[test]
fn what_is_no_toml() {
    check(&[
        (
            "a = 1\nb = \n",
            &["2: string values must be quoted, expected literal string"],
        ),
        ("a = 1\na = 2\n", &["2: duplicate key"]),
    ]);
}

#[test]
fn unknown_and_missing_fields_and_wrong_types() {
    check(&[
        (
            "title = 1\n",
            &["1: title: unknown field; there are organization, user"],
        ),
        (
            "[[organization]]\nslug = \"new\"\n\nplan = \"gold\"\n",
            &[
                "4: organization.plan: unknown field; there are name, options, project, slug, team, token",
            ],
        ),
        (
            "\n[[organization]]\nname = \"A\"\n",
            &["2: organization.slug: this field is required"],
        ),
        (
            "[organization]\nslug = \"new\"\n",
            &["1: organization: this must be written as [[organization]]"],
        ),
        (
            "organization = [1]\n",
            &["1: organization: this must be a table, not of type integer"],
        ),
        (
            "[[organization]]\nslug = 1\n",
            &["2: organization.slug: this must be a string, not of type integer"],
        ),
        (
            "[[user]]\nname = \"A\"\n",
            &["1: user.email: this field is required"],
        ),
        (
            "[[user]]\nemail = \"a@b\"\nroles = \"owner\"\n",
            &["3: user.roles: this must be a table, not of type string"],
        ),
        (
            &project("id = \"31\""),
            &["5: organization.project.id: this must be an integer, not of type string"],
        ),
        (
            &project("teams = \"core\""),
            &[
                "5: organization.project.teams: this must be an array of strings, not of type string",
            ],
        ),
        (
            &project("teams = [\n  1,\n]"),
            &["6: organization.project.teams: this must be a string, not of type integer"],
        ),
        (
            &project("key = [{ rate_limit = { count = 1, window = 1, unit = \"s\" } }]"),
            &[
                "5: organization.project.key.rate_limit.unit: unknown field; there are count, window",
            ],
        ),
    ]);
}

#[test]
fn slugs_and_names() {
    let long = "a".repeat(65);
    check(&[
        (
            "[[organization]]\nslug = \"a_b\"\n",
            &[
                "2: organization.slug: Enter a valid slug consisting of letters, numbers, or hyphens. It cannot be entirely numeric.",
            ],
        ),
        (
            "[[organization]]\nslug = \"api\"\n",
            &["2: organization.slug: This slug \"api\" is reserved and not allowed."],
        ),
        (
            "[[organization]]\nslug = \"new\"\nteam = [{ slug = \"Core\" }]\n",
            &[
                "3: organization.team.slug: Enter a valid slug consisting of lowercase letters, numbers, underscores or hyphens. It cannot be entirely numeric.",
            ],
        ),
        (
            &format!("[[organization]]\nslug = \"new\"\nname = \"{long}\"\n"),
            &["3: organization.name: this field has no more than 64 characters"],
        ),
        (
            "[[organization]]\nslug = \"new\"\nname = \" \"\n",
            &["3: organization.name: this field may not be blank"],
        ),
        (
            &project("name = \"\"\nkey = [{ name = \"\" }]"),
            &[
                "5: organization.project.name: this field may not be blank",
                "6: organization.project.key.name: this field may not be blank",
            ],
        ),
        (
            "[[organization]]\nslug = \"ACME\"\n",
            &["2: organization.slug: an organization has this slug in other letter case"],
        ),
    ]);
}

#[test]
fn projects() {
    check(&[
        (
            &project("id = 0"),
            &["5: organization.project.id: this must be from 1 to 4503599627370496"],
        ),
        (
            &project("id = 4503599627370497"),
            &["5: organization.project.id: this must be from 1 to 4503599627370496"],
        ),
        (
            &project("id = 31"),
            &["5: organization.project.id: another project has the id 31"],
        ),
        (
            "[[organization]]\nslug = \"acme\"\nproject = [{ slug = \"web\", id = 32 }]\n",
            &["3: organization.project.id: this project has the id 31 for good"],
        ),
        (
            &project("platform = \"cobol\""),
            &["5: organization.project.platform: \"cobol\" is no known platform"],
        ),
        (
            &project("teams = [\"ops\"]"),
            &[
                "5: organization.project.teams: there is no team new/ops, neither here nor in the database",
            ],
        ),
        (
            &project("options = { \"filters:localhost\" = 1 }"),
            &["5: organization.project.options.filters:localhost: this must be true or false"],
        ),
        (
            &project(
                "options = { \"sentry:blacklisted_ips\" = [\"192.0.2.0/24\", \"10.0.0.0/33\"] }",
            ),
            &[
                "5: organization.project.options.sentry:blacklisted_ips: \"10.0.0.0/33\" is no address or range",
            ],
        ),
        (
            "[[organization]]\nslug = \"new\"\nname = \"New\"\noptions = { \"picket:default_rate_limit\" = { count = 1, window = 60, per = \"key\" } }\n",
            &[
                "4: organization.options.picket:default_rate_limit: this must be false or a table of count and window, whole numbers above zero, the window at most 86400",
            ],
        ),
        (
            &project("[organization.project.options]\n\"sentry:resolve_age\" = 1"),
            &[
                "6: organization.project.options.sentry:resolve_age: this version does not enforce this option",
            ],
        ),
        (
            &project("options = { \"sentry:origins\" = \"a.test b.test\" }"),
            &[
                "5: organization.project.options.sentry:origins: \"a.test b.test\" is no single pattern",
            ],
        ),
        (
            &project("options = { \"sentry:origins\" = [\" \"] }"),
            &[
                "5: organization.project.options.sentry:origins: Empty value will block all requests, use * to accept from all domains",
            ],
        ),
        (
            &project("options = { \"sentry:origins\" = true }"),
            &[
                "5: organization.project.options.sentry:origins: this must be an array of strings, not of type boolean",
            ],
        ),
    ]);
}

#[test]
fn keys() {
    check(&[
        (
            &project("key = [{ public = \"0123456789ABCDEF0123456789abcdef\" }]"),
            &["5: organization.project.key.public: this must be 32 lower-case hexadecimal digits"],
        ),
        (
            &project("key = [{ secret = \"0123\" }]"),
            &["5: organization.project.key.secret: this must be 32 lower-case hexadecimal digits"],
        ),
        (
            &project("key = [{ public = \"0123456789abcdef0123456789abcdef\" }]"),
            &["5: organization.project.key.public: a key of another project has this"],
        ),
        (
            "[[organization]]\nslug = \"acme\"\n[[organization.project]]\nslug = \"web\"\n\
             key = [{ name = \"Default\", public = \"cccccccccccccccccccccccccccccccc\" }]\n",
            &[
                "5: organization.project.key.public: the key \"Default\" of this project is 0123456789abcdef0123456789abcdef for good",
            ],
        ),
        (
            &project("key = [{ rate_limit = { count = 0, window = 86401 } }]"),
            &[
                "5: organization.project.key.rate_limit.count: this must be at least 1",
                "5: organization.project.key.rate_limit.window: this must be from 1 to 86400",
            ],
        ),
        (
            &project("key = [{ rate_limit = { count = 1 } }]"),
            &["5: organization.project.key.rate_limit.window: this field is required"],
        ),
    ]);
}

#[test]
fn tokens() {
    let user =
        |lines: &str| format!("[[user]]\nemail = \"ann@example.test\"\n[[user.token]]\n{lines}\n");
    check(&[
        (
            &user("scopes = [\"org:rule\"]"),
            &["4: user.token.scopes: \"org:rule\" is no scope"],
        ),
        (
            &user("scopes = []"),
            &["4: user.token.scopes: a token needs a scope"],
        ),
        (
            &user("expires = 2027-01-01"),
            &[
                "4: user.token.expires: this must be a date and time with a zone, such as 2027-01-01T00:00:00Z",
            ],
        ),
        (
            &user("expires = 30"),
            &["4: user.token.expires: this must be a date and time, not of type integer"],
        ),
        (
            &user("token = \"short\""),
            &[
                "4: user.token.token: a token has 40 to 2048 characters of ASCII, without white space",
            ],
        ),
        (
            &user(&format!("token = \"sntrys_{}\"", "a".repeat(40))),
            &["4: user.token.token: a token of a user must not start with sntrys_"],
        ),
        (
            &format!(
                "[[organization]]\nslug = \"new\"\ntoken = [{{ token = \"{}\" }}]\n",
                "a".repeat(40)
            ),
            &["3: organization.token.token: a token of an organization must start with sntrys_"],
        ),
        (
            &user(&format!(
                "name = \"laptop\"\ntoken = \"{}\"",
                "a".repeat(40)
            )),
            &[
                "5: user.token.token: there is another token of the name \"laptop\"; revoke that one first",
            ],
        ),
        (
            &user(
                "name = \"desk\"\ntoken = \"sntryu_0000000000000000000000000000000000000000000000000000000000000001\"",
            ),
            &["5: user.token.token: this token has the name \"laptop\""],
        ),
        (
            &user(
                "name = \"lost\"\ntoken = \"sntryu_0000000000000000000000000000000000000000000000000000000000000002\"",
            ),
            &["5: user.token.token: this token was revoked"],
        ),
        (
            "[[user]]\nemail = \"bob@example.test\"\n[[user.token]]\n\
             token = \"sntryu_0000000000000000000000000000000000000000000000000000000000000001\"\n",
            &["4: user.token.token: this token belongs to somebody else"],
        ),
    ]);
}

#[test]
fn users() {
    let user = |lines: &str| format!("[[user]]\nemail = \"new@example.test\"\n{lines}\n");
    let long = "a".repeat(257);
    check(&[
        (
            "[[user]]\nemail = \"ann\"\n",
            &["2: user.email: \"ann\" is no email address"],
        ),
        (
            &user("password = \"short!7\""),
            &["3: user.password: a password has 8 to 256 characters"],
        ),
        (
            &user("password = \"1234567\""),
            &[
                "3: user.password: a password has 8 to 256 characters",
                "3: user.password: a password is not made of digits alone",
            ],
        ),
        (
            &user("password = \"Sunshine\""),
            &["3: user.password: this password is one of those that everybody tries first"],
        ),
        (
            &user("name = \"Robin\"\npassword = \"example.test\""),
            &["4: user.password: this password is too much like the email address"],
        ),
        (
            &user("name = \"Robin Smith\"\npassword = \"robin smith 1\""),
            &["4: user.password: this password is too much like the name"],
        ),
        (
            &user(&format!("password = \"{long}\"")),
            &["3: user.password: a password has 8 to 256 characters"],
        ),
        (
            &user("roles = { acme = \"boss\" }"),
            &["3: user.roles.acme: \"boss\" is no role; there are member, admin, manager, owner"],
        ),
        (
            &user("roles = { other = \"owner\" }"),
            &[
                "3: user.roles.other: there is no organization other, neither here nor in the database",
            ],
        ),
        (
            &user("teams = { acme = [\"core:boss\"] }"),
            &["3: user.teams.acme: \"boss\" is no role in a team; there are contributor, admin"],
        ),
        (
            &user("[user.teams]\nother = [\"core\"]\nacme = [\"ops\"]"),
            &[
                "4: user.teams.other: there is no organization other, neither here nor in the database",
                "5: user.teams.acme: there is no team acme/ops, neither here nor in the database",
            ],
        ),
        (
            &user("teams = { acme = [\"core\", \"core:admin\"] }"),
            &["3: user.teams.acme: line 3 has the same already"],
        ),
    ]);
}

#[test]
fn what_a_file_says_twice() {
    let two = |lines: &str| format!("[[organization]]\nslug = \"new\"\n{lines}\n");
    let public = "c".repeat(32);
    let text = format!("sntryu_{}", "c".repeat(64));
    check(&[
        (
            "[[organization]]\nslug = \"new\"\n[[organization]]\nslug = \"NEW\"\n",
            &["4: organization.slug: line 2 has the same already"],
        ),
        (
            &two("team = [\n  { slug = \"a\" },\n  { slug = \"a\" },\n]"),
            &["5: organization.team.slug: line 4 has the same already"],
        ),
        (
            &two("project = [\n  { slug = \"a\", id = 7 },\n  { slug = \"a\", id = 7 },\n]"),
            &[
                "5: organization.project.slug: line 4 has the same already",
                "5: organization.project.id: line 4 has the same already",
            ],
        ),
        (
            &project("teams = []\nkey = [\n  { name = \"A\" },\n  { name = \"A\" },\n]"),
            &["8: organization.project.key.name: line 7 has the same already"],
        ),
        (
            &project(&format!(
                "key = [\n  {{ name = \"A\", public = \"{public}\" }},\n  {{ name = \"B\", public = \"{public}\" }},\n]"
            )),
            &["7: organization.project.key.public: line 6 has the same already"],
        ),
        (
            &two("token = [\n  { name = \"a\" },\n  { name = \"a\" },\n]"),
            &["5: organization.token.name: line 4 has the same already"],
        ),
        (
            &format!(
                "[[user]]\nemail = \"a@b\"\ntoken = [{{ token = \"{text}\" }}]\n\
                 [[user]]\nemail = \"c@d\"\ntoken = [{{ token = \"{text}\" }}]\n"
            ),
            &["6: user.token.token: line 3 has the same already"],
        ),
        (
            "[[user]]\nemail = \"a@b\"\n[[user]]\nemail = \"A@B\"\n",
            &["4: user.email: line 2 has the same already"],
        ),
        (
            "[[organization]]\nslug = \"new\"\nteam = [{ slug = \"a\" }]\n[[organization.project]]\n\
             slug = \"api\"\nteams = [\"a\", \"a\"]\n",
            &["6: organization.project.teams: line 6 has the same already"],
        ),
    ]);
}

#[test]
fn all_faults_of_a_file_are_told_at_once_in_the_order_of_its_lines() {
    check(&[(
        "[[organization]]\nslug = \"acme\"\ncolour = \"red\"\n[[organization.project]]\nslug = \"web\"\nid = 5\n\
         [[user]]\nemail = \"ann\"\nroles = { nowhere = \"owner\" }\n",
        &[
            "3: organization.colour: unknown field; there are name, options, project, slug, team, token",
            "6: organization.project.id: this project has the id 31 for good",
            "8: user.email: \"ann\" is no email address",
            "9: user.roles.nowhere: there is no organization nowhere, neither here nor in the database",
        ],
    )]);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let picket = Binary::new();
    let output = picket.run(&["apply", "b.toml"]);
    assert!(
        output.stderr.starts_with("picket: cannot read b.toml: "),
        "{output:?}"
    );
    assert_eq!(output.code, Some(1));
    std::fs::write(picket.path("b.toml"), b"\xff").unwrap();
    let output = picket.run(&["apply", "b.toml"]);
    assert!(
        output.stderr.starts_with("picket: cannot read b.toml: "),
        "{output:?}"
    );
    assert!(!picket.path("picket.db").exists());
}
