//! Bodies that no provider sends on purpose, drawn from a seed.

use crate::port::Entropy;
use crate::testing::SeededEntropy;

/// Values that are not of the kind or size that a field usually has.
const VALUES: [&[u8]; 20] = [
    b"null",
    b"true",
    b"0",
    b"-1",
    b"0.1",
    b"1e300",
    b"1e999",
    b"-0",
    b"18446744073709551615",
    b"-9223372036854775809",
    b"99999999999999999999999",
    b"\"\"",
    b"\"9223372036854775807\"",
    b"\"-1\"",
    b"\"\\u0000\"",
    b"\"\\ud800\"",
    b"\"\xc3\xa9\xe6\x97\xa5\xf0\x9f\x98\x80\"",
    b"[]",
    b"{}",
    b"[[null],{\"id\":{}}]",
];

/// What a reader may stumble over between values.
const MARKS: [&[u8]; 14] = [
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b"\"",
    b"\\",
    b"-",
    b"\r\n",
    b"\0",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\"id\"",
];

/// Each example with each of its fields set to each odd value: its form stays whole.
pub(super) fn with_odd_values(examples: &[Vec<u8>]) -> impl Iterator<Item = Vec<u8>> {
    examples.iter().flat_map(|example| {
        let colons = example.iter().enumerate().filter(|(_, byte)| **byte == b':').map(|(place, _)| place);
        colons.flat_map(move |place| {
            VALUES.iter().map(move |value| {
                let mut body = example.clone();
                replace_a_value(&mut body, place, value);
                body
            })
        })
    })
}

/// Makes bodies; the same ones for the same seed and examples.
pub(super) struct Noise<'a> {
    random: SeededEntropy,
    examples: &'a [Vec<u8>],
}

impl<'a> Noise<'a> {
    /// The examples are bodies of the provider, to be spoiled.
    pub(super) const fn new(seed: u64, examples: &'a [Vec<u8>]) -> Self {
        Self { random: SeededEntropy::new(seed), examples }
    }

    /// The next body: bytes, tokens, or an example that was changed in up to three places.
    pub(super) fn body(&self) -> Vec<u8> {
        match self.below(4) {
            0 => self.bytes(),
            1 => (0..self.below(60)).flat_map(|_| self.token().iter().copied()).collect(),
            _ => {
                let place = self.below(self.examples.len());
                let mut body = self.examples.get(place).cloned().unwrap_or_default();
                for _ in 0..=self.below(3) {
                    self.spoil(&mut body);
                }
                body
            }
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.below(600)];
        self.random.fill(&mut bytes);
        bytes
    }

    fn spoil(&self, body: &mut Vec<u8>) {
        let from = self.below(body.len() + 1);
        let to = (from + self.below(30)).min(body.len());
        match self.below(6) {
            // A value becomes another, which the body's form may survive.
            0 => {
                if let Some(place) = behind(body, from, b":") {
                    replace_a_value(body, place, self.token());
                }
            }
            1 => drop(body.splice(from..to, self.token().iter().copied())),
            2 => drop(body.splice(from..from, self.token().iter().copied())),
            3 => drop(body.drain(from..to)),
            4 => body.truncate(from),
            _ => {
                if let Some(byte) = body.get_mut(from) {
                    *byte ^= 1 << self.below(8);
                }
            }
        }
    }

    fn token(&self) -> &'static [u8] {
        let place = self.below(VALUES.len() + MARKS.len());
        VALUES.iter().chain(&MARKS).nth(place).copied().unwrap_or_default()
    }

    /// A number below `end`, which is small; 0 where there is none.
    fn below(&self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.random.next() % end).unwrap_or_default()
    }
}

/// Puts a token in the place of what stands behind this colon. A list or an object goes as a whole.
fn replace_a_value(body: &mut Vec<u8>, colon: usize, token: &[u8]) {
    let start = colon + 1;
    let mut depth = 0_usize;
    let mut end = start;
    for byte in body.get(start..).unwrap_or_default() {
        match byte {
            b'[' | b'{' => depth += 1,
            b',' | b']' | b'}' if depth == 0 => break,
            b']' | b'}' => depth -= 1,
            _ => {}
        }
        end += 1;
    }
    body.splice(start..end, token.iter().copied());
}

/// Where the next of these marks is.
fn behind(body: &[u8], from: usize, marks: &[u8]) -> Option<usize> {
    let place = body.get(from..)?.iter().position(|byte| marks.contains(byte))?;
    Some(from + place)
}
