import type { ProbeRow, ProbeVerdict } from '@berth/shared/domain/probe';
import { dnsQuery, socketAddress, text } from './bytes.ts';
import { NOTHING, type Argument, type Call } from './program.ts';

/** One thing that a process in a tenant's container tries. */
export interface Attempt {
  /** File name of its program in the image. */
  id: string;
  area: ProbeRow['area'];
  tried: string;
  expected: string;
  calls: readonly Call[];
  /** After the last call go on at this one, for ever: a server. */
  again?: number;
  /** Which container tries it: as root, which is the worst that an image can ask for, or as nobody. */
  who: 'root' | 'nobody';
  /** Attempts of one group are one row: `tried` says what differs. */
  group?: string;
  judge(result: AttemptResult): ProbeVerdict;
}

export interface AttemptResult {
  /** The error number, 0 for success, {@link NOTHING}; null when it did not end. */
  code: number | null;
  /** What it wrote, in hexadecimal digits. */
  output: string;
}

const AT_FDCWD = -100;
const O_WRONLY = 1;
const O_CREAT = 0o100;

/** Ended by the filter of system calls. */
const KILLED_BY_SECCOMP = 159;
const REFUSED = 111;

/** It may not succeed, whatever the error. */
const mustFail: Attempt['judge'] = ({ code }) => (code === null ? 'untried' : code === 0 ? 'open' : 'held');
/** A refused connection came as far as the other side's kernel, so it counts as reached. */
const mustNotReach: Attempt['judge'] = ({ code }) =>
  code === null ? 'untried' : code === 0 || code === REFUSED ? 'open' : 'held';
const mustWork: Attempt['judge'] = ({ code }) => (code === null ? 'untried' : code === 0 ? 'held' : 'broken');

export interface Target {
  /** For people: "another tenant", "the host's ssh at". */
  what: string;
  address: string;
  port: number;
}

/** A connection, with an answer within 1.2 s or none. */
function tcp({ address, port }: Target): Call[] {
  const remote = socketAddress(address, port);
  return [
    { name: 'socket', args: [address.includes(':') ? 10 : 2, 1, 0] },
    { name: 'setsockopt', args: [{ result: 0 }, 1, 21, timeval(1_200), 16] },
    { name: 'connect', args: [{ result: 0 }, remote, remote.length] },
  ];
}

/** A datagram, and whatever comes back. */
function datagram(
  protocol: number,
  { address, port }: Target,
  message: Buffer,
  answer: Buffer = Buffer.alloc(512),
  more: readonly Call[] = [],
): Call[] {
  const remote = socketAddress(address, port);
  return [
    { name: 'socket', args: [address.includes(':') ? 10 : 2, 2, protocol] },
    { name: 'setsockopt', args: [{ result: 0 }, 1, 20, timeval(1_200), 16] },
    { name: 'connect', args: [{ result: 0 }, remote, remote.length] },
    { name: 'sendto', args: [{ result: 0 }, message, message.length, 0, 0, 0] },
    { name: 'read', args: [{ result: 0 }, answer, answer.length] },
    ...more,
  ];
}

function timeval(ms: number): Buffer {
  const buffer = Buffer.alloc(16);
  buffer.writeBigInt64LE(BigInt(Math.floor(ms / 1000)), 0);
  buffer.writeBigInt64LE(BigInt((ms % 1000) * 1000), 8);
  return buffer;
}

const ECHO = Buffer.from([8, 0, 0, 0, 0, 0, 0, 1, 98, 101, 114, 116, 104, 0, 0, 0]);

type Kind = 'tcp' | 'udp' | 'icmp';

function reach(kind: Kind, target: Target): { tried: string; calls: Call[] } {
  const at = `${target.what} ${target.address}`;
  if (kind === 'tcp') return { tried: `${at} TCP ${target.port}`, calls: tcp(target) };
  if (kind === 'udp')
    return { tried: `${at} UDP ${target.port}`, calls: datagram(0, target, Buffer.from('berth?')) };
  return { tried: `${at} ICMP echo`, calls: datagram(1, target, ECHO) };
}

export function shut(id: string, area: Attempt['area'], kind: Kind, target: Target): Attempt {
  return { id, area, ...reach(kind, target), expected: 'not reached', who: 'root', judge: mustNotReach };
}

export function works(id: string, area: Attempt['area'], kind: Kind, target: Target): Attempt {
  return { id, area, ...reach(kind, target), expected: 'reached', who: 'root', judge: mustWork };
}

/**
 * Docker's resolver, asked for a name. `stranger`: it may not know it. `own`: it must. `outside`: no answer that somebody
 * beyond the host gave; a failure that it tells of itself is none.
 */
export function lookup(
  id: string,
  tried: string,
  name: string,
  kind: 'stranger' | 'own' | 'outside',
): Attempt {
  const query = dnsQuery(name);
  const target = { what: '', address: '127.0.0.11', port: 53 };
  const answer = Buffer.alloc(512);
  const calls = datagram(0, target, query, answer, [{ name: 'write', args: [1, answer, { result: 4 }] }]);
  const judge: Attempt['judge'] = ({ code, output }) => {
    const failed = code !== 0 || output.length < 24;
    const [rcode, count] = failed
      ? [2, 0]
      : [parseInt(output.slice(7, 8), 16), parseInt(output.slice(12, 16), 16)];
    if (kind === 'own') return count > 0 ? 'held' : 'broken';
    if (kind === 'stranger') return count > 0 ? 'open' : 'held';
    return rcode === 2 || rcode === 5 ? 'held' : 'open';
  };
  const expected = { own: 'an address', stranger: 'no address', outside: 'no answer from outside' }[kind];
  return { id, area: kind === 'outside' ? 'egress' : 'network', tried, expected, who: 'root', calls, judge };
}

/** Echoes each datagram: what runs in another tenant's container. */
export function udpEcho(id: string, port: number): Attempt {
  const any = socketAddress('0.0.0.0', port);
  const message = Buffer.alloc(64);
  const peer = Buffer.alloc(16);
  const length = Buffer.from([16, 0, 0, 0]);
  return {
    id,
    area: 'network',
    tried: '',
    expected: '',
    who: 'root',
    judge: mustWork,
    again: 2,
    calls: [
      { name: 'socket', args: [2, 2, 0] },
      { name: 'bind', args: [{ result: 0 }, any, any.length] },
      { name: 'recvfrom', args: [{ result: 0 }, message, message.length, 0, peer, length] },
      { name: 'sendto', args: [{ result: 0 }, message, { result: 2 }, 0, peer, peer.length] },
    ],
  };
}

/** What the kernel must refuse a container, each by the very call. `foreignPid`: a process of the host. */
export function kernelAttempts(foreignPid: number): Attempt[] {
  const one = (
    id: string,
    tried: string,
    name: Call['name'],
    args: readonly Argument[],
    more: readonly Call[] = [],
  ): Attempt => ({
    id,
    area: 'kernel',
    tried,
    expected: 'refused',
    who: 'root',
    judge: mustFail,
    calls: [{ name, args }, ...more],
  });
  const zeros = Buffer.alloc(64);
  const attributes = Buffer.alloc(128);
  attributes.writeUInt32LE(1, 0);
  attributes.writeUInt32LE(112, 4);
  return [
    one('raw', 'a raw socket (spoofing)', 'socket', [2, 3, 1]),
    one('raw6', 'a raw socket of IPv6', 'socket', [10, 3, 58]),
    one('packet', 'a packet socket (listening in)', 'socket', [17, 3, 0x0300]),
    one('mount', 'mounting a file system', 'mount', [text('none'), text('/data'), text('tmpfs'), 0, 0]),
    one('mountproc', 'mounting a fresh /proc', 'mount', [text('proc'), text('/data'), text('proc'), 0, 0]),
    one('remount', 'making / writable', 'mount', [text(''), text('/'), text(''), 0x20, 0]),
    one('pivot', 'another root (pivot_root)', 'pivot_root', [text('/'), text('/')]),
    one('userns', 'a new user namespace', 'unshare', [0x10000000]),
    one('netns', 'a new network namespace', 'unshare', [0x40000000]),
    one('mountns', 'a new mount namespace', 'unshare', [0x00020000]),
    one('keyring', 'the kernel’s keyring', 'keyctl', [0, -3, 1]),
    one('addkey', 'adding a key to it', 'add_key', [text('user'), text('berth'), text('x'), 1, -3]),
    one('bpf', 'loading a BPF program', 'bpf', [0, attributes, 64]),
    one('perf', 'performance counters of the host', 'perf_event_open', [attributes, -1, 0, -1, 0]),
    one('module', 'loading a kernel module', 'init_module', [zeros, 64, text('')]),
    one('kexec', 'loading another kernel', 'kexec_load', [0, 0, zeros, 0]),
    one('reboot', 'restarting the host', 'reboot', [0xfee1dead - 2 ** 32, 672274793, 0]),
    one('clock', 'setting the host’s clock', 'settimeofday', [timeval(1_000), 0]),
    one('hostname', 'setting a host name', 'sethostname', [text('x'), 1]),
    one('swap', 'swapping to a file', 'swapon', [text('/data'), 0]),
    one('syslog', 'reading the kernel’s log', 'syslog', [3, zeros, 64]),
    one('handle', 'opening files of the host by handle', 'open_by_handle_at', [AT_FDCWD, zeros, 0]),
    one('ptrace', `tracing process ${foreignPid} of the host`, 'ptrace', [16, foreignPid, 0, 0]),
    one('device', 'making a device node', 'mknodat', [AT_FDCWD, text('/dev/shm/sda'), 0o60600, 0x800]),
    one(
      'ownns',
      'entering the namespace of process 1',
      'openat',
      [AT_FDCWD, text('/proc/1/ns/user'), 0],
      [{ name: 'setns', args: [{ result: 0 }, 0] }],
    ),
    {
      ...one('setuid', 'becoming root (setuid)', 'setuid', [0]),
      who: 'nobody',
    },
    {
      ...one('suid', 'becoming root by a setuid program', 'openat', [AT_FDCWD, text('/probe/root-only'), 0]),
      who: 'nobody',
    },
  ];
}

const READ = 'nothing to read';

export function fileAttempts(): Attempt[] {
  const write = (id: string, path: string): Attempt => ({
    id,
    area: 'files',
    tried: `writing ${path}`,
    expected: 'refused',
    who: 'root',
    judge: mustFail,
    calls: [{ name: 'openat', args: [AT_FDCWD, text(path), O_WRONLY] }],
  });
  const read = (id: string, path: string): Attempt => ({
    id,
    area: 'files',
    tried: `reading ${path}`,
    expected: `refused, or ${READ}`,
    who: 'root',
    judge: mustFail,
    calls: [
      { name: 'openat', args: [AT_FDCWD, text(path), 0] },
      { name: 'read', args: [{ result: 0 }, Buffer.alloc(64), 64], needs: 'more than zero' },
    ],
  });
  const socket = (id: string, path: string): Attempt => {
    const address = Buffer.concat([Buffer.from([1, 0]), text(path)]);
    return {
      id,
      area: 'host',
      tried: `the socket ${path}`,
      expected: 'not there',
      who: 'root',
      judge: mustNotReach,
      calls: [
        { name: 'socket', args: [1, 1, 0] },
        { name: 'connect', args: [{ result: 0 }, address, address.length] },
      ],
    };
  };
  return [
    socket('sock1', '/var/run/docker.sock'),
    socket('sock2', '/run/docker.sock'),
    socket('sock3', '/run/containerd/containerd.sock'),
    {
      ...write('root', '/grow'),
      tried: 'making a file in the root file system',
      calls: [{ name: 'openat', args: [AT_FDCWD, text('/grow'), O_WRONLY | O_CREAT, 0o600] }],
    },
    write('forward', '/proc/sys/net/ipv4/ip_forward'),
    write('corepat', '/proc/sys/kernel/core_pattern'),
    write('sysrq', '/proc/sysrq-trigger'),
    write('hotplug', '/sys/kernel/uevent_helper'),
    write('mmhuge', '/sys/kernel/mm/transparent_hugepage/enabled'),
    write('cgroup1', '/sys/fs/cgroup/memory/memory.limit_in_bytes'),
    write('cgroup2', '/sys/fs/cgroup/memory.max'),
    read('kcore', '/proc/kcore'),
    read('keys', '/proc/keys'),
    read('timers', '/proc/timer_list'),
    read('kmsg', '/dev/kmsg'),
    read('mem', '/dev/mem'),
    read('firmware', '/sys/firmware/dmi/tables/DMI'),
  ];
}

/** What an error number means, as a person would say it. */
export function seenOf({ code }: AttemptResult): string {
  if (code === null) return 'it did not end';
  if (code === 0) return 'it worked';
  if (code === NOTHING) return READ;
  if (code === KILLED_BY_SECCOMP) return 'killed for it (seccomp)';
  return NAMES[code] ?? `error ${code}`;
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
