import { generateKeyPairSync, sign } from 'node:crypto';
import { expect, test } from 'vitest';
import { challengeText } from '@berth/shared/protocol/messages';
import { signedChallenge } from '../../src/gateway/signature.ts';

const host = 'h_0123456789abcdef';
const nonce = 'n'.repeat(32);
const pair = generateKeyPairSync('ed25519');
const publicKey = pair.publicKey.export({ type: 'spki', format: 'der' }).toString('base64');
const signature = sign(null, Buffer.from(challengeText(host, nonce)), pair.privateKey).toString('base64');

test('the holder of the key is believed, for this host and this challenge only', async () => {
  expect(await signedChallenge(publicKey, host, nonce, signature)).toBe(true);
  expect(await signedChallenge(publicKey, 'h_0123456789abcdeg', nonce, signature)).toBe(false);
  expect(await signedChallenge(publicKey, host, 'm'.repeat(32), signature)).toBe(false);
});

test('another key, a broken key and a broken signature have signed nothing', async () => {
  const other = generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'der' });
  expect(await signedChallenge(other.toString('base64'), host, nonce, signature)).toBe(false);
  expect(await signedChallenge('not a key', host, nonce, signature)).toBe(false);
  expect(await signedChallenge('', host, nonce, signature)).toBe(false);
  expect(await signedChallenge(publicKey, host, nonce, '')).toBe(false);
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const rsaKey = rsa.publicKey.export({ type: 'spki', format: 'der' }).toString('base64');
  const rsaSignature = sign(null, Buffer.from(challengeText(host, nonce)), rsa.privateKey).toString('base64');
  expect(await signedChallenge(rsaKey, host, nonce, rsaSignature)).toBe(false);
});
