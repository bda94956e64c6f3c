import { createHash } from 'node:crypto';

/** What the audit's chain is made of: the same rules for the store that writes it and for whoever checks it. */

/** One record as it is hashed. `before` and `after` are JSON values; `at` is milliseconds since 1970. */
export interface AuditFacts {
  id: number;
  at: number;
  actor: string;
  action: string;
  subject: string;
  requestId: string;
  before: unknown;
  after: unknown;
}

export interface ChainedRecord extends AuditFacts {
  /** Of the record and of all before it: SHA-256, lower-case hex. */
  hash: string;
}

/** The end of a chain: its last record's number and hash. It stands for every record up to there. */
export interface ChainHead {
  number: number;
  hash: string;
}

/** Before the first record. */
export const CHAIN_START: ChainHead = { number: 0, hash: '0'.repeat(64) };

/** The hash of a record that follows one with the hash `previous`. */
export function chainHash(previous: string, record: AuditFacts): string {
  const { id, at, actor, action, subject, requestId, before, after } = record;
  const text = canonicalText({
    chain: 1,
    previous,
    id,
    at,
    actor,
    action,
    subject,
    requestId,
    before,
    after,
  });
  return createHash('sha256').update(text).digest('hex');
}

/**
 * JSON as RFC 8785 writes it: no blanks, the names of an object in the order of their UTF-16 units, also those that look
 * like numbers. So that anybody can compute the chain with a library of theirs.
 */
export function canonicalText(value: unknown): string {
  if (Array.isArray(value)) return `[${Array.from(value, canonicalText).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value ?? null);
  const fields = Object.entries(value)
    .filter(([, item]) => item !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    .map(([name, item]) => `${JSON.stringify(name)}:${canonicalText(item)}`);
  return `{${fields.join(',')}}`;
}

/** What is wrong with a chain. `record` is the number of the first record that is not as it should be. */
export interface ChainFault {
  kind: 'missing' | 'out-of-order' | 'changed' | 'cut-off' | 'beyond-head' | 'other-head' | 'not-kept';
  record: number;
  message: string;
}

export interface ChainCheck {
  /** The next record, in the order of numbers. Answers the first fault of the chain, which stays. */
  next(record: ChainedRecord): ChainFault | null;
  /** At the end: whether it ends where the head says. `null`: nobody says, as for a file. */
  end(head: ChainHead | null): ChainFault | null;
  /** Up to where it has been right. */
  at(): ChainHead;
}

/**
 * Checks a chain record by record; it holds nothing but the last hash. `from` is where it begins, and `kept` are heads
 * that somebody wrote down elsewhere: whoever can write the database can make a whole new chain, but not one with these.
 */
export function createChainCheck(from: ChainHead = CHAIN_START, kept: readonly ChainHead[] = []): ChainCheck {
  let last = from;
  let fault = differs(from, kept);
  return {
    next(record) {
      if (fault !== null) return fault;
      fault = follows(last, record);
      if (fault !== null) return fault;
      last = { number: record.id, hash: record.hash };
      fault = differs(last, kept);
      return fault;
    },
    end(head) {
      // Nothing came, and it ends before where this began.
      const before = head !== null && last === from && head.number < from.number;
      fault ??= before ? reaches(head, [from]) : (ends(last, head) ?? reaches(last, kept));
      return fault;
    },
    at: () => last,
  };
}

function follows(last: ChainHead, record: ChainedRecord): ChainFault | null {
  const due = last.number + 1;
  if (record.id > due) {
    const gap = record.id - 1 === due ? `Record ${due} is` : `Records ${due} to ${record.id - 1} are`;
    return { kind: 'missing', record: due, message: `${gap} missing before record ${record.id}.` };
  }
  if (record.id < due) {
    const message = `Record ${record.id} comes after record ${last.number}: it was inserted or moved.`;
    return { kind: 'out-of-order', record: record.id, message };
  }
  if (chainHash(last.hash, record) === record.hash) return null;
  const message =
    last.number === 0
      ? `Record ${due} is not what was written: its hash is another.`
      : `Record ${due} is not what was written after record ${last.number}: its hash is another. It was changed, or record ${last.number} was replaced together with its hash.`;
  return { kind: 'changed', record: due, message };
}

function ends(last: ChainHead, head: ChainHead | null): ChainFault | null {
  if (head === null) return null;
  if (head.number > last.number) {
    const record = last.number + 1;
    return {
      kind: 'cut-off',
      record,
      message: `The head is record ${head.number}, and the records end with ${last.number}: those from ${record} on are missing.`,
    };
  }
  if (head.number < last.number) {
    const record = head.number + 1;
    const message = `The head is record ${head.number}, but there are records up to ${last.number}: they were added past the head, or the head was set back.`;
    return { kind: 'beyond-head', record, message };
  }
  if (head.hash === last.hash) return null;
  const message = `The head has another hash than record ${last.number}: one of the two was changed.`;
  return { kind: 'other-head', record: last.number, message };
}

function differs(at: ChainHead, kept: readonly ChainHead[]): ChainFault | null {
  if (kept.every((head) => head.number !== at.number || head.hash === at.hash)) return null;
  const message = `Record ${at.number} has another hash than in the head that was kept: it or a record before it was changed, and the chain was made anew.`;
  return { kind: 'not-kept', record: at.number, message };
}

function reaches(last: ChainHead, kept: readonly ChainHead[]): ChainFault | null {
  const beyond = kept.find((head) => head.number > last.number);
  if (beyond === undefined) return null;
  const record = last.number + 1;
  const message = `A head was kept of record ${beyond.number}, and the records end with ${last.number}: those from ${record} on are missing.`;
  return { kind: 'cut-off', record, message };
}
