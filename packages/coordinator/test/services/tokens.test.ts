import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { looksLikeToken, makeToken, randomText, tokenHash } from '../../src/services/tokens.ts';

const random = (count: number): Uint8Array => randomBytes(count);

describe('tokens', () => {
  test('tell what they are and carry a checksum that a typing error breaks', () => {
    for (let n = 0; n < 200; n++) {
      const token = makeToken('api', random);
      expect(token).toMatch(/^berth_api_[0-9A-Za-z]{36}$/);
      expect(looksLikeToken('api', token)).toBe(true);
      expect(looksLikeToken('join', token.replace('_api_', '_join_'))).toBe(false);
      const at = 10 + (n % 36);
      const wrong = token[at] === 'x' ? 'y' : 'x';
      expect(looksLikeToken('api', token.slice(0, at) + wrong + token.slice(at + 1))).toBe(false);
    }
  });

  test('never repeat, and are kept as a hash that does not hold them', () => {
    const tokens = new Set(Array.from({ length: 1000 }, () => makeToken('join', random)));
    expect(tokens.size).toBe(1000);
    for (const token of tokens) expect(tokenHash(token)).toMatch(/^[0-9a-f]{64}$/);
  });

  test('use every character equally often', () => {
    const counts = new Map<string, number>();
    for (const character of randomText(
      62_000,
      '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz',
      random,
    ))
      counts.set(character, (counts.get(character) ?? 0) + 1);
    expect(counts.size).toBe(62);
    for (const count of counts.values()) expect(Math.abs(count - 1000)).toBeLessThan(250);
  });

  test('of any other text are refused without a look at the store', () => {
    for (const text of ['', 'berth_api_', 'berth_api_x', 'Bearer', `berth_api_${'é'.repeat(36)}`])
      expect(looksLikeToken('api', text)).toBe(false);
  });
});
