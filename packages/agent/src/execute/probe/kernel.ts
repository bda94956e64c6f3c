import { mustFail, mustNotReach, type Attempt, type Program } from './attempt.ts';
import { text, timeval } from './bytes.ts';
import type { Argument, Call } from './program.ts';
import { READ_NOTHING } from './words.ts';

const AT_FDCWD = -100;
const O_WRONLY = 1;
const O_CREAT = 0o100;

/** What the kernel must refuse a container, each by the very call. `foreignPid`: a process of the host. */
export function kernelAttempts(foreignPid: number): Attempt[] {
  const one = (
    id: string,
    tried: string,
    name: Call['name'],
    args: readonly Argument[],
    more: readonly Call[] = [],
    who: Program['who'] = 'root',
  ): Attempt => ({
    id,
    area: 'kernel',
    tried,
    expected: 'refused',
    program: { id, who, calls: [{ name, args }, ...more] },
    judge: mustFail,
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
    one('setuid', 'becoming root (setuid)', 'setuid', [0], [], 'nobody'),
    one(
      'suid',
      'becoming root by a setuid program',
      'openat',
      [AT_FDCWD, text('/probe/root-only'), 0],
      [],
      'nobody',
    ),
  ];
}

export function fileAttempts(): Attempt[] {
  const by = (id: string, calls: readonly Call[]): Attempt['program'] => ({ id, who: 'root', calls });
  const open = (id: string, path: string, tried: string, flags: readonly number[]): Attempt => ({
    id,
    area: 'files',
    tried,
    expected: 'refused',
    program: by(id, [{ name: 'openat', args: [AT_FDCWD, text(path), ...flags] }]),
    judge: mustFail,
  });
  const write = (id: string, path: string): Attempt => open(id, path, `writing ${path}`, [O_WRONLY]);
  const read = (id: string, path: string): Attempt => ({
    id,
    area: 'files',
    tried: `reading ${path}`,
    expected: `refused, or ${READ_NOTHING}`,
    program: by(id, [
      { name: 'openat', args: [AT_FDCWD, text(path), 0] },
      { name: 'read', args: [{ result: 0 }, Buffer.alloc(64), 64], needs: 'more than zero' },
    ]),
    judge: mustFail,
  });
  const socket = (id: string, path: string): Attempt => {
    const address = Buffer.concat([Buffer.from([1, 0]), text(path)]);
    return {
      id,
      area: 'host',
      tried: `the socket ${path}`,
      expected: 'not there',
      program: by(id, [
        { name: 'socket', args: [1, 1, 0] },
        { name: 'connect', args: [{ result: 0 }, address, address.length] },
      ]),
      judge: mustNotReach,
    };
  };
  return [
    socket('sock1', '/var/run/docker.sock'),
    socket('sock2', '/run/docker.sock'),
    socket('sock3', '/run/containerd/containerd.sock'),
    open('root', '/grow', 'making a file in the root file system', [O_WRONLY | O_CREAT, 0o600]),
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
