import fc from 'fast-check';
import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { hpkeOpen, hpkeSeal, privateKeyOf, publicKeyOf, rawPublic } from '../../src/secrets/hpke.ts';

const hex = (text: string): Buffer => Buffer.from(text, 'hex');

describe('HPKE', () => {
  test('gives the ciphertext of RFC 9180, A.1.1', () => {
    const recipient = privateKeyOf(hex('4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8'));
    const ephemeral = privateKeyOf(hex('52c4a758a802cd8b936eceea314432798d5baf2d7e9235dc084ab1b9cfa2f736'));
    const of = {
      info: hex('4f6465206f6e2061204772656369616e2055726e'),
      aad: hex('436f756e742d30'),
      aead: 'aes-128-gcm' as const,
    };
    const text = hex('4265617574792069732074727574682c20747275746820626561757479');
    const box = hpkeSeal(publicKeyOf(rawPublic(recipient)), { ...of, text }, ephemeral);
    expect(box.toString('hex')).toBe(
      '37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431' +
        'f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a96d8770ac83d07bea87e13c512a',
    );
    expect(hpkeOpen(recipient, { ...of, box })).toEqual(text);
  });

  const key = generateKeyPairSync('x25519').privateKey;
  const other = generateKeyPairSync('x25519').privateKey;
  const bytes = fc.uint8Array({ maxLength: 300 }).map((each) => Buffer.from(each));

  test('opens what was sealed to the key, for any bytes', () => {
    fc.assert(
      fc.property(bytes, bytes, bytes, (info, aad, text) => {
        const box = hpkeSeal(publicKeyOf(rawPublic(key)), { info, aad, text });
        expect(hpkeOpen(key, { info, aad, box })).toEqual(text);
      }),
      { numRuns: 50 },
    );
  });

  test('opens nothing when a bit, the purpose, the bound text or the key is another', () => {
    fc.assert(
      fc.property(bytes, fc.nat(), fc.nat(7), (text, place, bit) => {
        const of = { info: Buffer.from('a'), aad: Buffer.from('b') };
        const box = hpkeSeal(publicKeyOf(rawPublic(key)), { ...of, text });
        const altered = Buffer.from(box);
        // The highest bit of the key's last byte means nothing in X25519, but it is bound all the same.
        const at = place % altered.length;
        altered[at] = (altered[at] ?? 0) ^ (1 << bit);
        expect(() => hpkeOpen(key, { ...of, box: altered })).toThrow();
        expect(() => hpkeOpen(other, { ...of, box })).toThrow();
        expect(() => hpkeOpen(key, { ...of, info: Buffer.from('c'), box })).toThrow();
        expect(() => hpkeOpen(key, { ...of, aad: Buffer.from('c'), box })).toThrow();
        expect(() => hpkeOpen(key, { ...of, box: box.subarray(0, -1) })).toThrow();
      }),
      { numRuns: 50 },
    );
  });

  test('refuses keys that make the shared secret nothing', () => {
    const text = Buffer.from('x');
    const zero = publicKeyOf(Buffer.alloc(32));
    expect(() => hpkeSeal(zero, { info: text, aad: text, text })).toThrow();
    expect(() => hpkeOpen(key, { info: text, aad: text, box: Buffer.alloc(80) })).toThrow();
    expect(() => publicKeyOf(Buffer.alloc(31))).toThrow();
  });
});
