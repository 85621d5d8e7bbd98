//! Which of `transformers`' tokenizers a folder is for.

use serde_json::Value;

use super::TokenizerError;
use super::added::malformed;
use super::files::{CONFIG, TokenizerFiles};

/// How `transformers` makes a tokenizer of a BERT's folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenizerClass {
    /// `BertTokenizer`: BERT's own rules with the config's flags over the vocabulary; what else `tokenizer.json` says is
    /// not looked at.
    Bert,
    /// `TokenizersBackend`, which was `PreTrainedTokenizerFast`: `tokenizer.json` as it stands.
    AsItStands,
}

/// Other names of `BertTokenizer`.
const BERT: &str = "BertTokenizer DistilBertTokenizer ElectraTokenizer LayoutLMTokenizer LxmertTokenizer \
    MobileBertTokenizer SqueezeBertTokenizer DPRContextEncoderTokenizer DPRQuestionEncoderTokenizer \
    DPRReaderTokenizer";

/// Classes of `transformers` 5.24.0 with rules of their own. A name that it does not know takes `tokenizer.json` as it
/// stands.
const OTHERS: &str = "AlbertTokenizer BartTokenizer BarthezTokenizer BartphoTokenizer BasicTokenizer \
    BertGenerationTokenizer BertJapaneseTokenizer BertTokenizerLegacy BertweetTokenizer BigBirdTokenizer \
    BioGptTokenizer BlenderbotSmallTokenizer BlenderbotTokenizer ByT5Tokenizer CLIPTokenizer CTRLTokenizer \
    CamembertTokenizer CanineTokenizer CharacterTokenizer ClvpTokenizer CodeGenTokenizer CodeLlamaTokenizer \
    CohereTokenizer CpmAntTokenizer CpmTokenizer DebertaTokenizer DebertaV2Tokenizer DiaTokenizer EsmTokenizer \
    EsmcTokenizer FNetTokenizer FSMTTokenizer FastSpeech2ConformerTokenizer FlaubertTokenizer FunnelTokenizer \
    GPT2Tokenizer GPTNeoXJapaneseTokenizer GPTNeoXTokenizer GPTSw3Tokenizer GemmaTokenizer HerbertTokenizer \
    LEDTokenizer LasrTokenizer LayoutLMv2Tokenizer LayoutLMv3Tokenizer LayoutXLMTokenizer LlamaTokenizer \
    LongformerTokenizer LukeTokenizer M2M100Tokenizer MBart50Tokenizer MBartTokenizer MLukeTokenizer MPNetTokenizer \
    MarianTokenizer MarkupLMTokenizer MecabTokenizer MgpstrTokenizer MvpTokenizer MyT5Tokenizer NllbTokenizer \
    NougatTokenizer OpenAIGPTTokenizer PLBartTokenizer ParakeetTokenizer PegasusTokenizer PerceiverTokenizer \
    Phi3Tokenizer PhobertTokenizer Pop2PianoTokenizer ProphetNetTokenizer Qwen2Tokenizer RagTokenizer \
    ReformerTokenizer RemBertTokenizer RoCBertTokenizer RoFormerTokenizer RobertaTokenizer SeamlessM4TTokenizer \
    Siglip2Tokenizer SiglipTokenizer Speech2TextTokenizer SpeechT5Tokenizer SplinterTokenizer T5Tokenizer \
    TapasTokenizer Tipsv2Tokenizer UdopTokenizer VideoPrismTokenizer VitsTokenizer Wav2Vec2CTCTokenizer \
    Wav2Vec2PhonemeCTCTokenizer WhisperTokenizer WordpieceTokenizer XGLMTokenizer XLMRobertaTokenizer XLMTokenizer \
    XLNetTokenizer";

impl TokenizerClass {
    /// The class of a folder: `tokenizer_class` of `tokenizer_config.json`, else of `config.json`, else BERT's.
    pub fn of(files: &TokenizerFiles) -> Result<Self, TokenizerError> {
        let named = match files
            .config
            .as_ref()
            .and_then(|config| config.get("tokenizer_class"))
        {
            None | Some(Value::Null) => None,
            Some(Value::String(name)) => Some((CONFIG, name.clone())),
            Some(other) => {
                return Err(malformed(
                    &files.path(CONFIG),
                    format!("tokenizer_class must be a name, and is {other}"),
                ));
            }
        };
        let model = || Some(("config.json", files.model_class.clone()?));
        let Some((file, name)) = named.or_else(model) else {
            return Ok(TokenizerClass::Bert);
        };
        let slow = name.strip_suffix("Fast").unwrap_or(&name);
        let is_in = |names: &str| names.split_whitespace().any(|known| known == slow);
        // The fast DPR classes are the only ones that do otherwise than the slow ones.
        if is_in(BERT) && !(name.starts_with("DPR") && name.ends_with("Fast")) {
            return Ok(TokenizerClass::Bert);
        }
        if is_in(OTHERS) {
            return Err(TokenizerError::Class {
                path: files.path(file),
                class: name,
            });
        }
        if files.tokenizer.is_none() {
            return Err(malformed(
                &files.path(file),
                format!(
                    "tokenizer_class {name:?} is read from a tokenizer.json, and the folder has none; for a BERT's vocab.txt name \"BertTokenizer\""
                ),
            ));
        }
        Ok(TokenizerClass::AsItStands)
    }
}
