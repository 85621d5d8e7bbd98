//! A row of a data set.

/// One row.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// Identifier, as prediction files need it.
    pub id: String,
    /// The sentence, or the first of two.
    pub text_a: String,
    /// The second sentence of a pair.
    pub text_b: Option<String>,
    /// Its label; `None` in a split without labels.
    pub label: Option<Label>,
    /// How much the row counts in the loss of its batch, above 0; 1 where its file says nothing of it.
    pub weight: f32,
}

impl Example {
    /// Class index, 0/1, or score; `None` for a row that has no label, or may have several.
    pub fn number(&self) -> Option<f32> {
        match self.label {
            Some(Label::Number(number)) => Some(number),
            Some(Label::Classes(_)) | None => None,
        }
    }
}

/// A row's label.
#[derive(Clone, Debug, PartialEq)]
pub enum Label {
    /// Class index, 0/1, or score.
    Number(f32),
    /// Of each class 1 where the row has it, and 0 where not.
    Classes(Vec<f32>),
}

impl Label {
    /// Its numbers: [`LabelKind::width`](crate::spec::LabelKind::width) of them.
    pub fn numbers(&self) -> &[f32] {
        match self {
            Label::Number(number) => std::slice::from_ref(number),
            Label::Classes(numbers) => numbers,
        }
    }
}

impl From<f32> for Label {
    fn from(number: f32) -> Self {
        Label::Number(number)
    }
}

impl PartialEq<f32> for Label {
    fn eq(&self, other: &f32) -> bool {
        self.numbers() == [*other]
    }
}
