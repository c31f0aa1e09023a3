//! `--name value` pairs.
use crate::LoadError;
use std::collections::HashMap;
use std::str::FromStr;

pub struct Options(HashMap<String, String>);

impl Options {
    pub fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, LoadError> {
        let mut options = HashMap::new();
        while let Some(argument) = arguments.next() {
            let name = argument.strip_prefix("--").map(str::to_owned);
            let (Some(name), Some(value)) = (name, arguments.next()) else {
                return Err(LoadError::Usage(format!("expected `--name value`, got `{argument}`")));
            };
            options.insert(name, value);
        }
        Ok(Self(options))
    }

    /// The value of an option, when it was given.
    pub fn given<T: FromStr>(&self, name: &str) -> Result<Option<T>, LoadError> {
        let parse =
            |text: &String| text.parse().map_err(|_| LoadError::Usage(format!("bad --{name} `{text}`")));
        self.0.get(name).map(parse).transpose()
    }

    /// The value of an option that must be given.
    pub fn required<T: FromStr>(&self, name: &str) -> Result<T, LoadError> {
        self.given(name)?.ok_or_else(|| LoadError::Usage(format!("--{name} is missing")))
    }

    /// An infohash of 20 bytes in hex.
    pub fn info_hash(&self) -> Result<[u8; 20], LoadError> {
        let text: String = self.required("info-hash")?;
        let mut hash = [0; 20];
        for (i, byte) in hash.iter_mut().enumerate() {
            let digits = text.get(2 * i..2 * i + 2).unwrap_or_default();
            *byte =
                u8::from_str_radix(digits, 16).map_err(|_| LoadError::Usage("bad --info-hash".to_owned()))?;
        }
        Ok(hash)
    }
}
