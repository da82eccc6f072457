/** @file Words that speak for a task: in paths, names of models and values, metadata. One row a task. */
import type { Modality } from './analysis.js';

export interface TaskWords {
  readonly task: string;
  readonly modality: Modality;
  /** The more general task of the same structure. */
  readonly parent?: string;
  /** Matched against words in lower case with single spaces between; camel case and signs are split. */
  readonly words: RegExp;
  /** Words that say it only where the structure already says its parent. */
  readonly weak?: RegExp;
}

/** More special ones first: of two that are equally likely, the first wins. */
export const taskWords: readonly TaskWords[] = [
  // Vision: what is where.
  {
    task: 'face-detection',
    modality: 'vision',
    parent: 'object-detection',
    words:
      /\b(face ?(det\w*|finder|box\w*)|blaze ?face|ultra ?(light )?face|retina ?face|mtcnn|scrfd|yunet|facessd|fd front|fd back|slim 320|rfb 320)\b/,
    weak: /\bfaces?\b/,
  },
  {
    task: 'person-detection',
    modality: 'vision',
    parent: 'object-detection',
    words: /\b((person|people|pedestrian|human|body) ?det\w*)\b/,
    weak: /\b(persons?|people|pedestrians?|humans?)\b/,
  },
  {
    task: 'hand-detection',
    modality: 'vision',
    parent: 'object-detection',
    words: /\b((palm|hand) ?det\w*)\b/,
    weak: /\b(palms?|hands?)\b/,
  },
  {
    task: 'text-detection',
    modality: 'vision',
    parent: 'object-detection',
    words: /\b((text|word|line|ocr) ?det\w*|craft|east text|dbnet|db resnet)\b/,
  },
  {
    task: 'barcode-detection',
    modality: 'vision',
    parent: 'object-detection',
    words: /\b(barcode|bar code|qr ?code|qrdet|wechat qr)\w*\b/,
  },
  {
    task: 'document-detection',
    modality: 'vision',
    parent: 'object-detection',
    words:
      /\b((document|doc|card|receipt|page|passport|licen[cs]e plate|plate|mrz) ?(det\w*|corner\w*|scan\w*|edge\w*)|credit card|card number)\b/,
  },
  {
    task: 'object-detection',
    modality: 'vision',
    words:
      /\b(object ?det\w*|det(ect(ion|or)?)?|ssd\w*|yolo\w*|nanodet|picodet|efficientdet|centernet|rcnn|damoyolo|pp ?yolo\w*)\b/,
  },
  {
    task: 'face-landmarks',
    modality: 'vision',
    words:
      /\b(face ?(landmark\w*|mesh|align\w*|points?|key ?points?|contours?)|landmarks? ?(68|106|98|468)|iris|pfld|fan 2d)\b/,
  },
  {
    task: 'hand-landmarks',
    modality: 'vision',
    words: /\b(hand ?(landmark\w*|pose|key ?points?|track\w*|skeleton))\b/,
  },
  {
    task: 'pose-estimation',
    modality: 'vision',
    words: /\b(pose|posenet|movenet|blazepose|openpose|simple ?pose|key ?points?|skeleton|hrnet)\b/,
  },
  {
    task: 'face-recognition',
    modality: 'vision',
    parent: 'image-embedding',
    words:
      /\b(face ?(net|id|recog\w*|embed\w*|feature\w*|verif\w*|match\w*)|arc ?face|cos ?face|sphere ?face|mobile ?face ?net|insight ?face|sface)\b/,
  },
  {
    task: 'liveness-detection',
    modality: 'vision',
    parent: 'image-classification',
    words: /\b(live?ness|anti ?spoof\w*|spoof\w*|fake face|fas)\b/,
  },
  {
    task: 'person-recognition',
    modality: 'vision',
    parent: 'image-classification',
    words: /\b(vww|visual wake ?\w*)\b/,
  },
  {
    task: 'face-attributes',
    modality: 'vision',
    parent: 'image-classification',
    words:
      /\b(age|gender|emotion\w*|fer|smil\w*|expression\w*|face ?attr\w*|glasses|eye ?(open|close\w*|state)|beauty|deep ?age|facial|mask)\b/,
  },
  {
    task: 'gaze-estimation',
    modality: 'vision',
    words: /\b(gaze|eye ?track\w*|head ?pose)\b/,
  },
  {
    task: 'content-moderation',
    modality: 'vision',
    parent: 'image-classification',
    words: /\b(nsfw|porn\w*|nud(e|ity)|safe ?search|moderation|explicit)\b/,
  },
  {
    task: 'gesture-recognition',
    modality: 'vision',
    parent: 'image-classification',
    words: /\b(gesture\w*|sign language)\b/,
  },
  // Vision: images from images.
  {
    task: 'depth-estimation',
    modality: 'vision',
    parent: 'segmentation',
    words: /\b(depth|midas|monodepth\w*|disparity)\b/,
  },
  {
    task: 'contour-detection',
    modality: 'vision',
    parent: 'segmentation',
    words: /\b(contours?|edges?|hed|outline|boundary|sketch|lineart)\b/,
  },
  {
    task: 'segmentation',
    modality: 'vision',
    words:
      /\b(seg(ment\w*)?|selfie|deep ?lab\w*|matting|mask|portrait|hair|unet|u ?2 ?net\w*|pspnet|bisenet|modnet|rvm|background remov\w*|semantic|parsing|saliency|mobilesam|sky)\b/,
  },
  {
    task: 'super-resolution',
    modality: 'vision',
    words:
      /\b(super ?res\w*|esrgan|real esrgan|srgan|espcn|fsrcnn|edsr|waifu2?x?|upscal\w*|sr x?[234]|x[234] sr|carn|hdnet)\b/,
  },
  {
    task: 'style-transfer',
    modality: 'vision',
    parent: 'image-enhancement',
    words: /\b(style\w*|cartoon\w*|anime\w*|gan|cyclegan|art filter|candy|mosaic|la muse|udnie)\b/,
  },
  {
    task: 'image-enhancement',
    modality: 'vision',
    words:
      /\b(enhanc\w*|denois\w*|deblur\w*|low ?light|hdr|zero dce|inpaint\w*|coloriz\w*|dehaz\w*|restor\w*|beautif\w*|makeup)\b/,
  },
  {
    task: 'text-recognition',
    modality: 'vision',
    words:
      /\b(ocr\w*|crnn|(text|word|line|char\w*|digit\w*) ?(rec\w*|reader)|handwriting|tesser\w*|trocr|svtr|mathpix|captcha|mnist|emnist)\b/,
  },
  {
    task: 'image-embedding',
    modality: 'vision',
    words:
      /\b(image ?(embed\w*|feature\w*|retriev\w*|search|encoder)|re ?id|clip (image|visual)|feature ?extract\w*)\b/,
  },
  {
    task: 'image-classification',
    modality: 'vision',
    words:
      /\b(classif\w*|imagenet|cifar|image ?label\w*|labell?er|mobile ?net\w*|inception\w*|res ?net\w*|squeeze ?net|shuffle ?net\w*|efficient ?net\w*|ghost ?net|dense ?net|plant\w*|flower\w*|food\w*|species|birds?|dogs?|recogn\w*)\b/,
  },
  // Audio.
  {
    task: 'keyword-spotting',
    modality: 'audio',
    parent: 'sound-recognition',
    words:
      /\b(kws|key ?words?|hot ?words?|wake ?words?|ww|str ww|wakeup|speech ?commands?|micro speech|snowboy|porcupine|trigger word)\b/,
  },
  {
    task: 'voice-activity-detection',
    modality: 'audio',
    parent: 'sound-recognition',
    words: /\b(vad|voice ?activity|speech ?(detect\w*|activity)|silero vad|end ?point\w*)\b/,
  },
  {
    task: 'speech-recognition',
    modality: 'audio',
    words:
      /\b(asr|speech ?(to ?text|recog\w*)|stt|whisper|deep ?speech|wav2vec\w*|conformer|quartznet|wav2letter|transcri\w*|rnnt|zipformer|paraformer|vosk|ctc)\b/,
  },
  {
    task: 'speaker-recognition',
    modality: 'audio',
    parent: 'audio-embedding',
    words: /\b(speaker ?\w*|x ?vector|d ?vector|ecapa\w*|voice ?(print|id)|diari[sz]\w*)\b/,
  },
  {
    task: 'noise-suppression',
    modality: 'audio',
    words:
      /\b(rnnoise|noise ?(suppress\w*|reduc\w*|cancel\w*)|denoise\w*|dtln|speech enhanc\w*|source separation|spleeter|demucs|aec|vocals?)\b/,
  },
  {
    task: 'speech-synthesis',
    modality: 'audio',
    words: /\b(tts|vocoder|tacotron\w*|fast ?speech\w*|melgan|hifi ?gan|wavernn|vits|piper|kokoro)\b/,
  },
  {
    task: 'pitch-estimation',
    modality: 'audio',
    words: /\b(pitch|spice|crepe|onsets?|chords?|beat track\w*|tempo|note)\b/,
  },
  {
    task: 'sound-recognition',
    modality: 'audio',
    words:
      /\b(sound\w*|audio ?(class\w*|event\w*|set|tag\w*)|yam ?net|vggish|panns?|snor\w*|cough\w*|bird ?net|cry|music|genre)\b/,
  },
  // Text.
  {
    task: 'translation',
    modality: 'text',
    parent: 'language-modelling',
    words:
      /\b(translat\w*|nmt|marian|opus mt|(en|de|fr|es|zh|ru|ja) to (en|de|fr|es|zh|ru|ja)|m2m\w*|nllb\w*|transliterat\w*)\b/,
  },
  {
    task: 'auto-complete',
    modality: 'text',
    parent: 'language-modelling',
    words:
      /\b(auto ?complet\w*|next ?word|word ?pred\w*|predict(ive)? ?(text|typing)|keyboard|suggest\w*|completion|swipe|glide|type ahead|lm)\b/,
  },
  {
    task: 'smart-reply',
    modality: 'text',
    words: /\b(smart ?repl\w*|repl(y|ies)|response suggest\w*)\b/,
  },
  {
    task: 'sentiment-analysis',
    modality: 'text',
    parent: 'text-classification',
    words: /\b(sentiment\w*|movie review\w*|polarity|toxic\w*|hate|emotion text)\b/,
  },
  {
    task: 'language-identification',
    modality: 'text',
    parent: 'text-classification',
    words: /\b(lang ?(id|detect\w*)|language ?(id\w*|detect\w*)|langid|cld3)\b/,
  },
  {
    task: 'spam-detection',
    modality: 'text',
    parent: 'text-classification',
    words: /\b(spam|phish\w*|scam|malware|fraud\w*)\b/,
  },
  {
    task: 'question-answering',
    modality: 'text',
    words: /\b(qa|question ?answer\w*|squad)\b/,
  },
  {
    task: 'entity-recognition',
    modality: 'text',
    words: /\b(ner|entit(y|ies)|pos ?tag\w*|tagger|annotator|crf)\b/,
  },
  {
    task: 'text-embedding',
    modality: 'text',
    words:
      /\b(sentence ?(enc\w*|embed\w*|transformer\w*)|universal sentence|text ?(embed\w*|encoder)|minilm|sbert|use lite|word2vec|glove)\b/,
  },
  {
    task: 'text-classification',
    modality: 'text',
    words: /\b(text ?class\w*|intent\w*|topic\w*|nl ?class\w*|average word vec\w*|categori[sz]\w*)\b/,
  },
  {
    task: 'language-modelling',
    modality: 'text',
    words: /\b(gpt\w*|llama\w*|gemma\w*|bert|albert|mobilebert|phi ?[23]?|language ?model\w*|llm)\b/,
  },
  // Sensors and the rest.
  {
    task: 'activity-recognition',
    modality: 'sensor',
    words:
      /\b(activity|har|accel\w*|gyro\w*|imu|motion|step ?count\w*|walk\w*|fall ?det\w*|fitness|exercise|sleep|magic ?wand)\b/,
  },
  {
    task: 'health-monitoring',
    modality: 'sensor',
    words: /\b(ecg|ekg|ppg|heart ?(rate|beat)|eeg|glucose|blood ?pressure|arrhythmia)\b/,
  },
  {
    task: 'anomaly-detection',
    modality: 'sensor',
    words: /\b(anomal\w*|outlier\w*|toy ?car|toyadmos|novelty)\b/,
  },
  {
    task: 'recommendation',
    modality: 'other',
    words: /\b(recommend\w*|rank(er|ing)?|ctr|click ?through|collaborative|movie ?lens|deep ?fm)\b/,
  },
];

/** A path or name as words: camel case and signs split, in lower case. */
export function wordsOf(text: string): string {
  return text
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .replace(/[^A-Za-z0-9]+/g, ' ')
    .toLowerCase()
    .trim();
}
