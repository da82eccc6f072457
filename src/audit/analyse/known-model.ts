/** @file What a table of public models says of one. */

/** A public model. */
export interface KnownModel {
  /** With its version, as people call it. */
  readonly name: string;
  /** Where it was published: a package and the path in it, or a repository. */
  readonly source: string;
  readonly licence?: string;
  /** SHA-256 of the file. */
  readonly sha256?: string;
  readonly weights?: string;
  readonly signs?: string;
  /** Its larger layers: the first 12 digits of each hash, a colon, bytes; separated by spaces. */
  readonly layers?: string;
}
