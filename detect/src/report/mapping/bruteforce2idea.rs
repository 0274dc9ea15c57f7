//! bruteforce2idea: alerts of brute_force_detector.
use crate::report::{Converted, Refused, Reporter, idea, main as report, records, time, with};
use crate::sdk::{IpAddr, Time, View, fields};
use serde_json::json;
use std::fs;
use std::sync::LazyLock;

/// One line for lists of modules.
pub const ABOUT: &str = "Reports alerts of brute_force_detector as IDEA.";
const PARAMS: [trap::module::Param; 9] = with([]);
const REPORTER: Reporter = Reporter { name: "bruteforce2idea", module: "bruteforce", about: ABOUT, params: &PARAMS };
/// The only kind of alert that is told.
const WARDEN_TYPE: u8 = 2;

fields! {
    struct In {
        src: IpAddr = "SRC_IP", detected: Time = "DETECTION_TIME", scale: u32 = "EVENT_SCALE", port: u16 = "DST_PORT",
        protocol: u8 = "PROTOCOL", kind: u8 = "WARDEN_TYPE",
    }
}

/// Names of services that /etc/services lacks or has otherwise.
const SERVICES: &[(u16, &str)] =
    &[(22, "SSH"), (23, "TELNET"), (2179, "VMRDP"), (3389, "MS-WBT-SERVER"), (5900, "VNC")];

/// The machine's list of services, as far as it is there.
static LIST: LazyLock<String> = LazyLock::new(|| fs::read_to_string("/etc/services").unwrap_or_default());

/// Runs the reporter; see [`crate::modules::Module::run`].
pub fn main(args: &[String]) -> u8 {
    report(&REPORTER, args, |_| Ok(records(convert)))
}

fn convert(fields: &In, record: &View<'_>) -> Converted {
    if fields.kind(record) != WARDEN_TYPE {
        return Ok(None);
    }
    let (number, port) = (fields.protocol(record), fields.port(record));
    let protocol = idea::protocol(number.into()).ok_or_else(|| Refused(format!("protocol {number} is not known")))?;
    let name = service(&LIST, port, protocol);
    let mut description = "Multiple unsuccessful login attempts".to_owned();
    let mut protocols = vec![protocol.to_owned()];
    if let Some(name) = name {
        description.push_str(&format!(" on {name}"));
        protocols.push(name.to_lowercase());
    }
    let mut message = idea::begin(&["Attempt.Login"], "brute_force_detector", &["Flow", "Statistical"]);
    idea::extend(
        &mut message,
        json!({
            "DetectTime": time::of_record(fields.detected(record)), "Description": description, "FlowCount": fields.scale(record),
            "Source": [idea::side(fields.src(record), json!({"Proto": protocols}))], "Target": [{"Port": [port], "Proto": protocols}],
        }),
    );
    Ok(Some(message))
}

/// Name of a service in capitals, from the table or a list in the form of /etc/services.
fn service(list: &str, port: u16, protocol: &str) -> Option<String> {
    if let Some((_, name)) = SERVICES.iter().find(|(known, _)| *known == port) {
        return Some((*name).to_owned());
    }
    let wanted = format!("{port}/{protocol}");
    let mut lines = list.lines().map(|line| line.split('#').next().unwrap_or("").split_whitespace());
    lines.find_map(|mut words| {
        let name = words.next()?;
        (words.next()? == wanted).then(|| name.to_uppercase())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services() {
        let list = "# comment\nftp\t21/tcp # files\nssh 22/tcp\nx 21/udp";
        let of = |port, protocol| service(list, port, protocol);
        assert_eq!((of(21, "tcp").as_deref(), of(21, "udp").as_deref(), of(7, "tcp")), (Some("FTP"), Some("X"), None));
        assert_eq!(of(3389, "tcp").as_deref(), Some("MS-WBT-SERVER"));
    }
}
