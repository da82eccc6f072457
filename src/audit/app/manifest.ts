/** @file What an Android manifest says of its app, from its XML in any of the three encodings. */
import { isBinaryXml, readBinaryXml } from './binary-xml.js';
import { readProtobufXml } from './protobuf-xml.js';
import { type Resources } from './resources.js';
import { attribute, descendants, readTextXml, type XmlElement, type XmlValue } from './xml.js';

export interface AndroidManifest {
  readonly package: string;
  readonly versionCode: number | undefined;
  readonly versionName: string | undefined;
  readonly minSdk: number | undefined;
  readonly targetSdk: number | undefined;
  /** As the user sees it; `undefined` where its text is in another split. */
  readonly label: string | undefined;
  /** `game`, `audio`, `productivity` …, where the app states one. */
  readonly category: string | undefined;
  /** The split's name, where this is a part of an app. */
  readonly split: string | undefined;
  readonly permissions: readonly string[];
  /** Hardware and software that it uses, each with whether it cannot do without. */
  readonly features: readonly { readonly name: string; readonly required: boolean }[];
  /** Libraries of the system that its native code may open: `libOpenCL.so`, `libcdsprpc.so` … */
  readonly nativeLibraries: readonly string[];
  /** Names of `<meta-data>` with their values as text. */
  readonly metadata: readonly { readonly name: string; readonly value: string }[];
  readonly components: {
    readonly activities: number;
    readonly services: number;
    readonly receivers: number;
    readonly providers: number;
  };
  readonly debuggable: boolean;
}

/** `android:appCategory` by its number (R.attr.appCategory). */
const categories = [
  'game',
  'audio',
  'video',
  'image',
  'social',
  'news',
  'maps',
  'productivity',
  'accessibility',
] as const;

/** Reads a manifest: binary XML (APK), protobuf (AAB) or text (AAR). Throws AuditError. */
export function readManifest(bytes: Uint8Array, resources?: Resources): AndroidManifest {
  const root = isBinaryXml(bytes)
    ? readBinaryXml(bytes)
    : looksLikeText(bytes)
      ? readTextXml(bytes)
      : readProtobufXml(bytes);
  return manifestOf(root, resources);
}

function looksLikeText(bytes: Uint8Array): boolean {
  for (const byte of bytes.subarray(0, 64)) {
    if (byte === 0x3c) return true;
    if (![0x20, 0x09, 0x0a, 0x0d, 0xef, 0xbb, 0xbf, 0xff, 0xfe, 0].includes(byte)) return false;
  }
  return false;
}

function manifestOf(root: XmlElement, resources: Resources | undefined): AndroidManifest {
  const text = (value: XmlValue | undefined): string | undefined => textOf(value, resources);
  const number = (value: XmlValue | undefined): number | undefined => {
    const found = text(value);
    return found !== undefined && /^-?\d{1,15}$/.test(found) ? Number(found) : undefined;
  };
  const named = (element: XmlElement, name: string): readonly XmlElement[] => [...descendants(element, name)];
  const namesOf = (elements: readonly XmlElement[]): readonly string[] => [
    ...new Set(elements.flatMap((element) => text(attribute(element, 'name')) ?? [])),
  ];
  const application = root.children.find(({ name }) => name === 'application');
  const sdk = root.children.find(({ name }) => name === 'uses-sdk');
  const count = (name: string): number => application?.children.filter((child) => child.name === name).length ?? 0;
  const stated = application && attribute(application, 'appCategory');
  const isGame = application && text(attribute(application, 'isGame')) === 'true';
  return {
    package: text(attribute(root, 'package')) ?? '',
    versionCode: number(attribute(root, 'versionCode')),
    versionName: text(attribute(root, 'versionName')),
    minSdk: sdk && number(attribute(sdk, 'minSdkVersion')),
    targetSdk: sdk && number(attribute(sdk, 'targetSdkVersion')),
    label: application && text(attribute(application, 'label')),
    category: categoryOf(text(stated)) ?? (isGame ? 'game' : undefined),
    split: text(attribute(root, 'split')),
    permissions: namesOf([...named(root, 'uses-permission'), ...named(root, 'uses-permission-sdk-23')]),
    features: named(root, 'uses-feature').flatMap((element) => {
      const name = text(attribute(element, 'name'));
      return name === undefined ? [] : [{ name, required: text(attribute(element, 'required')) !== 'false' }];
    }),
    nativeLibraries: namesOf(named(root, 'uses-native-library')),
    metadata: named(root, 'meta-data').flatMap((element) => {
      const name = text(attribute(element, 'name'));
      const value = text(attribute(element, 'value') ?? attribute(element, 'resource'));
      return name === undefined ? [] : [{ name, value: value ?? '' }];
    }),
    components: {
      activities: count('activity'),
      services: count('service'),
      receivers: count('receiver'),
      providers: count('provider'),
    },
    debuggable: application !== undefined && text(attribute(application, 'debuggable')) === 'true',
  };
}

function categoryOf(value: string | undefined): string | undefined {
  if (value === undefined) return undefined;
  return /^\d+$/.test(value) ? categories[Number(value)] : categories.find((name) => name === value.toLowerCase());
}

function textOf(value: XmlValue | undefined, resources: Resources | undefined): string | undefined {
  if (value === undefined) return undefined;
  if (value.kind === 'reference') return resources?.text(value.id);
  if (value.kind === 'other') return value.type === 0 ? undefined : `0x${value.data.toString(16)}`;
  return String(value.value);
}
