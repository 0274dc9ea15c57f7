//! `webhook: {url}`: the message as the body of an HTTP POST (ours).
use super::delivery::{Deliver, Undelivered, delivery};
use super::{Act, Setup};
use crate::http::{self, HttpError, Url};
use crate::report::config::Section;
use crate::report::idea;
use serde_json::Value;

struct Webhook {
    url: String,
}

pub(super) fn read(section: &Section, setup: &mut Setup<'_>) -> Result<Box<dyn Act>, String> {
    let url = section.need("url")?;
    Url::parse(&url).map_err(|why| why.to_string())?;
    delivery(Webhook { url }, setup)
}

impl Deliver for Webhook {
    fn deliver(&mut self, message: &Value) -> Result<(), Undelivered> {
        match http::post(&self.url, "application/json", idea::dump(message).as_bytes()) {
            Ok(200..=299) => Ok(()),
            // Too slow, too many, or broken: later is another time.
            Ok(status @ (408 | 425 | 429 | 500..=599)) => {
                Err(Undelivered::passing(format!("{} answers {status}", self.url)))
            }
            Ok(status) => Err(Undelivered::refused(format!("{} answers {status}", self.url))),
            Err(why @ (HttpError::Url(_) | HttpError::Redirects)) => Err(Undelivered::refused(why)),
            Err(why) => Err(Undelivered::passing(format!("{}: {why}", self.url))),
        }
    }
}
