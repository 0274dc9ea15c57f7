//! Where a request's fields are in a record: the names of flow_meter, of ipfixcol, and of today's ipfixprobe.
use super::request::Request;
use crate::sdk::{IpAddr, Str, Template, Time, View, fields};

/// Whose names a sender uses, as `-ursrc` says. A sender with the names of ipfixprobe is known by them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    IpfixCol,
    FlowMeter,
}

impl Source {
    pub(super) fn from_name(name: &str) -> Option<Source> {
        match name {
            "ipfixcol" => Some(Source::IpfixCol),
            "flow_meter" => Some(Source::FlowMeter),
            _ => None,
        }
    }
}

fields! {
    /// What comes in: what all senders have, and one of the three sets of names.
    pub(super) struct In {
        dst: IpAddr = "DST_IP",
        src: IpAddr = "SRC_IP",
        last: Time = "TIME_LAST",
        dst_port: u16 = "DST_PORT",
        src_port: u16 = "SRC_PORT",
        protocol: u8 = "PROTOCOL",
        meter_method: Option<Str> = "HTTP_METHOD",
        meter_host: Option<Str> = "HTTP_HOST",
        meter_url: Option<Str> = "HTTP_URL",
        meter_agent: Option<Str> = "HTTP_USER_AGENT",
        meter_referer: Option<Str> = "HTTP_REFERER",
        meter_code: Option<u16> = "HTTP_RESPONSE_CODE",
        method_id: Option<u32> = "HTTP_REQUEST_METHOD_ID",
        code: Option<u32> = "HTTP_RESPONSE_STATUS_CODE",
        method: Option<Str> = "HTTP_REQUEST_METHOD",
        host: Option<Str> = "HTTP_REQUEST_HOST",
        url: Option<Str> = "HTTP_REQUEST_URL",
        agent: Option<Str> = "HTTP_REQUEST_AGENT",
        referer: Option<Str> = "HTTP_REQUEST_REFERER",
    }
}

/// Fields that must be there, by source; those of ipfixprobe are taken from either.
const METER: &[&str] =
    &["HTTP_METHOD", "HTTP_HOST", "HTTP_URL", "HTTP_USER_AGENT", "HTTP_REFERER", "HTTP_RESPONSE_CODE"];
const COLLECTOR: &[&str] = &["HTTP_REQUEST_METHOD_ID", "HTTP_RESPONSE_STATUS_CODE"];
const PROBE: &[&str] = &["HTTP_REQUEST_METHOD"];
const REQUEST: &[&str] = &["HTTP_REQUEST_HOST", "HTTP_REQUEST_URL", "HTTP_REQUEST_AGENT", "HTTP_REQUEST_REFERER"];

/// Whether requests can be read from records of this template.
pub(super) fn fits(source: Source, template: &Template) -> bool {
    let has = |names: &[&str]| names.iter().all(|name| template.index_of(name).is_some());
    match source {
        _ if has(PROBE) && has(REQUEST) => true,
        Source::FlowMeter => has(METER),
        Source::IpfixCol => has(COLLECTOR) && has(REQUEST),
    }
}

/// The request of a record, unless it has none, was encrypted, or answers one.
pub(super) fn request<'r>(source: Source, fields: &In, record: &View<'r>) -> Option<Request<'r>> {
    if fields.src_port(record) == 443 || fields.dst_port(record) == 443 {
        return None;
    }
    let rest = || {
        let text = |text: Option<&'r [u8]>| text.unwrap_or_default();
        (text(fields.url(record)), text(fields.host(record)), text(fields.agent(record)), text(fields.referer(record)))
    };
    // A record of ipfixprobe has a request and its answer: its code says nothing about the request.
    if let Some(method) = fields.method(record) {
        let (url, host, agent, referer) = rest();
        return (!method.is_empty()).then(|| Request::new(method, url, host, agent, referer));
    }
    match source {
        Source::FlowMeter => {
            let is_request = fields.meter_code(record) == Some(0);
            let (method, url) = (fields.meter_method(record)?, fields.meter_url(record)?);
            let (host, agent) = (fields.meter_host(record)?, fields.meter_agent(record)?);
            let referer = fields.meter_referer(record)?;
            is_request.then(|| Request::new(method, url, host, agent, referer))
        }
        Source::IpfixCol => {
            let id = fields.method_id(record)?;
            // 11 is an unknown method, as of what is encrypted.
            let is_request = fields.code(record) == Some(0) && id != 11;
            let (url, host, agent, referer) = rest();
            is_request.then(|| Request::new(method_name(id), url, host, agent, referer))
        }
    }
}

/// The method that ipfixcol numbers so.
fn method_name(id: u32) -> &'static [u8] {
    match id {
        2 => b"POST",
        4 => b"HEAD",
        5 => b"PUT",
        6 => b"OPTIONS",
        7 => b"DELETE",
        8 => b"TRACE",
        9 => b"CONNECT",
        _ => b"GET",
    }
}
