//! `email: {to, subject, from, template, smtp_connection}`: a mail with subject and body by Jinja2 templates, through the connections of
//! email_reporter (spec/idea.md section 2.4).
use super::delivery::{Deliver, Undelivered, delivery};
use super::{Act, Setup};
use crate::client::{Limits, Trust};
use crate::modules::email_reporter::message::Message;
use crate::modules::email_reporter::smtp::Client;
use crate::modules::email_reporter::{Encryption, Server};
use crate::report::config::Section;
use crate::report::{jpath, log, time};
use jiff::Timestamp;
use lettre::Address;
use minijinja::{AutoEscape, Environment, context};
use serde_json::Value;
use std::fs::File;
use std::io::{self, Read};
use std::time::Duration;
use trap::Stop;

/// How long a server may take for one mail.
const LIMITS: Limits = Limits { idle: Duration::from_secs(10), total: Duration::from_secs(30) };
/// Where the original's installation has the body's template.
const TEMPLATE: &str = "/etc/nemea/email-templates/default.html";
/// The body if there is none.
const BODY: &str = "{{ idea.Description }}\n\n{{ idea | tojson(indent=2) }}\n";
/// Bytes of a template, at the most.
const TEMPLATE_MAX: u64 = 1024 * 1024;
/// Steps of a template, at the most.
const STEPS_MAX: u64 = 1_000_000;
/// Recipients, at the most.
const RECIPIENTS_MAX: usize = 1_000;

struct Email {
    server: Server,
    from: Address,
    shown_from: String,
    to: Vec<Address>,
    shown_to: String,
    templates: Environment<'static>,
    stop: Stop,
}

pub(super) fn read(section: &Section, setup: &mut Setup<'_>) -> Result<Box<dyn Act>, String> {
    let address = |text: &str| text.trim().parse::<Address>().map_err(|_| format!("\"{}\" is no address", text.trim()));
    let (to, subject) = (section.need("to")?, section.need("subject")?);
    let recipients = to.split(',').map(address).collect::<Result<Vec<_>, _>>()?;
    if recipients.len() > RECIPIENTS_MAX {
        return Err(format!("more than {RECIPIENTS_MAX} recipients"));
    }
    let from = section.text("from")?.unwrap_or_else(|| "nemea@localhost".into());
    let name = section.need("smtp_connection")?;
    let connection =
        setup.connections.iter().find(|connection| connection.text("id").is_ok_and(|id| id.as_ref() == Some(&name)));
    let connection = connection.ok_or_else(|| format!("there is no `{name}` in smtp_connections"))?;
    let mut templates = Environment::new();
    templates.set_auto_escape_callback(|_| AutoEscape::None);
    templates.set_fuel(Some(STEPS_MAX));
    let wrong = |why: minijinja::Error| format!("template: {why:#}");
    templates.add_template_owned("subject", subject).map_err(wrong)?;
    templates.add_template_owned("body", body(section)?).map_err(wrong)?;
    let email = Email {
        server: server(connection)?,
        from: address(&from)?,
        shown_from: from,
        to: recipients,
        shown_to: to,
        templates,
        stop: setup.stop.clone(),
    };
    delivery(email, setup)
}

/// The template of the body: a file, or ours if none is named and the usual one is not there.
fn body(section: &Section) -> Result<String, String> {
    let named = section.text("template")?;
    let path = named.as_deref().unwrap_or(TEMPLATE);
    let mut text = String::new();
    match File::open(path).and_then(|file| file.take(TEMPLATE_MAX).read_to_string(&mut text)) {
        Ok(_) => Ok(text),
        Err(why) if why.kind() == io::ErrorKind::NotFound && named.is_none() => Ok(BODY.to_owned()),
        Err(why) => Err(format!("cannot read the template {path}: {why}")),
    }
}

/// Where mails go. Certificates are looked at if a password is given or `verify` says so, as in email_reporter.
fn server(section: &Section) -> Result<Server, String> {
    let port = section.number("port", u16::MAX.into())?.unwrap_or(25) as u16;
    let encryption = match (section.flag("force_ssl")?, section.flag("start_tls")?) {
        (true, _) => Encryption::Tls,
        (_, true) => Encryption::StartTls,
        _ => Encryption::None,
    };
    if section.has("key") || section.has("chain") {
        log::warning!(
            "`key` and `chain` of {} are not used: certificates of clients are not supported.",
            section.place()
        );
    }
    let login = section
        .text("user")?
        .map(|user| Ok::<_, String>((user, section.text("pass")?.unwrap_or_default())))
        .transpose()?;
    let verifies = if section.has("verify") { section.flag("verify")? } else { login.is_some() };
    let trust = match section.text("ca")? {
        Some(path) => Trust::File(path.into()),
        None if verifies => Trust::System,
        None => Trust::Anyone,
    };
    let host = section.text("server")?.unwrap_or_else(|| "localhost".into());
    Ok(Server { host, port, encryption, trust, login })
}

impl Deliver for Email {
    fn deliver(&mut self, message: &Value) -> Result<(), Undelivered> {
        let wire = self.mail(message).map_err(Undelivered::refused)?.to_wire();
        let undelivered = |why: crate::modules::email_reporter::smtp::SmtpError| Undelivered {
            is_passing: why.is_passing() || why.is_connection(),
            why: why.to_string(),
        };
        let mut client = Client::open(&self.server, LIMITS, &self.stop, false).map_err(undelivered)?;
        let sent = client.send(&self.from, &self.to, &wire);
        client.quit();
        for (address, why) in sent.map_err(undelivered)? {
            log::error!("{address} does not get a mail: {why}");
        }
        Ok(())
    }
}

impl Email {
    /// The mail of a message.
    fn mail(&self, message: &Value) -> Result<Message, String> {
        let idea = minijinja::Value::from(minijinja::value::Serde(message));
        let facts = Facts::of(message);
        let render = |name: &str, context: minijinja::Value| {
            let template = self.templates.get_template(name).map_err(|why| why.to_string())?;
            template.render(context).map_err(|why| format!("template of the {name}: {why:#}"))
        };
        let Facts { category, node, src_ip, tgt_ip, byte_rate, flow_rate } = facts;
        let subject =
            render("subject", context! { idea => idea.clone(), category, node, src_ip, tgt_ip, byte_rate, flow_rate })?;
        let body = render("body", context! { idea })?;
        // A line break in a subject would begin another header.
        let clean = |text: &str| text.replace(char::is_control, " ");
        let date = Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S +0000").to_string();
        let headers = [("From", &self.shown_from), ("To", &self.shown_to), ("Subject", &subject), ("Date", &date)];
        Ok(Message { headers: headers.map(|(name, value)| (name.to_owned(), clean(value))).to_vec(), body })
    }
}

/// What subjects may name besides the message.
#[derive(Debug, PartialEq)]
struct Facts {
    category: String,
    node: String,
    src_ip: String,
    tgt_ip: String,
    byte_rate: String,
    flow_rate: String,
}

impl Facts {
    fn of(message: &Value) -> Facts {
        let texts = |path: &str| {
            let path = jpath::Path::parse(path);
            let values = path.map(|path| path.values(message)).unwrap_or_default();
            values.into_iter().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>()
        };
        let or_none = |text: String| if text.is_empty() { "N/A".into() } else { text };
        let first = |side: &str| {
            let all = [texts(&format!("{side}.IP4")), texts(&format!("{side}.IP6"))].concat();
            match all.as_slice() {
                [] => "N/A".into(),
                [only] => only.clone(),
                [first, ..] => format!("{first} (...)"),
            }
        };
        let at =
            |names: [&str; 2]| names.into_iter().find_map(|name| message.get(name)?.as_str().and_then(time::parse));
        let begun = at(["EventTime", "WinStartTime"]);
        let micros = at(["CeaseTime", "WinEndTime"]).zip(begun).map(|(end, begun)| end.saturating_sub(begun));
        let seconds = micros.filter(|micros| *micros > 0).map(|micros| micros as f64 / 1e6);
        let rate = |name: &str, by: f64| Some(message.get(name)?.as_f64()? / by / seconds?);
        Facts {
            category: or_none(texts("Category").join(",")),
            node: or_none(texts("Node[#].Name").concat()),
            src_ip: first("Source"),
            tgt_ip: first("Target"),
            byte_rate: rate("ByteCount", 1024.0 * 1024.0 / 8.0).map_or("N/A".into(), |rate| format!("{rate:.2} Mb/s")),
            flow_rate: rate("FlowCount", 1.0).map_or("N/A".into(), |rate| format!("{rate:.2} flow/s")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn facts_of_messages() {
        let message = json!({
            "Category": ["A.B", "C"], "Node": [{"Name": "x"}, {"Name": "y"}], "Source": [{"IP4": ["192.0.2.1"]}, {"IP6": ["::1"]}],
            "Target": [{"IP6": ["::2"]}], "EventTime": "2023-01-02T10:15:00Z", "CeaseTime": "2023-01-02T10:15:08Z",
            "ByteCount": 2_097_152, "FlowCount": 20,
        });
        let facts = Facts::of(&message);
        assert_eq!(
            [&*facts.category, &*facts.node, &*facts.src_ip, &*facts.tgt_ip],
            ["A.B,C", "y", "192.0.2.1 (...)", "::2"]
        );
        assert_eq!([&*facts.byte_rate, &*facts.flow_rate], ["2.00 Mb/s", "2.50 flow/s"]);
        let none = Facts::of(
            &json!({"FlowCount": 1, "EventTime": "2023-01-02T10:15:00Z", "CeaseTime": "2023-01-02T10:15:00Z"}),
        );
        assert_eq!([&*none.category, &*none.node, &*none.src_ip, &*none.byte_rate, &*none.flow_rate], ["N/A"; 5]);
    }
}
