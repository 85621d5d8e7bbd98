//! Text before the tokenizer sees it.

use serde::{Deserialize, Serialize};

use crate::spec::Inputs;

/// What is done to a text before tokenisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preprocess {
    /// As the CS224N course does: single sentences are lower-cased and stripped; sentences of pairs are lower-cased, get
    /// a space before each of `. ? , '`, and their white space is squeezed.
    Cs224n,
    /// Nothing.
    None,
}

impl Preprocess {
    /// The text as the tokenizer gets it.
    pub fn apply(self, inputs: Inputs, text: &str) -> String {
        match (self, inputs) {
            (Preprocess::None, _) => text.to_owned(),
            (Preprocess::Cs224n, Inputs::Single) => text.to_lowercase().trim().to_owned(),
            (Preprocess::Cs224n, Inputs::Pair) => {
                let mut spaced = String::with_capacity(text.len() + 8);
                for character in text.to_lowercase().chars() {
                    if matches!(character, '.' | '?' | ',' | '\'') {
                        spaced.push(' ');
                    }
                    spaced.push(character);
                }
                spaced.split_whitespace().collect::<Vec<_>>().join(" ")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_the_course_does() {
        assert_eq!(
            Preprocess::Cs224n.apply(Inputs::Pair, "  It's Late,  isn't it?\tYes. "),
            "it 's late , isn 't it ? yes ."
        );
        assert_eq!(
            Preprocess::Cs224n.apply(Inputs::Single, " It 's  Late . "),
            "it 's  late ."
        );
        assert_eq!(Preprocess::None.apply(Inputs::Pair, " A,b "), " A,b ");
    }
}
