/** @file What is wrong with a request's body, in the protocol's terms. */
import type { BodyError, BodyFault } from '../../platform/node/web-exchange.js';
import { OipError, type OipStatus } from '../oip/status.js';

const STATUS: Readonly<Record<BodyFault, OipStatus>> = {
  'too-large': 'too-large',
  'too-slow': 'too-slow',
  gone: 'cancelled',
};

/** A body's fault as a refusal. */
export function bodyRefusal(error: BodyError): OipError {
  return new OipError(STATUS[error.fault], error.message, { hint: error.hint, cause: error });
}
