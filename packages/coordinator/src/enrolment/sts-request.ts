import { BerthError } from '@berth/shared/domain/errors';
import {
  CHALLENGE_HEADER,
  challengeHeader,
  STS_BODY,
  STS_CONTENT_TYPE,
  type SignedRequest,
} from '@berth/shared/protocol/enrolment';
import { clockFault, parseAmzDate } from './clock.ts';

/** Nothing else goes to STS: a further header, parameter or path could make it answer with something else. */
const ALLOWED = [
  'authorization',
  'content-length',
  'content-type',
  'host',
  'x-amz-content-sha256',
  'x-amz-date',
  'x-amz-security-token',
  CHALLENGE_HEADER,
];
const SIGNED = ['host', 'x-amz-date', 'x-amz-security-token', CHALLENGE_HEADER];

const AUTHORIZATION =
  /^AWS4-HMAC-SHA256 Credential=[A-Z0-9]{16,128}\/(\d{8})\/[a-z0-9-]{1,40}\/sts\/aws4_request, ?SignedHeaders=([a-z0-9;-]{1,200}), ?Signature=[0-9a-f]{64}$/;

const STS_HOST =
  /^sts(?:-fips)?(?:\.(?:us|eu|ap|sa|ca|me|af|il|mx|us-gov)-[a-z]+-\d{1,2})?\.amazonaws\.com$|^sts\.cn-[a-z]+-\d\.amazonaws\.com\.cn$/;

/** A request that may be sent to STS as it is. */
export interface CheckedRequest {
  url: URL;
  headers: Readonly<Record<string, string>>;
  body: string;
}

/**
 * Whether this is a GetCallerIdentity request for STS and nothing else, signed just now, for this challenge and this key.
 * The signature itself is for STS to judge. `endpoints` are further origins that stand for STS, such as a VPC endpoint.
 * Errors: `unauthenticated`.
 */
export function checkRequest(
  request: SignedRequest,
  expected: { challenge: string; publicKey: string; endpoints: readonly string[]; at: number },
): CheckedRequest {
  const url = endpointOf(request.url, expected.endpoints);
  if (request.method !== 'POST') refuse(`its method is ${shown(request.method)}, not POST`);
  if (request.body !== STS_BODY) refuse('its body is not that of GetCallerIdentity');
  const { headers } = request;
  for (const [name, value] of Object.entries(headers)) {
    if (!ALLOWED.includes(name)) refuse(`the header ${shown(name)} must not be there`);
    if (!/^[\x20-\x7e]+$/.test(value)) refuse(`the header ${name} has characters that no header has`);
  }
  if (headers['host'] !== url.host) refuse('its host header names another host than its address');
  if ((headers['content-type'] ?? STS_CONTENT_TYPE) !== STS_CONTENT_TYPE)
    refuse('its content-type is another');
  if ((headers['content-length'] ?? String(STS_BODY.length)) !== String(STS_BODY.length))
    refuse('its content-length is another');
  const [, day, names] = AUTHORIZATION.exec(headers['authorization'] ?? '') ?? [];
  if (day === undefined || names === undefined)
    refuse('it has no signature of the kind AWS4-HMAC-SHA256 for sts, by temporary credentials');
  checkSigned(names.split(';'), headers);
  if (headers[CHALLENGE_HEADER] !== challengeHeader(expected.challenge, expected.publicKey))
    refuse(`its ${CHALLENGE_HEADER} is not made of this challenge and this key`);
  const signedAt = parseAmzDate(headers['x-amz-date'] ?? '');
  if (signedAt === null) refuse('its x-amz-date is no time');
  const fault = clockFault(signedAt, expected.at);
  if (fault !== null) throw new BerthError('unauthenticated', fault, { details: { reason: 'clock' } });
  if (!(headers['x-amz-date'] ?? '').startsWith(day)) refuse('its signature is of another day');
  return { url, headers, body: request.body };
}

function checkSigned(names: readonly string[], headers: Readonly<Record<string, string>>): void {
  if (new Set(names).size !== names.length) refuse('it signs a header twice');
  for (const name of SIGNED) if (!names.includes(name)) refuse(`its signature does not cover ${name}`);
  for (const name of names)
    if (headers[name] === undefined) refuse(`it signs a header that is not there: ${shown(name)}`);
  for (const name of Object.keys(headers))
    if (name.startsWith('x-') && !names.includes(name)) refuse(`its signature does not cover ${name}`);
}

function endpointOf(text: string, endpoints: readonly string[]): URL {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    refuse('its address cannot be read');
  }
  const known = url.protocol === 'https:' && STS_HOST.test(url.host);
  if (!known && !endpoints.includes(url.origin))
    refuse(
      `${shown(url.host)} is not an address of STS. A VPC endpoint is allowed by the coordinator's configuration: enrolment.stsEndpoints`,
    );
  if (text !== `${url.origin}/`) refuse('its address has more than a host');
  return url;
}

function refuse(why: string): never {
  throw new BerthError('unauthenticated', `The signed STS request is refused: ${why}.`, {
    details: { reason: 'request' },
  });
}

/** What came from outside, in a sentence. */
function shown(text: string): string {
  return text.replace(/[^\x21-\x7e]/g, '?').slice(0, 100);
}
