//! Names of poolings, `mean` or `cls+mean`, and the list that the latter stand for.

use std::fmt::{self, Display};
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error};
use serde::{Serialize, Serializer};

use super::{Pooling, SINGLES};

/// What stands between the parts of a name.
const PLUS: char = '+';

/// Two poolings or more, each once.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Several {
    /// Places in [`Pooling::SINGLE`]: first those of the parts, and zeros from `count` on.
    places: [u8; SINGLES],
    count: u8,
}

impl Several {
    /// The poolings, in the order named.
    pub fn parts(&self) -> impl Iterator<Item = Pooling> + '_ {
        let places = self.places.iter().take(usize::from(self.count));
        places.map(|place| Pooling::SINGLE[usize::from(*place)])
    }
}

impl fmt::Debug for Several {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.parts()).finish()
    }
}

/// Why a name is no pooling.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolingError {
    /// A part that there is not.
    #[error(
        "{0:?} is no pooling: there are cls, mean, max, pooler and attention, and several side by side, as in \"cls+mean\""
    )]
    Unknown(String),
    /// A part that is there twice.
    #[error("{0} is there twice: a vector beside itself says nothing more")]
    Twice(Pooling),
}

impl Pooling {
    /// Poolings side by side; a single one is itself.
    ///
    /// # Errors
    /// [`PoolingError::Twice`]; [`PoolingError::Unknown`] of no pooling at all.
    pub fn side_by_side(parts: impl IntoIterator<Item = Pooling>) -> Result<Self, PoolingError> {
        let mut list = Several {
            places: [0; SINGLES],
            count: 0,
        };
        for part in parts
            .into_iter()
            .flat_map(|part| part.parts().collect::<Vec<_>>())
        {
            if list.parts().any(|other| other == part) {
                return Err(PoolingError::Twice(part));
            }
            let place = Self::SINGLE.iter().position(|single| *single == part);
            // Every single pooling has a place, and none comes twice: there is room.
            list.places[usize::from(list.count)] = place.unwrap_or(0) as u8;
            list.count += 1;
        }
        let first = list.parts().next();
        match (list.count, first) {
            (1, Some(only)) => Ok(only),
            (0, _) | (_, None) => Err(PoolingError::Unknown(String::new())),
            _ => Ok(Pooling::Several(list)),
        }
    }

    /// The name of a single one.
    fn single_name(self) -> Option<&'static str> {
        match self {
            Pooling::Cls => Some("cls"),
            Pooling::Mean => Some("mean"),
            Pooling::Max => Some("max"),
            Pooling::Pooler => Some("pooler"),
            Pooling::Attention => Some("attention"),
            Pooling::Several(_) => None,
        }
    }
}

impl Display for Pooling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.parts().filter_map(Pooling::single_name).collect();
        f.pad(&names.join("+"))
    }
}

impl FromStr for Pooling {
    type Err = PoolingError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let parts = name.split(PLUS).map(|part| {
            let part = part.trim();
            let found = Self::SINGLE
                .into_iter()
                .find(|single| single.single_name() == Some(part));
            found.ok_or_else(|| PoolingError::Unknown(part.to_owned()))
        });
        Self::side_by_side(parts.collect::<Result<Vec<_>, _>>()?)
    }
}

impl Serialize for Pooling {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Pooling {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        name.parse().map_err(D::Error::custom)
    }
}
