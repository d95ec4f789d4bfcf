//! `picket dsn`.

use crate::support::process::Binary;

const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

fn with_two_keys() -> Binary {
    let picket = Binary::new();
    picket.write(
        "a.toml",
        &format!(
            r#"
[[organization]]
slug = "acme"
  [[organization.project]]
  slug = "web"
  id = 31
  key = [{{ name = "First", public = "{A}" }}, {{ name = "Second", public = "{B}" }}]
"#
        ),
    );
    picket.succeed(&["apply", "a.toml"]);
    picket
}

#[test]
fn the_dsn_is_of_the_oldest_key_or_the_named_one() {
    let picket = with_two_keys();
    let first = format!("http://{A}@127.0.0.1:9000/31\n");
    assert_eq!(picket.succeed(&["dsn", "acme/web"]), first);
    assert_eq!(picket.succeed(&["dsn", "1/31"]), first);
    assert_eq!(
        picket.succeed(&[
            "dsn",
            "acme/web",
            "--key",
            "Second",
            "--url-prefix",
            "https://errors.test"
        ]),
        format!("https://{B}@errors.test/31\n")
    );
    assert_eq!(
        picket.succeed(&["dsn", "acme/web", "--json"]),
        format!(
            "{{\"organization\":\"acme\",\"project\":\"web\",\"project_id\":\"31\",\"key\":\"First\",\
             \"public\":\"{A}\",\"dsn\":\"http://{A}@127.0.0.1:9000/31\"}}\n"
        )
    );
}

#[test]
fn an_inactive_key_has_no_dsn_to_give() {
    let picket = with_two_keys();
    let switch_off = |public: &str| {
        let changed = picket
            .database()
            .execute(
                "UPDATE client_key SET active = 0 WHERE public = ?1",
                [public],
            )
            .unwrap();
        assert_eq!(changed, 1);
    };
    switch_off(A);
    assert_eq!(
        picket.succeed(&["dsn", "acme/web"]),
        format!("http://{B}@127.0.0.1:9000/31\n")
    );
    let output = picket.run(&["dsn", "acme/web", "--key", "First"]);
    assert_eq!(
        output.stderr,
        "picket: the key \"First\" of acme/web is not active\n"
    );
    switch_off(B);
    let output = picket.run(&["dsn", "acme/web"]);
    assert_eq!(output.stderr, "picket: acme/web has no active key\n");
    assert_eq!(output.code, Some(1));
}

#[test]
fn what_is_not_there_is_named() {
    let picket = with_two_keys();
    for (arguments, text) in [
        (&["dsn", "other/web"][..], "there is no organization other"),
        (&["dsn", "acme/shop"], "there is no project acme/shop"),
        (&["dsn", "acme/32"], "there is no project acme/32"),
        (
            &["dsn", "acme/web", "--key", "first"],
            "acme/web has no key of the name \"first\"",
        ),
    ] {
        let output = picket.run(arguments);
        assert_eq!(output.stderr, format!("picket: {text}\n"));
        assert_eq!(output.code, Some(1));
    }
}
