//! What docs/detectors.md says of detectors of our own: how they judge, in words, and their options and alerts, from the declarations.
use crate::modules::{
    beacon_detector, dga_detector, doh_tunnel_detector, exfiltration_detector, fingerprint_detector, login_bf_detector,
    new_service_detector, reflection_detector,
};
use record::{Record, Schema};
use trap::module::ModuleInfo;

/// A section of the page.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    pub info: &'static ModuleInfo,
    /// Method, thresholds, false positives, scenario.
    pub method: &'static str,
    pub alert: &'static Schema,
}

macro_rules! pages {
    ($($name:ident),+ $(,)?) => {
        /// All detectors of our own; the text is `method.md` in the module's folder.
        pub const PAGES: &[Page] = &[$(Page {
            info: &$name::INFO,
            method: include_str!(concat!("modules/", stringify!($name), "/method.md")),
            alert: <$name::Alert as Record>::SCHEMA,
        }),+];
    };
}

pages! {
    dga_detector, beacon_detector, exfiltration_detector, new_service_detector, reflection_detector,
    login_bf_detector, fingerprint_detector, doh_tunnel_detector,
}
