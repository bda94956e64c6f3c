import { X509Certificate } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readDocument } from '../../src/enrolment/document.ts';
import { pkcs7Fault } from '../../src/enrolment/pkcs7-sdk.ts';
import { ruleFault, tagFault } from '../../src/enrolment/rule.ts';
import { AwsRule } from '@berth/shared/api/enrolment';
import { awsMachine, documentOf, regionKey } from '../../../../test/fakes/aws-machines.ts';
import { pkcs7 } from '../../../../test/fakes/der.ts';

const region = regionKey();
const keys = [new X509Certificate(region.certificate).publicKey];
const text = documentOf(awsMachine());
const bytes = Buffer.from(text);

describe('the signature of a document', () => {
  test('holds in each form that it has, the document inside or beside it', () => {
    for (const inside of [text, null])
      for (const attributes of ['signed', 'none'] as const)
        for (const lengths of ['definite', 'indefinite'] as const)
          expect(
            pkcs7Fault(pkcs7(text, region.key, { inside, attributes, lengths }), bytes, keys),
          ).toBeNull();
  });

  test('does not hold for another document, with another key, or with none pinned', () => {
    const other = Buffer.from(text.replace('123456789012', '210987654321'));
    for (const inside of [text, null])
      for (const attributes of ['signed', 'none'] as const)
        for (const lengths of ['definite', 'indefinite'] as const)
          expect(
            pkcs7Fault(pkcs7(text, region.key, { inside, attributes, lengths }), other, keys),
          ).not.toBeNull();
    // What is inside says one thing and the document beside it another.
    const mixed = pkcs7(text, region.key, { inside: other.toString() });
    expect(pkcs7Fault(mixed, bytes, keys)).toBe('is over another document than this one');
    expect(pkcs7Fault(pkcs7(text, regionKey().key), bytes, keys)).toBe(
      'was not made with the key of this region',
    );
    expect(pkcs7Fault(pkcs7(text, region.key), bytes, [])).not.toBeNull();
    expect(pkcs7Fault(pkcs7(text, region.key, { signers: 2 }), bytes, keys)).toMatch(/exactly one signer/);
    expect(pkcs7Fault(pkcs7(text, region.key, { signers: 0 }), bytes, keys)).toMatch(/exactly one signer/);
  });

  test('that is cut, altered or made up is refused and never throws', () => {
    const good = pkcs7(text, region.key);
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), (at, by) => {
        expect(pkcs7Fault(good.subarray(0, at), bytes, keys)).not.toBeNull();
        const altered = Buffer.from(good);
        altered[at] = (altered[at] ?? 0) ^ by;
        // The version and the name of the issuer are not what the signature is over.
        const fault = pkcs7Fault(altered, bytes, keys);
        if (at < good.length - 256) return;
        expect(fault).not.toBeNull();
      }),
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (made) => {
        expect(pkcs7Fault(made, bytes, keys)).not.toBeNull();
      }),
    );
    expect(pkcs7Fault(Buffer.concat([good, Buffer.from([0])]), bytes, keys)).not.toBeNull();
  });
});

describe("a pool's rule", () => {
  const rule = AwsRule.parse({
    account: '123456789012',
    regions: ['eu-central-1'],
    roles: ['berth-host'],
    images: ['ami-0123456789abcdef0'],
    tags: { env: 'prod' },
    maxAgeMs: 3_600_000,
  });
  const at = Date.now();
  const machine = (change: Parameters<typeof awsMachine>[0] = {}) => {
    const one = awsMachine({ startedAt: at - 60_000, ...change });
    return { ...readDocument(documentOf(one)), role: one.role };
  };

  test('takes what fits in everything, and names what does not', () => {
    expect(ruleFault(rule, machine(), at)).toBeNull();
    const cases: [Parameters<typeof awsMachine>[0], RegExp][] = [
      [{ account: '210987654321' }, /account is 210987654321/],
      [{ region: 'eu-west-1' }, /it is in eu-west-1/],
      [{ role: 'admin' }, /role is admin/],
      [{ image: 'ami-00000000000000bad' }, /image is ami-0/],
      [{ startedAt: at - 7_200_000 }, /started 2 hours ago/],
      [{ startedAt: at + 3_600_000 }, /coordinator's clock/],
    ];
    for (const [change, why] of cases) expect(ruleFault(rule, machine(change), at)).toMatch(why);
    expect(tagFault(rule, { env: 'prod', other: 'x' })).toBeNull();
    expect(tagFault(rule, { env: 'dev' })).toMatch(/tag env is "dev"/);
    expect(tagFault(rule, {})).toMatch(/tag env is not there/);
    expect(tagFault(rule, Object.fromEntries([['Env', 'prod']]))).not.toBeNull();
  });

  test('reads no document that is none', () => {
    const bad = [
      '',
      'null',
      '[]',
      '{}',
      text.replace('i-', 'x-'),
      text.replace(/"region": "[^"]*"/, '"region": "../x"'),
    ];
    for (const each of bad) expect(() => readDocument(each)).toThrow(/cannot be read/);
  });
});
