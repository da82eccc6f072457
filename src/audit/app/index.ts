/** @file `audit/app`: manifests, resources, code, libraries, signatures of apps. */
export { conditionOf, type App, type AppLibrary, type AppPart, type Container, type IosInfo } from './app.js';
export { readBinaryXml } from './binary-xml.js';
export { readCertificate, type Certificate } from './certificate.js';
export { readClassFile, type ClassFile } from './class-file.js';
export { openDex, type Dex, type DexClass, type DexProto, type DexVisitor } from './dex.js';
export { readElf, type ElfLibrary } from './elf.js';
export { readManifest, type AndroidManifest } from './manifest.js';
export { readPlist, type PlistValue } from './plist.js';
export { readApp, type ReadAppOptions } from './read-app.js';
export { openResources, type Resources, type ResourceValue } from './resources.js';
export { readSigningBlock, type Signature, type SignatureScheme } from './signing-block.js';
export { readTextXml, type XmlAttribute, type XmlElement, type XmlValue } from './xml.js';
