//! What an endpoint answers when it has taken a request (facts/ingestion.md 1).

use super::{cors, refusal};
use crate::domain::event_id::EventId;
use crate::domain::window::UsedUp;
use crate::http::Response;

/// The shape of an endpoint's success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// 200 `{"id":"…"}`, or `{}` if nothing of the request has an event id.
    Id,
    /// 200 with the smallest transparent picture: for pages that send by an image's address.
    Picture,
    /// 200 with the event id as text, with dashes.
    DashedId,
    /// This status without a body.
    Empty(u16),
}

const PICTURE: &[u8; 26] =
    b"GIF89a\x01\x00\x01\x00\x00\xff\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x00;";

impl Reply {
    /// The answer, with what a used-up limit closes if some items were refused by one.
    pub(super) fn response(self, id: Option<EventId>, limited: Option<UsedUp>) -> Response {
        let response = match self {
            Reply::Id => {
                let body = match id {
                    Some(id) => format!("{{\"id\":\"{id}\"}}"),
                    None => "{}".to_owned(),
                };
                Response::json_bytes(200, body.into_bytes())
            }
            Reply::Picture => Response::bytes(200, "image/gif", PICTURE.as_slice()),
            Reply::DashedId => {
                let text = id.map(|id| id.dashed()).unwrap_or_default();
                Response::text(200, text)
            }
            Reply::Empty(status) => Response::empty(status),
        };
        let response = cors::expose(response);
        match limited {
            Some(used_up) => refusal::with_rate_limits(response, used_up),
            None => response,
        }
    }
}
