//! What is mailed, word by word, in plain text. Names that people chose stand on one line, whatever is in them.

use super::Identity;
use super::throttle::Subject;
use crate::domain::dsn::UrlPrefix;
use crate::domain::time::Timestamp;
use crate::outbound::mail::Letter;
use crate::store::users::User;

/// An invitation to be mailed.
pub(crate) struct Invitation {
    pub(crate) to: String,
    pub(crate) organization: String,
    /// Name or address; none if a program invites.
    pub(crate) inviter: Option<String>,
    pub(crate) link: String,
    pub(crate) expires: Timestamp,
}

impl Identity {
    /// Mails an invitation's link, where mail is sent. Nobody is sent more than a few within an hour, whoever invites
    /// again and again.
    pub(crate) fn mail_invitation(&self, invitation: Invitation, now: Timestamp) {
        let subject = Subject::invitations_to(&invitation.to);
        if self.throttle.take(vec![subject], now).is_err() {
            return;
        }
        let prefix = self.prefix.clone();
        self.mailer.send(move || Some(invite(invitation, &prefix)));
    }

    /// Tells a user that the password is another one now, where mail is sent.
    pub(super) fn mail_password_changed(&self, user: &User) {
        let letter = password_changed(user, &self.prefix);
        self.mailer.send(move || Some(letter));
    }

    /// Tells the old address of a user about the new one, where mail is sent.
    pub(crate) fn mail_email_changed(&self, old: &User) {
        let letter = email_changed(old, &self.prefix);
        self.mailer.send(move || Some(letter));
    }
}

fn on_one_line(name: &str) -> String {
    name.replace(char::is_control, " ")
}

pub(super) fn reset(user: &User, link: &str, prefix: &UrlPrefix) -> Letter {
    Letter {
        to: user.email.clone(),
        subject: "Set a new password for Picket".to_owned(),
        text: format!(
            "Somebody, hopefully you, asked for a new password for your account at\n{prefix}\n\n\
             This link sets one. It works once, within 24 hours:\n{link}\n\n\
             If it was not you, there is nothing to do: your password is as it was.\n"
        ),
    }
}

fn invite(invitation: Invitation, prefix: &UrlPrefix) -> Letter {
    let Invitation {
        to,
        organization,
        inviter,
        link,
        expires,
    } = invitation;
    let organization = on_one_line(&organization);
    let day = expires.to_string();
    let day = day.split('T').next().unwrap_or_default();
    let who = match inviter {
        Some(inviter) => format!("{} invites you to join", on_one_line(&inviter)),
        None => "You are invited to join".to_owned(),
    };
    Letter {
        to,
        subject: format!("Join {organization} on Picket"),
        text: format!(
            "{who} {organization} at\n{prefix}\n\n\
             Open this link to accept. It works once, until {day}, and is for you alone:\n{link}\n"
        ),
    }
}

fn password_changed(user: &User, prefix: &UrlPrefix) -> Letter {
    Letter {
        to: user.email.clone(),
        subject: "Your password for Picket was changed".to_owned(),
        text: format!(
            "The password of your account at\n{prefix}\nwas changed, and all other sessions were ended.\n\n\
             If it was not you, set a new one at once:\n{prefix}/account/recover/\n"
        ),
    }
}

fn email_changed(old: &User, prefix: &UrlPrefix) -> Letter {
    Letter {
        to: old.email.clone(),
        subject: "Your email address for Picket was changed".to_owned(),
        text: format!(
            "Your account at\n{prefix}\nhas another email address now; this one is no longer used.\n\n\
             If it was not you, tell whoever runs that server.\n"
        ),
    }
}
