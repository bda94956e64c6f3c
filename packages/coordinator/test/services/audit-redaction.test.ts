import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { canonicalText } from '@berth/shared/domain/audit';
import { REDACTED, redacted, redactedText } from '../../src/services/audit-redaction.ts';

const SECRET = 'kept-nowhere-7f1d';
const DENIED = [
  'value',
  'password',
  'dbPassword',
  'DB_PASSWORD',
  'token',
  'api-token',
  'joinToken',
  'tokenHash',
  'hash',
  'secret',
  'privateKey',
  'private_key',
  'secretAccessKey',
  'plaintext',
  'ciphertext',
  'credentials',
  'Authorization',
  'cookie',
  'compose',
  'jwt',
];
const MAPS = ['variables', 'envFiles', 'secrets', 'environment'];

describe('what is kept of a mutation', () => {
  test('has no value of a field that is named like a secret, however deep it is', () => {
    const planted = fc.oneof(
      fc.constant<unknown>(SECRET),
      fc.constant<unknown>([SECRET, { inner: SECRET }]),
      fc.constant<unknown>({ [SECRET]: SECRET }),
    );
    const holder = fc.tuple(fc.constantFrom(...DENIED), planted).map(([name, value]) => ({ [name]: value }));
    const maps = fc.constantFrom(...MAPS).map((name) => ({ [name]: { KEY: SECRET } }));
    const around = fc.array(fc.oneof(fc.constantFrom('inner', 'after', 'list'), fc.constant(null)), {
      maxLength: 5,
    });
    fc.assert(
      fc.property(fc.oneof(holder, maps), around, fc.jsonValue(), (inner, path, beside) => {
        const whole = path.reduce<unknown>(
          (value, name) => (name === null ? [beside, value] : { [name]: value, beside }),
          inner,
        );
        expect(canonicalText(redacted(whole))).not.toContain(SECRET);
      }),
    );
  });

  test('has no token, private key or signed web token, wherever they stand', () => {
    const secrets = [
      `berth_api_${'a1B2'.repeat(9)}`,
      `berth_join_${'a1B2'.repeat(9)}`,
      `-----BEGIN PRIVATE KEY-----\n${SECRET}\n-----END PRIVATE KEY-----`,
      `-----BEGIN OPENSSH PRIVATE KEY-----\n${SECRET}`,
      `eyJhbGciOiJSUzI1NiJ9.${'eyJpc3MiOiJ4In0xyz'}.${'c2lnbmF0dXJl'}`,
      `postgres://admin:${'s3cret@with/slash'}@db.test/postgres?sslmode=require`,
    ];
    for (const secret of secrets) {
      const kept = canonicalText(redacted({ reason: `see ${secret} there`, list: [secret], [secret]: 1 }));
      expect(kept).toContain(REDACTED);
      for (const part of [secret, SECRET]) expect(kept).not.toContain(part);
    }
    expect(redactedText('berth_api_… is a token')).toBe('berth_api_… is a token');
  });

  test('keeps names, digests, public keys, flags and what is null', () => {
    const value = {
      name: 'ci',
      publicKey: 'MCowBQYDK2VwAyEA',
      digest: 'sha256:abc',
      tokens: 3,
      token: null,
      keyVersion: 2,
      secret: false,
      variables: ['A', 'B'],
      fingerprint: 'SHA256:x',
    };
    expect(redacted(value)).toEqual(value);
    expect(redacted({ variables: { B: '1', A: '2' } })).toEqual({ variables: ['A', 'B'] });
  });

  test('is a JSON value whatever was given, and the same when it is done twice', () => {
    fc.assert(
      fc.property(fc.anything({ withNullPrototype: true, withSparseArray: true }), (value) => {
        const once = redacted(value);
        expect(redacted(JSON.parse(canonicalText(once)))).toEqual(JSON.parse(canonicalText(once)));
      }),
    );
  });
});
