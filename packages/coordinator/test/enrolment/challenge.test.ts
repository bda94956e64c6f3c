import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CHALLENGE_MS, createChallenges } from '../../src/enrolment/challenge.ts';

const AT = 1_795_000_000_000;
const random = (count: number): Uint8Array => randomBytes(count);

describe('a challenge', () => {
  test('is good for two minutes, for every coordinator with the same key', () => {
    const { challenge, expiresAt } = createChallenges('key').issue(AT, random);
    const other = createChallenges('key');
    expect(expiresAt).toBe(AT + CHALLENGE_MS);
    expect(other.check(challenge, AT)).toEqual({ kind: 'good', expiresAt });
    expect(other.check(challenge, expiresAt - 1)).toEqual({ kind: 'good', expiresAt });
    expect(other.check(challenge, expiresAt)).toEqual({ kind: 'expired', expiresAt });
  });

  test('of another coordinator, or altered in any character, is none of ours', () => {
    const ours = createChallenges('key');
    expect(ours.check(createChallenges('other').issue(AT, random).challenge, AT).kind).toBe('not-ours');
    const { challenge } = ours.issue(AT, random);
    fc.assert(
      fc.property(fc.nat(challenge.length - 1), fc.constantFrom(...'aZ09-_. \0é'), (at, other) => {
        fc.pre(challenge[at] !== other);
        const altered = challenge.slice(0, at) + other + challenge.slice(at + 1);
        expect(ours.check(altered, AT).kind).toBe('not-ours');
        expect(ours.check(challenge.slice(0, at), AT).kind).toBe('not-ours');
      }),
    );
    expect(ours.check('', AT).kind).toBe('not-ours');
  });

  test('never comes twice', () => {
    const ours = createChallenges('key');
    const all = new Set(Array.from({ length: 1000 }, () => ours.issue(AT, random).challenge));
    expect(all.size).toBe(1000);
  });
});
