/** @file What is known of an app after reading it. */
import { type Evidence } from '../evidence/kinds.js';
import { problemKinds, type Problem } from '../problem.js';
import { type AndroidManifest } from './manifest.js';
import { type Signature } from './signing-block.js';

/** What the file is, by what it holds. */
export type Container = 'apk' | 'apks' | 'xapk' | 'aab' | 'aar' | 'ipa' | 'archive' | 'file';

/** One APK of an app, the module of a bundle, or the library itself. */
export interface AppPart {
  readonly path: string;
  readonly manifest: AndroidManifest;
  readonly signatures: readonly Signature[];
}

/** What `Info.plist` says of an iOS app. */
export interface IosInfo {
  readonly bundle: string;
  readonly version: string | undefined;
  readonly name: string | undefined;
  readonly minimumOs: string | undefined;
  /** `public.app-category.…` */
  readonly category: string | undefined;
  /** Keys that ask the user for something: `NSCameraUsageDescription` … */
  readonly permissions: readonly string[];
}

export interface AppLibrary {
  readonly path: string;
  readonly abi: string;
  readonly size: number;
  readonly soname: string | undefined;
  readonly needed: readonly string[];
  readonly imports: number;
  readonly exports: number;
}

export interface App {
  readonly path: string;
  readonly size: number;
  readonly container: Container;
  readonly platform: 'android' | 'ios' | undefined;
  /** APKs, the base first; empty for what is no Android app. */
  readonly parts: readonly AppPart[];
  readonly ios: IosInfo | undefined;
  readonly libraries: readonly AppLibrary[];
  readonly abis: readonly string[];
  readonly code: { readonly files: number; readonly classes: number; readonly methods: number };
  readonly evidence: readonly Evidence[];
  /** Files inside, nested ones counted, and the bytes that they unpack to. */
  readonly files: number;
  readonly bytes: number;
  readonly condition: 'intact' | 'odd' | 'damaged';
  readonly problems: readonly Problem[];
  readonly moreProblems: number;
}

/** The worst of all problems. */
export function conditionOf(problems: readonly Problem[]): App['condition'] {
  if (problems.some(({ code }) => problemKinds[code] === 'damaged')) return 'damaged';
  return problems.length > 0 ? 'odd' : 'intact';
}
