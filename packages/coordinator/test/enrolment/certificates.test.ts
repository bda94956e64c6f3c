import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { AWS_CERTIFICATES } from '../../src/enrolment/aws-certificates.ts';
import { openCertificates } from '../../src/enrolment/certificates.ts';
import { readDocument } from '../../src/enrolment/document.ts';
import { openEnrolment, type Claim } from '../../src/enrolment/open.ts';
import { pkcs7Fault } from '../../src/enrolment/pkcs7-sdk.ts';
import { regionKey } from '../../../../test/fakes/aws-machines.ts';

const region = regionKey();
const NONE: ReadonlyMap<string, string> = new Map();
const fingerprint = (certificate: X509Certificate): string =>
  certificate.fingerprint256.replaceAll(':', '').toLowerCase();

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'berth-certificates-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});
const file = (name: string, content: string): string => {
  const path = join(dir, name);
  writeFileSync(path, content);
  return path;
};

describe('the certificates that come with Berth', () => {
  test.each([...AWS_CERTIFICATES])(
    'that of %s is one of AWS, RSA of 2048 bits, signed by itself and valid',
    (name, pem) => {
      expect(name).toMatch(/^[a-z]{2}(-[a-z]+)+-\d{1,2}$/);
      expect(pem.match(/BEGIN CERTIFICATE/g)).toHaveLength(1);
      const certificate = new X509Certificate(pem);
      expect(certificate.subject).toContain('O=Amazon Web Services LLC');
      expect(certificate.issuer).toBe(certificate.subject);
      expect(certificate.verify(certificate.publicKey)).toBe(true);
      expect(certificate.publicKey.asymmetricKeyType).toBe('rsa');
      expect(certificate.publicKey.asymmetricKeyDetails).toMatchObject({
        modulusLength: 2048,
        publicExponent: 65_537n,
      });
      expect(Date.parse(certificate.validFrom)).toBeLessThan(Date.now());
      expect(Date.parse(certificate.validTo)).toBeGreaterThan(Date.now());
    },
  );

  test('are those whose fingerprints docs/security/enrolment.md lists, and no region has the key of another', () => {
    const doc = readFileSync(new URL('../../../../docs/security/enrolment.md', import.meta.url), 'utf8');
    const listed = [
      ...doc.matchAll(/^\| `([a-z0-9-]+)` +\| `([0-9a-f]{64})` +\| (\d{4}-\d\d-\d\d) +\|/gm),
    ].map(([, name, hash, until]) => [name, hash, until]);
    const held = [...AWS_CERTIFICATES].map(([name, pem]) => {
      const certificate = new X509Certificate(pem);
      return [name, fingerprint(certificate), new Date(certificate.validTo).toISOString().slice(0, 10)];
    });
    expect(listed).toEqual(held);
    expect(listed).toHaveLength(36);
    expect(new Set(held.map(([, hash]) => hash)).size).toBe(held.length);
    // Those that could be had from one source alone are named with their fingerprints, and not trusted.
    for (const name of ['ap-east-2', 'ap-southeast-6', 'eusc-de-east-1']) {
      expect(doc).toMatch(new RegExp(`^- \`${name}\`: \`[0-9a-f]{64}\``, 'm'));
      expect(AWS_CERTIFICATES.has(name)).toBe(false);
    }
  });

  test('count for a region that the configuration says nothing of, and where it does, only what it says', () => {
    const at = Date.now();
    const [own] = openCertificates({}).keysOf('eu-central-1', at, AWS_CERTIFICATES);
    const builtIn = new X509Certificate(AWS_CERTIFICATES.get('eu-central-1') ?? '').publicKey;
    expect(own?.equals(builtIn)).toBe(true);
    const configured = openCertificates({ 'eu-central-1': file('a.pem', region.certificate) });
    const keys = configured.keysOf('eu-central-1', at, AWS_CERTIFICATES);
    expect(keys.map((key) => key.equals(builtIn))).toEqual([false]);
    expect(configured.keysOf('us-east-1', at, AWS_CERTIFICATES)).toHaveLength(1);
    // The old one and the new one of a region, while AWS changes over.
    const both = `${AWS_CERTIFICATES.get('eu-central-1')}\n${region.certificate}`;
    const rotated = openCertificates({ 'eu-central-1': file('b.pem', both) });
    expect(rotated.keysOf('eu-central-1', at, AWS_CERTIFICATES)).toHaveLength(2);
  });

  test('do not count before or after their dates', () => {
    const pinned = openCertificates({});
    expect(() => pinned.keysOf('eu-central-1', Date.UTC(2014, 0, 1), AWS_CERTIFICATES)).toThrow(
      /came with Berth for the region eu-central-1 is not valid before 2015-08-14.*coordinator's clock right/,
    );
    expect(() => pinned.keysOf('eu-central-1', Date.UTC(2196, 0, 1), AWS_CERTIFICATES)).toThrow(
      /came with Berth.*ran out at 2195-01-17.*enrolment\.certificates\.eu-central-1/,
    );
  });
});

describe('a document that AWS itself has signed', () => {
  test.each([
    { name: 'us-west-2', instance: 'i-078517ca8a70a1dde', account: '278576220453' },
    { name: 'us-west-1', instance: 'i-01b940c45fd11fe74', account: '883474662888' },
  ])(
    'holds with the certificate of its region, $name, and with no other',
    async ({ name, instance, account }) => {
      const base64 = readFileSync(new URL(`./fixtures/${name}.pkcs7`, import.meta.url), 'utf8');
      const signature = Buffer.from(base64, 'base64');
      const from = signature.indexOf('{\n');
      const document = signature.subarray(from, signature.indexOf('\n}', from) + 2);
      expect(readDocument(document.toString())).toMatchObject({ instance, account, region: name });
      const holds = [...AWS_CERTIFICATES]
        .filter(([, pem]) => pkcs7Fault(signature, document, [new X509Certificate(pem).publicKey]) === null)
        .map(([each]) => each);
      expect(holds).toEqual([name]);
      const keys = openCertificates({}).keysOf(name, Date.now(), AWS_CERTIFICATES);
      const altered = Buffer.from(document.toString().replace(account, '123456789012'));
      expect(pkcs7Fault(signature, altered, keys)).toBe('is over another document than this one');
      const inside = Buffer.from(signature);
      inside.write('9', from + 20);
      expect(pkcs7Fault(inside, document, keys)).toBe('is over another document than this one');
      // And as a coordinator without any setting checks it.
      const enrolment = openEnrolment({ stsEndpoints: [], ec2Endpoint: null, certificates: {} }, 'key');
      const claim = (text: string): Claim => ({
        document: readDocument(text),
        request: { url: new URL('https://sts.amazonaws.com/'), headers: {}, body: '' },
        signature: { text, rsa2048: base64 },
        challengeExpiresAt: 0,
      });
      await enrolment.verify(claim(document.toString()), Date.now(), 'fit');
      await expect(enrolment.verify(claim(altered.toString()), Date.now(), 'fit')).rejects.toMatchObject({
        code: 'unauthenticated',
        message: expect.stringContaining('is over another document than this one'),
      });
    },
  );
});

describe('configured certificates', () => {
  test('are by region, and where there is none the sentence says what to configure', () => {
    const pinned = openCertificates({ 'eu-central-1': file('a.pem', region.certificate) });
    expect(pinned.keysOf('eu-central-1', Date.now(), NONE)).toHaveLength(1);
    for (const [name, builtIn] of [
      ['us-east-1', NONE],
      ['ap-east-2', AWS_CERTIFICATES],
    ] as const)
      expect(() => pinned.keysOf(name, Date.now(), builtIn)).toThrow(
        new RegExp(`enrolment\\.certificates\\.${name}`),
      );
  });

  test('may be several, and one that has run out does not count', () => {
    const soon = regionKey(Date.now() + 60_000);
    const both = openCertificates({
      'eu-central-1': file('a.pem', `${soon.certificate}\n${region.certificate}`),
    });
    expect(both.keysOf('eu-central-1', Date.now(), NONE)).toHaveLength(2);
    expect(both.keysOf('eu-central-1', Date.now() + 120_000, NONE)).toHaveLength(1);
    const one = openCertificates({ 'eu-central-1': file('b.pem', soon.certificate) });
    // What comes with Berth does not step in for what an operator has named.
    expect(() => one.keysOf('eu-central-1', Date.now() + 120_000, AWS_CERTIFICATES)).toThrow(
      /b\.pem ran out at 20/,
    );
  });

  test('that cannot be used are told of at the start', () => {
    expect(() => openCertificates({ 'eu-central-1': join(dir, 'missing.pem') })).toThrow(/missing\.pem/);
    expect(() => openCertificates({ 'eu-central-1': file('x.pem', 'x') })).toThrow(/no "BEGIN CERTIFICATE"/);
    const weak = regionKey(undefined, 1024);
    expect(() => openCertificates({ 'eu-central-1': file('w.pem', weak.certificate) })).toThrow(/2048 bits/);
  });
});
