//! `picket doctor`.

use serde_json::json;

use super::{Command, Failure, Flag, Invocation, JSON, print, print_json};
use crate::app;
use crate::config;
use crate::doctor::{self, Finding, Subject, Verdict};
use crate::domain::email;

const MAIL_TO: &str = "mail-to";

pub(super) const COMMAND: Command = Command {
    name: "doctor",
    summary: "tell what is wrong with this installation",
    about: "Looks at the database and what is beside it, the disk and how fast it is, the clock, the limit of open files, \
            the server for mail and, if a server runs on the database, whether the URL prefix leads to it and what a proxy \
            in between does. Give it the settings that the server has: the same environment, settings file and flags. It \
            changes nothing.\n\
            Exits with 1 if there is a fault; warnings are no faults.",
    arguments: &[],
    options: &[
        Flag {
            name: MAIL_TO,
            hint: Some("ADDRESS"),
            meaning: "send a letter to this address, to see whether mail arrives",
        },
        JSON,
    ],
    serves: true,
    run,
};

fn run(invocation: &Invocation) -> Result<(), Failure> {
    let config = &invocation.config;
    let mail_to = match invocation.option(MAIL_TO) {
        Some(address) if !email::is_plausible(address) => {
            return Err(Failure::Usage(format!(
                "--{MAIL_TO}: {address:?} is no address that mail can be sent to"
            )));
        }
        other => other.map(str::to_owned),
    };
    let mut findings = settings(invocation);
    findings.extend(doctor::examine(&Subject {
        data: config.data.clone(),
        min_free_disk: config.min_free_disk,
        url_prefix: (config.url_prefix.is_some() || config.listen.port() != 0)
            .then(|| config.url_prefix()),
        outbound: config.outbound.clone(),
        tls_cert: config.tls_cert.clone(),
        // What is wrong with these is among the findings already.
        mail: config.mail().ok().flatten(),
        mail_to,
        descriptors_needed: app::descriptors_needed(config.connections_max),
        clock: invocation.clock(),
    }));
    let count = |verdict| findings.iter().filter(|f| f.verdict == verdict).count();
    let (faults, warnings) = (count(Verdict::Fault), count(Verdict::Warning));
    if invocation.json() {
        print_json(&json!({
            "faults": faults,
            "warnings": warnings,
            "findings": findings.iter().map(|finding| json!({
                "check": finding.check,
                "verdict": finding.verdict.name(),
                "text": finding.text,
                "advice": finding.advice,
            })).collect::<Vec<_>>(),
        }))?;
    } else {
        print(&to_text(&findings))?;
    }
    match faults {
        0 => Ok(()),
        1 => Err(Failure::Failed("there is a fault".to_owned())),
        many => Err(Failure::Failed(format!("there are {many} faults"))),
    }
}

/// What a server would refuse to start with, or complain about.
fn settings(invocation: &Invocation) -> Vec<Finding> {
    let config = &invocation.config;
    let finding = |verdict, text, advice| Finding {
        check: "settings",
        verdict,
        text,
        advice,
    };
    let mut findings = Vec::new();
    for wrong in [
        config.tls().err(),
        config.mail().err(),
        config.metrics_token().err(),
    ] {
        let advice =
            Some("a server does not start with these settings: put that one right".to_owned());
        findings.extend(wrong.map(|text| finding(Verdict::Fault, text, advice)));
    }
    for name in config::unknown_variables(std::env::vars_os().map(|(name, _)| name)) {
        findings.push(finding(
            Verdict::Warning,
            format!("the environment variable {name} is no setting of Picket"),
            Some("picket help serve tells which there are".to_owned()),
        ));
    }
    if findings.is_empty() {
        findings.push(finding(
            Verdict::Ok,
            "the settings can be read".to_owned(),
            None,
        ));
    }
    findings
}

fn to_text(findings: &[Finding]) -> String {
    let width = findings.iter().map(|finding| finding.check.len()).max();
    let width = width.unwrap_or(0);
    let mut text = String::new();
    for finding in findings {
        let (verdict, check) = (finding.verdict.name(), finding.check);
        text.push_str(&format!(
            "{verdict:<7}  {check:<width$}  {}\n",
            finding.text
        ));
        if let Some(advice) = &finding.advice {
            text.push_str(&format!("{:<7}  {:<width$}  -> {advice}\n", "", ""));
        }
    }
    text
}
