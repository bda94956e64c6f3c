import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  CHAIN_START,
  canonicalText,
  chainHash,
  createChainCheck,
  type AuditFacts,
  type ChainedRecord,
  type ChainFault,
  type ChainHead,
} from '../../src/domain/audit.ts';

const facts = fc.record({
  at: fc.nat(),
  actor: fc.string({ unit: 'binary' }),
  action: fc.constantFrom('tenant.created', 'tenant.changed', 'token.revoked'),
  subject: fc.string({ unit: 'binary' }),
  requestId: fc.string(),
  before: fc.jsonValue(),
  after: fc.jsonValue(),
});
const chains = fc.array(facts, { minLength: 1, maxLength: 12 }).map(chained);

function chained(list: readonly Omit<AuditFacts, 'id'>[], from = CHAIN_START): ChainedRecord[] {
  let { hash, number } = from;
  return list.map((each) => {
    const record = { ...each, id: (number += 1) };
    hash = chainHash(hash, record);
    return { ...record, hash };
  });
}

const headOf = (records: readonly ChainedRecord[]): ChainHead => {
  const last = records.at(-1);
  return last === undefined ? CHAIN_START : { number: last.id, hash: last.hash };
};

function faultOf(
  records: readonly ChainedRecord[],
  head: ChainHead | null,
  given: { from?: ChainHead; kept?: readonly ChainHead[] } = {},
): ChainFault | null {
  const check = createChainCheck(given.from, given.kept);
  for (const record of records) if (check.next(record) !== null) break;
  return check.end(head);
}

/** What somebody could do to one record. */
const change = fc.oneof(
  fc.nat().map((at) => ({ at })),
  fc.string().map((actor) => ({ actor })),
  fc.string().map((action) => ({ action })),
  fc.string().map((subject) => ({ subject })),
  fc.string().map((requestId) => ({ requestId })),
  fc.jsonValue().map((before) => ({ before })),
  fc.jsonValue().map((after) => ({ after })),
  fc.string({ minLength: 64, maxLength: 64 }).map((hash) => ({ hash })),
);
const same = (a: ChainedRecord, b: ChainedRecord): boolean => canonicalText(a) === canonicalText(b);

describe('a chain of records', () => {
  test('holds as it was written, in one go or from any record on', () => {
    fc.assert(
      fc.property(chains, fc.nat(), (records, n) => {
        expect(faultOf(records, headOf(records))).toBeNull();
        const cut = n % (records.length + 1);
        const from = headOf(records.slice(0, cut));
        expect(faultOf(records.slice(cut), headOf(records), { from, kept: [from] })).toBeNull();
        expect(faultOf(records, null, { kept: [from] })).toBeNull();
      }),
    );
  });

  test('does not hold when a record is changed in any field; the record is named', () => {
    fc.assert(
      fc.property(chains, fc.nat(), change, (records, n, to) => {
        const at = n % records.length;
        const changed = records.map((record, index) => (index === at ? { ...record, ...to } : record));
        fc.pre(changed.some((record, index) => !same(record, records[index] ?? record)));
        expect(faultOf(changed, headOf(records))).toMatchObject({ kind: 'changed', record: at + 1 });
      }),
    );
  });

  test('does not hold when records are missing; the first of them is named', () => {
    fc.assert(
      fc.property(chains, fc.nat(), fc.integer({ min: 1, max: 4 }), (records, n, count) => {
        const at = n % records.length;
        const rest = records.toSpliced(at, count);
        const kind = at + count < records.length ? 'missing' : 'cut-off';
        expect(faultOf(rest, headOf(records))).toMatchObject({ kind, record: at + 1 });
      }),
    );
  });

  test('does not hold when a record is inserted, repeated or moved', () => {
    fc.assert(
      fc.property(chains, facts, fc.nat(), fc.nat(), (records, extra, n, m) => {
        const at = n % (records.length + 1);
        const id = (m % (records.length + 2)) + 1;
        const hash = chainHash(records[at - 1]?.hash ?? CHAIN_START.hash, { ...extra, id });
        const inserted = records.toSpliced(at, 0, { ...extra, id, hash });
        expect(faultOf(inserted, headOf(records))).not.toBeNull();
        const [moved] = records.slice(n % records.length);
        if (moved === undefined) throw new Error('there is a record');
        expect(faultOf(records.toSpliced(m % records.length, 0, moved), headOf(records))).not.toBeNull();
        const without = records.filter((record) => record !== moved);
        const elsewhere = without.toSpliced(m % records.length, 0, moved);
        if (elsewhere.every((record, index) => record === records[index])) return;
        expect(faultOf(elsewhere, headOf(records))).not.toBeNull();
      }),
    );
  });

  test('that is cut off at its end is found by the head, and by a head that was kept elsewhere', () => {
    fc.assert(
      fc.property(chains, fc.nat(), (records, n) => {
        const rest = records.slice(0, n % records.length);
        expect(faultOf(rest, headOf(records))).toMatchObject({ kind: 'cut-off', record: rest.length + 1 });
        // Whoever cuts it off sets the head back, too.
        expect(faultOf(rest, headOf(rest))).toBeNull();
        expect(faultOf(rest, headOf(rest), { kept: [headOf(records)] })).toMatchObject({
          kind: 'cut-off',
          record: rest.length + 1,
        });
      }),
    );
  });

  test('that ends before the head from which it is checked is cut off', () => {
    fc.assert(
      fc.property(chains, fc.nat(), (records, n) => {
        const rest = records.slice(0, n % records.length);
        const fault = faultOf([], headOf(rest), { from: headOf(records) });
        expect(fault).toMatchObject({ kind: 'cut-off', record: rest.length + 1 });
      }),
    );
  });

  test('that was made anew from some record on is right in itself, and found by a head that was kept', () => {
    fc.assert(
      fc.property(chains, fc.nat(), change, (records, n, to) => {
        const at = n % records.length;
        const anew = chained(records.map((record, index) => (index === at ? { ...record, ...to } : record)));
        fc.pre(headOf(anew).hash !== headOf(records).hash);
        expect(faultOf(anew, headOf(anew))).toBeNull();
        const kept = [headOf(records)];
        expect(faultOf(anew, headOf(anew), { kept })).toMatchObject({ kind: 'not-kept' });
        // A head from before the change is still right: it says nothing of what came after.
        const early = [headOf(records.slice(0, at))];
        expect(faultOf(anew, headOf(anew), { kept: early })).toBeNull();
      }),
    );
  });

  test('does not hold against a head with another hash or fewer records', () => {
    fc.assert(
      fc.property(chains, (records) => {
        const head = headOf(records);
        expect(faultOf(records, { ...head, hash: 'f'.repeat(64) })).toMatchObject({ kind: 'other-head' });
        expect(faultOf(records, headOf(records.slice(0, -1)))).toMatchObject({
          kind: 'beyond-head',
          record: records.length,
        });
      }),
    );
  });
});

describe('the canonical text', () => {
  test('is that of RFC 8785: by code units, also names that are numbers, and without what is not there', () => {
    expect(canonicalText({ b: 1, a: [1.5, null, 'é\n\u007f'], 10: {}, 9: undefined, '\u20ac': -0 })).toBe(
      '{"10":{},"a":[1.5,null,"é\\n\u007f"],"b":1,"€":0}',
    );
  });

  test('of equal values is equal, whatever way they came', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = canonicalText(value);
        expect(canonicalText(JSON.parse(text))).toBe(text);
        expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });

  test('keeps this record to this hash for ever', () => {
    const record = {
      id: 1,
      at: 1_795_157_855_088,
      actor: 'token:t_1 first admin',
      action: 'tenant.created',
      subject: 'acme',
      requestId: 'r-1',
      before: null,
      after: { release: 1, domains: ['acme.example.com'] },
    };
    expect(chainHash(CHAIN_START.hash, record)).toBe(
      'ec4f10226f8bc60cf9a9ec765130f136f74f6c112514abc2706535767292cfa5',
    );
  });
});
