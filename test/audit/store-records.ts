/** @file Records of made-up apps, and run folders that hold them. */
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import type { Evidence, ModelFormat } from '../../src/audit/index.js';
import type { Measurement } from '../../src/audit/measurement.js';
import type { AppRecord, ModelRecord } from '../../src/audit/record.js';

/** A SHA-256 that a name stands for. */
export const digest = (name: string): string => createHash('sha256').update(name).digest('hex');

type Read = Extract<ModelRecord['content'], { status: 'read' }>;

export interface ModelGiven {
  readonly format?: ModelFormat;
  readonly path?: string;
  /** What its bytes are named by; two with one name are the same file. */
  readonly name: string;
  readonly confidence?: ModelRecord['confidence'];
  readonly disguise?: ModelRecord['disguise'];
  readonly unread?: string;
  readonly task?: Read['analysis']['task']['value'];
  readonly architecture?: string;
  /** Names that layers' hashes are made of. */
  readonly layers?: readonly string[];
  readonly macs?: number | null;
  readonly params?: number;
  readonly bytes?: number;
  readonly quantisation?: Partial<Read['quantisation']>;
  readonly licences?: readonly string[];
  readonly weights?: Partial<Read['analysis']['weights']>;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly known?: Read['analysis']['known'];
}

/** A record of a model with plausible facts. */
export function modelRecord(given: ModelGiven): ModelRecord {
  const { format = 'tflite', name, layers = [`${name}/1`, `${name}/2`] } = given;
  const common = {
    format,
    path: given.path ?? `app.apk!/assets/${name}.bin`,
    offset: 0,
    length: given.bytes ?? 1000 + name.length * 100,
    confidence: given.confidence ?? 'observed',
    evidence: ['the identifier TFL3'],
    ...(given.disguise && { disguise: given.disguise }),
    sha256: digest(name),
  } as const;
  if (given.unread !== undefined) return { ...common, content: { status: 'unread', reason: given.unread } };
  const params = given.params ?? 1000 * layers.length;
  return {
    ...common,
    content: {
      status: 'read',
      name,
      producer: 'a converter 1.0',
      version: '3',
      inputs: [{ name: 'image', shape: [1, null, 224, 3], dtype: 'float32' }],
      outputs: [{ name: 'scores', shape: [1, 10], dtype: 'float32' }],
      totals: {
        layers: layers.length,
        macs: given.macs === undefined ? 1e6 * name.length : given.macs,
        uncountedLayers: 0,
        params,
        storedParams: params,
        paramBytes: 4 * params,
        constants: 4,
      },
      quantisation: {
        scheme: 'none',
        weights: { float32: 2000 },
        activations: { float32: 3 },
        perChannelLayers: 0,
        convertLayers: 0,
        ...given.quantisation,
      },
      metadata: given.metadata ?? { description: `the model ${name}` },
      notes: [],
      analysis: {
        task: {
          value: given.task ?? { modality: 'vision', task: 'image-classification' },
          confidence: 'derived',
          evidence: ['an image goes in'],
        },
        architecture: {
          value: given.architecture ?? 'MobileNet',
          confidence: 'derived',
          evidence: ['depthwise convolutions'],
        },
        families: { convolution: layers.length, softmax: 1 },
        operators: { CONV_2D: layers.length, SOFTMAX: 1 },
        peakActivationBytes: 602112,
        ...(given.known && { known: given.known }),
        weights: {
          numbers: 2000,
          zeros: 20,
          nearZeros: 63,
          sparseLayers: 0,
          zeroChannels: 0,
          clusteredLayers: 0,
          markedLayers: 0,
          ...given.weights,
        },
        identity: {
          weights: digest(`weights ${layers.join()}`),
          signs: digest(`signs ${layers.join()}`),
          graph: digest(`graph ${layers.length}`),
          skeleton: digest(`skeleton ${layers.length}`),
          layers: layers.map((layer, i) => ({ name: `conv${i}`, hash: digest(layer), bytes: 4000 })),
        },
        training: [],
        licences: given.licences ?? [],
      },
    },
  };
}

export interface AppGiven {
  readonly category?: string | null;
  readonly version?: string;
  readonly models?: readonly ModelGiven[];
  readonly evidence?: readonly Partial<Evidence>[];
  readonly failure?: string;
  /** What its bytes are named by; its identifier where omitted. */
  readonly content?: string;
}

/** A record of an app with plausible facts. */
export function appRecord(identifier: string, given: AppGiven = {}): AppRecord {
  const sha256 = digest(`app ${given.content ?? identifier}`);
  const path = `${identifier}.apk`;
  const common = {
    schema: 1,
    origin: { kind: 'file', locator: path, sha256, bytes: 5_000_000 },
    identifier,
    label: `The app ${identifier}`,
    version: given.version ?? '1.0',
    versionCode: 10,
    category: given.category === undefined ? 'productivity' : given.category,
    models: (given.models ?? []).map(modelRecord),
  } as const;
  if (given.failure !== undefined) return { ...common, app: null, failure: given.failure };
  return {
    ...common,
    app: {
      path,
      size: 5_000_000,
      container: 'apk',
      platform: 'android',
      parts: [
        {
          path,
          manifest: {
            package: identifier,
            versionCode: 10,
            versionName: '1.0',
            minSdk: 21,
            targetSdk: 34,
            label: identifier,
            category: undefined,
            split: undefined,
            permissions: ['android.permission.CAMERA'],
            features: [],
            nativeLibraries: [],
            metadata: [],
            components: { activities: 1, services: 0, receivers: 0, providers: 0 },
            debuggable: false,
          },
          signatures: [],
        },
      ],
      ios: undefined,
      libraries: [
        {
          path: 'lib/arm64-v8a/libx.so',
          abi: 'arm64-v8a',
          size: 1000,
          soname: undefined,
          needed: [],
          imports: 1,
          exports: 1,
        },
      ],
      abis: ['arm64-v8a'],
      code: { files: 1, classes: 100, methods: 1000 },
      evidence: (given.evidence ?? []).map((one) => ({
        subject: 'tflite',
        use: 'called',
        confidence: 'observed',
        clue: 'call',
        path: 'classes.dex',
        count: 1,
        examples: ['Lorg/tensorflow/lite/Interpreter;->run'],
        ...one,
      })),
      files: 30,
      bytes: 9_000_000,
      condition: 'intact',
      problems: [],
      moreProblems: 0,
    },
  };
}

/** A temporary folder that goes when the file's tests are done. */
export function scratch(): string {
  const folder = mkdtempSync(join(tmpdir(), 'cuttle-store-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Writes records, and measurements, as a run's folder holds them. */
export function writeRun(
  folder: string,
  records: readonly AppRecord[],
  measurements: Readonly<Record<string, Measurement | readonly Measurement[]>> = {},
): string {
  mkdirSync(join(folder, 'records'), { recursive: true });
  for (const record of records)
    writeFileSync(join(folder, 'records', `${record.origin.sha256}.json`), JSON.stringify(record));
  for (const [name, content] of Object.entries(measurements)) {
    mkdirSync(join(folder, 'measurements'), { recursive: true });
    writeFileSync(join(folder, 'measurements', `${name}.json`), JSON.stringify(content));
  }
  return folder;
}
