//! application: what a flow carries, by the parsers that recognised something in it (RFC 6759).
//!
//! The registry declares which plugins speak for which application, and makes the record where a flow's records are gathered: this plugin
//! looks at no packet. Of several applications the one with the highest number is told, so those that carry others have the lowest.
use crate::face::Face;
use crate::plugin::{Context, Layer, OptionError, Plugin, Slots, Step, put_text};
use crate::registry::PluginId;
use record::element::iana;
use record::{Blob, Text, record};

record! {
    /// Application of a flow.
    pub struct ApplicationRecord = "application" {
        /// Engine 6, numbers of the exporter's own, then three bytes with the number.
        id: Blob<4>, ipfix iana::applicationId, unirec "APPLICATION_ID";
        /// Name: that of the plugin that recognised it.
        name: Text<16>, ipfix iana::applicationName, unirec "APPLICATION_NAME";
    }
}

/// RFC 6759 section 4.1, USER-Defined.
const USER_DEFINED: u8 = 6;

impl ApplicationRecord {
    /// The record of a flow that one of these plugins has one of; `None` if they speak for no application.
    pub(crate) fn of(plugins: impl Iterator<Item = PluginId>) -> Option<Self> {
        let number = plugins.map(PluginId::application_number).max().filter(|number| *number != 0)?;
        // Where two plugins read the same protocol, it has the name of the first.
        let named = PluginId::ALL.iter().find(|id| id.application_number() == number)?;
        let mut record = ApplicationRecord::default();
        let [high, low] = number.to_be_bytes();
        record.id.set(&[USER_DEFINED, 0, high, low]);
        record.name.set(named.name().as_bytes());
        Some(record)
    }
}

pub struct Application;

impl Plugin for Application {
    type Record = ApplicationRecord;
    type State = ();
    const LAYER: Layer = Layer::Stat;

    fn new(options: &[&str], _face: Face) -> Result<Self, OptionError> {
        OptionError::unless_empty(options)?;
        Ok(Application)
    }

    fn create(&mut self, _ctx: &Context<'_, '_>, _slots: &mut Slots<'_, Self>) -> Step {
        Step::Done
    }

    fn text(r: &ApplicationRecord, out: &mut String) {
        out.push_str("application=\"");
        put_text(out, r.name.as_bytes());
        out.push('"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(plugins: &[PluginId]) -> Option<String> {
        let record = ApplicationRecord::of(plugins.iter().copied())?;
        let mut text = String::new();
        Application::text(&record, &mut text);
        Some(text)
    }

    #[test]
    fn the_most_specific_is_told() {
        for (plugins, name) in [
            (&[PluginId::tls, PluginId::smtp][..], "smtp"),
            (&[PluginId::http, PluginId::basicplus, PluginId::ssdp][..], "ssdp"),
            (&[PluginId::passivedns][..], "dns"),
        ] {
            assert_eq!(named(plugins), Some(format!("application=\"{name}\"")));
        }
        assert_eq!(named(&[PluginId::basicplus]), None);
        let record = ApplicationRecord::of([PluginId::http].into_iter());
        assert_eq!(record.map(|r| r.id.as_bytes().to_vec()), Some(vec![6, 0, 0, 1]));
    }

    #[test]
    fn each_protocol_has_a_number() {
        let silent: Vec<_> =
            PluginId::ALL.iter().filter(|id| id.layer() == Layer::L7 && id.application_number() == 0).collect();
        assert!(silent.is_empty(), "{silent:?}");
    }
}
