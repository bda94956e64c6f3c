import { createHash, createHmac } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

export interface KnownKey {
  secret: string;
  token: string | null;
}

const sha256 = (text: string): string => createHash('sha256').update(text, 'utf8').digest('hex');

/**
 * What AWS would say of the signature of this request: null when it holds, else its error code and message. Everything is
 * computed anew from what came over the wire.
 */
export function signatureFault(
  request: IncomingMessage,
  body: string,
  service: string,
  keyOf: (accessKeyId: string) => KnownKey | null,
  now: number,
): { code: string; message: string } | null {
  const [, id, day, region, of, signed, signature] =
    /^AWS4-HMAC-SHA256 Credential=(\w+)\/(\d{8})\/([\w-]+)\/(\w+)\/aws4_request, SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})$/.exec(
      request.headers.authorization ?? '',
    ) ?? [];
  if (id === undefined || day === undefined || region === undefined || signed === undefined)
    return { code: 'MissingAuthenticationToken', message: 'Request is missing Authentication Token' };
  if (of !== service)
    return { code: 'SignatureDoesNotMatch', message: 'Credential should be scoped to another service.' };
  const key = keyOf(id);
  if (key === null)
    return {
      code: 'InvalidClientTokenId',
      message: 'The security token included in the request is invalid.',
    };
  const header = (name: string): string => {
    const value = request.headers[name];
    return Array.isArray(value) ? value.join(',') : (value ?? '');
  };
  if ((key.token ?? '') !== header('x-amz-security-token'))
    return { code: 'InvalidClientTokenId', message: 'The security token included in the request is invalid' };
  const names = signed.split(';');
  if (!names.includes('host') || !names.includes('x-amz-date'))
    return { code: 'SignatureDoesNotMatch', message: 'Host and date must be signed.' };
  const date = header('x-amz-date');
  const at = Date.parse(date.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'));
  const canonical = [
    request.method,
    '/',
    '',
    ...names.map((name) => `${name}:${header(name).trim().replace(/ +/g, ' ')}`),
    '',
    signed,
    sha256(body),
  ].join('\n');
  const scope = `${day}/${region}/${service}/aws4_request`;
  let secret: Buffer = Buffer.from(`AWS4${key.secret}`);
  for (const part of scope.split('/')) secret = createHmac('sha256', secret).update(part).digest();
  const expected = createHmac('sha256', secret)
    .update(['AWS4-HMAC-SHA256', date, scope, sha256(canonical)].join('\n'))
    .digest('hex');
  if (expected !== signature) {
    return {
      code: 'SignatureDoesNotMatch',
      message: 'The request signature we calculated does not match the signature you provided.',
    };
  }
  if (now - at > 15 * 60_000)
    return {
      code: 'SignatureDoesNotMatch',
      message: `Signature expired: ${date} is now earlier than it may be`,
    };
  if (at - now > 15 * 60_000)
    return { code: 'SignatureDoesNotMatch', message: `Signature not yet current: ${date} is still later` };
  return null;
}
