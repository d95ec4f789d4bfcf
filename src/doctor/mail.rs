//! Whether mail can be handed over.

use super::Report;
use crate::domain::mail::MailSettings;
use crate::outbound::mail;

pub(super) fn examine(report: &mut Report, settings: Option<&MailSettings>, to: Option<&str>) {
    let Some(settings) = settings else {
        return match to {
            Some(_) => report.fault(
                "mail",
                "a letter was to be sent, and no server for mail is set",
                "set --smtp-url and --mail-from, as for the server",
            ),
            None => report.ok("mail", "no server for mail is set, so nothing is mailed"),
        };
    };
    match (mail::test(settings, to), to) {
        (Ok(()), Some(to)) => report.ok("mail", format!("the server for mail took a letter to {to}")),
        (Ok(()), None) => report.ok(
            "mail",
            "the server for mail can be spoken to; --mail-to ADDRESS sends a letter",
        ),
        (Err(error), _) => report.fault(
            "mail",
            error,
            "look at --smtp-url, --smtp-password-file and --mail-from, and whether this machine may reach that server",
        ),
    }
}
