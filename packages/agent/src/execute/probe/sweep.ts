import { mustNotReach, type Attempt, type AttemptResult, type Program, type Target } from './attempt.ts';
import { socketAddress, timespec } from './bytes.ts';
import type { Argument, Call } from './program.ts';
import { ECHO, HELLO, nameOf, PATIENT_MS, QUICK_MS } from './reach.ts';

export interface SweptAddress {
  what: string;
  address: string;
  target: Target;
  tcp: readonly number[];
  udp: readonly number[];
}

const STREAM = 1;
const DATAGRAM = 2;
const NONBLOCK = 0o4000;
const EAGAIN = 11;
const EISCONN = 106;
const EALREADY = 114;
const EINPROGRESS = 115;

/**
 * All ports of one address, and an echo, by one program: it asks at all of them, waits once, and looks what came. On a
 * busy host one process gets its turn far sooner than forty do.
 */
export function sweep(id: string, { what, address, target, tcp, udp }: SweptAddress): Attempt[] {
  const asked = [
    ...tcp.map((port) => ({ kind: 'tcp' as const, port })),
    ...udp.map((port) => ({ kind: 'udp' as const, port })),
    { kind: 'icmp' as const, port: 0 },
  ];
  const calls = (waitMs: number) => callsOf(address, asked, waitMs);
  const quick = calls(QUICK_MS);
  const program: Program = { id, who: 'root', calls: quick.calls, patient: calls(PATIENT_MS).calls };
  const counts = { tcp: `${tcp.length} TCP ports`, udp: `${udp.length} UDP ports`, icmp: null };
  return asked.map(({ kind, port }, index) => ({
    id: `${id}.${kind}${port}`,
    area: 'host',
    tried: nameOf(kind, { what, address, port }),
    expected: 'not reached',
    ...(counts[kind] === null ? {} : { group: `${what} ${address}, ${counts[kind]}` }),
    program,
    results: quick.results[index] ?? [],
    target,
    judge: mustNotReach,
  }));
}

/** `results`: for each that is asked, which of the told results are its own. */
function callsOf(
  address: string,
  asked: readonly { kind: 'tcp' | 'udp' | 'icmp'; port: number }[],
  waitMs: number,
): { calls: Call[]; results: number[][] } {
  const family = address.includes(':') ? 10 : 2;
  const told: Call[] = [];
  const results: number[][] = asked.map(() => []);
  const answer = Buffer.alloc(64);
  const tell = (index: number, name: Call['name'], args: readonly Argument[]): void => {
    results[index]?.push(told.length);
    told.push({ name, args, failure: 'goes on' });
  };
  for (const [index, { kind }] of asked.entries()) {
    const type = (kind === 'tcp' ? STREAM : DATAGRAM) + NONBLOCK;
    tell(index, 'socket', [family, type, kind === 'icmp' ? 1 : 0]);
  }
  const on = (index: number, name: Call['name'], ...args: readonly Argument[]): void =>
    tell(index, name, [{ result: index }, ...args]);
  const connect = (index: number, port: number): void => {
    const remote = socketAddress(address, port);
    on(index, 'connect', remote, remote.length);
  };
  for (const [index, { kind, port }] of asked.entries()) {
    connect(index, port);
    const message = kind === 'icmp' ? ECHO : HELLO;
    if (kind !== 'tcp') on(index, 'sendto', message, message.length, 0, 0, 0);
  }
  told.push({ name: 'nanosleep', args: [timespec(waitMs), 0], failure: 'goes on' });
  for (const [index, { kind, port }] of asked.entries()) {
    // A connection that is asked for again tells what became of the first try.
    if (kind === 'tcp') connect(index, port);
    else on(index, 'read', answer, answer.length);
  }
  return {
    calls: [...told, { name: 'write', args: [1, { resultsFrom: 0 }, 8 * told.length] }],
    results,
  };
}

/** What became of one attempt, out of all that its program told. */
export function resultIn({ code, output }: AttemptResult, results: readonly number[]): AttemptResult {
  const lost: AttemptResult = { code: null, output: '' };
  if (code !== 0) return lost;
  const told = Buffer.from(output, 'hex');
  let last = 0;
  for (const index of results) {
    if (told.length < 8 * (index + 1)) return lost;
    const value = Number(told.readBigInt64LE(8 * index));
    last = value >= 0 || value === -EISCONN ? 0 : -value;
    if (last !== 0 && last !== EINPROGRESS && last !== EALREADY && last !== EAGAIN) break;
  }
  return { code: last === EALREADY ? EINPROGRESS : last, output: '' };
}
