import type { Attempt, Program, Target } from './attempt.ts';
import { mustNotReach, mustWork } from './attempt.ts';
import { dnsQuery, socketAddress, timeval } from './bytes.ts';
import type { Call } from './program.ts';

/** How long an answer may take, in milliseconds. */
export const QUICK_MS = 1_200;
export const PATIENT_MS = 5_000;

export interface Place {
  /** For people: "another tenant", "the host's ssh at". */
  what: string;
  address: string;
  port: number;
  target: Target;
}

export type Kind = 'tcp' | 'udp' | 'icmp';

/** A connection, with an answer in time or none. */
function tcp({ address, port }: Place, waitMs: number): Call[] {
  const remote = socketAddress(address, port);
  return [
    { name: 'socket', args: [address.includes(':') ? 10 : 2, 1, 0] },
    { name: 'setsockopt', args: [{ result: 0 }, 1, 21, timeval(waitMs), 16] },
    { name: 'connect', args: [{ result: 0 }, remote, remote.length] },
  ];
}

/** A datagram, and whatever comes back. */
function datagram(
  protocol: number,
  { address, port }: Pick<Place, 'address' | 'port'>,
  message: Buffer,
  waitMs: number,
  answer: Buffer = Buffer.alloc(512),
): Call[] {
  const remote = socketAddress(address, port);
  return [
    { name: 'socket', args: [address.includes(':') ? 10 : 2, 2, protocol] },
    { name: 'setsockopt', args: [{ result: 0 }, 1, 20, timeval(waitMs), 16] },
    { name: 'connect', args: [{ result: 0 }, remote, remote.length] },
    { name: 'sendto', args: [{ result: 0 }, message, message.length, 0, 0, 0] },
    { name: 'read', args: [{ result: 0 }, answer, answer.length] },
  ];
}

export const ECHO = Buffer.from([8, 0, 0, 0, 0, 0, 0, 1, 98, 101, 114, 116, 104, 0, 0, 0]);
export const HELLO = Buffer.from('berth?');

export function nameOf(kind: Kind, { what, address, port }: Omit<Place, 'target'>): string {
  const at = `${what} ${address}`;
  return kind === 'icmp' ? `${at} ICMP echo` : `${at} ${kind === 'tcp' ? 'TCP' : 'UDP'} ${port}`;
}

function programFor(id: string, kind: Kind, place: Place): Program {
  const calls = (waitMs: number): Call[] => {
    if (kind === 'tcp') return tcp(place, waitMs);
    return kind === 'udp' ? datagram(0, place, HELLO, waitMs) : datagram(1, place, ECHO, waitMs);
  };
  return { id, who: 'root', calls: calls(QUICK_MS), patient: calls(PATIENT_MS) };
}

function reach(id: string, area: Attempt['area'], kind: Kind, place: Place): Omit<Attempt, 'judge'> {
  const { target } = place;
  const program = programFor(id, kind, place);
  return { id, area, tried: nameOf(kind, place), expected: 'not reached', program, target };
}

export function shut(id: string, area: Attempt['area'], kind: Kind, place: Place): Attempt {
  return { ...reach(id, area, kind, place), judge: mustNotReach };
}

export function works(id: string, area: Attempt['area'], kind: Kind, place: Place): Attempt {
  return { ...reach(id, area, kind, place), expected: 'reached', judge: mustWork };
}

/**
 * Docker's resolver, asked for a name. A stranger's address it may not know; what a name server beyond the host makes of
 * the name says nothing. `own`: it must know one. `outside`: no answer that somebody beyond the host gave; a failure that
 * it tells of itself is none.
 */
export function lookup(
  id: string,
  tried: string,
  name: string,
  kind: 'own' | 'outside' | { stranger: string },
): Attempt {
  const query = dnsQuery(name);
  const answer = Buffer.alloc(512);
  const calls = (waitMs: number): Call[] => [
    ...datagram(0, { address: '127.0.0.11', port: 53 }, query, waitMs, answer),
    { name: 'write', args: [1, answer, { result: 4 }] },
  ];
  const judge: Attempt['judge'] = ({ code, output }) => {
    if (code === null) return 'untried';
    const failed = code !== 0 || output.length < 24;
    const [rcode, count] = failed
      ? [2, 0]
      : [parseInt(output.slice(7, 8), 16), parseInt(output.slice(12, 16), 16)];
    if (kind === 'own') return count > 0 ? 'held' : 'broken';
    if (kind !== 'outside') return count > 0 && holdsAddress(output, kind.stranger) ? 'open' : 'held';
    return rcode === 2 || rcode === 5 ? 'held' : 'open';
  };
  return {
    id,
    area: kind === 'outside' ? 'egress' : 'network',
    tried,
    expected: { own: 'an address', outside: 'no answer from outside', stranger: 'not its address' }[
      typeof kind === 'string' ? kind : 'stranger'
    ],
    program: { id, who: 'root', calls: calls(QUICK_MS), patient: calls(PATIENT_MS) },
    target: { kind: 'elsewhere' },
    judge,
  };
}

/** An answer's records have addresses as the kernel has them; the question has none. */
function holdsAddress(output: string, address: string): boolean {
  const digits = socketAddress(address, 0).subarray(4, 8).toString('hex');
  return output.slice(24).includes(digits);
}

/** Whether an attempt is a {@link lookup}: its output is an answer of a resolver. */
export function isLookup({ program, results }: Pick<Attempt, 'program' | 'results'>): boolean {
  return results === undefined && program.calls.at(-1)?.name === 'write';
}

/** Echoes each datagram: what runs in another tenant's container. */
export function udpEcho(id: string, port: number): Program {
  const any = socketAddress('0.0.0.0', port);
  const message = Buffer.alloc(64);
  const peer = Buffer.alloc(16);
  const length = Buffer.from([16, 0, 0, 0]);
  return {
    id,
    who: 'root',
    again: 2,
    calls: [
      { name: 'socket', args: [2, 2, 0] },
      { name: 'bind', args: [{ result: 0 }, any, any.length] },
      { name: 'recvfrom', args: [{ result: 0 }, message, message.length, 0, peer, length] },
      { name: 'sendto', args: [{ result: 0 }, message, { result: 2 }, 0, peer, peer.length] },
    ],
  };
}
