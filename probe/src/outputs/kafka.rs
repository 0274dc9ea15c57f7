//! `BROKERS/TOPIC[?OPTION=VALUE[&OPTION=VALUE...]]`: a topic of Kafka and options of librdkafka.
use dataplane::export::kafka::{KafkaConfig, PATIENCE, Setting};

/// Letters of a topic's name, at the most (Kafka's `Topic.MAX_NAME_LENGTH`).
const TOPIC_MAX: usize = 249;

/// A value is text in which `%XX` is a byte, or `@FILE` that it stands in.
///
/// # Errors
/// What is missing or wrong.
pub(crate) fn kafka(text: &str) -> Result<KafkaConfig, String> {
    let (place, options) = text.split_once('?').unwrap_or((text, ""));
    let (brokers, topic) = place.rsplit_once('/').ok_or("write BROKERS/TOPIC, such as kafka.example:9092/flows")?;
    let is_wrong = |broker: &str| broker.is_empty() || broker.contains(|c: char| c.is_whitespace() || c == '\0');
    if brokers.split(',').any(is_wrong) {
        return Err(format!("'{brokers}' is no list of brokers, write HOST[:PORT] with commas between"));
    }
    let is_letter = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    if topic.is_empty() || topic.len() > TOPIC_MAX || [".", ".."].contains(&topic) || !topic.bytes().all(is_letter) {
        return Err(format!("'{topic}' is no topic: up to {TOPIC_MAX} letters, digits, '.', '_' and '-'"));
    }
    let mut given: Vec<(String, Setting)> = Vec::new();
    for option in options.split('&').filter(|option| !option.is_empty()) {
        let (name, value) = option.split_once('=').ok_or(format!("'{option}' has no value, write OPTION=VALUE"))?;
        if name.is_empty() || name.contains('\0') || given.iter().any(|(other, _)| other == name) {
            return Err(format!("'{name}': an option has a name, and one value"));
        }
        let setting = match value.strip_prefix('@') {
            Some(path) => Setting::File(decoded(path)?.into()),
            None => Setting::Text(decoded(value)?),
        };
        given.push((name.into(), setting));
    }
    let (brokers, topic) = (brokers.into(), topic.into());
    Ok(KafkaConfig { brokers, topic, options: given, may_wait: false, patience: PATIENCE })
}

/// The text that percent signs are taken out of (RFC 3986 section 2.1).
fn decoded(text: &str) -> Result<String, String> {
    let mut pieces = text.split('%');
    let mut bytes = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        let byte = piece.get(..2).filter(|two| two.bytes().all(|b| b.is_ascii_hexdigit()));
        let byte = byte.and_then(|two| u8::from_str_radix(two, 16).ok());
        bytes.push(byte.ok_or("behind '%' stand two hexadecimal digits; for itself it is %25")?);
        bytes.extend_from_slice(&piece.as_bytes()[2..]);
    }
    let text = String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'));
    text.ok_or_else(|| "a value is UTF-8 without 00".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_read() {
        let text = |value: &str| Setting::Text(value.into());
        let read =
            kafka("a.example:9092,[::1]:9092/net.flows?acks=1&sasl.password=@/etc/p%20w&ssl.key.password=a%26%40%25");
        let options = [
            ("acks", text("1")),
            ("sasl.password", Setting::File("/etc/p w".into())),
            ("ssl.key.password", text("a&@%")),
        ];
        let expected = KafkaConfig {
            brokers: "a.example:9092,[::1]:9092".into(),
            topic: "net.flows".into(),
            options: options.map(|(name, value)| (name.into(), value)).into(),
            may_wait: false,
            patience: PATIENCE,
        };
        assert_eq!(read, Ok(expected));
        assert!(kafka("ssl://h/t").is_ok_and(|read| read.brokers == "ssl://h"));
        let places = ["", "h", "/t", "h/", "h,,i/t", "h/a b", "h/..", "h i/t"];
        let options = ["h/t?acks", "h/t?=1", "h/t?a=1&a=2", "h/t?a=%0", "h/t?a=%00", "h/t?a=%ff", "h/t?a=%\u{e9}"];
        for bad in places.into_iter().chain(options) {
            assert!(kafka(bad).is_err(), "{bad}");
        }
        assert!(kafka(&format!("h/{}", "t".repeat(TOPIC_MAX + 1))).is_err());
    }
}
