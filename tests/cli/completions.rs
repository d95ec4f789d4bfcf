//! `picket completions`: what the shells make of it.

use std::process::Command;

use crate::support::process::Binary;

/// What bash offers for the last of these words.
fn offered(picket: &Binary, words: &[&str]) -> Vec<String> {
    let script = picket.succeed(&["completions", "bash"]);
    picket.write("completions.bash", &script);
    let output = Command::new("bash")
        .args(["--norc", "-c"])
        .arg(
            "set -u; . ./completions.bash\n\
             complete -p picket >/dev/null || exit 3\n\
             COMP_WORDS=(\"$@\") COMP_CWORD=$(($# - 1)) COMPREPLY=()\n\
             _picket\n\
             printf '%s\\n' \"${COMPREPLY[@]-}\"",
        )
        .args([&["bash", "picket"], words].concat())
        .current_dir(picket.path(""))
        .output()
        .expect("bash can be run");
    assert!(output.status.success(), "{output:?}");
    let mut offered: Vec<String> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect();
    offered.sort();
    offered
}

#[test]
fn bash_offers_what_can_stand_there() {
    let picket = Binary::new();
    picket.write("accounts.toml", "");
    let offers = |words: &[&str]| offered(&picket, words);
    assert_eq!(offers(&["se"]), ["serve"]);
    assert_eq!(
        offers(&["org", ""]),
        ["create", "delete", "list", "show", "update"]
    );
    assert_eq!(offers(&["org", "cr"]), ["create"]);
    assert_eq!(offers(&["serve", "--dur"]), ["--durability"]);
    assert_eq!(offers(&["serve", "--durability", ""]), ["full", "normal"]);
    assert_eq!(offers(&["serve", "--durability", "n"]), ["normal"]);
    assert_eq!(offers(&["serve", "--apply", "acc"]), ["accounts.toml"]);
    assert_eq!(offers(&["apply", "acc"]), ["accounts.toml"]);
    assert_eq!(offers(&["completions", ""]), ["bash", "fish", "zsh"]);
    assert_eq!(offers(&["help", "comp"]), ["completions"]);
    // Only serve takes this one.
    assert_eq!(offers(&["dsn", "acme/web", "--lis"]), [""; 0]);
    assert_eq!(offers(&["serve", "--lis"]), ["--listen"]);
    // Nobody knows an address for the user.
    assert_eq!(offers(&["serve", "--listen", ""]), [""; 0]);
    assert!(offers(&["org", "create", "--"]).contains(&"--name".to_owned()));
    assert_eq!(offers(&["no-such-command", ""]), [""; 0]);
}

#[test]
fn the_other_shells_can_read_theirs() {
    let picket = Binary::new();
    for shell in ["zsh", "fish"] {
        let script = picket.succeed(&["completions", shell]);
        assert!(script.contains("--durability") || script.contains("-l durability"));
        picket.write("completions", &script);
        let read = Command::new(shell)
            .arg("-n")
            .arg(picket.path("completions"))
            .output();
        match read {
            Ok(output) => assert!(output.status.success(), "{shell}: {output:?}"),
            Err(_) => println!("skipped: {shell} is not installed"),
        }
    }
}

#[test]
fn another_shell_is_refused() {
    let picket = Binary::new();
    for arguments in [&["completions"][..], &["completions", "tcsh"]] {
        let output = picket.run(arguments);
        assert_eq!(output.code, Some(2));
        assert_eq!(
            output.stderr,
            "picket: completions needs one of bash, zsh and fish (see picket help completions)\n"
        );
    }
}
