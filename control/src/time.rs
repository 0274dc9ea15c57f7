//! How logs say the time.

/// Local time as `ctime` writes it, without the line end.
#[must_use]
pub fn ctime() -> String {
    jiff::Zoned::now().strftime("%a %b %e %H:%M:%S %Y").to_string()
}
