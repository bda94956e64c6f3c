import { describe, expect, test } from 'vitest';
import { CHALLENGE_HEADER, type SignedRequest } from '@berth/shared/protocol/enrolment';
import { signIdentityRequest } from '../../../agent/src/link/aws-sign-sdk.ts';
import { checkRequest } from '../../src/enrolment/sts-request.ts';
import { awsMachine } from '../../../../test/fakes/aws-machines.ts';

const AT = Date.parse('2026-11-20T12:00:00Z');
const expected = { challenge: 'c', publicKey: 'k', endpoints: [], at: AT };

const signed = (url = 'https://sts.eu-central-1.amazonaws.com', at = AT): Promise<SignedRequest> =>
  signIdentityRequest({
    endpoint: new URL(url),
    region: 'eu-central-1',
    credentials: awsMachine(),
    header: 'c;k',
    at,
  });
const withHeaders = (request: SignedRequest, change: Record<string, string>): SignedRequest => ({
  ...request,
  headers: { ...request.headers, ...change },
});

describe('a signed request', () => {
  test('as an agent makes it is taken, at every address of STS', async () => {
    for (const host of [
      'sts.amazonaws.com',
      'sts.eu-central-1.amazonaws.com',
      'sts.us-gov-west-1.amazonaws.com',
      'sts-fips.us-east-2.amazonaws.com',
      'sts.ap-southeast-4.amazonaws.com',
      'sts.cn-north-1.amazonaws.com.cn',
    ]) {
      const request = await signed(`https://${host}`);
      expect(checkRequest(request, expected).url.host).toBe(host);
    }
  });

  test('goes to STS over TLS and nowhere else', async () => {
    for (const url of [
      'http://sts.eu-central-1.amazonaws.com',
      'https://sts.eu-central-1.amazonaws.com.evil.test',
      'https://sts.eu-central-1.amazonaws.com.cn',
      'https://sts.evil.amazonaws.com',
      'https://evil-sts.amazonaws.com',
      'https://sts.eu-central-1.amazonaws.com:8443',
      'https://s3.eu-central-1.amazonaws.com',
      'https://169.254.169.254',
      'https://sts.cn-north-1.amazonaws.com',
    ]) {
      const request = await signed(url);
      expect(() => checkRequest(request, expected), url).toThrow(/is not an address of STS/);
    }
    const request = await signed();
    for (const url of [
      'https://sts.eu-central-1.amazonaws.com',
      'https://sts.eu-central-1.amazonaws.com/?Action=GetSessionToken',
      'https://sts.eu-central-1.amazonaws.com/x',
      'https://sts.eu-central-1.amazonaws.com/#x',
      'https://user@sts.eu-central-1.amazonaws.com/',
      'HTTPS://sts.eu-central-1.amazonaws.com/',
      'nonsense',
      '',
    ])
      expect(() => checkRequest({ ...request, url }, expected), url).toThrow(/refused/);
  });

  test('may go to an address that is configured, with its port and no other', async () => {
    const endpoints = ['http://127.0.0.1:4000'];
    const request = await signed('http://127.0.0.1:4000');
    expect(checkRequest(request, { ...expected, endpoints }).url.port).toBe('4000');
    const other = await signed('http://127.0.0.1:4001');
    expect(() => checkRequest(other, { ...expected, endpoints })).toThrow(/enrolment\.stsEndpoints/);
  });

  test('has this method, this body and these headers only', async () => {
    const request = await signed();
    const { authorization = '', ...rest } = request.headers;
    const cases: [SignedRequest, RegExp][] = [
      [{ ...request, method: 'GET' }, /method/],
      [{ ...request, body: `${request.body}&Action=AssumeRole` }, /body/],
      [withHeaders(request, { accept: 'application/json' }), /accept must not be there/],
      [withHeaders(request, { 'x-amz-target': 'x' }), /x-amz-target must not be there/],
      [withHeaders(request, { Host: 'x' }), /Host must not be there/],
      [withHeaders(request, { host: 'evil.test' }), /host header/],
      [withHeaders(request, { 'content-type': 'application/json' }), /content-type/],
      [withHeaders(request, { 'content-length': '7' }), /content-length/],
      [withHeaders(request, { 'x-amz-security-token': 'a\r\nx: y' }), /characters/],
      [withHeaders(request, { [CHALLENGE_HEADER]: 'd;k' }), /not made of this challenge/],
      [withHeaders(request, { [CHALLENGE_HEADER]: 'c;other' }), /not made of this challenge/],
      [{ ...request, headers: rest }, /no signature/],
      [withHeaders(request, { authorization: 'Bearer x' }), /no signature/],
      [withHeaders(request, { authorization: authorization.replace('/sts/', '/ec2/') }), /no signature/],
      [
        withHeaders(request, { authorization: authorization.replace(`;${CHALLENGE_HEADER}`, '') }),
        /does not cover x-berth/,
      ],
      [withHeaders(request, { authorization: authorization.replace('host;', '') }), /does not cover host/],
      [withHeaders(request, { authorization: authorization.replace('host;', 'host;host;') }), /twice/],
      [withHeaders(request, { authorization: authorization.replace('host;', 'accept;host;') }), /not there/],
      [withHeaders(request, { 'x-amz-date': 'yesterday' }), /no time/],
    ];
    for (const [altered, why] of cases) expect(() => checkRequest(altered, expected)).toThrow(why);
  });

  test('is signed within five minutes of now; else the sentence speaks of the clocks', async () => {
    const minutes = (n: number) => n * 60_000;
    for (const off of [minutes(-4), 0, minutes(4)])
      expect(checkRequest(await signed(undefined, AT + off), expected).body).toContain('GetCallerIdentity');
    const cases: [number, RegExp][] = [
      [minutes(-6), /clock of the host is 6 minutes behind the coordinator's/],
      [minutes(60), /clock of the host is 60 minutes ahead of the coordinator's/],
      [minutes(-60 * 24 * 365), /clock of the host is 365 days behind/],
      [minutes(60 * 24 * 365), /host 2027-11-20T12:00:00Z, coordinator 2026-11-20T12:00:00Z/],
    ];
    for (const [off, why] of cases) {
      const request = await signed(undefined, AT + off);
      expect(() => checkRequest(request, expected)).toThrow(why);
    }
  });
});
