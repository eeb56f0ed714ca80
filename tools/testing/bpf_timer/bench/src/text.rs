// SPDX-License-Identifier: GPL-2.0

//! Numbers as text.

/// "1 timer", "1000 timers".
pub fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// A count in groups of three digits.
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

/// A count for the axis of a plot: 1, 1k, 1M.
pub fn short(count: u64) -> String {
    match count {
        n if n >= 1_000_000 && n % 1_000_000 == 0 => format!("{}M", n / 1_000_000),
        n if n >= 1000 && n % 1000 == 0 => format!("{}k", n / 1000),
        n => n.to_string(),
    }
}

/// Nanoseconds in the unit that suits them.
pub fn time(ns: f64) -> String {
    let (value, unit) = match ns {
        ns if ns >= 1e9 => (ns / 1e9, "s"),
        ns if ns >= 1e6 => (ns / 1e6, "ms"),
        ns if ns >= 1e3 => (ns / 1e3, "µs"),
        ns => (ns, "ns"),
    };
    format!("{} {unit}", figure(value))
}

/// Two times; they share a unit if they can.
pub fn times(first: f64, second: f64) -> String {
    let (first, second) = (time(first), time(second));
    match (first.split_once(' '), second.split_once(' ')) {
        (Some((value, unit)), Some((_, other))) if unit == other => format!("{value} / {second}"),
        _ => format!("{first} / {second}"),
    }
}

/// About three digits, without a fraction of zero.
pub fn figure(value: f64) -> String {
    let decimals = match value {
        v if v >= 99.95 => 0,
        v if v >= 9.995 => 1,
        _ => 2,
    };
    let text = format!("{value:.decimals$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').into(),
        false => text,
    }
}

/// For HTML, in which a line must not break within a number.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    let mut after_digit = false;
    while let Some(c) = chars.next() {
        let before = |next: &char| next.is_ascii_digit() || *next == '%';
        match c {
            ' ' if after_digit && chars.peek().is_some_and(before) => out.push('\u{a0}'),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
        after_digit = c.is_ascii_digit();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(grouped(1), "1");
        assert_eq!(grouped(1000), "1 000");
        assert_eq!(grouped(1_000_000), "1 000 000");
        assert_eq!(short(100_000), "100k");
        assert_eq!(short(1500), "1500");
        assert_eq!(time(1200.0), "1.2 µs");
        assert_eq!(time(250_000.0), "250 µs");
        assert_eq!(time(20_000_000.0), "20 ms");
        assert_eq!(times(1200.0, 30_000.0), "1.2 / 30 µs");
        assert_eq!(times(900.0, 30_000.0), "900 ns / 30 µs");
        assert_eq!(figure(0.9), "0.9");
        assert_eq!(figure(127.8), "128");
        assert_eq!(figure(0.004), "0");
        assert_eq!(counted(1, "CPU"), "1 CPU");
    }

    #[test]
    fn text_is_escaped_and_its_numbers_stay_whole() {
        assert_eq!(
            escaped("a <b> & 1 000 timers, 9 % \"c\""),
            "a &lt;b&gt; &amp; 1\u{a0}000 timers, 9\u{a0}% &quot;c&quot;"
        );
    }
}
