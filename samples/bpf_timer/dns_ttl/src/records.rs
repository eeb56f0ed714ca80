// SPDX-License-Identifier: GPL-2.0

//! Reads DNS records from lines of `name,address,ttl_ms`.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;
/// The longest TTL of RFC 2181, in milliseconds.
const MAX_TTL_MS: u64 = i32::MAX as u64 * 1000;

#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    pub name: String,
    pub address: IpAddr,
    pub ttl: Duration,
}

/// The contents of a file. The numbers are line numbers, from 1.
#[derive(Debug, Default)]
pub struct Records {
    pub records: Vec<Record>,
    pub malformed: Vec<(usize, String)>,
    pub replaced: Vec<(usize, String)>,
}

/// Skips malformed lines. If two records have the same name, the later one counts.
pub fn parse(file: &[u8]) -> Records {
    let mut result = Records::default();
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut records: Vec<(usize, Record)> = Vec::new();
    let mut first = true;

    let file = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
    for (number, line) in (1..).zip(file.split(|&byte| byte == b'\n')) {
        let Ok(line) = std::str::from_utf8(line) else {
            result.malformed.push((number, "it is not UTF-8".into()));
            continue;
        };
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let header = std::mem::take(&mut first) && is_header(line);
        if header {
            continue;
        }
        match parse_line(line) {
            Ok(record) => {
                if let Some(earlier) = seen.insert(record.name.clone(), number) {
                    records.retain(|(number, _)| *number != earlier);
                    let what = format!("{} replaces the record of line {earlier}", record.name);
                    result.replaced.push((number, what));
                }
                records.push((number, record));
            }
            Err(why) => result.malformed.push((number, why)),
        }
    }
    result.records = records.into_iter().map(|(_, record)| record).collect();
    result
}

fn is_header(line: &str) -> bool {
    let name = line.split(',').next().unwrap_or_default();
    name.trim().eq_ignore_ascii_case("name")
}

fn parse_line(line: &str) -> Result<Record, String> {
    let fields: Vec<&str> = line.split(',').map(str::trim).collect();
    let [name, address, ttl] = fields[..] else {
        return Err(format!(
            "it has {} fields, not the 3 of name,address,ttl_ms",
            fields.len()
        ));
    };
    Ok(Record {
        name: parse_name(name)?,
        address: address
            .parse()
            .map_err(|_| format!("{address:?} is no IPv4 or IPv6 address"))?,
        ttl: parse_ttl(ttl)?,
    })
}

/// Names are compared without case, and with or without the final dot.
fn parse_name(name: &str) -> Result<String, String> {
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.is_empty() {
        return Err("the name is empty".into());
    }
    if name.len() > MAX_NAME {
        return Err(format!(
            "the name has {} characters, more than {MAX_NAME}",
            name.len()
        ));
    }
    for label in name.split('.') {
        if label.is_empty() {
            return Err(format!("{name:?} has an empty label"));
        }
        if label.len() > MAX_LABEL {
            return Err(format!("a label of {name:?} is longer than {MAX_LABEL}"));
        }
        let valid = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if !label.chars().all(valid) {
            return Err(format!("{name:?} is no DNS name"));
        }
    }
    Ok(name.to_ascii_lowercase())
}

fn parse_ttl(ttl: &str) -> Result<Duration, String> {
    if ttl.starts_with('-') && ttl.parse::<i128>().is_ok() {
        return Err(format!("the TTL {ttl} is negative"));
    }
    match ttl.parse() {
        Ok(0) => Err("a TTL of 0 means that the record is not to be cached".into()),
        Ok(ms) if ms <= MAX_TTL_MS => Ok(Duration::from_millis(ms)),
        Ok(_) => Err(format!("the TTL {ttl} is more than {MAX_TTL_MS} ms")),
        Err(_) => Err(format!("the TTL {ttl:?} is no number of milliseconds")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(line: &str) -> String {
        let parsed = parse(line.as_bytes());
        assert!(parsed.records.is_empty(), "{line} was taken");
        parsed.malformed[0].1.clone()
    }

    #[test]
    fn takes_records_header_comments_and_blank_lines() {
        let file = b"\xef\xbb\xbf# some\r\n\r\nName,Address,TTL_ms\r\n\
            WWW.Example.org. , 192.0.2.1 , 500\r\n a.example,2001:db8::1,1";
        let parsed = parse(file);
        assert!(parsed.malformed.is_empty(), "{:?}", parsed.malformed);
        let expected = [
            ("www.example.org", "192.0.2.1", 500),
            ("a.example", "2001:db8::1", 1),
        ];
        let expected = expected.map(|(name, address, ms)| Record {
            name: name.into(),
            address: address.parse().unwrap(),
            ttl: Duration::from_millis(ms),
        });
        assert_eq!(parsed.records, expected);
    }

    #[test]
    fn default_file_is_well_formed() {
        let parsed = parse(include_bytes!("../records.csv"));
        assert!(parsed.malformed.is_empty(), "{:?}", parsed.malformed);
        assert!(parsed.replaced.is_empty(), "{:?}", parsed.replaced);
        assert!(parsed.records.len() >= 20);
    }

    #[test]
    fn later_record_replaces_earlier() {
        let parsed =
            parse(b"a.example,192.0.2.1,10\nb.example,192.0.2.2,20\nA.EXAMPLE.,192.0.2.3,30\n");
        assert_eq!(
            parsed.replaced,
            [(3, "a.example replaces the record of line 1".to_string())]
        );
        let names: Vec<_> = parsed
            .records
            .iter()
            .map(|r| (&r.name[..], r.ttl.as_millis()))
            .collect();
        assert_eq!(names, [("b.example", 20), ("a.example", 30)]);
    }

    #[test]
    fn names_the_line_and_goes_on() {
        let parsed =
            parse(b"a.example,192.0.2.1,10\n\xff\xfe,192.0.2.1,10\nb,c\nd.example,::1,5\n");
        assert_eq!(parsed.records.len(), 2);
        let lines: Vec<_> = parsed.malformed.iter().map(|(number, _)| *number).collect();
        assert_eq!(lines, [2, 3]);
        assert_eq!(parsed.malformed[0].1, "it is not UTF-8");
    }

    #[test]
    fn header_is_taken_only_at_the_top() {
        assert!(why("x,y\nname,address,ttl_ms\n").contains("2 fields"));
        assert_eq!(parse(b"x,y\nname,address,ttl_ms\n").malformed.len(), 2);
    }

    #[test]
    fn says_what_is_wrong() {
        assert!(why("a.example,192.0.2.1").contains("2 fields"));
        assert!(why("a.example,192.0.2.1,5,6").contains("4 fields"));
        assert!(why(",192.0.2.1,5").contains("empty"));
        assert!(why("a..example,192.0.2.1,5").contains("empty label"));
        assert!(why("a b,192.0.2.1,5").contains("no DNS name"));
        assert!(why("b\u{fc}cher.example,192.0.2.1,5").contains("no DNS name"));
        assert!(why(&format!("{},192.0.2.1,5", "a".repeat(64))).contains("longer than 63"));
        assert!(why(&format!("{}a,192.0.2.1,5", "a.".repeat(127))).contains("255 characters"));
        assert!(why("a.example,192.0.2.256,5").contains("no IPv4 or IPv6"));
        assert!(why("a.example,2001:db8::g,5").contains("no IPv4 or IPv6"));
        assert!(why("a.example,192.0.2.1,soon").contains("no number"));
        assert!(why("a.example,192.0.2.1,1.5").contains("no number"));
        assert!(why("a.example,192.0.2.1,").contains("no number"));
        assert!(why("a.example,192.0.2.1,-5").contains("negative"));
        assert!(why("a.example,192.0.2.1,0").contains("not to be cached"));
        assert!(why("a.example,192.0.2.1,2147483647001").contains("more than"));
    }

    #[test]
    fn longest_name_fits() {
        let name = format!("{}a", "a.".repeat(126));
        assert_eq!(name.len(), MAX_NAME);
        let parsed = parse(format!("{name},192.0.2.1,5").as_bytes());
        assert_eq!(parsed.records[0].name, name);
    }

    #[test]
    fn empty_file_has_no_records() {
        assert!(parse(b"").records.is_empty());
        assert!(parse(b"\n# nothing\nname,address,ttl_ms\n")
            .records
            .is_empty());
        assert!(parse(b"").malformed.is_empty());
    }
}
