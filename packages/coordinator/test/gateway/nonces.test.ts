import { expect, test } from 'vitest';
import { Challenge } from '@berth/shared/protocol/messages';
import { createNonces } from '../../src/gateway/nonces.ts';

test('no two challenges have the same nonce, across pools and processes', () => {
  const [first, second] = [createNonces(), createNonces()];
  const seen = new Set<string>();
  for (let count = 0; count < 1000; count += 1) seen.add(first.next()).add(second.next());
  expect(seen.size).toBe(2000);
  for (const nonce of seen) expect(nonce).toMatch(/^[A-Za-z0-9_-]{32}$/);
});

test('a nonce fits the protocol', () => {
  const nonce = createNonces().next();
  expect(Challenge.parse({ type: 'challenge', protocol: 1, nonce }).nonce).toBe(nonce);
});
