import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readPublicKey } from '../../src/domain/signature.ts';
import {
  judgeSigners,
  keysOf,
  parseStanding,
  PoolSigners,
  type SignedSigners,
  signerOf,
  signSigners,
  standingOf,
} from '../../src/domain/signers.ts';

interface Pair {
  name: string;
  privateKey: KeyObject;
  publicKey: string;
}
const pairOf = (name: string): Pair => {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  return {
    name,
    privateKey,
    publicKey: publicKey.export({ format: 'der', type: 'spki' }).toString('base64'),
  };
};
const a = pairOf('a');
const b = pairOf('b');
const c = pairOf('c');
const thief = pairOf('thief');
const named = (pairs: readonly Pair[]) => pairs.map(({ name, publicKey }) => ({ name, publicKey }));

function statement(
  version: number,
  keys: readonly Pair[],
  by: readonly Pair[],
  more: Partial<PoolSigners> = {},
): SignedSigners {
  const signers = { pool: 'prod', version, required: true, keys: named(keys), ...more };
  return {
    signers,
    by: by.map(({ name, privateKey }) => ({ key: name, value: signSigners(privateKey, signers) })),
  };
}

const ALONE = { anchors: [], pool: null };
const why = (pinned: SignedSigners | null, ...offered: SignedSigners[]) => {
  const { inForce, refusal } = judgeSigners(pinned, offered, ALONE);
  if (refusal !== null) expect(inForce).toBe(pinned);
  return refusal?.why ?? inForce?.signers.version ?? null;
};

describe('a host that has pinned nothing', () => {
  it('takes the first statement that one of its own keys signed, and goes along the chain', () => {
    expect(why(null)).toBeNull();
    expect(why(null, statement(1, [a], [a]))).toBe(1);
    expect(why(null, statement(1, [a], [b]))).toBe('foreign');
    expect(why(null, statement(1, [a], []))).toBe('unsigned');
    // The order on the wire says nothing.
    expect(why(null, statement(3, [c], [b]), statement(1, [a], [a]), statement(2, [b], [a]))).toBe(3);
  });

  it('takes only what a key of its own configuration signed, where that names one, and only for its own pool', () => {
    const anchors = [{ name: 'root', key: readPublicKey(c.publicKey) ?? a.privateKey }];
    const of = (offered: SignedSigners, pool: string | null = null) =>
      judgeSigners(null, [offered], { anchors, pool }).refusal?.why ?? 'taken';
    expect(of(statement(1, [a], [a]))).toBe('foreign');
    expect(of(statement(1, [a], [c]))).toBe('taken');
    expect(of(statement(1, [a], [c]), 'prod')).toBe('taken');
    expect(of(statement(1, [a], [c]), 'test')).toBe('other-pool');
  });
});

describe('a host that has pinned a statement', () => {
  const pinned = statement(2, [a, b], [a]);

  it('takes a later one that a pinned key signed: other keys, or none required', () => {
    expect(why(pinned, statement(3, [c], [b]))).toBe(3);
    expect(why(pinned, statement(9, [a], [thief, a]))).toBe(9);
    expect(why(pinned, statement(3, [a], [a], { required: false }))).toBe(3);
    expect(why(pinned, statement(1, [a], [a]), pinned)).toBe(2);
  });

  it('refuses what was taken away, set back, exchanged or edited, and says what stays in force', () => {
    expect(why(pinned)).toBe('vanished');
    expect(why(pinned, statement(1, [a], [a]))).toBe('older');
    expect(why(pinned, statement(3, [thief], [thief]))).toBe('foreign');
    expect(why(pinned, statement(3, [a], [], { required: false }))).toBe('unsigned');
    expect(why(pinned, statement(2, [a, b], [a], { required: false }))).toBe('conflicting');
    expect(why(pinned, statement(3, [a], [a], { pool: 'test', required: false }))).toBe('other-pool');
    const edited = statement(3, [a], [a]);
    edited.signers.keys.push(...named([thief]));
    expect(why(pinned, edited)).toBe('foreign');
    const relaxed = statement(3, [a], [a]);
    relaxed.signers.required = false;
    expect(why(pinned, relaxed)).toBe('foreign');
    const { refusal } = judgeSigners(pinned, [], ALONE);
    expect(refusal?.message).toBe(
      'The coordinator has no signers of pool prod any more. Version 2 stays in force: only signed releases run here.',
    );
  });

  it('takes what follows on a later one that it has missed, and that even past one which does not hold', () => {
    expect(why(pinned, statement(4, [c], [c]))).toBe('foreign');
    expect(why(pinned, statement(3, [c], [a]), statement(4, [c], [c]))).toBe(4);
    expect(why(pinned, statement(3, [thief], [thief]), statement(4, [c], [a]))).toBe(4);
  });

  it('lets a key of its own configuration set any later one, so that keys that were lost can be replaced', () => {
    const anchors = keysOf(named([c]));
    const next = statement(3, [thief], [c]);
    expect(judgeSigners(pinned, [next], { anchors, pool: null }).inForce).toBe(next);
    expect(judgeSigners(pinned, [statement(1, [c], [c])], { anchors, pool: null }).refusal?.why).toBe(
      'older',
    );
  });
});

it('whatever comes in whatever order, what holds only goes on by signatures of what held before', () => {
  const pairs = [a, b, c, thief];
  const some = fc.subarray(pairs, { minLength: 1 });
  const offer = fc
    .record({
      version: fc.integer({ min: 1, max: 6 }),
      keys: some,
      by: fc.subarray(pairs),
      required: fc.boolean(),
      pool: fc.constantFrom('prod', 'prod', 'prod', 'test'),
      edit: fc.constantFrom('none', 'none', 'keys', 'required', 'version'),
    })
    .map(({ version, keys, by, required, pool, edit }) => {
      const made = statement(version, keys, by, { required, pool });
      if (edit === 'keys') made.signers.keys = named([thief]);
      if (edit === 'required') made.signers.required = !required;
      if (edit === 'version') made.signers.version += 1;
      return made;
    });
  fc.assert(
    fc.property(fc.array(fc.array(offer, { maxLength: 4 }), { maxLength: 6 }), (rounds) => {
      let inForce: SignedSigners | null = null;
      for (const offered of rounds) {
        const before: SignedSigners | null = inForce;
        const verdict = judgeSigners(before, offered, ALONE);
        inForce = verdict.inForce;
        // Nothing that holds is ever lost, and there is a word for whatever does not hold.
        if (before !== null) expect(inForce).not.toBeNull();
        const last = [...offered].sort((x, y) => x.signers.version - y.signers.version).at(-1);
        if (verdict.refusal === null && last !== undefined && inForce !== null)
          expect(inForce.signers).toEqual(last.signers);
        if (inForce === before || inForce === null) continue;
        expect(inForce.signers.version).toBeGreaterThan(before?.signers.version ?? 0);
        if (before !== null) expect(inForce.signers.pool).toBe(before.signers.pool);
        // Somebody who was trusted before it has signed it, be it by way of others that came along.
        const trusted = new Set(
          [before, ...offered].flatMap((each) =>
            each !== null && each !== inForce && signerOf(each, keysOf(named(pairs))) !== null
              ? each.signers.keys.map(({ publicKey }) => publicKey)
              : [],
          ),
        );
        for (const { publicKey } of before === null ? inForce.signers.keys : []) trusted.add(publicKey);
        const keys = keysOf(named(pairs.filter(({ publicKey }) => trusted.has(publicKey))));
        expect(signerOf(inForce, keys)).not.toBeNull();
        // Once it holds, the same words change nothing.
        expect(judgeSigners(inForce, offered, ALONE).inForce).toBe(inForce);
      }
    }),
    { numRuns: 300 },
  );
});

it('whoever has none of the keys that hold changes nothing, however often he tries', () => {
  const pinned = statement(3, [a, b], [a]);
  const theirs = fc
    .record({
      version: fc.integer({ min: 1, max: 9 }),
      keys: fc.subarray([a, b, c, thief], { minLength: 1 }),
      by: fc.subarray([c, thief]),
      required: fc.boolean(),
    })
    .map(({ version, keys, by, required }) => statement(version, keys, by, { required }));
  // What he has of others: every statement that there was, also with signatures that belong to another.
  const old = [statement(1, [c], [c]), statement(2, [a], [c]), pinned];
  const mixed = fc
    .record({ of: theirs, by: fc.constantFrom(...old) })
    .map(({ of, by }) => ({ signers: of.signers, by: by.by }));
  fc.assert(
    fc.property(fc.array(fc.oneof(theirs, mixed, fc.constantFrom(...old)), { maxLength: 8 }), (offered) => {
      expect(judgeSigners(pinned, offered, ALONE).inForce).toBe(pinned);
    }),
    { numRuns: 200 },
  );
});

describe('a statement', () => {
  it('names no key twice, and at least one', () => {
    const wrong = (more: object) =>
      PoolSigners.safeParse({ ...statement(1, [a], [a]).signers, ...more }).error?.issues[0]?.message;
    expect(wrong({})).toBeUndefined();
    expect(wrong({ keys: [] })).toContain('Too small');
    expect(wrong({ keys: named([a, { ...b, name: 'a' }]) })).toBe('two keys have the same name');
    expect(wrong({ keys: named([a, { ...a, name: 'b' }]) })).toBe('a key is named twice');
    expect(wrong({ keys: [{ name: 'a', publicKey: 'x' }] })).toContain('not an Ed25519 public key');
    expect(wrong({ version: 0 })).toContain('Too small');
    expect(wrong({ until: 1 })).toContain('until');
  });

  it('has a short name that says its pool, its number and, a little, its content', () => {
    const text = standingOf(statement(12, [a], [a]));
    expect(text).toMatch(/^prod@12:[0-9a-f]{12}$/);
    expect(standingOf(statement(12, [b], [a]))).not.toBe(text);
    expect(parseStanding(text)).toEqual({ pool: 'prod', version: 12 });
    for (const none of ['none', '', 'prod@12', 'prod@x:000000000000', 'a b@1:000000000000'])
      expect(parseStanding(none)).toBeNull();
  });
});
