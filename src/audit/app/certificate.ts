/** @file Facts of X.509 certificates (RFC 5280): who, until when, which fingerprint. Nothing is verified. */
import { AuditError, shown } from '../errors.js';
import { derOid, derValues, type DerValue } from './der.js';

export interface Certificate {
  readonly subject: string;
  readonly issuer: string;
  /** Hexadecimal. */
  readonly serial: string;
  /** ISO 8601. */
  readonly notBefore: string;
  readonly notAfter: string;
  /** Of the certificate as a whole, hexadecimal: what identifies a publisher. */
  readonly sha256: string;
}

const attributeNames: Readonly<Record<string, string>> = {
  '2.5.4.3': 'CN',
  '2.5.4.6': 'C',
  '2.5.4.7': 'L',
  '2.5.4.8': 'ST',
  '2.5.4.9': 'STREET',
  '2.5.4.10': 'O',
  '2.5.4.11': 'OU',
  '1.2.840.113549.1.9.1': 'EMAILADDRESS',
  '0.9.2342.19200300.100.1.25': 'DC',
  '2.5.4.5': 'SERIALNUMBER',
};

/** Reads a certificate in DER. Throws AuditError. */
export async function readCertificate(der: Uint8Array): Promise<Certificate> {
  const certificate = part(derValues(der), 0);
  const body = derValues(part(derValues(certificate.content), 0).content);
  // The version comes first where it is not 1, in a tag of its own.
  const first = body[0]?.tag === 0xa0 ? 1 : 0;
  const [from, to] = derValues(part(body, first + 3).content);
  return {
    subject: nameText(part(body, first + 4).content),
    issuer: nameText(part(body, first + 2).content),
    serial: hex(part(body, first).content).replace(/^(00)+(?=.)/, ''),
    notBefore: timeText(from),
    notAfter: timeText(to),
    sha256: hex(new Uint8Array(await crypto.subtle.digest('SHA-256', certificate.whole.slice()))),
  };
}

function part(values: readonly DerValue[], index: number): DerValue {
  const found = values[index];
  if (found === undefined) throw new AuditError('certificate', `the certificate has no part ${index}`);
  return found;
}

/** `CN=…, OU=…`, the last attribute first as in RFC 2253. */
function nameText(content: Uint8Array): string {
  const parts = derValues(content).flatMap((set) =>
    derValues(set.content).map((pair) => {
      const [oid, value] = derValues(pair.content);
      if (oid === undefined || value === undefined) return '';
      const number = derOid(oid.content);
      // 0x1e: BMPString in two bytes a character.
      const text = new TextDecoder(value.tag === 0x1e ? 'utf-16be' : 'utf-8').decode(value.content);
      return `${attributeNames[number] ?? number}=${shown(text)}`;
    }),
  );
  return parts.reverse().join(', ');
}

/** UTCTime (0x17, two digits of the year) or GeneralizedTime (0x18). */
function timeText(value: DerValue | undefined): string {
  if (value === undefined) throw new AuditError('certificate', 'the certificate has no validity');
  const digits = new TextDecoder().decode(value.content);
  const long = value.tag === 0x18 ? digits : `${Number(digits.slice(0, 2)) < 50 ? '20' : '19'}${digits}`;
  const match = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)?/.exec(long);
  if (match === null) throw new AuditError('certificate', `'${digits}' is no time`);
  const [, year, month, day, hour, minute, second = '00'] = match;
  return `${year}-${month}-${day}T${hour}:${minute}:${second}Z`;
}

/** The certificates in a PKCS#7 SignedData (`META-INF/*.RSA`), in DER, those of its signers first. Throws AuditError. */
export function certificatesOfPkcs7(bytes: Uint8Array): readonly Uint8Array[] {
  const [oid, wrapped] = derValues(part(derValues(bytes), 0).content);
  if (oid === undefined || wrapped === undefined || derOid(oid.content) !== '1.2.840.113549.1.7.2')
    throw new AuditError('certificate', 'this is no PKCS#7 signature');
  const signed = derValues(part(derValues(wrapped.content), 0).content);
  const certificates = signed
    .filter(({ tag }) => tag === 0xa0)
    .flatMap(({ content }) => derValues(content).map(({ whole }) => whole));
  if (certificates.length < 2) return certificates;
  // The last value is the set of signers; each names its certificate by issuer and serial number.
  const signers = new Set(
    derValues(part(signed, signed.length - 1).content).map(({ content }) => hex(part(derValues(content), 1).content)),
  );
  const signs = (certificate: Uint8Array): boolean => signers.has(issuerAndSerial(certificate));
  return [...certificates.filter(signs), ...certificates.filter((each) => !signs(each))];
}

function issuerAndSerial(certificate: Uint8Array): string {
  const body = derValues(part(derValues(part(derValues(certificate), 0).content), 0).content);
  const first = body[0]?.tag === 0xa0 ? 1 : 0;
  return hex(part(body, first + 2).whole) + hex(part(body, first).whole);
}

const hex = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
