//! The words of the demo corpus. Written for it; taken from nowhere.

/// Sentiment adjectives by class, from very negative to very positive.
pub(super) const GRADED: [&[&str]; 5] = [
    &[
        "dreadful",
        "awful",
        "terrible",
        "horrible",
        "appalling",
        "unbearable",
    ],
    &["weak", "dull", "poor", "bland", "disappointing", "tiring"],
    &[
        "ordinary", "average", "passable", "plain", "fair", "middling",
    ],
    &["good", "pleasant", "nice", "enjoyable", "solid", "charming"],
    &[
        "superb",
        "brilliant",
        "wonderful",
        "magnificent",
        "outstanding",
        "stunning",
    ],
];

/// What sentiment is about.
pub(super) const SUBJECTS: &[&str] = &[
    "film", "story", "cast", "music", "meal", "service", "hotel", "room", "concert", "novel",
    "ending", "camera", "script", "dialogue", "acting", "dessert", "wine", "garden", "museum",
    "journey",
];

/// Openings of a sentiment sentence; `{}` stands for the subject.
pub(super) const OPENINGS: &[&str] = &[
    "the {} was",
    "i found the {}",
    "honestly , the {} seemed",
    "we all thought the {} was",
    "this {} is",
    "for me the {} felt",
];

/// Endings of a sentiment sentence, which say nothing.
pub(super) const ENDINGS: &[&str] = &[
    ".",
    ", as far as i can tell .",
    "from start to end .",
    "this time .",
    ", and my friends agree .",
    "on a rainy evening .",
];

/// Concepts: words of one row mean the same. First who does it, ...
pub(super) const AGENTS: &[&[&str]] = &[
    &["man", "gentleman"],
    &["woman", "lady"],
    &["child", "kid"],
    &["doctor", "physician"],
    &["teacher", "instructor"],
    &["farmer", "grower"],
    &["singer", "vocalist"],
    &["soldier", "trooper"],
    &["tourist", "traveller"],
    &["student", "pupil"],
    &["lawyer", "attorney"],
    &["clerk", "assistant"],
];

/// ... what is done (base form and third person), ...
pub(super) const ACTIONS: &[&[[&str; 2]]] = &[
    &[["buy", "buys"], ["purchase", "purchases"]],
    &[["repair", "repairs"], ["fix", "fixes"]],
    &[["find", "finds"], ["locate", "locates"]],
    &[["sell", "sells"], ["vend", "vends"]],
    &[["clean", "cleans"], ["wash", "washes"]],
    &[["build", "builds"], ["construct", "constructs"]],
    &[["draw", "draws"], ["sketch", "sketches"]],
    &[["carry", "carries"], ["lug", "lugs"]],
    &[["hide", "hides"], ["conceal", "conceals"]],
    &[["break", "breaks"], ["smash", "smashes"]],
];

/// ... to what, ...
pub(super) const OBJECTS: &[&[&str]] = &[
    &["car", "automobile"],
    &["bicycle", "bike"],
    &["sofa", "couch"],
    &["phone", "telephone"],
    &["picture", "image"],
    &["jacket", "coat"],
    &["boat", "ship"],
    &["lamp", "lantern"],
    &["rug", "carpet"],
    &["bag", "sack"],
    &["stone", "rock"],
    &["cup", "mug"],
    &["fence", "railing"],
    &["engine", "motor"],
];

/// ... and where.
pub(super) const PLACES: &[&[&str]] = &[
    &["in the city", "in the town"],
    &["near the shore", "near the coast"],
    &["in the forest", "in the woods"],
    &["at the shop", "at the store"],
    &["on the street", "on the road"],
    &["at school", "at the academy"],
    &["in the kitchen", "in the pantry"],
    &["on the hill", "on the slope"],
];

/// Ways to ask about an action, an object and a place: `{a}`, `{o}`, `{p}`.
pub(super) const QUESTIONS: &[&str] = &[
    "how do i {a} a {o} {p} ?",
    "what is the best way to {a} a {o} {p} ?",
    "how can someone {a} a {o} {p} ?",
    "where should i start if i want to {a} a {o} {p} ?",
    "is it easy to {a} a {o} {p} ?",
];

/// Ways to state an event: `{w}` who, `{a}` does, `{o}` what, `{p}` where.
pub(super) const STATEMENTS: &[&str] = &[
    "a {w} {a} a {o} {p} .",
    "the {w} {a} the {o} {p} .",
    "{p} a {w} {a} a {o} .",
    "there is a {w} who {a} a {o} {p} .",
];

/// What a statement does not say of itself.
pub(super) const UNSAID: &[&str] = &[
    "and it rains all day",
    "and nobody is surprised",
    "because a friend asked for it",
    "and it costs a lot of money",
    "for the first time in years",
    "and everybody cheers",
];
