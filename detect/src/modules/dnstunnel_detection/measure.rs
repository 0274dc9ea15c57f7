//! What is usual in a sample of traffic, and the options that say so.
use super::host::{Message, TEXT_MAX, lower_case};
use super::names::Names;
use super::settings::Limits;
use std::fmt::Write;

/// How much below the measured share of names that came once the limit is.
const TOLERANCE: f64 = 0.1;

/// See the module.
#[derive(Debug)]
pub(super) struct Measure {
    requests: Sums,
    responses: Sums,
    digits: u64,
    digits_share: f64,
    names: Names,
}

/// Sizes and different characters of messages, and their squares.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    count: u64,
    sizes: [f64; 2],
    letters: [f64; 2],
}

impl Default for Measure {
    fn default() -> Measure {
        let sums = Sums::default();
        Measure { requests: sums, responses: sums, digits: 0, digits_share: 0.0, names: Names::new() }
    }
}

impl Measure {
    /// Requests count if they have a name, responses if they have any text: that with most characters.
    pub(super) fn add(&mut self, message: &Message<'_>) {
        let mut lower = [0; TEXT_MAX];
        let mut different = 0;
        if !message.name.is_empty() {
            let (name, letters) = lower_case(message.name, &mut lower);
            self.names.insert(name);
            different = letters.different;
            if !message.is_response {
                self.requests.add(message.size, letters.different);
                self.digits += u64::from(letters.digits);
                self.digits_share += f64::from(letters.digits) / letters.length as f64;
            }
        }
        if message.is_response {
            for text in message.answers {
                different = different.max(lower_case(text, &mut lower).1.different);
            }
            if different > 0 {
                self.responses.add(message.size, different);
            }
        }
    }

    /// All limits, and the options in the last line. Variances are not measured, as in the original.
    pub(super) fn report(&self, limits: &Limits) -> String {
        let [requests, responses] = [&self.requests, &self.responses].map(|sums| around(sums.sizes, sums.count));
        let letters = [&self.requests, &self.responses].map(|sums| around(sums.letters, sums.count).0);
        let once = self.names.plain_shares().0 * (1.0 - TOLERANCE);
        // Whole, as the original divides.
        let digits = self.digits.checked_div(self.requests.count).unwrap_or(0);
        let share = self.digits_share / self.requests.count as f64;
        let usual = [&limits.requests, &limits.responses];
        let mut out = String::from("Calculated limits:\n");
        let mut line = |name: &str, value: f64| {
            // A String takes every write.
            let _ = writeln!(out, "{name}: {value:.6}");
        };
        for (name, (min, max)) in [("request", requests), ("response", responses)] {
            line(&format!("ex_{name}_max"), max);
            line(&format!("ex_{name}_min"), min);
        }
        for (name, usual) in ["request", "response"].into_iter().zip(usual) {
            line(&format!("var_{name}_max"), usual.variance_max.into());
            line(&format!("var_{name}_min"), usual.variance_min.into());
        }
        for (name, letters) in ["request", "response"].into_iter().zip(letters) {
            line(&format!("{name}_max_count_of_used_letters"), letters);
        }
        line("max_percent_of_domain_searching_just_once", once);
        line("max_percent_of_unique_domains", 0.0);
        line("max_percent_of_numbers_in_domain_prefix_tree_filter", share);
        line("max_percent_of_subdomains_in_main_domain", 0.0);
        line("max_count_of_numbers_in_domain_prefix_tree_filter", digits as f64);
        out += "parameters:\n";
        for ((letter, (min, max)), usual) in [('g', requests), ('r', responses)].into_iter().zip(usual) {
            let (min, max) = (min as i32, max as i32);
            let _ = write!(out, "-{letter} {min},{max},{},{} ", usual.variance_min, usual.variance_max);
        }
        let [request, response] = letters.map(|letters| letters as i32);
        let _ = writeln!(out, "-j {request},{response} -q {once:.6},{:.6} -l {digits},{share:.6} ", limits.once_min);
        out
    }
}

impl Sums {
    fn add(&mut self, size: u32, letters: u32) {
        self.count += 1;
        for (sums, value) in [(&mut self.sizes, size), (&mut self.letters, letters)] {
            let value = f64::from(value);
            *sums = [sums[0] + value, sums[1] + value * value];
        }
    }
}

/// The mean less and plus the standard deviation; no numbers without at least two values.
fn around([sum, squares]: [f64; 2], count: u64) -> (f64, f64) {
    let count = count as f64;
    let mean = sum / count;
    let deviation = ((squares - mean * mean * count) / (count - 1.0)).sqrt();
    (mean - deviation, mean + deviation)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_around_what_was_seen() {
        let mut measure = Measure::default();
        let mut add = |name: &str, size, is_response| {
            measure.add(&Message { name: name.as_bytes(), size, answers: [b"abcdefgh", b"", b"", b""], is_response });
        };
        for (name, size) in [("abc1.example", 80), ("abc2.example", 90), ("abc22.example", 100)] {
            add(name, size, false);
        }
        add("", 10, false);
        add("abc1.example", 200, true);
        add("", 300, true);
        let report = measure.report(&Limits::default());
        let options = report.lines().last().unwrap();
        // Three requests of 90 on average, 10 apart; two responses; three rare names in four insertions.
        assert_eq!(options, "-g 80,100,30,150 -r 179,320,200,50000 -j 10,7 -q 0.675000,0.005000 -l 1,0.106838 ");
        assert!(report.contains("\nex_request_max: 100.000000\nex_request_min: 80.000000\n"), "{report}");
        assert!(Measure::default().report(&Limits::default()).contains("-g 0,0,30,150"), "nothing was seen");
    }
}
