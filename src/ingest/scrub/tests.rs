//! What goes in and what comes out, by rule and by place (facts/ingestion.md 9.5 and more).

use super::*;
use crate::ingest::json::Node;

fn settings() -> Scrubbing {
    Scrubbing {
        data: true,
        defaults: true,
        addresses: false,
        sensitive_fields: Vec::new(),
        safe_fields: Vec::new(),
    }
}

fn list(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

fn sensitive(words: &[&str]) -> Scrubbing {
    Scrubbing {
        sensitive_fields: list(words),
        ..settings()
    }
}

fn safe(fields: &[&str]) -> Scrubbing {
    Scrubbing {
        safe_fields: list(fields),
        ..settings()
    }
}

fn addresses() -> Scrubbing {
    Scrubbing {
        addresses: true,
        ..settings()
    }
}

type Entrance = fn(&Scrubber, &mut Map<'_>, &mut Meta);

fn scrubbed_by(settings: &Scrubbing, entrance: Entrance, item: &str) -> String {
    let mut map = Map::parse(item.as_bytes()).expect("the test's input is an object");
    let mut meta = Meta::default();
    if let Some(scrubber) = Scrubber::compile(settings) {
        entrance(&scrubber, &mut map, &mut meta);
    }
    meta.write_to(&mut map);
    String::from_utf8(map.to_vec()).unwrap()
}

fn scrubbed(settings: &Scrubbing, event: &str) -> String {
    scrubbed_by(settings, Scrubber::event, event)
}

/// The event without its annotations.
fn bare(settings: &Scrubbing, event: &str) -> String {
    let text = scrubbed(settings, event);
    let mut map = Map::parse(text.as_bytes()).unwrap();
    map.remove("_meta");
    String::from_utf8(map.to_vec()).unwrap()
}

#[track_caller]
fn assert_extra(settings: &Scrubbing, cases: &[(&str, &str)]) {
    for (before, after) in cases {
        let event = bare(settings, &format!(r#"{{"extra":{before}}}"#));
        assert_eq!(event, format!(r#"{{"extra":{after}}}"#), "{before}");
    }
}

#[track_caller]
fn assert_events(settings: &Scrubbing, cases: &[(&str, &str)]) {
    for (before, after) in cases {
        assert_eq!(&bare(settings, before), after, "{before}");
    }
}

const F: &str = "[Filtered]";

#[test]
fn a_key_or_a_value_with_a_default_word_is_filtered_as_a_whole() {
    assert_extra(
        &settings(),
        &[
            (r#"{"password":"x"}"#, r#"{"password":"[Filtered]"}"#),
            (r#"{"the_secret":"x"}"#, r#"{"the_secret":"[Filtered]"}"#),
            (r#"{"apiKey":"x"}"#, r#"{"apiKey":"[Filtered]"}"#),
            (r#"{"API-KEY":"x"}"#, r#"{"API-KEY":"[Filtered]"}"#),
            (r#"{"privateKey":"x"}"#, r#"{"privateKey":"[Filtered]"}"#),
            (r#"{"PRIVATE_KEY":"x"}"#, r#"{"PRIVATE_KEY":"[Filtered]"}"#),
            (r#"{"x-Auth":"x"}"#, r#"{"x-Auth":"[Filtered]"}"#),
            (r#"{"note":"my author"}"#, r#"{"note":"[Filtered]"}"#),
            (r#"{"note":"MYSQL_PWD"}"#, r#"{"note":"[Filtered]"}"#),
            (r#"{"otp":"123"}"#, r#"{"otp":"[Filtered]"}"#),
            (r#"{"a":"OTP"}"#, r#"{"a":"[Filtered]"}"#),
            (r#"{"footp":"123"}"#, r#"{"footp":"123"}"#),
            (r#"{"Two-Factor":1}"#, r#"{"Two-Factor":"[Filtered]"}"#),
            (r#"{"two_factors":1}"#, r#"{"two_factors":1}"#),
            (r#"{"password":12}"#, r#"{"password":"[Filtered]"}"#),
            (r#"{"password":{"a":1}}"#, r#"{"password":"[Filtered]"}"#),
            (r#"{"password":["a"]}"#, r#"{"password":"[Filtered]"}"#),
            (
                r#"{"password":null,"secret":true}"#,
                r#"{"password":null,"secret":true}"#,
            ),
            (r#"{"pässwörd":"x"}"#, r#"{"pässwörd":"x"}"#),
        ],
    );
}

#[test]
fn a_token_is_filtered_under_its_key_or_after_its_name() {
    assert_extra(
        &settings(),
        &[
            (r#"{"accessToken":"x"}"#, r#"{"accessToken":"[Filtered]"}"#),
            (r#"{"a":"token=x"}"#, r#"{"a":"[Filtered]"}"#),
            (r#"{"a":"{\"Token\": 1}"}"#, r#"{"a":"[Filtered]"}"#),
            (
                r#"{"a":"Unexpected token <"}"#,
                r#"{"a":"Unexpected token <"}"#,
            ),
            (r#"{"a":"x=1 token"}"#, r#"{"a":"x=1 token"}"#),
            (r#"{"a":"token\nx=1"}"#, r#"{"a":"token\nx=1"}"#),
        ],
    );
}

#[test]
fn what_is_recognized_by_its_form_is_replaced_in_place() {
    assert_extra(
        &settings(),
        &[
            (
                r#"{"a":"card 4111 1111 1111 1111, ok"}"#,
                r#"{"a":"card [Filtered], ok"}"#,
            ),
            (r#"{"a":"é3782-822463-10005é"}"#, r#"{"a":"é[Filtered]é"}"#),
            (r#"{"a":4111111111111111}"#, r#"{"a":"[Filtered]"}"#),
            (r#"{"a":1711111111111111}"#, r#"{"a":1711111111111111}"#),
            (
                r#"{"a":"41111111111111112"}"#,
                r#"{"a":"41111111111111112"}"#,
            ),
            (
                r#"{"a":"to DE89370400440532013000!"}"#,
                r#"{"a":"to [Filtered]!"}"#,
            ),
            (r#"{"a":"de89370400440532013000"}"#, r#"{"a":"[Filtered]"}"#),
            (
                r#"{"a":"ZZ89370400440532013000"}"#,
                r#"{"a":"ZZ89370400440532013000"}"#,
            ),
            (r#"{"a":"ssn 123-45-6789."}"#, r#"{"a":"ssn [Filtered]."}"#),
            (r#"{"a":"1123-45-6789"}"#, r#"{"a":"1123-45-6789"}"#),
            (
                r#"{"a":"https://u:p@host/x"}"#,
                r#"{"a":"https://u:[Filtered]@host/x"}"#,
            ),
            (
                r#"{"a":"redis://:p#?@x@h/1 a@b"}"#,
                r#"{"a":"redis://:[Filtered]@h/1 a@b"}"#,
            ),
            // A number with spaces is no reason to leave the rest of a password.
            (
                r#"{"a":"https://u:p=4111 1111 1111 1111=@h.example/"}"#,
                r#"{"a":"https://u:[Filtered]@h.example/"}"#,
            ),
            (r#"{"a":"https://h:80/a@b"}"#, r#"{"a":"https://h:80/a@b"}"#),
            (r#"{"a":"bearer abc.d-e_f="}"#, r#"{"a":"[Filtered]"}"#),
            (
                r#"{"a":"x -----BEGIN RSA PRIVATE KEY-----\nAB\nCD\n-----END RSA PRIVATE KEY-----"}"#,
                r#"{"a":"x -----BEGIN RSA PRIVATE KEY-----\n[Filtered]\n-----END RSA PRIVATE KEY-----"}"#,
            ),
            (
                r#"{"a":"-----BEGIN PUBLIC KEY-----\nABCD cut"}"#,
                r#"{"a":"-----BEGIN PUBLIC KEY-----\n[Filtered]"}"#,
            ),
            (
                r#"{"a":"-----BEGIN CERTIFICATE-----\nAB"}"#,
                r#"{"a":"-----BEGIN CERTIFICATE-----\nAB"}"#,
            ),
        ],
    );
}

#[test]
fn remarks_say_where_the_new_text_is_and_how_long_the_old_one_was() {
    for (before, after) in [
        (
            r#"{"extra":{"password":"hällo"}}"#,
            r#"{"extra":{"password":"[Filtered]"},"_meta":{"extra":{"password":{"":{"rem":[["@password:filter","s",0,10]],"len":5}}}}}"#,
        ),
        (
            r#"{"extra":{"token":{"a":"b"}}}"#,
            r#"{"extra":{"token":"[Filtered]"},"_meta":{"extra":{"token":{"":{"rem":[["@token:filter","s",0,10]]}}}}}"#,
        ),
        (
            r#"{"extra":{"a":"é 123-45-6789 4111111111111111"}}"#,
            r#"{"extra":{"a":"é [Filtered] [Filtered]"},"_meta":{"extra":{"a":{"":{"rem":[["@usssn:filter","s",3,13],["@creditcard:filter","s",14,24]],"len":30}}}}}"#,
        ),
        (
            r#"{"request":{"headers":[["Accept","*/*"],["Authorization","Basic eA=="]]}}"#,
            r#"{"request":{"headers":[["Accept","*/*"],["Authorization","[Filtered]"]]},"_meta":{"request":{"headers":{"1":{"1":{"":{"rem":[["@password:filter","s",0,10]],"len":10}}}}}}}"#,
        ),
        (
            r#"{"request":{"data":"{\"a\":{\"secret\":\"x\"},\"b\":1}"}}"#,
            r#"{"request":{"data":"{\"a\":{\"secret\":\"[Filtered]\"},\"b\":1}"},"_meta":{"request":{"data":{"":{"rem":[["@password:filter","s"]],"len":26}}}}}"#,
        ),
        (
            r#"{"logentry":{"formatted":"mail a.b@c.example, card 4111111111111111"}}"#,
            r#"{"logentry":{"formatted":"mail [email], card [creditcard]"},"_meta":{"logentry":{"formatted":{"":{"rem":[["@email:replace","s",5,12],["@creditcard:replace","s",19,31]],"len":41}}}}}"#,
        ),
    ] {
        assert_eq!(scrubbed(&settings(), before), after);
    }
    let before = r#"{"user":{"ip_address":"not one"}}"#;
    let after = r#"{"user":{"ip_address":null},"_meta":{"user":{"ip_address":{"":{"rem":[["@anything:remove","x"]]}}}}}"#;
    assert_eq!(scrubbed(&addresses(), before), after);
}

#[test]
fn the_default_rules_leave_alone_what_is_part_of_a_program() {
    let event = concat!(
        r#"{"event_id":"4111111111111111","logger":"auth","transaction":"/auth","release":"secret@1","#,
        r#""environment":"auth","culprit":"auth in login","tags":[["password","x"],["a","author"]],"#,
        r#""exception":{"values":[{"type":"AuthError","value":"password=4111111111111111","module":"auth","#,
        r#""stacktrace":{"frames":[{"function":"authenticate","module":"auth","filename":"auth.py","#,
        r#""abs_path":"/auth.py","context_line":"password = 'x'","pre_context":["secret"]}]}}]},"#,
        r#""modules":{"authlib":"1"},"debug_meta":{"images":[{"password":"x"}]},"sdk":{"name":"auth"},"#,
        r#""request":{"url":"https://u@h/auth","method":"AUTH","headers":[["User-Agent","auth/1"]]},"#,
        r#""contexts":{"trace":{"op":"auth","trace_id":"4111111111111111"},"app":{"app_name":"Authy"}},"#,
        r#""spans":[{"op":"auth","description":"POST /auth","data":{"code.function":"auth"}}],"#,
        r#""logentry":{"formatted":"author","message":"author %s"},"fingerprint":["auth"]}"#
    );
    assert_eq!(scrubbed(&settings(), event), event);
}

#[test]
fn fields_that_are_marked_are_scrubbed() {
    assert_events(
        &settings(),
        &[
            (
                r#"{"server_name":"auth-1","user":{"password":"x","id":7},"unknown":{"secret":1}}"#,
                r#"{"server_name":"[Filtered]","user":{"password":"[Filtered]","id":7},"unknown":{"secret":"[Filtered]"}}"#,
            ),
            (
                r#"{"exception":{"values":[{"stacktrace":{"frames":[{"vars":{"pwd":"x","passwd":"y"}}]},"mechanism":{"data":{"secret":"z"}}}]}}"#,
                r#"{"exception":{"values":[{"stacktrace":{"frames":[{"vars":{"pwd":"x","passwd":"[Filtered]"}}]},"mechanism":{"data":{"secret":"[Filtered]"}}}]}}"#,
            ),
            (
                r#"{"breadcrumbs":{"values":[{"category":"auth","message":"secret","data":{"token":"x"}}]}}"#,
                r#"{"breadcrumbs":{"values":[{"category":"auth","message":"[Filtered]","data":{"token":"[Filtered]"}}]}}"#,
            ),
            (
                r#"{"contexts":{"state":{"secret":"x"},"auth":{"a":1}},"logentry":{"params":["auth",{"otp":1}]}}"#,
                r#"{"contexts":{"state":{"secret":"[Filtered]"},"auth":"[Filtered]"},"logentry":{"params":["[Filtered]",{"otp":"[Filtered]"}]}}"#,
            ),
            (
                r#"{"spans":[{"data":{"db.password":"x"},"tags":{"a":"secret"},"other":"secret"}]}"#,
                r#"{"spans":[{"data":{"db.password":"[Filtered]"},"tags":{"a":"secret"},"other":"[Filtered]"}]}"#,
            ),
            (
                r#"{"csp":{"blocked_uri":"https://a:b@c/","document_uri":"https://auth.example"}}"#,
                r#"{"csp":{"blocked_uri":"https://a:[Filtered]@c/","document_uri":"[Filtered]"}}"#,
            ),
            (
                r#"{"contexts":{"feedback":{"message":"my password, a@b.example","contact_email":"a@b.example","x":"secret"}}}"#,
                r#"{"contexts":{"feedback":{"message":"my password, [email]","contact_email":"a@b.example","x":"[Filtered]"}}}"#,
            ),
        ],
    );
}

#[test]
fn requests_are_scrubbed_in_whatever_form_they_came() {
    assert_events(
        &settings(),
        &[
            (
                r#"{"request":{"headers":{"X-Api-Key":"x","Cookie":"a=b; SessionId=c; d=e","user-agent":"secret"}}}"#,
                r#"{"request":{"headers":{"X-Api-Key":"[Filtered]","Cookie":"a=b; SessionId=[Filtered]; d=e","user-agent":"secret"}}}"#,
            ),
            (
                r#"{"request":{"cookies":[["a","b"],["csrftoken","c"],["_XSRF","d"]],"env":{"SECRET":"x","REMOTE_ADDR":"1.2.3.4"}}}"#,
                r#"{"request":{"cookies":[["a","b"],["csrftoken","[Filtered]"],["_XSRF","[Filtered]"]],"env":{"SECRET":"[Filtered]","REMOTE_ADDR":"1.2.3.4"}}}"#,
            ),
            (
                r#"{"request":{"cookies":"a=b; session=c","query_string":"?a=b&pass%77ord=x&c=%41uth&d=1"}}"#,
                r#"{"request":{"cookies":"a=b; session=[Filtered]","query_string":"?a=b&pass%77ord=[Filtered]&c=[Filtered]&d=1"}}"#,
            ),
            (
                r#"{"request":{"query_string":[["secret","x"],["n","4111-1111-1111-1111 x"],["4111111111111111",""]],"fragment":"token=1"}}"#,
                r#"{"request":{"query_string":[["secret","[Filtered]"],["n","[Filtered] x"],["[Filtered]",""]],"fragment":"[Filtered]"}}"#,
            ),
            (
                r#"{"request":{"data":"user=a&password=b+c&x=4111111111111111+y"}}"#,
                r#"{"request":{"data":"user=a&password=[Filtered]&x=%5BFiltered%5D+y"}}"#,
            ),
            (
                r#"{"request":{"data":"the password is x = y"}}"#,
                r#"{"request":{"data":"[Filtered]"}}"#,
            ),
            (
                r#"{"request":{"data":"[{\"a\":\"{\\\"password\\\":1}\"},[[\"secret\",2]]]"}}"#,
                r#"{"request":{"data":"[{\"a\":\"[Filtered]\"},[[\"[Filtered]\",\"[Filtered]\"]]]"}}"#,
            ),
            (
                r#"{"request":{"data":{"list":[["password","x"],["a","b"]],"cookies":{"su":"x"}}}}"#,
                r#"{"request":{"data":{"list":[["[Filtered]","[Filtered]"],["a","b"]],"cookies":{"su":"[Filtered]"}}}}"#,
            ),
        ],
    );
}

#[test]
fn session_cookies_are_filtered_under_every_name_for_cookies() {
    assert_extra(
        &settings(),
        &[
            (
                r#"{"headers":{"Cookie":"a=b; session=c","Set-Cookie":"su=d; Path=/"}}"#,
                r#"{"headers":{"Cookie":"a=b; session=[Filtered]","Set-Cookie":"su=[Filtered]; Path=/"}}"#,
            ),
            (
                r#"{"Cookies":{"su":"x"},"cookie":[["a","b"],["su","x"]],"set-cookie":["a=b","su=x"]}"#,
                r#"{"Cookies":{"su":"[Filtered]"},"cookie":[["a","b"],["su","[Filtered]"]],"set-cookie":["a=b","su=[Filtered]"]}"#,
            ),
            (r#"{"cookie":"none"}"#, r#"{"cookie":"none"}"#),
        ],
    );
    for (before, after) in [
        (
            r#""http.request.header.cookies":"a=b; su=c""#,
            r#""http.request.header.cookies":"a=b; su=[Filtered]""#,
        ),
        (
            r#""http.request.cookies":{"a":"b","su":"c"}"#,
            r#""http.request.cookies":{"a":"b","su":"[Filtered]"}"#,
        ),
        (
            r#""http.request.cookies.su":"c","cookie.consent":"yes","cookie":"su=x""#,
            r#""http.request.cookies.su":"[Filtered]","cookie.consent":"yes","cookie":"su=[Filtered]""#,
        ),
    ] {
        let span = |data: &str| format!(r#"{{"spans":[{{"data":{{{data}}}}}]}}"#);
        assert_events(&settings(), &[(&span(before), &span(after))]);
    }
}

#[test]
fn the_password_of_a_url_is_taken_where_urls_and_messages_stand() {
    assert_events(
        &settings(),
        &[
            (
                r#"{"request":{"url":"https://u:p@h/auth"},"spans":[{"description":"GET https://u:p@h/auth"}],"logentry":{"formatted":"auth of redis://u:p@h.example:1/ a@b.example"}}"#,
                r#"{"request":{"url":"https://u:[Filtered]@h/auth"},"spans":[{"description":"GET https://u:[Filtered]@h/auth"}],"logentry":{"formatted":"auth of redis://u:[Filtered]@h.example:1/ [email]"}}"#,
            ),
            (
                r#"{"request":{"url":"https://h:80/a@b"},"spans":[{"description":"a:b@c 4111111111111111"}]}"#,
                r#"{"request":{"url":"https://h:80/a@b"},"spans":[{"description":"a:b@c 4111111111111111"}]}"#,
            ),
        ],
    );
    let safe = safe(&["$http.url"]);
    let event = r#"{"request":{"url":"https://u:p@h/"}}"#;
    assert_eq!(scrubbed(&safe, event), event);
}

#[test]
fn an_object_of_a_name_and_a_value_is_a_pair() {
    assert_extra(
        &settings(),
        &[
            (
                r#"[{"name":"the_token","value":"x"},{"value":5,"key":"passwd2"}]"#,
                r#"[{"name":"the_token","value":"[Filtered]"},{"value":"[Filtered]","key":"[Filtered]"}]"#,
            ),
            (
                r#"{"a":{"name":"token","value":"x","more":1},"b":{"name":"c","value":"x"}}"#,
                r#"{"a":{"name":"token","value":"x","more":1},"b":{"name":"c","value":"x"}}"#,
            ),
        ],
    );
}

#[test]
fn a_reserved_prefix_hides_no_secret() {
    let before = r#"{"spans":[{"data":{"sentry.secret":"x","code.token":"y","os.password":{"type":"string","value":"z"},"code.function":"auth","gen_ai.usage.input_tokens":5,"ai.total_tokens.used":6}}]}"#;
    let after = r#"{"spans":[{"data":{"sentry.secret":"[Filtered]","code.token":"[Filtered]","os.password":{"type":"string","value":"[Filtered]"},"code.function":"auth","gen_ai.usage.input_tokens":5,"ai.total_tokens.used":6}}]}"#;
    assert_events(&settings(), &[(before, after)]);
    let off = Scrubbing {
        defaults: false,
        ..sensitive(&["acme"])
    };
    assert_eq!(bare(&off, before), before);
}

#[test]
fn words_of_the_settings_apply_wherever_something_may_be_touched() {
    let words = sensitive(&["Acme", " öl "]);
    assert_events(
        &words,
        &[
            (
                r#"{"tags":[["acme.id","x"],["a","the ACME"],["password","p"]],"culprit":"acme.py","transaction":"acme"}"#,
                r#"{"tags":[["acme.id","[Filtered]"],["a","[Filtered]"],["password","p"]],"culprit":"[Filtered]","transaction":"acme"}"#,
            ),
            (
                r#"{"request":{"url":"https://acme/","headers":[["User-Agent","acme"],["X-Acme","1"]]}}"#,
                r#"{"request":{"url":"[Filtered]","headers":[["User-Agent","acme"],["X-Acme","[Filtered]"]]}}"#,
            ),
            (
                r#"{"extra":{"a":"ERDÖL","acme":[1],"b":"oil"},"logentry":{"formatted":"acme"}}"#,
                r#"{"extra":{"a":"[Filtered]","acme":"[Filtered]","b":"oil"},"logentry":{"formatted":"acme"}}"#,
            ),
            (
                r#"{"exception":{"values":[{"type":"acme","value":"acme","stacktrace":{"frames":[{"module":"acme","filename":"acme","vars":{"x":"acme"}}]}}]}}"#,
                r#"{"exception":{"values":[{"type":"acme","value":"acme","stacktrace":{"frames":[{"module":"[Filtered]","filename":"acme","vars":{"x":"[Filtered]"}}]}}]}}"#,
            ),
        ],
    );
    // Numbers have digits that may be meant; a part of the protocol keeps its shape.
    assert_events(
        &sensitive(&["4711", "user"]),
        &[(
            r#"{"user":{"id":1,"geo":{"city":"x"}},"extra":{"a":147110}}"#,
            r#"{"user":{"id":"[Filtered]","geo":"[Filtered]"},"extra":{"a":"[Filtered]"}}"#,
        )],
    );
}

#[test]
fn every_switch_does_what_it_says() {
    let event = r#"{"extra":{"password":"x","acme":"x","ip":"10.0.0.1"}}"#;
    let with = |data, defaults, addresses| Scrubbing {
        data,
        defaults,
        addresses,
        sensitive_fields: list(&["acme"]),
        safe_fields: Vec::new(),
    };
    let expected = |password: &str, acme: &str, ip: &str| {
        format!(r#"{{"extra":{{"password":"{password}","acme":"{acme}","ip":"{ip}"}}}}"#)
    };
    for (settings, after) in [
        (with(true, true, true), expected(F, F, "[ip]")),
        (with(true, false, false), expected("x", F, "10.0.0.1")),
        (with(false, true, true), expected("x", "x", "[ip]")),
        (with(false, true, false), expected("x", "x", "10.0.0.1")),
    ] {
        assert_eq!(bare(&settings, event), after, "{settings:?}");
    }
    assert!(Scrubber::compile(&with(false, true, false)).is_none());
    let nothing = Scrubbing {
        defaults: false,
        sensitive_fields: Vec::new(),
        ..settings()
    };
    assert!(Scrubber::compile(&nothing).is_none());
}

#[test]
fn a_safe_field_wins_over_every_rule() {
    let event = r#"{"extra":{"password":"x","a":{"secret":["s"],"b":"author"}},"request":{"headers":[["X-Auth","h"]]},"user":{"secret":"u"}}"#;
    // What stays of: extra.password, extra.a.secret, extra.a.b, the header, user.secret.
    for (field, kept) in [
        ("password", "p...."),
        ("PASSWORD", "p...."),
        ("extra.password", "p...."),
        ("extra.a", ".sb.."),
        ("extra.a.**", ".sb.."),
        ("extra.*.secret", ".s..."),
        ("**.secret", ".s..u"),
        ("secret", ".s..u"),
        ("'extra'.'a'.b", "..b.."),
        ("$user", "....u"),
        ("$user.secret", "....u"),
        ("$http.headers.x-auth", "...h."),
        ("$http.headers.'X-Auth'", "...h."),
        ("extra.** && !extra.a", "p...."),
        ("(extra.password || $user.secret)", "p...u"),
        ("$array", ".s..."),
        ("$string && extra.**", "p.b.."),
        ("!extra.**", "...hu"),
        ("*", "psbhu"),
        ("a.b", "....."),
        ("extra.a.", "....."),
        ("((((((((((((((((((((((password", "....."),
        ("$nothing.password", "....."),
        ("", "....."),
    ] {
        let text = bare(&safe(&[field]), event);
        let is_kept = |what: char, value: &str| if text.contains(value) { what } else { '.' };
        let found: String = [
            is_kept('p', r#""password":"x""#),
            is_kept('s', r#"["s"]"#),
            is_kept('b', "author"),
            is_kept('h', r#""h""#),
            is_kept('u', r#""u""#),
        ]
        .iter()
        .collect();
        assert_eq!(found, kept, "{field}");
    }
}

#[test]
fn safe_fields_reach_into_texts_attributes_and_words_of_the_settings() {
    let both = Scrubbing {
        sensitive_fields: list(&["acme"]),
        ..safe(&["acme_ok", "password", "app.secret", "$user.ip_address"])
    };
    assert_events(
        &Scrubbing {
            addresses: true,
            ..both
        },
        &[
            (
                r#"{"extra":{"acme_ok":"x","acme":"y"},"request":{"data":"{\"password\":1,\"secret\":2}"}}"#,
                r#"{"extra":{"acme_ok":"x","acme":"[Filtered]"},"request":{"data":"{\"password\":1,\"secret\":\"[Filtered]\"}"}}"#,
            ),
            (
                r#"{"spans":[{"data":{"app.secret":"x","b.secret":"y"}}],"user":{"ip_address":"::1"}}"#,
                r#"{"spans":[{"data":{"app.secret":"x","b.secret":"[Filtered]"}}],"user":{"ip_address":"::1"}}"#,
            ),
        ],
    );
}

#[test]
fn addresses_are_taken_where_they_are_known_and_where_they_look_like_one() {
    assert_events(
        &addresses(),
        &[
            (
                r#"{"user":{"ip_address":"{{auto}}","id":"1.2.3.4"},"sdk":{"client_ip":"::1"},"request":{"env":[["REMOTE_ADDR","x"],["A","::1"]]}}"#,
                r#"{"user":{"ip_address":null,"id":"[ip]"},"sdk":{"client_ip":null},"request":{"env":[["REMOTE_ADDR",null],["A","[ip]"]]}}"#,
            ),
            (
                r#"{"spans":[{"tags":{"user.ip":"x","ip":"1.2.3.4"},"data":{"client.address":"y","user_agent.original":"Chrome/1.0.0.0"}}]}"#,
                r#"{"spans":[{"tags":{"user.ip":null,"ip":"1.2.3.4"},"data":{"client.address":null,"user_agent.original":"Chrome/1.0.0.0"}}]}"#,
            ),
        ],
    );
    let text = |before: &str, after: &str| {
        let extra = |text: &str| format!(r#"{{"a":"{text}"}}"#);
        assert_extra(&addresses(), &[(&extra(before), &extra(after))]);
    };
    text("from 10.0.0.1:8080, 10.0.0.2.", "from [ip]:8080, [ip].");
    text("[2001:db8::1]:443 fe80::1%eth0", "[[ip]]:443 [ip]%eth0");
    text("::ffff:1.2.3.4 addr:::1 é1.2.3.4é", "[ip] addr:::1 é[ip]é");
    text("2001:db8:0:0:0:0:0:1.", "[ip].");
    text(
        "v1.2.3.4 1.2.3.4.5 1.2.3 256.1.1.1",
        "v1.2.3.4 1.2.3.4.5 1.2.3 256.1.1.1",
    );
    text(
        "std::vec a::b :: 12:30:45 00:1b:44:11:3a:b7",
        "std::vec a::b :: 12:30:45 00:1b:44:11:3a:b7",
    );
}

#[test]
fn logs_are_scrubbed_in_their_body_and_attributes() {
    let entry = concat!(
        r#"{"timestamp":1,"body":"author a@b.example Bearer abc.def","attributes":{"#,
        r#""password":{"type":"integer","value":5},"sentry.message.template":{"type":"string","value":"auth {}"},"#,
        r#""sentry.message.parameter.0":{"type":"string","value":"secret"},"n":{"type":"integer","value":6},"#,
        r#""gen_ai.usage.input_tokens":{"type":"integer","value":7},"plain_secret":"x","#,
        r#""http.request.header.cookie.SU":{"type":"string","value":"y"},"#,
        r#""http.request.header.cookie":{"type":"string","value":"a=b; su=c"}}}"#
    );
    let after = concat!(
        r#"{"timestamp":1,"body":"author [email] Bearer [token]","attributes":{"#,
        r#""password":{"type":"string","value":"[Filtered]"},"sentry.message.template":{"type":"string","value":"auth {}"},"#,
        r#""sentry.message.parameter.0":{"type":"string","value":"[Filtered]"},"n":{"type":"integer","value":6},"#,
        r#""gen_ai.usage.input_tokens":{"type":"integer","value":7},"plain_secret":"[Filtered]","#,
        r#""http.request.header.cookie.SU":{"type":"string","value":"[Filtered]"},"#,
        r#""http.request.header.cookie":{"type":"string","value":"a=b; su=[Filtered]"}},"_meta":"#
    );
    let text = scrubbed_by(&settings(), Scrubber::log, entry);
    assert!(text.starts_with(after), "{text}");
    assert!(text.contains(r#""body":{"":{"rem":[["@email:replace","s",7,14],["@bearer:replace","s",15,29]],"len":33}}"#));
    assert!(text.contains(r#""password":{"value":{"":{"rem":[["@password:filter","s",0,10]]}}}"#));
    let kept = safe(&["$log.attributes.'my.secret'", "$log.body"]);
    let entry =
        r#"{"body":"a@b.example","attributes":{"my.secret":{"value":"x","type":"string"}}}"#;
    assert_eq!(scrubbed_by(&kept, Scrubber::log, entry), entry);
}

#[test]
fn spans_metrics_and_other_items_are_scrubbed() {
    let cases: [(Entrance, &str, &str); 5] = [
        (
            Scrubber::span,
            r#"{"span_id":"a","description":"auth","data":{"secret":"x"}}"#,
            r#"{"span_id":"a","description":"auth","data":{"secret":"[Filtered]"},"_meta":{"data":{"secret":{"":{"rem":[["@password:filter","s",0,10]],"len":1}}}}}"#,
        ),
        (
            Scrubber::metric,
            r#"{"name":"auth.count","value":4111111111111111,"attributes":{"ip":{"type":"string","value":"::1"}}}"#,
            r#"{"name":"auth.count","value":4111111111111111,"attributes":{"ip":{"type":"string","value":"[ip]"}},"_meta":{"attributes":{"ip":{"value":{"":{"rem":[["@ip:replace","s",0,4]],"len":3}}}}}}"#,
        ),
        (
            Scrubber::other,
            r#"{"did":"1.2.3.4","attrs":{"release":"auth","ip_address":"1.2.3.4"}}"#,
            r#"{"did":null,"attrs":{"release":"auth","ip_address":null},"_meta":{"did":{"":{"rem":[["@anything:remove","x"]]}},"attrs":{"ip_address":{"":{"rem":[["@anything:remove","x"]]}}}}}"#,
        ),
        (
            Scrubber::other,
            r#"{"email":"a@b.example","name":"Arthur Author","comments":"my author"}"#,
            r#"{"email":"a@b.example","name":"Arthur Author","comments":"my author"}"#,
        ),
        (
            Scrubber::other,
            r#"{"monitor_slug":"auth","monitor_config":{"owner":"auth"},"status":"ok"}"#,
            r#"{"monitor_slug":"auth","monitor_config":{"owner":"auth"},"status":"ok"}"#,
        ),
    ];
    for (entrance, before, after) in cases {
        assert_eq!(scrubbed_by(&addresses(), entrance, before), after);
    }
}

#[test]
fn originals_in_annotations_are_scrubbed_and_the_annotations_stay() {
    let event = r#"{"extra":{},"_meta":{"extra":{"password":{"":{"err":["invalid_data"],"val":["x"]}},"a":{"":{"len":9,"val":"b@c author"}}}}}"#;
    let after = r#"{"extra":{},"_meta":{"extra":{"password":{"":{"err":["invalid_data"],"val":"[Filtered]"}},"a":{"":{"len":9,"val":"[Filtered]"}}}}}"#;
    assert_eq!(scrubbed(&settings(), event), after);
    let mut meta = Meta::default();
    let original = Node::text("hunter2");
    meta.error(
        &crate::ingest::meta::Path::ROOT.key("secret"),
        "invalid_data",
        None,
        Some(&original),
    );
    let mut event = Map::new();
    let scrubber = Scrubber::compile(&settings()).unwrap();
    scrubber.event(&mut event, &mut meta);
    meta.write_to(&mut event);
    assert!(!event.to_vec().windows(7).any(|part| part == b"hunter2"));
}

#[test]
fn what_has_not_the_shape_of_its_place_is_data() {
    assert_events(
        &settings(),
        &[
            (
                r#"{"request":"secret","user":["auth",{"otp":1}],"breadcrumbs":"token=1","exception":7,"extra":"auth"}"#,
                r#"{"request":"[Filtered]","user":["[Filtered]",{"otp":"[Filtered]"}],"breadcrumbs":"[Filtered]","exception":7,"extra":"[Filtered]"}"#,
            ),
            (
                r#"{"tags":{"a":"b"},"request":{"headers":["x",["y"],["a","b","c"],7,{"secret":1}],"cookies":5},"spans":{"values":3}}"#,
                r#"{"tags":{"a":"b"},"request":{"headers":["x",["y"],["a","b","c"],7,{"secret":"[Filtered]"}],"cookies":5},"spans":{"values":3}}"#,
            ),
        ],
    );
}

/// A small generator of numbers, the same ones in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides as u64) as usize
    }

    fn pick<'t>(&mut self, texts: &[&'t str]) -> &'t str {
        texts[self.roll(texts.len())]
    }
}

const CANARY: &str = "hunter2";

/// Any JSON, in which the canary stands only where it must be found.
fn tree(dice: &mut Dice, depth: usize) -> String {
    const KEYS: [&str; 8] = [
        "a", "", "values", "é😀", "cookies", "headers", "val", "data",
    ];
    const SECRETS: [&str; 6] = [
        "passWord",
        "x-API_key",
        "myTokenId",
        "AUTH",
        "privateKey",
        "client_secret😀",
    ];
    const TEXTS: [&str; 12] = [
        "plain",
        "",
        "é",
        "4111 1111 1111 1111 hunter2 password",
        "-----BEGIN PRIVATE KEY-----hunter2",
        "x://u:hunter2@h😀",
        "Bearer hunter2é",
        "=&=;",
        "{\"a\":1",
        "[[[[",
        "%%%=%F0&",
        "::1.2.3.4é",
    ];
    match dice.roll(if depth == 0 { 3 } else { 7 }) {
        0 => format!("{:?}", dice.pick(&TEXTS)),
        1 => "4111111111111111".to_owned(),
        2 => dice
            .pick(&["null", "true", "-1.5e300", "18446744073709551615"])
            .to_owned(),
        3 => format!(r#"[["{}","{CANARY}"]]"#, dice.pick(&SECRETS)),
        4 => {
            let items: Vec<String> = (0..dice.roll(5)).map(|_| tree(dice, depth - 1)).collect();
            format!("[{}]", items.join(","))
        }
        5 => format!(r#"{{"{}":{{"deep":["{CANARY}"]}}}}"#, dice.pick(&SECRETS)),
        _ => {
            let entries: Vec<String> = (0..dice.roll(5))
                .map(|_| format!(r#""{}":{}"#, dice.pick(&KEYS), tree(dice, depth - 1)))
                .collect();
            format!("{{{}}}", entries.join(","))
        }
    }
}

#[test]
fn no_secret_survives_in_any_tree() {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let all = Scrubbing {
        sensitive_fields: list(&["acme", "é!"]),
        ..addresses()
    };
    for round in 0..1000 {
        let (extra, data) = (tree(&mut dice, 6), tree(&mut dice, 4));
        let text = Node::text(data.as_str()).to_json();
        let event = format!(
            r#"{{"extra":{extra},"user":{data},"request":{{"data":{text},"headers":{data},"cookies":{data},"query_string":{data}}},"contexts":{data},"spans":{data},"breadcrumbs":{data}}}"#
        );
        let once = bare(&all, &event);
        assert!(!once.contains(CANARY), "round {round}: {once}\nof {event}");
        assert!(!once.contains("4111"), "round {round}: {once}\nof {event}");
        assert_eq!(
            bare(&all, &once),
            once,
            "round {round}: a second pass changes nothing"
        );
    }
}

#[test]
fn large_and_deep_items_are_scrubbed_in_bounded_time() {
    let all = Scrubbing {
        sensitive_fields: list(&["acme"]),
        safe_fields: list(&["**.a.**.b.**.c", "!(x)"]),
        ..addresses()
    };
    let nested = |open: &str, close: &str| {
        format!("{}{:?}{}", open.repeat(120), "password", close.repeat(120))
    };
    for value in [
        nested("[", "]"),
        nested(r#"{"a":"#, "}"),
        nested(r#"[["password","#, "]]")
            .replacen("[[\"password\",", "[", 60)
            .replacen("]]", "]", 60),
    ] {
        let event = format!(r#"{{"extra":{{"x":{value}}}}}"#);
        if Map::parse(event.as_bytes()).is_some() {
            scrubbed(&all, &event);
        }
    }
    let size = 1 << 16;
    for part in [
        "token",
        "4 ",
        "4111-",
        "1.2.3.4.",
        "::",
        "a:b@",
        "://a:b@",
        "-----BEGIN PRIVATE KEY-----",
        "Bearer ",
        "@a.b",
        "é",
        "x=1&",
        "a=b;",
        "%41=",
        "DE12a",
        "12-",
        "[",
        "{\\\"a\\\":",
        "\\n",
    ] {
        let long = part.repeat(size / part.len());
        for event in [
            format!(r#"{{"extra":{{"a":"{long}"}}}}"#),
            format!(
                r#"{{"request":{{"data":"{long}","query_string":"{long}","cookies":"{long}"}}}}"#
            ),
            format!(r#"{{"logentry":{{"formatted":"{long}"}}}}"#),
        ] {
            scrubbed(&all, &event);
        }
    }
}

#[test]
fn recorded_events_stay_events() {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpora/events");
    let Ok(files) = std::fs::read_dir(&corpus) else {
        assert!(std::env::var_os("CI").is_none(), "the corpus is missing");
        eprintln!("skipped: no events at {}", corpus.display());
        return;
    };
    let all = Scrubbing {
        sensitive_fields: list(&["acme"]),
        safe_fields: list(&["$user.id"]),
        ..addresses()
    };
    let scrubber = Scrubber::compile(&all).unwrap();
    let mut count = 0;
    for file in files {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        let Some(mut event) = Map::parse(&bytes) else {
            continue;
        };
        let id = event.get("event_id").cloned();
        let mut meta = Meta::default();
        scrubber.event(&mut event, &mut meta);
        meta.write_to(&mut event);
        assert_eq!(event.get("event_id"), id.as_ref());
        assert!(Map::parse(&event.to_vec()).is_some());
        count += 1;
    }
    assert!(count > 0, "no event was read");
}
