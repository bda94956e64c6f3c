import type { ProbeVerdict } from '@berth/shared/domain/probe';
import type { Attempt, AttemptResult } from './attempt.ts';
import { NOTHING } from './program.ts';
import { isLookup } from './reach.ts';

/** Ended by the filter of system calls. */
export const KILLED_BY_SECCOMP = 159;

export const READ_NOTHING = 'nothing to read';

/** What was seen, as a person would say it. */
export function wordsOf(attempt: Attempt, result: AttemptResult, verdict: ProbeVerdict): string {
  if (result.code !== null && isLookup(attempt)) return lookedUp(result, verdict);
  // Over the network nobody asks for leave: the kernel or a rule threw it away before it left.
  if (result.code === 1 && attempt.target !== undefined) return 'dropped before it left (EPERM)';
  return seenOf(result);
}

/** What an error number means. */
export function seenOf({ code }: Pick<AttemptResult, 'code'>): string {
  if (code === null) return 'it did not end';
  if (code === 0) return 'it worked';
  if (code === NOTHING) return READ_NOTHING;
  if (code === KILLED_BY_SECCOMP) return 'killed for it (seccomp)';
  return NAMES[code] ?? `error ${code}`;
}

function lookedUp({ code, output }: AttemptResult, verdict: ProbeVerdict): string {
  if (code !== 0 || output.length < 24) return 'no answer';
  const rcode = parseInt(output.slice(7, 8), 16);
  const count = parseInt(output.slice(12, 16), 16);
  if (count > 0) return 'an address';
  const words = { 0: 'no address', 2: 'the resolver failed (SERVFAIL)', 3: 'no such name', 5: 'refused' }[
    rcode
  ];
  const host = verdict === 'open' ? '; the host’s daemon asked for it: its name server is on loopback' : '';
  return `${words ?? `answer ${rcode}`}${host}`;
}

const NAMES: Readonly<Record<number, string>> = {
  1: 'not permitted (EPERM)',
  2: 'not there (ENOENT)',
  3: 'no such process (ESRCH)',
  11: 'no answer (EAGAIN)',
  13: 'not allowed (EACCES)',
  14: 'refused (EFAULT)',
  20: 'not there (ENOTDIR)',
  22: 'refused (EINVAL)',
  30: 'read-only (EROFS)',
  38: 'not in this kernel (ENOSYS)',
  93: 'not there (EPROTONOSUPPORT)',
  97: 'not there (EAFNOSUPPORT)',
  99: 'no address for it (EADDRNOTAVAIL)',
  101: 'no way there (ENETUNREACH)',
  110: 'no answer (ETIMEDOUT)',
  111: 'refused by the other side (ECONNREFUSED)',
  113: 'refused by a rule (EHOSTUNREACH)',
  115: 'no answer (EINPROGRESS)',
  126: 'no key (ENOKEY)',
};
